# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Progress lines of long tasks: percent, rate and time left, one now and then.

    redis1 | aof_fetch: 35 % of 12.4 GB, 96.4 MB/s, 1:26 left

They go through Ansible's ``Display``, which does not mask them: nothing secret ever goes into one.
"""

from __future__ import annotations

import time
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean

#: The variable that switches the lines off.
VARIABLE = "redisops_tair_progress"

#: Seconds between two lines at least. To look more often is no use.
EVERY = 3.0
_STEP = 5.0  # percent
_AT_LAST = 60.0  # seconds after which a line comes even where less than a step was made


def wanted(variables: t.Mapping[str, t.Any], template: t.Callable[[t.Any], t.Any]) -> bool:
    """Whether the variables of the task let progress lines be shown. They come to action plugins as they are written."""
    return bool(boolean(template(variables.get(VARIABLE, True)), strict=False))


class Progress:
    """A printer for ``total`` bytes, of which ``done`` were there before: they count for the percent, not for the rate.

    ``label``: the host's name and what is done. ``show`` takes a line; ``clock`` gives seconds.
    """

    def __init__(
        self,
        label: str,
        total: int,
        show: t.Callable[[str], object],
        *,
        done: int = 0,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._label, self._total, self._show, self._clock = label, total, show, clock
        self._first = done
        self._start = self._last_time = clock()
        self._last_percent = self._percent(done)

    def update(self, done: int, detail: str = "") -> None:
        """``done`` bytes are there now. Prints a line if it is time for one; ``detail``: what it tells beside."""
        now = self._clock()
        waited = now - self._last_time
        percent = self._percent(done)
        if done >= self._total or waited < EVERY:
            return
        if percent - self._last_percent < _STEP and waited < _AT_LAST:
            return
        self._last_time, self._last_percent = now, percent
        self._show(self._line(done, now - self._start, detail))

    def _percent(self, done: int) -> float:
        return 100 * done / self._total if self._total else 100.0

    def _line(self, done: int, elapsed: float, detail: str) -> str:
        rate = max(done - self._first, 0) / elapsed if elapsed > 0 else 0.0
        parts = [f"{self._percent(done):.0f} % of {size(self._total)}", f"{rate / 1e6:.1f} MB/s"]
        if detail:
            parts.append(detail)
        if rate > 0:
            parts.append(f"{duration((self._total - done) / rate)} left")
        return f"{self._label}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """``1:26``, or ``2:01:26`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: float) -> str:
    """``12.4 GB``: units of 1000, as disks and links have them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
