# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Error replies during an import: counted, told with their place in the AOF, and weighed."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._replies import explain, meaning, next_step

#: How many errors are kept with their place; the others are only counted.
MAX_SAMPLES = 20


@dataclass(frozen=True)
class CommandError:
    """One command of the AOF that the target answered with an error."""

    file: str
    offset: int
    """Of the command, in the file."""
    position: int
    """Of the command, in the AOF."""
    database: int
    command: str
    key: str
    reply: str

    def __str__(self) -> str:
        key = f" of key '{self.key}'" if self.key else ""
        return (
            f"{self.command}{key} in database {self.database} ({self.file}, byte {self.offset}) "
            f"was {'' if self.reply.startswith('not sent') else 'answered '}{explain(self.reply)}"
        )

    @property
    def about(self) -> str:
        """What the error is about: see :mod:`_replies`."""
        row = meaning(self.reply)
        return row.about if row else "command"

    @property
    def todo(self) -> str:
        return next_step(self.reply)

    def sample(self) -> dict[str, t.Any]:
        """As the module returns it. Never a value: only the name of the command and its first key."""
        return {
            "file": self.file,
            "offset": self.offset,
            "database": self.database,
            "command": self.command,
            "key": self.key,
            "reply": self.reply,
        }


@dataclass
class ErrorLog:
    """Errors so far, in the order of the AOF."""

    count: int = 0
    samples: list[CommandError] = field(default_factory=list)
    refused: dict[int, CommandError] = field(default_factory=dict)
    """Commands, by position, that the target does not take at all, so that they are not sent again."""

    def add(self, error: CommandError, *, refused: bool = False) -> None:
        self.count += 1
        if len(self.samples) < MAX_SAMPLES:
            self.samples.append(error)
        if refused:
            self.refused[error.position] = error

    def extend(self, following: ErrorLog) -> None:
        """Add what was met behind all that is here."""
        self.count += following.count
        self.samples = (self.samples + following.samples)[:MAX_SAMPLES]
        self.refused.update(following.refused)

    def before(self, position: int) -> int:
        """How many of them are about commands before a position. One that is known already may be further on."""
        return self.count - sum(place >= position for place in self.refused)

    def back_to(self, position: int, count: int) -> None:
        """Forget what was counted from ``position`` on, where ``count`` had been counted: it will be sent once more."""
        again = [error for place, error in self.refused.items() if place >= position]
        self.count = count + len(again)
        self.samples = ([error for error in self.samples if error.position < position] + again)[:MAX_SAMPLES]
