#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast aof_import is beside ``redis-cli --pipe``, on the same file, into the same server, in turn.

    import_speed.py [--kinds mixed,sets,large] [--rounds 5] [--scale 1.0] [--delay MS] [--without-hiredis] [--cluster] [--dump] [--workers N]

The files are those of ``gen_aof.py`` (1,000,000 mixed keys, 1,000,000 SETs of 100 bytes, 2,000 values of 1 MB, times
``--scale``), the server is Debian's Redis 7.0 without persistence. Both run as whole processes, the import with its
checkpoints. Of each round the ratio of the wall times is taken, and their median is what counts: of the whole process, and
of the import alone, without the 0.2 s in which Python starts and loads the libraries. ``--delay``: a proxy in front of the
server that takes so many milliseconds in each direction. ``--without-hiredis``: a third run a round, without that library.
``--cluster``: another one, into three masters of a cluster, which redis-cli can't do. ``--dump``: another one, of the same
data from a dump of that server. ``--workers``: whatever goes into the cluster once more, by so many processes; with ``--dump``
that is the dump, too.

Needs redis-server and redis-cli 7.0 on the PATH, and the Python packages of requirements/demo.txt.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

_PATHS = Path(__file__).resolve().parents[1] / "support" / "paths.py"
_spec = importlib.util.spec_from_file_location("_paths", _PATHS)
assert _spec is not None and _spec.loader is not None
_paths = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_paths)
sys.path.insert(0, str(_paths.link_collection()))

from ansible_collections.redisops.tair.tests.bench.measuring import Peak, generated
from ansible_collections.redisops.tair.tests.support.ansible_cli import environment
from ansible_collections.redisops.tair.tests.support.cluster import form_cluster
from ansible_collections.redisops.tair.tests.support.paths import CACHE, link_collection
from ansible_collections.redisops.tair.tests.support.proxy import Proxy
from ansible_collections.redisops.tair.tests.support.servers import Server, build

SETTINGS = {"save": "", "appendonly": "no"}
KEYS = {"mixed": 1_000_000, "sets": 1_000_000, "large": 2_000}


@dataclass(frozen=True)
class Run:
    """One import. Times in seconds, memory in bytes (the largest resident size of the client).

    ``wall``: of the whole process. ``alone``: of the import itself; the same where the program does not tell.
    """

    wall: float
    alone: float
    client_cpu: float
    server_cpu: float
    memory: int
    keys: int


def measured(
    servers: t.Sequence[Server], argv: list[str], stdin: t.IO[bytes], env: dict[str, str]
) -> tuple[Run, bytes]:
    for server in servers:
        server.client().flushall()
    before = cpu_of(servers)
    started = time.monotonic()
    process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    memory = Peak(process.pid)
    assert process.stdout is not None
    output = process.stdout.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv[0]} failed:\n{output.decode()}")
    keys = sum(server.client().dbsize() for server in servers)
    run = Run(wall, wall, usage.ru_utime + usage.ru_stime, cpu_of(servers) - before, memory.bytes, keys)
    return run, output


def cpu_of(servers: t.Sequence[Server]) -> float:
    """Seconds that they have used until now."""
    used = [server.client().info("cpu") for server in servers]
    return sum((cpu["used_cpu_user"] + cpu["used_cpu_sys"] for cpu in used), 0.0)


def redis_cli(server: Server, port: int, path: Path) -> Run:
    with path.open("rb") as file:
        run, output = measured([server], ["redis-cli", "-p", str(port), "--pipe"], file, dict(os.environ))
    if b"errors: 0" not in output:
        raise SystemExit(output.decode())
    return run


def aof_import(
    servers: t.Sequence[Server], port: int, path: Path, packages: t.Sequence[str] = (), workers: int = 1
) -> Run:
    """``packages``: directories to look for Python packages in before all others."""
    params = {
        "login_host": servers[0].host,
        "login_port": port,
        "path": str(path),
        "aof_base_size": path.stat().st_size,
        "workers": workers,
    }
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps({"ANSIBLE_MODULE_ARGS": params}).encode())
        file.seek(0)
        run, output = measured(
            servers,
            [sys.executable, "-m", "ansible_collections.redisops.tair.plugins.modules.aof_import"],
            file,
            {
                **environment({"PYTHONPATH": os.pathsep.join([*packages, str(link_collection())])}),
                # Start as any installed Python program does: compiled before.
                "PYTHONDONTWRITEBYTECODE": "",
                "PYTHONPYCACHEPREFIX": str(CACHE / "bench" / "bytecode"),
            },
        )
    result = json.loads(output)
    if result["errors"]:
        raise SystemExit(output.decode())
    return replace(run, alone=result["elapsed"])


