# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A rewritten part in stretches that can be imported one beside the other.

Every key stands once there, its commands together: a stretch that begins where a key begins needs nothing of the one before
it but to know which database is selected.

Where keys begin in an RDB is known from the walk that has found out whether it is whole. In a file of commands it is known
once all before it has been read, which takes a good part of the time that it takes to send it. So whoever is going to send a
stretch looks for it: from the first place behind a mark that could be a command on. That may be inside of a value. What was
found counts when it is proved: by the stretch before it, which has to end where this one begins.
"""

from __future__ import annotations

import typing as t
from collections import deque
from dataclasses import dataclass, replace

from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.preamble import Preamble


@dataclass(frozen=True)
class Stretch:
    """From position ``start`` to ``end``; ``database``: of the source, selected at its start, and ``database_after`` at its end."""

    start: int
    end: int
    database: int
    database_after: int


def stretches_of_rdb(part: Part, start: int, database: int, size: int) -> t.Iterator[Stretch]:
    """What is left of a part that is an RDB from position ``start`` on, in stretches of at least ``size`` bytes."""
    preamble, end = t.cast(Preamble, part.preamble), part.position + part.size
    for offset, selected in preamble.cuts:
        position = part.position_of(offset)
        if position - start >= size or position == end > start:
            yield Stretch(start, position, database, selected)
            start, database = position, selected


@dataclass(frozen=True)
class Look:
    """What to look for: from the first key that begins behind position ``mark`` to the first that does behind ``next_mark``."""

    mark: int
    next_mark: int
    start: int | None = None
    """Where the first one begins, if that is known."""
    database: int = -1
    """The highest that was selected before that, if it is known."""


Why = t.Literal["key", "file", "clients", "until"]


@dataclass(frozen=True)
class Sighting:
    """What was found."""

    look: Look
    start: int | None
    """None where no key was seen to begin before the next mark."""
    end: int
    selected: tuple[int, int] | None = None
    """The first and the last database that is selected between them."""
    why: Why = "key"
    """What ends it: the next ``key``; the end of the ``file``, or damage; ``clients``, whose commands follow; or the time
    ``until`` which commands are wanted."""
    damage: Exception | None = None


class Chain:
    """The stretches of a rewritten part that holds commands, each proved by the one before.

    They are from position ``start``, where a key begins with that ``database`` selected, to ``end``. ``highest``: the
    highest database that was selected before, -1 for none. ``size``: bytes from mark to mark. ``who`` looks is any number.
    """

    def __init__(self, start: int, end: int, *, database: int, highest: int, size: int) -> None:
        self._mark, self._end, self._size = start, end, size
        self._reached, self._database, self._highest = start, database, highest
        self._looks: deque[tuple[int, Look]] = deque()
        self._sightings: dict[Look, Sighting] = {}
        self.last: Sighting | None = None
        """What the last stretch was found by, once that is proved."""

    def looks(self, who: int) -> int:
        """How many of them somebody is looking for, or has found and they are not certain yet."""
        return sum(looker == who for looker, _look in self._looks)

    def look(self, who: int) -> Look | None:
        """The next to look for; None where there is no more."""
        while self._mark + self._size <= self._reached:
            self._mark += self._size
        if self.last is not None or self._mark >= self._end:
            return None
        mark, self._mark = self._mark, min(self._mark + self._size, self._end)
        look = Look(mark, self._mark)
        if mark == self._reached:
            look = self._exact(look)
        self._looks.append((who, look))
        return look

    def take(self, sighting: Sighting) -> None:
        """Take in what somebody has found."""
        self._sightings[sighting.look] = sighting

    def next(self) -> tuple[int, Look | Stretch] | None:
        """A stretch that has become certain, or what is to be looked for once more, and by whom; None: not before more is found."""
        while self._looks and self.last is None:
            who, look = self._looks[0]
            if look.next_mark <= self._reached:  # all of it belongs to a key that began before
                self._looks.popleft()
                continue
            sighting = self._sightings.pop(look, None)
            if sighting is None:
                return None
            if not self._is_proved(sighting):
                self._looks[0] = (who, self._exact(look))
                return self._looks[0]
            self._looks.popleft()
            if sighting.why != "key":
                self.last = sighting
            stretch = self._certain(sighting)
            if stretch.start < stretch.end:
                return who, stretch
        return None

    def _is_proved(self, sighting: Sighting) -> bool:
        known = sighting.look.start is not None
        # Who did not know what was selected before could not tell whether the first SELECT is a client's.
        selects_less = sighting.selected is not None and sighting.selected[0] <= self._highest
        return sighting.start == self._reached and (known or not selects_less)

    def _exact(self, look: Look) -> Look:
        return replace(look, start=self._reached, database=self._highest)

    def _certain(self, sighting: Sighting) -> Stretch:
        before = self._database
        if sighting.selected is not None:
            self._database = self._highest = sighting.selected[1]
        stretch = Stretch(self._reached, sighting.end, before, self._database)
        self._reached = sighting.end
        return stretch
