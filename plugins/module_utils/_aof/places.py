# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Places in an AOF, few of each kind, and the forms of commands that older servers lack with the places where they stand."""

from __future__ import annotations

import collections
import typing as t
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._aof.forms import FEWEST_ARGUMENTS, Form, forms_of
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: Places that are kept of each kind of thing.
MOST_PLACES = 5
_LONGEST_OPTION, _MOST_OPTIONS = 16, 1000


@dataclass(frozen=True)
class Place:
    """Where a command stands. ``name`` is in capitals; ``key`` its first key."""

    file: str
    offset: int
    database: int
    name: bytes
    key: bytes | None
    size: int
    """Bytes of the whole command."""


@dataclass
class Places:
    """How often something occurs, and the first places where."""

    count: int = 0
    first: list[Place] = field(default_factory=list)

    def note(self, place: t.Callable[[], Place]) -> None:
        """Keep a place, which is only looked up if it is among the first."""
        if len(self.first) < MOST_PLACES:
            self.first.append(place())


class FormsFound:
    """``found``: how often each form occurs, and where. ``learn`` names as they are written before they are taken."""

    def __init__(self) -> None:
        self.found: collections.defaultdict[Form, Places] = collections.defaultdict(Places)
        self._fewest: dict[bytes, int] = {}
        # Name and option of 'SET key value OPTION NUMBER' to its forms, once no more places of them are kept.
        self._settled: dict[tuple[bytes, bytes], tuple[Form, ...]] = {}

    def learn(self, written: bytes) -> None:
        name = written.upper()
        if name in FEWEST_ARGUMENTS:
            self._fewest[written] = FEWEST_ARGUMENTS[name]

    def take(self, commands: list[Command], present: frozenset[bytes], place: t.Callable[[int], Place]) -> None:
        """Commands of a block. ``present``: their names; ``place`` tells where the one of this index stands."""
        fewest, settled = self._fewest, self._settled
        formed = present & fewest.keys()
        if not formed:
            return
        least = min(map(fewest.__getitem__, formed))
        counted: list[tuple[bytes, bytes]] = []
        for at, command in enumerate(commands):
            if len(command) >= least and command[0] in formed:
                if len(command) == 5 and (command[0], command[3]) in settled and command[4].isdigit():
                    counted.append((command[0], command[3]))
                elif len(command) >= fewest[command[0]]:
                    self._look_at(command, at, place)
        for option, count in collections.Counter(counted).items():
            for form in settled[option]:
                self.found[form].count += count

    def one(self, command: Command, place: Place) -> None:
        """A command by itself."""
        if len(command) >= self._fewest.get(command[0], 1 << 30):
            self._look_at(command, 0, lambda _at: place)

    def _look_at(self, command: Command, at: int, place: t.Callable[[int], Place]) -> None:
        forms = tuple(forms_of(command))
        for form in forms:
            self.found[form].count += 1
            self.found[form].note(lambda: place(at))
        if (
            command[0].upper() == b"SET"
            and len(command) == 5
            and command[4].isdigit()
            and len(command[3]) <= _LONGEST_OPTION
            and len(self._settled) < _MOST_OPTIONS
            and all(len(self.found[form].first) == MOST_PLACES for form in forms)
        ):
            self._settled[command[0], command[3]] = forms
