#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast aof_inspect is beside ``redis-check-aof``, on the same file, in turn.

    inspect_speed.py [--kinds mixed,sets,history,large] [--rounds 5] [--scale 1.0]

The files are those of ``gen_aof.py``, 1 GB each times ``--scale``. Both run as whole processes, aof_inspect with the
start of Python. Of each round the ratio of the wall times is taken, and their median is what counts. Memory is the
largest resident size while it ran (VmHWM: what wait4 tells of a process started by vfork is its parent's).

Needs redis-check-aof on the PATH, and the Python packages of requirements/demo.txt.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

_PATHS = Path(__file__).resolve().parents[1] / "support" / "paths.py"
_spec = importlib.util.spec_from_file_location("_paths", _PATHS)
assert _spec is not None and _spec.loader is not None
_paths = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_paths)
sys.path.insert(0, str(_paths.link_collection()))

from ansible_collections.redisops.tair.tests.bench.measuring import Peak, generated
from ansible_collections.redisops.tair.tests.support.ansible_cli import environment
from ansible_collections.redisops.tair.tests.support.paths import link_collection

KEYS = {"mixed": 5_300_000, "sets": 7_000_000, "history": 3_000_000, "large": 1_000}


@dataclass(frozen=True)
class Run:
    """Times in seconds, memory in bytes."""

    wall: float
    cpu: float
    memory: int


def measured(argv: list[str], stdin: t.IO[bytes] | None = None) -> tuple[Run, bytes]:
    env = environment({"PYTHONPATH": str(link_collection())})
    started = time.monotonic()
    process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    assert process.stdout is not None
    memory = Peak(process.pid)
    output = process.stdout.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv[0]} failed:\n{output.decode(errors='replace')}")
    return Run(wall, usage.ru_utime + usage.ru_stime, memory.bytes), output


def check_aof(path: Path) -> Run:
    run, output = measured(["redis-check-aof", str(path)])
    if b"is valid" not in output:
        raise SystemExit(output.decode(errors="replace"))
    return run


def aof_inspect(path: Path) -> Run:
    params = {"path": str(path), "aof_base_size": path.stat().st_size}
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps({"ANSIBLE_MODULE_ARGS": params}).encode())
        file.seek(0)
        run, output = measured(
            [sys.executable, "-m", "ansible_collections.redisops.tair.plugins.modules.aof_inspect"], file
        )
    if json.loads(output)["read_bytes"] != path.stat().st_size:
        raise SystemExit(output.decode())
    return run


def compare(kind: str, keys: int, rounds: int) -> None:
    path = generated(kind, keys)
    print(f"{kind}: {path.stat().st_size / 1e6:.0f} MB", flush=True)
    theirs, ours = [], []
    for number in range(rounds):
        theirs.append(check_aof(path))
        ours.append(aof_inspect(path))
        print(f"  {number + 1}: redis-check-aof {theirs[-1].wall:.2f} s, aof_inspect {ours[-1].wall:.2f} s", flush=True)
    for name, runs in (("redis-check-aof", theirs), ("aof_inspect", ours)):
        wall, cpu = (statistics.median(getattr(run, field) for run in runs) for field in ("wall", "cpu"))
        memory = max(run.memory for run in runs) / 1e6
        print(f"  {name:15} {wall:6.2f} s   CPU {cpu:5.2f} s   memory {memory:4.0f} MB")
    ratio = statistics.median(our.wall / their.wall for our, their in zip(ours, theirs))
    print(f"  aof_inspect takes {ratio:.2f} x the time of redis-check-aof (median of {rounds})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="mixed,sets,history,large")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    args = parser.parse_args()
    for kind in args.kinds.split(","):
        compare(kind, int(KEYS[kind] * args.scale), args.rounds)


if __name__ == "__main__":
    main()