@contextlib.contextmanager
def no_hiredis() -> t.Iterator[str]:
    """A directory that makes Python find no hiredis."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "hiredis.py").write_text("raise ImportError\n")
        yield directory


def compare(args: argparse.Namespace, kind: str) -> None:
    keys, delay = int(KEYS[kind] * args.scale), args.delay / 1000
    path = generated(kind, keys)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(build("redis-7.0.15"), SETTINGS))
        port = stack.enter_context(Proxy(server.port, delay=delay)).port if delay else server.port
        contestants: dict[str, t.Callable[[], Run]] = {
            "redis-cli --pipe": lambda: redis_cli(server, port, path),
            "aof_import": lambda: aof_import([server], port, path),
        }
        if args.without_hiredis:
            hidden = stack.enter_context(no_hiredis())
            contestants["without hiredis"] = lambda: aof_import([server], port, path, [hidden])
        files = {"commands": path}
        if args.dump:
            redis_cli(server, server.port, path)
            server.client().save()
            files["dump"] = dumped = server.data / "dump.rdb"
            print(f"dump: {dumped.stat().st_size / 1e6:.0f} MB")
            contestants["of a dump"] = lambda: aof_import([server], port, dumped)
        if args.cluster:
            settings = {**SETTINGS, "cluster-enabled": "yes"}
            nodes = [stack.enter_context(Server(build("redis-7.0.15"), settings)) for _node in range(3)]
            form_cluster(nodes)
            for what, file in files.items():
                for workers in sorted({1, args.workers}):

                    def into_cluster(file: Path = file, workers: int = workers) -> Run:
                        return aof_import(nodes, nodes[0].port, file, workers=workers)

                    contestants[cluster_run(what, workers)] = into_cluster
        print(f"{kind}: {keys:,} keys, {path.stat().st_size / 1e6:.0f} MB", flush=True)
        runs: dict[str, list[Run]] = {name: [] for name in contestants}
        for number in range(args.rounds):
            for name, contestant in contestants.items():
                runs[name].append(contestant())
                assert runs[name][-1].keys == keys
            walls = ", ".join(f"{name} {these[-1].wall:.2f} s" for name, these in runs.items())
            print(f"  {number + 1}: {walls}", flush=True)
    for name, these in runs.items():
        wall, alone, cpu, server_cpu = (
            statistics.median(getattr(run, field) for run in these)
            for field in ("wall", "alone", "client_cpu", "server_cpu")
        )
        memory = max(run.memory for run in these) / 1e6
        print(
            f"  {name:32} {wall:6.2f} s   import alone {alone:6.2f} s   client CPU {cpu:5.2f} s   "
            f"server CPU {server_cpu:5.2f} s   memory {memory:4.0f} MB"
        )

    def tell(name: str, peer: str, *, alone: bool = False) -> None:
        ratios = [
            (our.alone if alone else our.wall) / (their.alone if alone else their.wall)
            for our, their in zip(runs[name], runs[peer])
        ]
        print(
            f"  {name}{': the import alone' if alone else ''} takes {statistics.median(ratios):.2f} x the time of {peer} "
            f"(median of {args.rounds})",
            flush=True,
        )

    tell("aof_import", "redis-cli --pipe")
    tell("aof_import", "redis-cli --pipe", alone=True)
    if args.without_hiredis:
        tell("without hiredis", "aof_import")
    if args.dump:
        tell("of a dump", "redis-cli --pipe", alone=True)
    if args.cluster:
        tell(cluster_run("commands", 1), "aof_import")
        if args.workers > 1:
            for what in files:
                tell(cluster_run(what, args.workers), cluster_run(what, 1))
                tell(cluster_run(what, args.workers), cluster_run(what, 1), alone=True)


def cluster_run(what: str, workers: int) -> str:
    return f"{what} into a cluster" + (f" by {workers} workers" if workers > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="mixed,sets,large")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS")
    parser.add_argument("--without-hiredis", action="store_true")
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--dump", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    for kind in args.kinds.split(","):
        compare(args, kind)


if __name__ == "__main__":
    main()
