# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks share: the files that they read, an import as a whole process, and what that takes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.ansible_cli import environment
from ansible_collections.redisops.tair.tests.support.paths import CACHE, link_collection
from ansible_collections.redisops.tair.tests.support.servers import Server

#: Of a server that is to be measured and not its disk.
SETTINGS = {"save": "", "appendonly": "no"}


def generated(kind: str, keys: int) -> Path:
    """An AOF of ``gen_aof.py``; written once."""
    path = CACHE / "bench" / f"{kind}-{keys}.aof"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        subprocess.run(
            [sys.executable, str(Path(__file__).parent / "gen_aof.py"), kind, str(keys), str(part)], check=True
        )
        part.rename(path)
    return path


class Peak(threading.Thread):
    """The largest resident size of a process. What wait4 tells includes the parent's, from before the exec."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.bytes = 0
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while match := re.search(r"VmHWM:\s+(\d+) kB", self._status.read_text()):
                self.bytes = int(match[1]) * 1024
                time.sleep(0.02)


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
            environment({"PYTHONPATH": os.pathsep.join([*packages, str(link_collection())])}),
        )
    result = json.loads(output)
    if result["errors"]:
        raise SystemExit(output.decode())
    return replace(run, alone=result["elapsed"])
