#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For how long the writers of a source must stop, beside the manual procedure: ``downtime.py [KEYS] [ROUNDS] [RATE]``.

KEYS mixed keys (2000000) in a Redis 7.0 source, which a client writes to all the time, RATE commands a second (2000).
By hand, without a moment's thought between the steps: stop the writer, ``CONFIG SET``, ``BGREWRITEAOF``, ``sftp get`` over
loopback, ``redis-cli --pipe``. By the role: ``aof_migrate_fence: last`` over SSH, everything on the same two cores. The
downtime is from the last write that the source has taken to the moment when the target holds all of it; the role tells
it, from before its fence on. No key and no acknowledged write may be missing in either target. In turn, ROUNDS times (3).
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

_PATHS = Path(__file__).resolve().parents[1] / "support" / "paths.py"
_spec = importlib.util.spec_from_file_location("_paths", _PATHS)
assert _spec is not None and _spec.loader is not None
_paths = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_paths)
sys.path.insert(0, str(_paths.link_collection()))

import redis
from ansible_collections.redisops.tair.tests.bench.measuring import generated, redis_cli
from ansible_collections.redisops.tair.tests.support.ansible_cli import run_playbook
from ansible_collections.redisops.tair.tests.support.servers import Server, build
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

LISTS = 100


def write(port: int, rate: int, stop: t.Any, last: t.Any, count: t.Any) -> None:
    """A client of the source, until it is told to stop or refused. ``last``: when its last write was acknowledged."""
    client = redis.Redis(port=port)
    while not stop.is_set():
        for _burst in range(max(rate // 100, 1)):
            try:
                client.rpush(f"written:{count.value % LISTS}", count.value)
            except redis.ResponseError:
                return
            count.value += 1
            last.value = time.time()
        time.sleep(0.01)


class Writer:
    def __init__(self, server: Server, rate: int) -> None:
        self._stop = multiprocessing.Event()
        self._last, self._count = multiprocessing.Value("d", 0.0), multiprocessing.Value("q", 0)
        self._process = multiprocessing.Process(
            target=write, args=(server.port, rate, self._stop, self._last, self._count), daemon=True
        )
        self._process.start()

    def end(self) -> tuple[float, int]:
        """When its last write was acknowledged, and how many were."""
        self._stop.set()
        self._process.join()
        return self._last.value, self._count.value


def require_all(source: Server, target: Server, written: int) -> None:
    there = sum(target.client().llen(f"written:{number}") for number in range(LISTS))
    keys = [server.client().dbsize() for server in (source, target)]
    if there != written or keys[0] != keys[1]:
        raise SystemExit(f"The target lacks data: {there} of {written} writes, {keys[1]} of {keys[0]} keys")


def by_hand(source: Server, target: Server, sshd: Sshd, rate: int, scratch: Path) -> float:
    writer = Writer(source, rate)
    time.sleep(2)
    last, written = writer.end()
    client = source.client()
    client.config_set("aof-use-rdb-preamble", "no")
    client.config_set("appendonly", "yes")  # rewrites
    while client.info("persistence")["aof_rewrite_in_progress"] or client.info("persistence")["aof_rewrite_scheduled"]:
        time.sleep(0.05)
    copy = scratch / "copy"
    copy.mkdir()
    common = shlex.split(sshd.inventory_vars()["ansible_ssh_common_args"])
    common += ["-o", f"Port={sshd.port}", "-o", f"User={sshd.user}", "-i", str(sshd.key_file)]
    argv = ["sftp", "-q", *common, f"{sshd.host}:{source.aof_path()}/*.aof", str(copy)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    for path in sorted(copy.iterdir(), key=lambda path: "incr" in path.name):
        with path.open("rb") as file:
            subprocess.run(
                ["redis-cli", "-p", str(target.port), "--pipe"], stdin=file, check=True, stdout=subprocess.DEVNULL
            )
    took = time.time() - last
    require_all(source, target, written)
    return took


def by_role(source: Server, target: Server, sshd: Sshd, rate: int, scratch: Path) -> float:
    writer = Writer(source, rate)
    host = {
        **sshd.inventory_vars(),
        "ansible_python_interpreter": sys.executable,
        "aof_migrate_source_port": source.port,
        "aof_migrate_target_host": target.host,
        "aof_migrate_target_port": target.port,
        "aof_migrate_artifacts_dir": str(scratch / "artifacts"),
        "aof_migrate_fence": "last",
    }
    run = run_playbook("redisops.tair.migrate", {"source": host}, timeout=600)
    last, written = writer.end()
    if run.returncode:
        raise SystemExit(run.output)
    require_all(source, target, written)
    told: float = run.result("Catch up with what the source has written since")["downtime"]
    return told


def main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    rate = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    aof = generated("mixed", keys)
    ways: dict[str, t.Callable[..., float]] = {"by hand": by_hand, "by the role": by_role}
    times: dict[str, list[float]] = {name: [] for name in ways}
    with Sshd() as sshd:
        for number in range(rounds):
            for name, way in ways.items():
                with contextlib.ExitStack() as stack:
                    source = stack.enter_context(Server(build("redis-7.0.15")))
                    target = stack.enter_context(Server(build("redis-7.0.15")))
                    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="downtime-")))
                    redis_cli(source, source.port, aof)
                    times[name].append(way(source, target, sshd, rate, scratch))
            print(
                f"  {number + 1}: " + ", ".join(f"{name} {each[-1]:.2f} s" for name, each in times.items()), flush=True
            )
    hand, role = (statistics.median(each) for each in times.values())
    print(
        f"{keys:,} keys, {rate:,} writes a second: the writers stop for {hand:.2f} s by hand, {role:.2f} s by the role"
    )
    print(f"That is 1/{hand / role:.1f} (medians of {rounds})")


if __name__ == "__main__":
    main()
