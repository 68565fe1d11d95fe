#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What workers gain: aof_import into three masters of a cluster by one process and by several, in turn.

    workers_speed.py [--rounds 5] [--scale 1.0] [--workers 2] [--files commands,dump,rebuilt,collections,texts]

The same 1,000,000 mixed keys of ``gen_aof.py`` (times ``--scale``) as ``commands``, a plain AOF, and as a ``dump`` of Redis
7.0, both into Redis 7.0; and that dump into Redis 6.2, which takes no values of Redis 7.0: they are ``rebuilt`` from commands,
most of the work is the client's. So it is all the more with a dump of 100,000 ``collections`` of 50 elements, and most of
all with one of 50,000 hashes of ``texts``, which stand there compressed. The servers keep nothing on disk. All run as whole
processes, with their checkpoints.

Client and servers share the processors of one machine: its *floor* is what one process and the servers need of their time,
divided by how many there are. No number of workers gets below it.

Needs redis-server and redis-cli 7.0 on the PATH, and the Python packages of requirements/demo.txt.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import statistics
import sys
from pathlib import Path

_PATHS = Path(__file__).resolve().parents[1] / "support" / "paths.py"
_spec = importlib.util.spec_from_file_location("_paths", _PATHS)
assert _spec is not None and _spec.loader is not None
_paths = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_paths)
sys.path.insert(0, str(_paths.link_collection()))

from ansible_collections.redisops.tair.tests.bench.measuring import SETTINGS, Run, aof_import, generated, redis_cli
from ansible_collections.redisops.tair.tests.support.cluster import form_cluster
from ansible_collections.redisops.tair.tests.support.servers import Server, build


def started_cluster(stack: contextlib.ExitStack, program: str) -> list[Server]:
    settings = {**SETTINGS, "cluster-enabled": "yes"}
    nodes = [stack.enter_context(Server(build(program), settings)) for _node in range(3)]
    form_cluster(nodes)
    return nodes


def dumped(stack: contextlib.ExitStack, path: Path) -> Path:
    """A dump of the same data."""
    source = stack.enter_context(Server(build("redis-7.0.15"), SETTINGS))
    redis_cli(source, source.port, path)
    source.client(socket_timeout=None).save()
    source.stop()
    return source.data / "dump.rdb"


def compare(what: str, path: Path, nodes: list[Server], args: argparse.Namespace, keys: int) -> None:
    print(f"{what} ({path.stat().st_size / 1e6:.0f} MB) into three masters of {nodes[0].build.name}", flush=True)
    runs: dict[int, list[Run]] = {1: [], args.workers: []}
    for number in range(args.rounds):
        for workers, these in runs.items():
            these.append(aof_import(nodes, nodes[0].port, path, workers=workers))
            assert these[-1].keys == keys
        walls = ", ".join(f"{workers}: {these[-1].wall:.2f} s" for workers, these in runs.items())
        print(f"  {number + 1}: by {walls}", flush=True)
    for workers, these in runs.items():
        alone, cpu, server_cpu = (
            statistics.median(getattr(run, field) for run in these) for field in ("alone", "client_cpu", "server_cpu")
        )
        print(
            f"  by {workers}: import alone {alone:6.2f} s   client CPU {cpu:5.2f} s   servers' CPU {server_cpu:5.2f} s   "
            f"floor {(cpu + server_cpu) / (os.cpu_count() or 1):5.2f} s"
        )
    gains = [one.alone / several.alone for one, several in zip(runs[1], runs[args.workers])]
    print(
        f"  {args.workers} workers: {statistics.median(gains):.2f} x the rate of one (median of {args.rounds})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--files", default="commands,dump,rebuilt,collections,texts")
    args = parser.parse_args()
    for what in args.files.split(","):
        kind, count = {"collections": (what, 100_000), "texts": (what, 50_000)}.get(what, ("mixed", 1_000_000))
        keys = int(count * args.scale)
        path = generated(kind, keys)
        with contextlib.ExitStack() as stack:
            if what != "commands":
                path = dumped(stack, path)
            nodes = started_cluster(stack, "redis-7.0.15" if what in ("commands", "dump") else "redis-6.2.14")
            compare(what, path, nodes, args, keys)


if __name__ == "__main__":
    main()
