#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast aof_import is beside ``redis-cli --pipe``, on the same file, into the same server, in turn.

    import_speed.py [--kinds mixed,sets,large] [--rounds 5] [--scale 1.0] [--delay MS] [--without-hiredis] [--dump]

The files are those of ``gen_aof.py`` (1,000,000 mixed keys, 1,000,000 SETs of 100 bytes, 2,000 values of 1 MB, times
``--scale``), the server is Debian's Redis 7.0 without persistence. Both run as whole processes, the import with its
checkpoints. Of each round the ratio of the wall times is taken, and their median is what counts: of the whole process, and
of the import alone, without the 0.2 s in which Python starts and loads the libraries. ``--delay``: a proxy in front of the
server that takes so many milliseconds in each direction. ``--without-hiredis``: a third run a round, without that library.
``--dump``: another one, of the same data from a dump of a server that holds it.

Needs redis-server and redis-cli 7.0 on the PATH, and the Python packages of requirements/demo.txt.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import statistics
import sys
import tempfile
import typing as t
from pathlib import Path

_PATHS = Path(__file__).resolve().parents[1] / "support" / "paths.py"
_spec = importlib.util.spec_from_file_location("_paths", _PATHS)
assert _spec is not None and _spec.loader is not None
_paths = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_paths)
sys.path.insert(0, str(_paths.link_collection()))

from ansible_collections.redisops.tair.tests.bench.measuring import SETTINGS, Run, aof_import, generated, redis_cli
from ansible_collections.redisops.tair.tests.support.proxy import Proxy
from ansible_collections.redisops.tair.tests.support.servers import Server, build

KEYS = {"mixed": 1_000_000, "sets": 1_000_000, "large": 2_000}


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
        if args.dump:
            # Another server's: its own would give the keys in the order of its table, which spares the server a third of its work.
            source = stack.enter_context(Server(build("redis-7.0.15"), SETTINGS))
            redis_cli(source, source.port, path)
            source.client(socket_timeout=None).save()
            dumped = source.data / "dump.rdb"
            print(f"dump: {dumped.stat().st_size / 1e6:.0f} MB")
            contestants["of a dump"] = lambda: aof_import([server], port, dumped)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="mixed,sets,large")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS")
    parser.add_argument("--without-hiredis", action="store_true")
    parser.add_argument("--dump", action="store_true")
    args = parser.parse_args()
    for kind in args.kinds.split(","):
        compare(args, kind)


if __name__ == "__main__":
    main()
