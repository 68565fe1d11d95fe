# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How far a rewritten part is: what is certain, and what may have been sent.

A checkpoint names a position where a key begins and before which every reply has come back well; at most ``zone`` bytes
after it have been sent.
"""

from __future__ import annotations

from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Session
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import CheckpointRequest, Link


class Zone:
    """The checkpoints of a rewritten part. ``link`` carries them; whoever takes in what is finished there calls :meth:`confirm`."""

    def __init__(self, session: Session, link: Link, part: Part) -> None:
        self._session = session
        self._link = link
        self._end = part.position + part.size
        # A quarter of what may be under way between two checkpoints; a zone that leaves room for both.
        self._every = session.window_bytes // 4
        self._size = 2 * (session.window_bytes + self._every)
        # The furthest place where a key begins and before which all is well; and the last one written down, of which
        # it may not be known yet whether the target has it or still the one before.
        self._reached = self._written = session.checkpoint
        # Nothing after this position has been sent, be it by an earlier run; and the checksum of all before it.
        self._covered, self._crc = session.checkpoint.covered, session.checkpoint.crc

    @property
    def careful_until(self) -> int:
        """An earlier run may have sent what is before this position."""
        return self._covered

    def holds(self, position: int) -> bool:
        """Whether what is before a position may be sent: the target knows that it may have been."""
        return position <= self._session.checkpoint.covered

    def reach(self, position: int, database: int) -> None:
        """All before a position is in the target, and a key begins there; ``database`` is selected there."""
        outcome = self._session.outcome
        self._reached = self._session.checkpoint.at(
            position, db=database, commands=outcome.commands, errors=outcome.errors.before(position)
        ).written_to(outcome.databases)

    def extend(self, position: int) -> None:
        """Write down that what is before a position is going to be sent. Nothing may be under way on the link."""
        # The zone grows with a key that is larger than it: a place inside of a key is no use.
        reached = self._reached.position
        self._write(min(max(reached + self._size, 2 * position - reached), self._end))

    def keep_up(self) -> None:
        """Write down how far it is, if that is worth it."""
        if self._reached.position - self._written.position >= self._every and self._written is self._session.checkpoint:
            self._write(min(self._reached.position + self._size, self._end))

    def close(self, position: int, database: int, *, last: bool = True) -> None:
        """Write down that all before a position is in the target; ``last``: and that nothing more of the part is going to be."""
        self.reach(position, database)
        if last and position < self._covered:
            # The rewritten part ends before it was thought to: nothing after it has been sent, by an earlier run neither.
            self._covered, self._crc = position, self._session.aof.checksum(position)
        self._write(position)

    def confirm(self, done: CheckpointRequest) -> None:
        """Take in the target's answer."""
        self._session.checkpoint = self._session.confirmed(done)

    def _write(self, covered: int) -> None:
        """Write down how far it is, before anything past ``covered`` is sent; never less than was covered before."""
        covered = max(covered, self._covered)
        self._crc = self._session.aof.checksum(covered, self._covered, self._crc)
        self._covered = covered
        position = self._reached.position
        request = self._session.topology.record(self._reached.at(position, zone=covered - position, crc=self._crc))
        self._written = request.checkpoint
        self._link.submit(request)
