# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The commands of an AOF in batches, each divided by the slots of a cluster."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import key_positions
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frame, LargeCommand, Skipped
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import Batch, read_large, selected_database
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import FileRange, Sendable
from ansible_collections.redisops.tair.plugins.module_utils._import.routing import NotForClusters, route
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Found, Session
from ansible_collections.redisops.tair.plugins.module_utils._keys import key_slot
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, ErrorReply, encode

#: Of the AOF, in one batch: many commands for one slot make one transaction of it instead of many.
_BATCH_BYTES = 1 << 20

ATOMICITY = (
    "The AOF holds transactions with keys of several slots. A cluster applies the commands of each slot together, "
    "but not those of different slots"
)


@dataclass(frozen=True)
class Placed:
    """A command of the AOF, where it stands, and what is sent for it."""

    found: Found
    end: int
    """Position."""
    data: Sendable
    size: int
    counts: int = 1
    """Commands of the AOF; 0 for one of several that stand for the same."""


@dataclass
class SlotBatch(Batch):
    """A stretch of the AOF, divided by slots; or the one command that goes to every master."""

    shares: dict[int, list[Placed]] = field(default_factory=dict)
    everywhere: Placed | None = None
    flush: bool = False
    """Whether that one takes away all keys."""


class SlotBatches:
    """Batches from position ``start`` on.

    The AOF's own MULTI and EXEC are left out, and what is between them stays in one batch. At the end of the file an
    open MULTI is left out with everything after it. ``end`` and ``database`` tell how far that was.
    """

    def __init__(self, session: Session, part: Part, start: int, database: int) -> None:
        self._session = session
        self._part = part
        self.end = start
        self.database = database
        self._known = False
        """Whether the database is known otherwise than by the commands, which may name that of the target."""
        self._batch = self._new()
        self._multi: list[Placed] | None = None
        """What stands in the MULTI that is open."""
        self._multi_at = (start, database)
        self._multi_commands = 0
        """Those of it that are not sent."""

    def of(self, frames: t.Iterable[Frame]) -> t.Iterator[SlotBatch]:
        part = self._part
        for frame in frames:
            if isinstance(frame, LargeCommand):
                data = FileRange(part.fd, frame.start, frame.end, str(part.path))
                yield from self._take(self._keys_of(frame), frame.start, frame.end, data, frame.end - frame.start)
            elif isinstance(frame, Block):
                taken, self._known = 0, frame.database is not None
                self.database = frame.database if frame.database is not None else self.database
                ends = [*frame.offsets(), frame.end][1:]
                before = -1
                for command, size, start, end in zip(frame.commands, frame.sizes, frame.offsets(), ends):
                    raw = frame.data[taken : taken + size]
                    yield from self._take(command, start, end, raw, size, int(start != before))
                    taken, before = taken + size, start
            elif isinstance(frame, Skipped):
                self.database = frame.database
            self.end = part.position_of(frame.end)
            if self._batch.size >= _BATCH_BYTES and self._multi is None:
                yield from self._given()
        if self._multi is not None:
            self.end, self.database = self._multi_at
        yield from self._given()

    def _take(
        self, command: Command, start: int, end: int, data: Sendable, size: int, counts: int = 1
    ) -> t.Iterator[SlotBatch]:
        """One command; ``start`` and ``end``: offsets in the file."""
        name, position = command[0].upper(), self._part.position_of(start)
        if name == b"EXEC":
            inside, self._multi = self._multi or [], None
            self._batch.commands += self._multi_commands + 1
            self._multi_commands = 0
            self._warn(inside)
            for placed in inside:
                yield from self._divide(placed)
            return
        if name == b"MULTI":
            if self._multi is not None:  # a server that loads the file passes over it
                self._multi_commands += 1
                return
            self._multi, self._multi_at, self._multi_commands = [], (position, self.database), 1
            return
        if not self._known:
            self.database = selected_database(command, self.database)
        if name == b"SELECT" or position in self._session.outcome.errors.refused:
            if self._multi is None:
                self._batch.commands += counts
            else:
                self._multi_commands += counts
            return
        placed = Placed(Found(position, self.database, command), self._part.position_of(end), data, size, counts)
        if self._multi is None:
            yield from self._divide(placed)
        else:
            self._multi.append(placed)

    def _divide(self, placed: Placed) -> t.Iterator[SlotBatch]:
        """Put a command to the others of its slot."""
        command = placed.found.command
        try:
            where = route(command)
        except NotForClusters as exc:
            self._session.add_error(placed.found, ErrorReply(f"not sent: {exc}"), refused=True)
            self._batch.commands += placed.counts
            return
        if where.everywhere or where.flush:
            # All that stands before it is given first, and it makes a batch of its own.
            self.end = placed.found.position
            yield from self._given()
            self._batch.everywhere, self._batch.flush = placed, where.flush
            self._batch.commands += placed.counts
            self.end = placed.end
            yield from self._given()
            return
        self._batch.commands += placed.counts
        for slot, piece in where.pieces:
            if piece is not command:
                data = encode(piece)
                placed = Placed(placed.found, placed.end, data, len(data))
            self._batch.shares.setdefault(slot, []).append(placed)
            self._batch.size += placed.size

    def _given(self) -> t.Iterator[SlotBatch]:
        batch = self._batch
        batch.end, batch.database = self.end, self.database
        if batch.commands:
            yield batch
            self._batch = self._new()

    def _new(self) -> SlotBatch:
        return SlotBatch([], 0, 0, start=self.end, end=self.end, database_before=self.database, database=self.database)

    def _warn(self, transaction: list[Placed]) -> None:
        """Tell once that a transaction is taken apart."""
        warnings = self._session.outcome.warnings
        if len(transaction) > 1 and ATOMICITY not in warnings:
            commands = [placed.found.command for placed in transaction]
            if len({key_slot(command[at]) for command in commands for at in key_positions(command)}) > 1:
                warnings.append(ATOMICITY)

    def _keys_of(self, large: LargeCommand) -> Command:
        """A large command: its name and first key, or all of it where there are more keys."""
        short = [large.name, large.key]
        if large.args == 1 or len(key_positions([*short, *[b"?"] * (large.args - 2)])) == 1:
            return short[: large.args]
        return read_large(self._part.fd, large).commands[0]
