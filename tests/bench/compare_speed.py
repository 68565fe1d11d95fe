#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast keyspace_compare is beside aof_import of the same data, in the same run.

    compare_speed.py [--kinds mixed,sets,large] [--rounds 5] [--scale 1.0] [--from BUILD] [--to BUILD]

The files are those of ``import_speed.py``. Each round imports into both servers, then compares them in ``meta`` and in
``full``. The time of ``full`` in relation to that of the import is what counts, and the processor time of both servers and
of the comparison tells what holds it up: on two cores it can't be faster than half their sum.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import typing as t
from pathlib import Path

_PATHS = Path(__file__).resolve().parents[1] / "support" / "paths.py"
_spec = importlib.util.spec_from_file_location("_paths", _PATHS)
assert _spec is not None and _spec.loader is not None
_paths = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_paths)
sys.path.insert(0, str(_paths.link_collection()))

from ansible_collections.redisops.tair.tests.bench.import_speed import KEYS
from ansible_collections.redisops.tair.tests.bench.measuring import generated
from ansible_collections.redisops.tair.tests.support.ansible_cli import environment
from ansible_collections.redisops.tair.tests.support.paths import link_collection
from ansible_collections.redisops.tair.tests.support.servers import Server, build


def result_of(module: str, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """What a module returns that runs as a child of this process: see :func:`children_time`."""
    done = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.redisops.tair.plugins.modules.{module}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": params}),
        env=environment({"PYTHONPATH": str(link_collection())}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=1800,
    )
    result: dict[str, t.Any] = json.loads(done.stdout)
    assert done.returncode == 0, result
    return result


def processor_time(server: Server) -> float:
    """Seconds that a server has worked."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_time() -> float:
    """Seconds that the modules have worked that were run up to now."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Round(t.NamedTuple):
    """Seconds of the import and of the comparisons, the processor time of ``full``, and the number of keys."""

    imported: float
    meta: float
    full: float
    source_cpu: float
    target_cpu: float
    client_cpu: float
    keys: int


def one_round(path: Path, source: Server, target: Server) -> Round:
    for server in (source, target):
        server.client().flushall()
        imported = result_of("aof_import", {**server.login(), "path": str(path), "aof_base_size": path.stat().st_size})
    login = {**target.login(), "source": source.login()}
    meta = result_of("keyspace_compare", {**login, "mode": "meta"})
    before = processor_time(source), processor_time(target), children_time()
    full = result_of("keyspace_compare", {**login, "mode": "full"})
    after = processor_time(source), processor_time(target), children_time()
    assert meta["equal"] and full["equal"], full["summary"]
    source_cpu, target_cpu, client_cpu = (end - start for start, end in zip(before, after))
    return Round(
        imported["elapsed"], meta["elapsed"], full["elapsed"], source_cpu, target_cpu, client_cpu, full["compared"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", default="mixed,sets,large")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--from", dest="source", default="redis-7.0.15")
    parser.add_argument("--to", dest="target", default="valkey-8.1.8")
    options = parser.parse_args()
    with Server(build(options.source)) as source, Server(build(options.target)) as target:
        for kind in options.kinds.split(","):
            path = generated(kind, int(KEYS[kind] * options.scale))
            ratios = []
            for _round in range(options.rounds):
                took = one_round(path, source, target)
                ratios.append(took.full / took.imported)
                print(
                    f"{kind}: {took.keys} keys, import {took.imported:.1f} s, meta {took.meta:.1f} s, full {took.full:.1f} s "
                    f"({took.keys / took.full:,.0f} keys/s; processor time: source {took.source_cpu:.1f} s, target "
                    f"{took.target_cpu:.1f} s, client {took.client_cpu:.1f} s), full/import {ratios[-1]:.2f}",
                    flush=True,
                )
            print(f"{kind}: median of full/import {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
