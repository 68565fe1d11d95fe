# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What has an import done?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._import.errors import ErrorLog


@dataclass
class Outcome:
    """What an import did."""

    commands: int = 0
    """Commands of the AOF that have been answered, those of earlier runs of the same import included."""
    commands_before: int = 0
    """Those of the earlier runs alone."""
    errors: ErrorLog = field(default_factory=ErrorLog)
    bytes: int = 0
    """Of the AOF, imported by this call."""
    position: int = 0
    resumed_from: int | None = None
    truncated_bytes: int = 0
    """At the end of the AOF, not sent: a command that is cut off, or an open MULTI and what follows it."""
    databases: set[int] = field(default_factory=set)
    evicted_keys: int = 0
    expired_keys: int = 0
    reconnects: int = 0
    workers: int = 1
    """Processes that have sent what a rewrite wrote."""
    warnings: list[str] = field(default_factory=list)
    adapted: Counter[str] = field(default_factory=Counter)
    """Commands that were sent as others, by form."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Commands that were left out, whole or in part, by the name that allowed it."""
    name: str = ""
    """Of the import, by which a later call can go on with it."""
    elapsed: float = 0.0
    changed: bool = False

    def add(self, share: Outcome) -> None:
        """Count what a worker did of it, which follows what is counted already."""
        self.commands += share.commands
        self.errors.extend(share.errors)
        self.databases |= share.databases
