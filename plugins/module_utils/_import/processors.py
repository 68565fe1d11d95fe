# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Whether this machine has processors to spare."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")
#: The kernel counts in hundredths of a second: less than so many seconds tell nothing.
_SHORTEST = 0.1
#: What of a processor has to be idle for another process to gain more than it costs.
_WORTH = 1 / 3


class IdleProcessors:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._began, self._idle = time.monotonic(), _idle_seconds()

    def seconds(self) -> float:
        """For how long it measures."""
        return time.monotonic() - self._began

    def count(self) -> float | None:
        """How many processors have had nothing to do since, in the mean; None where that can't be told."""
        passed, idle = self.seconds(), _idle_seconds()
        if self._idle is None or idle is None or passed < _SHORTEST:
            return None
        return (idle - self._idle) / passed


def processes_for(idle: float | None, most: int) -> int:
    """How many processes, up to ``most``, are faster than the one that was running while ``idle`` processors were idle."""
    return most if idle is None else min(most, 1 + int(idle + 1 - _WORTH))


def _idle_seconds() -> float | None:
    """Of all processors since the machine was started; waiting for a disk counts as idle, as the kernel has it."""
    try:
        fields = _STAT.read_text().split("\n", 1)[0].split()
        return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
