# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""When did a task begin and end? By the control node's clock, which all hosts of a play have in common."""

from __future__ import annotations

import functools
import typing as t
from datetime import datetime, timezone

Run = t.Callable[..., t.Dict[str, t.Any]]


def timed(run: Run) -> Run:
    """The ``run`` of an action plugin, which returns ``start`` and ``end`` beside everything else, be it a failure."""

    @functools.wraps(run)
    def told(*args: t.Any, **kwargs: t.Any) -> dict[str, t.Any]:
        start = _now()
        result = run(*args, **kwargs)
        return {**result, "start": start, "end": _now()}

    return told


def seconds(time: str) -> float:
    """Since the epoch. Raises :class:`ValueError`."""
    return datetime.strptime(time, _FORMAT).replace(tzinfo=timezone.utc).timestamp()


_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def _now() -> str:
    return datetime.now(timezone.utc).strftime(_FORMAT)
