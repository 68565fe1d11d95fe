#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands or an RDB: which form of the AOF is in the target sooner? ``end_to_end.py [KEYS] [ROUNDS]``.

KEYS mixed keys (1,000,000) in a Redis 7.0 source, into a Redis 7.0 target, all on this machine, by the role over SSH with
``aof_migrate_format`` plain and hybrid in turn, ROUNDS times (5). What counts is the time from the beginning of the rewrite to
the end of the import, the start of each module included.
"""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import sys
import tempfile
from pathlib import Path

_PATHS = Path(__file__).resolve().parents[1] / "support" / "paths.py"
_spec = importlib.util.spec_from_file_location("_paths", _PATHS)
assert _spec is not None and _spec.loader is not None
_paths = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_paths)
sys.path.insert(0, str(_paths.link_collection()))

from ansible_collections.redisops.tair.tests.bench.measuring import SETTINGS, generated, redis_cli
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, run_playbook
from ansible_collections.redisops.tair.tests.support.servers import Server, build
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

STEPS = {
    "rewrite": "Wait for the new base file",
    "copy": "Copy the AOF over SSH",
    "import": "Pipe the AOF into the target",
}


def migrate(source: Server, target: Server, sshd: Sshd, form: str) -> PlaybookRun:
    target.client().flushall()
    with tempfile.TemporaryDirectory(prefix="end-to-end-") as scratch:
        host = {
            **sshd.inventory_vars(),
            "ansible_python_interpreter": sys.executable,
            "aof_migrate_source_port": source.port,
            "aof_migrate_target_host": target.host,
            "aof_migrate_target_port": target.port,
            "aof_migrate_artifacts_dir": scratch,
            "aof_migrate_format": form,
            "aof_migrate_verify": "none",
        }
        run = run_playbook("redisops.tair.migrate", {"source": host}, timeout=600)
    if run.returncode or source.client().dbsize() != target.client().dbsize():
        raise SystemExit(run.output)
    return run


def seconds(run: PlaybookRun) -> dict[str, float]:
    """Of each step, and of all of them from the first one's beginning to the last one's end."""
    events = {name: next(event for event in run.events if event["task"].endswith(task)) for name, task in STEPS.items()}
    took = {name: event["end"] - event["start"] for name, event in events.items()}
    return {**took, "all": events["import"]["end"] - events["rewrite"]["start"]}


def main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    times: dict[str, list[dict[str, float]]] = {"plain": [], "hybrid": []}
    with contextlib.ExitStack() as stack:
        sshd = stack.enter_context(Sshd())
        source = stack.enter_context(Server(build("redis-7.0.15"), SETTINGS))
        target = stack.enter_context(Server(build("redis-7.0.15"), SETTINGS))
        redis_cli(source, source.port, generated("mixed", keys))
        for number in range(rounds):
            for form, each in times.items():
                each.append(seconds(migrate(source, target, sshd, form)))
            walls = ", ".join(f"{form} {each[-1]['all']:.2f} s" for form, each in times.items())
            print(f"  {number + 1}: {walls}", flush=True)
    for form, each in times.items():
        parts = ", ".join(f"{name} {statistics.median(took[name] for took in each):.2f} s" for name in STEPS)
        print(f"{form}: {statistics.median(took['all'] for took in each):.2f} s ({parts})")
    ratios = [hybrid["all"] / plain["all"] for plain, hybrid in zip(times["plain"], times["hybrid"])]
    print(f"hybrid takes {statistics.median(ratios):.2f} of the time of plain (median of {rounds}, pair by pair)")


if __name__ == "__main__":
    main()
