# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Run a program of the control node within bounds of time and output."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
import typing as t
from dataclasses import dataclass

_READ = 1 << 16
_END = 2.0  # seconds that a program has to end after SIGTERM


@dataclass(frozen=True)
class Completed:
    """What a program returned and printed."""

    returncode: int
    stdout: str
    stderr: str


def run_bounded(command: t.Sequence[str], *, timeout: float, limit: int) -> Completed:
    """Run a program without input and return its output.

    Raises :class:`OSError` when it can't be started, and :class:`TimeoutError` or :class:`OverflowError` when it takes
    longer than ``timeout`` seconds or prints more than ``limit`` bytes. It is killed then, with everything it started.
    """
    end = time.monotonic() + timeout
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output = {t.cast("t.IO[bytes]", pipe).fileno(): b"" for pipe in (process.stdout, process.stderr)}
        with selectors.DefaultSelector() as selector:
            for descriptor in output:
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(0.0, end - time.monotonic()))
                if not ready:
                    raise TimeoutError(f"it did not end within {timeout:g} s")
                for key, _events in ready:
                    data = os.read(key.fd, _READ)
                    if not data:
                        selector.unregister(key.fd)
                    output[key.fd] += data
                if sum(map(len, output.values())) > limit:
                    raise OverflowError(f"it printed more than {limit} bytes")
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it did not end within {timeout:g} s") from None
        stdout, stderr = (data.decode("utf-8", "surrogateescape") for data in output.values())
        return Completed(process.returncode, stdout, stderr)
    finally:
        end_process(process)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a program that leads a session of its own, and everything it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END)
