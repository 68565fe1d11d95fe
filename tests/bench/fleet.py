#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role adds to the work of one host, and how a fleet goes: ``fleet.py [HOSTS] [KEYS] [FORKS]``.

HOSTS (20) sources of KEYS (20,000) keys each, with a target each, all on this machine over local connections. First one of them
alone, then all of them with FORKS (2) at a time. The work is the rewrite, the copy, the import, its rounds and the comparison;
everything else that passes is the role's overhead.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
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

from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host, run_playbook
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.servers import Server, build

WORK = (
    "rewrite | Wait for the new base file",
    "transfer | Copy the AOF over SSH",
    "import | Pipe the AOF into the target",
    "import | Catch up with what the source has written since",
    "verify | Compare source and target",
)


def start(stack: contextlib.ExitStack, keys: int, scratch: Path) -> dict[str, t.Any]:
    """The variables of a host with a full source and an empty target."""
    source = stack.enter_context(Server(build("redis-7.0.15")))
    target = stack.enter_context(Server(build("redis-7.0.15")))
    fill(source.host, source.port, keys=keys)
    return local_host(
        aof_migrate_source_port=source.port,
        aof_migrate_target_host=target.host,
        aof_migrate_target_port=target.port,
        aof_migrate_artifacts_dir=str(scratch / "artifacts"),
    )


def migrate(hosts: dict[str, dict[str, t.Any]], forks: int) -> tuple[PlaybookRun, float]:
    started = time.monotonic()
    run = run_playbook(
        "redisops.tair.migrate",
        hosts,
        extra_vars={"aof_migrate_serial": "100%"},
        arguments=["--forks", str(forks)],
        timeout=1800,
    )
    if run.returncode:
        raise SystemExit(run.output)
    return run, time.monotonic() - started


def durations(run: PlaybookRun) -> list[tuple[str, float]]:
    """Every task with the seconds that it took; a step of the role keeps its short name."""
    return [(event["task"].split(" : ")[-1], event["end"] - event["start"]) for event in run.events]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    keys = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    forks = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-bench-")))
        hosts = {f"redis{number}": start(stack, keys, scratch) for number in range(count)}
        alone = start(stack, keys, scratch)
        run, one = migrate({"alone": alone}, 1)
        took = durations(run)
        work = sum(seconds for name, seconds in took if name in WORK)
        print(f"{keys:,} keys a host, on {os.cpu_count()} CPUs")
        print(f"  one host: {one:.1f} s, of it the work {work:.1f} s, the role's overhead {one - work:.1f} s")
        others = sorted((item for item in took if item[0] not in WORK), key=lambda item: -item[1])
        print("  the tasks that take most of the overhead:")
        for name, seconds in others[:6]:
            print(f"    {seconds:5.2f} s  {name}")
        print(
            f"    {one - sum(seconds for _name, seconds in took):5.2f} s  between the tasks, start of Ansible included"
        )
        _run, wall = migrate(hosts, forks)
        limit = count * one / forks + (one - work)
        print(f"  {count} hosts, {forks} forks: {wall:.1f} s; {count} x one host / {forks} + overhead is {limit:.1f} s")


if __name__ == "__main__":
    main()
