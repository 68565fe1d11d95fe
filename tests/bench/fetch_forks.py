#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How aof_fetch scales with Ansible's forks: ``fetch_forks.py [SIZE] [HOSTS] [ROUND_TRIP]``.

A playbook fetches SIZE MB (300) of random bytes from each of HOSTS hosts (8), with 1, 2, 4 and 8 forks. All hosts are one sshd on this
machine, so it pays for both ends of every copy. ROUND_TRIP in milliseconds (0): a proxy delays every byte.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

_PATHS = Path(__file__).resolve().parents[1] / "support" / "paths.py"
_spec = importlib.util.spec_from_file_location("_paths", _PATHS)
assert _spec is not None and _spec.loader is not None
_paths = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_paths)
sys.path.insert(0, str(_paths.link_collection()))

from ansible_collections.redisops.tair.tests.support.ansible_cli import run_playbook
from ansible_collections.redisops.tair.tests.support.proxy import Proxy
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

_MB = 1_000_000


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    round_trip = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forks-bench-")))
        sshd = stack.enter_context(Sshd())
        host = sshd.inventory_vars()
        if round_trip:
            port = stack.enter_context(Proxy(sshd.port, delay=round_trip / 2000)).port
            line = sshd.known_hosts.read_text()
            sshd.known_hosts.write_text(line + line.replace(str(sshd.port), str(port), 1))
            host["ansible_port"] = port
        source = scratch / "appendonly.aof"
        with source.open("wb") as file:
            for _number in range(size):
                file.write(os.urandom(_MB))
        task = {
            "redisops.tair.aof_fetch": {"src": str(source), "dest": f"{scratch}/copies/{{{{ inventory_hostname }}}}"}
        }
        play = {"hosts": "redis", "gather_facts": False, "tasks": [task]}
        hosts = {f"redis{number}": host for number in range(count)}
        print(f"{size} MB from each of {count} hosts, round trip {round_trip:g} ms, on {os.cpu_count()} CPUs")
        for forks in (1, 2, 4, 8):
            shutil.rmtree(scratch / "copies", ignore_errors=True)
            started = time.monotonic()
            run = run_playbook([play], hosts, arguments=["--forks", str(forks)], timeout=1800)
            wall = time.monotonic() - started
            if run.returncode:
                raise SystemExit(run.output)
            print(f"  {forks} forks: {wall:6.1f} s, {size * count / wall:5.0f} MB/s", flush=True)


if __name__ == "__main__":
    main()
