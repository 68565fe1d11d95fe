#!/usr/bin/env python3
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast aof_fetch copies a file over SSH, beside OpenSSH's own programs: ``fetch.py [SIZE] [ROUNDS]``.

SIZE in MB (1000), ROUNDS of each, alternating (3). Everything runs over loopback through an sshd of its own; the copies
go to the temporary directory (TMPDIR). aof_fetch verifies what it copies; sftp and ssh do not, so sha256sum is timed too.
"""

from __future__ import annotations

import importlib.util
import os
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

from ansible_collections.redisops.tair.plugins.plugin_utils._destination import Destination
from ansible_collections.redisops.tair.plugins.plugin_utils._fetch import Fetch
from ansible_collections.redisops.tair.plugins.plugin_utils._host_sftp import SftpHost
from ansible_collections.redisops.tair.plugins.plugin_utils._host_shell import SshShellHost
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import resolve
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

_MB = 1_000_000


def aof_fetch(arguments: list[str], source: Path, directory: Path, *, sftp: bool) -> None:
    """One copy, in a process of its own: its memory is told when it ends."""
    pid = os.fork()
    if pid == 0:
        settings = resolve("ssh", arguments[:-1], arguments[-1])

        def connect() -> SshConnection:
            return SshConnection(settings)

        def destination(path: str) -> Destination:
            return Destination(directory, path, check_mode=False)

        host = SftpHost(connect(), connect) if sftp else SshShellHost(connect, become=None, shell=None)
        Fetch(host, str(source), destination, retries=0, check_mode=False).run()
        host.close()
        os._exit(0)
    _pid, status, usage = os.wait4(pid, 0)
    assert status == 0
    _memory.append(usage.ru_maxrss)


_memory: list[int] = []


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory(prefix="fetch-bench-") as scratch, Sshd() as sshd:
        source = Path(scratch, "appendonly.aof")
        with source.open("wb") as file:
            for _mb in range(size):
                file.write(os.urandom(_MB))
        common = shlex.split(sshd.inventory_vars()["ansible_ssh_common_args"])
        common += ["-o", f"Port={sshd.port}", "-o", f"User={sshd.user}", "-i", str(sshd.key_file)]
        arguments = [*common, sshd.host]
        copy = Path(scratch, "copy")

        def run(command: str) -> None:
            subprocess.run(command, shell=True, check=True)

        ssh = shlex.join(["ssh", *arguments])
        contenders: dict[str, t.Callable[[], None]] = {
            "aof_fetch": lambda: aof_fetch(arguments, source, copy / "fetch", sftp=False),
            "aof_fetch by SFTP": lambda: aof_fetch(arguments, source, copy / "fetch", sftp=True),
            "sftp get": lambda: run(
                shlex.join(["sftp", "-q", *common, f"{sshd.host}:{source}", str(copy / "file")]) + " >/dev/null"
            ),
            "ssh cat": lambda: run(f"{ssh} cat {source} > {copy / 'file'}"),
            "sha256sum on the host": lambda: run(f"{ssh} sha256sum {source} > /dev/null"),
        }
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _round in range(rounds):
            for name, contender in contenders.items():
                run(f"rm -rf {copy}; mkdir {copy}")
                start = time.monotonic()
                contender()
                times[name].append(time.monotonic() - start)
        base = statistics.median(times["sftp get"])
        print(f"{size} MB over loopback, medians of {rounds}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
        for name, seconds in times.items():
            median = statistics.median(seconds)
            spread = f"{min(seconds):.1f} to {max(seconds):.1f} s"
            print(f"{name:22} {median:5.1f} s  {size / median:6.0f} MB/s  {median / base:4.2f} x sftp get  ({spread})")
        unit = 1 if sys.platform == "darwin" else 1024
        print(f"memory of aof_fetch: {max(_memory) * unit / _MB:.0f} MB at most")


if __name__ == "__main__":
    main()
