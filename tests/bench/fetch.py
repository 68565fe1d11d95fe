#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast aof_fetch copies a file over SSH, beside OpenSSH's own programs: ``fetch.py [SIZE] [ROUNDS] [ROUND_TRIP] [DATA]``.

SIZE in MB (1000), ROUNDS of each, alternating (5), ROUND_TRIP in milliseconds (0): a proxy on loopback delays every byte.
Everything goes through an sshd of its own; the copies go to the temporary directory (TMPDIR). aof_fetch verifies what it
copies; sftp and ssh do not, so sha256sum is timed too. DATA: ``random`` values do not compress (the default), ``json`` ones do.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
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
from ansible_collections.redisops.tair.plugins.plugin_utils._host_shell import SshShellHost
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import resolve
from ansible_collections.redisops.tair.plugins.plugin_utils._unpack import packers
from ansible_collections.redisops.tair.tests.support.proxy import Proxy
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

_MB = 1_000_000


def aof_fetch(arguments: list[str], source: Path, directory: Path) -> None:
    """One copy, in a process of its own: its memory is told when it ends."""
    pid = os.fork()
    if pid == 0:
        settings = resolve("ssh", arguments[:-1], arguments[-1])

        def connect() -> SshConnection:
            return SshConnection(settings)

        def destination(path: str) -> Destination:
            return Destination(directory, path, check_mode=False)

        host = SshShellHost(connect, become=None, shell=None)
        Fetch(host, str(source), destination, retries=0, check_mode=False, packers=packers()).run()
        host.close()
        status = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss begins with the parent's
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        directory.with_name("peak").write_text(str(peak))
        os._exit(0)
    _pid, wait_status, usage = os.wait4(pid, 0)
    assert wait_status == 0
    _memory.append(int(directory.with_name("peak").read_text()))
    _cpu.append(usage.ru_utime + usage.ru_stime)


_memory: list[int] = []  # kB
_cpu: list[float] = []


def documents(seed: int) -> bytes:
    """A megabyte of small JSON documents, as sessions and profiles are kept."""
    rnd = random.Random(seed)
    text = "".join(
        json.dumps(
            {
                "id": rnd.getrandbits(48),
                "name": f"user-{rnd.randrange(10**6)}",
                "mail": f"user-{rnd.randrange(10**6)}@example.com",
                "seen": rnd.random() * 1e9,
                "roles": rnd.sample(["admin", "editor", "viewer", "billing", "support"], 2),
                "token": f"{rnd.getrandbits(128):032x}",
            }
        )
        for _document in range(8000)
    )
    return text.encode()[:_MB]


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    round_trip = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    data = sys.argv[4] if len(sys.argv) > 4 else "random"
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="fetch-bench-"))
        sshd = stack.enter_context(Sshd())
        port = sshd.port
        if round_trip:
            port = stack.enter_context(Proxy(sshd.port, delay=round_trip / 2000)).port
            line = sshd.known_hosts.read_text()
            sshd.known_hosts.write_text(line + line.replace(str(sshd.port), str(port), 1))
        source = Path(scratch, "appendonly.aof")
        with source.open("wb") as file:
            for number in range(size):
                file.write(os.urandom(_MB) if data == "random" else documents(number))
        common = shlex.split(sshd.inventory_vars()["ansible_ssh_common_args"])
        common += ["-o", f"Port={port}", "-o", f"User={sshd.user}", "-i", str(sshd.key_file)]
        arguments = [*common, sshd.host]
        copy = Path(scratch, "copy")

        def run(command: str) -> None:
            subprocess.run(command, shell=True, check=True)

        ssh = shlex.join(["ssh", *arguments])
        contenders: dict[str, t.Callable[[], None]] = {
            "aof_fetch": lambda: aof_fetch(arguments, source, copy / "fetch"),
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
        print(
            f"{size} MB {data}, round trip {round_trip:g} ms, medians of {rounds}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
        )
        for name, seconds in times.items():
            median = statistics.median(seconds)
            spread = f"{min(seconds):.1f} to {max(seconds):.1f} s"
            print(f"{name:22} {median:5.1f} s  {size / median:6.0f} MB/s  {median / base:4.2f} x sftp get  ({spread})")
        verified = base + statistics.median(times["sha256sum on the host"])
        print(f"aof_fetch is {statistics.median(times['aof_fetch']) / verified:.2f} x sftp get and sha256sum together")
        print(
            f"aof_fetch: {statistics.median(_cpu):.1f} s of processor time, {max(_memory) / 1000:.0f} MB of memory at most"
        )


if __name__ == "__main__":
    main()
