# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How is an AOF to be imported?"""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._import.selection import Selection


@dataclass(frozen=True)
class Options:
    """How to import. Sizes in bytes, times in seconds."""

    if_not_empty: str = "fail"
    """``fail``, ``append`` or ``flush``."""
    resume: bool = True
    keep_checkpoint: bool = False
    stop_at_error: bool = True
    max_errors: int = 0
    """With ``stop_at_error`` off: stop after more errors than this; 0 is no limit."""
    allow_eviction: bool = False
    until: int | None = None
    """Seconds since the epoch: leave out what annotations say was written later."""
    batch_bytes: int = 64 * 1024
    window_bytes: int = 16 << 20
    rate_limit: int = 0
    """Bytes a second; 0 is no limit."""
    selection: Selection = field(default_factory=Selection)
    check_values: bool = False
    """Whether the values of an RDB are checked that has a checksum, too."""
    compat: bool = True
    """Whether an older target is sent the equivalents of what it does not know."""
    drop: tuple[str, ...] = ()
    """What may be left out where it does not know it; see :mod:`compat`."""
    slots: frozenset[int] | None = None
    """Of a source that is a master of a cluster: its own, so that what other masters import is not in the way."""
    topology: str = "auto"
    """``auto``, ``standalone``, ``cluster`` or ``proxy``."""
    workers: int = 1
    """Processes that may send what a rewrite wrote."""
    timeout: float = 60.0
    """For one reply, and for how long a target that can't be reached is tried again."""
