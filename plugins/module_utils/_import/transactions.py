# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Everything but a rewritten part: batches that apply their commands and record their position at once.

Order and number of the commands matter here (RPUSH, INCR), so each batch is a ``MULTI ... EXEC`` that ends with its
checkpoint. A batch's EXEC is sent when the EXEC before it has been confirmed: so none ever follows one that was
refused, and the target is always at one exact position. The body of the next batch travels meanwhile.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import named_databases
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frame, LargeCommand, Skipped
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._errors import ImportFailedError
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import (
    Batch,
    Cursor,
    selected_database,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.checkpoint import Checkpoint
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import FileRange, Pipe, Request, Sendable
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Rewind, Session
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, Reply, encode

#: A batch grows while its commit takes less than so many round trips: on a long line it would be all waiting.
_WORTHWHILE_ROUND_TRIPS = 4

_MULTI = encode([b"MULTI"])
_EXEC = encode([b"EXEC"])
_DISCARD = encode([b"DISCARD"])
_NAMING_DATABASES = frozenset((b"MOVE", b"COPY", b"SWAPDB", b"move", b"copy", b"swapdb"))
_SPECIAL = frozenset((b"MULTI", b"EXEC", b"SELECT"))


@dataclass
class _Commit:
    """A batch whose body has been sent, and the EXEC that commits it."""

    batch: Batch
    body: Request
    checkpoint: Checkpoint
    exec: Request
    queued: int
    """Commands between MULTI and EXEC."""
    sent: float


def send_transactions(session: Session, pipe: Pipe[Request], part: Part, frames: t.Iterable[Frame]) -> None:
    """Send what ``frames`` give and wait until all of it is confirmed."""
    _TransactionSender(session, pipe).send(part, frames)


class _TransactionSender:
    def __init__(self, session: Session, pipe: Pipe[Request]) -> None:
        self._session = session
        self._pipe = pipe
        self._batch_bytes = session.batch_bytes

    def send(self, part: Part, frames: t.Iterable[Frame]) -> None:
        session = self._session
        cursor = Cursor(session.reached_in(part), session.checkpoint.db)
        position, crc = cursor.position, session.crc_at(cursor.position)
        commands, databases = session.outcome.commands, set(session.outcome.databases)
        committing: _Commit | None = None
        for batch in transaction_batches(
            part, frames, cursor, batch_bytes=lambda: self._batch_bytes, refused=session.outcome.errors.refused
        ):
            crc, position = session.aof.checksum(batch.end, position, crc), batch.end
            commands += batch.commands
            databases |= session.databases_of(batch)
            checkpoint = session.checkpoint.at(
                position,
                zone=0,
                crc=crc,
                db=batch.database,
                commands=commands,
                errors=session.outcome.errors.before(position),
            ).written_to(databases)
            record = checkpoint.command()
            body = Request([_MULTI, *batch.parts, record], batch.size + len(_MULTI) + len(record), batch.expected + 2)
            self._pipe.submit(body)
            queued = batch.expected + 1
            if committing is not None:
                self._confirm(committing)
                if session.outcome.errors.before(position) != checkpoint.errors:
                    checkpoint = checkpoint.at(position, errors=session.outcome.errors.before(position))
                    record = checkpoint.command()
                    self._pipe.submit(Request([record], len(record), 1))
                    queued += 1
            committing = _Commit(batch, body, checkpoint, Request([_EXEC], len(_EXEC), 1), queued, time.monotonic())
            self._pipe.submit(committing.exec)
        if committing is not None:
            self._confirm(committing)
        # What ends the file without being a command (an annotation, say) is behind us too.
        session.checkpoint = session.checkpoint.at(
            cursor.position, zone=0, crc=session.aof.checksum(cursor.position, position, crc), db=cursor.database
        )

    def _confirm(self, commit: _Commit) -> None:
        """Wait for the answer to a commit and take it in."""
        while not commit.exec.replies:
            self._pipe.wait()
            for _done in self._pipe.finished():
                pass
        session, batch, reply = self._session, commit.batch, commit.exec.replies[0]
        if time.monotonic() - commit.sent < _WORTHWHILE_ROUND_TRIPS * session.round_trip:
            self._batch_bytes = min(self._batch_bytes * 2, max(session.window_bytes, session.batch_bytes))
        if isinstance(reply, list):
            if len(reply) != commit.queued:
                raise self._committed_in_part(commit)
            session.checkpoint = commit.checkpoint
            session.outcome.changed = True
            session.confirm(batch)
            if ErrorReply in map(type, reply):
                self._committed_with_errors(batch, reply)
            return
        multi, *queued, record = commit.body.replies
        if ErrorReply in map(type, queued):
            # Nothing of the batch was applied. It goes again, without the commands that the target does not take.
            self._record_errors(batch, queued, refused=True)
            raise Rewind
        fault = next(
            (found for found in (multi, record, reply) if isinstance(found, ErrorReply)), ErrorReply("EXEC gave nil")
        )
        raise session.checkpoint_refused(fault)

    def _committed_in_part(self, commit: _Commit) -> ImportFailedError:
        """A server never does that: it aborts. A proxy between may have kept commands from it."""
        fault = next((reply for reply in commit.body.replies if isinstance(reply, ErrorReply)), "no error")
        failure = self._session.failed(
            f"{self._session.endpoint} committed a transaction without all of its commands, and answered "
            f"{explain(str(fault))} to one of them: what stands between does not keep transactions whole",
            todo="Import again from the beginning (if_not_empty=flush, resume=false), through an endpoint that is no proxy",
        )
        failure.changed = f"{self._session.endpoint} lacks a part of the data"
        return failure

    def _committed_with_errors(self, batch: Batch, replies: list[Reply]) -> None:
        """The other commands of the batch have been applied, so a later run must know that these have not."""
        session = self._session
        try:
            self._record_errors(batch, replies, refused=False)
        except ImportFailedError:
            session.checkpoint = session.checkpoint.at(
                session.checkpoint.position, errors=session.outcome.errors.before(session.checkpoint.position)
            )
            record = session.checkpoint.command()
            self._pipe.submit(Request([_DISCARD], len(_DISCARD), 1))
            self._pipe.submit(Request([record], len(record), 1))
            while not self._pipe.idle:
                self._pipe.wait()
                for _done in self._pipe.finished():
                    pass
            raise

    def _record_errors(self, batch: Batch, replies: list[Reply], *, refused: bool) -> None:
        sent = (
            found
            for found in self._session.commands_of(batch)
            if found.command[0].upper() not in (b"MULTI", b"EXEC")
            and found.position not in self._session.outcome.errors.refused
        )
        for found, reply in zip(list(sent), replies):
            if isinstance(reply, ErrorReply):
                self._session.add_error(found, reply, refused=refused)


def transaction_batches(
    part: Part,
    frames: t.Iterable[Frame],
    cursor: Cursor,
    *,
    batch_bytes: t.Callable[[], int],
    refused: t.Container[int],
) -> t.Iterator[Batch]:
    """Batches of anything but a rewritten part: what stands between MULTI and the checkpoint of one transaction.

    The AOF's own MULTI and EXEC are left out and what is between them stays together. At the end of the file
    an open MULTI is left out with everything after it: ``cursor.position`` tells where it began.

    ``refused``: positions of commands to leave out, because the server does not take them at all.
    """
    gathering = _Transaction(cursor.position, cursor.database)
    for frame in frames:
        if isinstance(frame, LargeCommand):
            if part.position_of(frame.start) not in refused:
                large = FileRange(part.fd, frame.start, frame.end, str(part.path))
                gathering.add(large, frame.end - frame.start, 1)
            gathering.databases.add(gathering.database)
            gathering.commands += 1
        elif isinstance(frame, Block):
            if not frame.names.isdisjoint(_NAMING_DATABASES):
                gathering.named.update(number for command in frame.commands for number in named_databases(command))
            names = {name.upper() for name in frame.names}
            if names.isdisjoint(_SPECIAL) and not refused:
                gathering.add(frame.data, len(frame.data), len(frame.commands))
                gathering.commands += frame.of_aof
                gathering.databases.add(gathering.database if frame.database is None else frame.database)
            else:
                yield from _one_by_one(part, frame, gathering, batch_bytes, refused)
            if frame.database is not None:
                gathering.database = frame.database
        elif isinstance(frame, Skipped):
            gathering.database = frame.database
        gathering.end = part.position_of(frame.end)
        if gathering.size >= batch_bytes() and not gathering.in_multi:
            yield gathering.take()
    if gathering.in_multi:
        gathering.back_to_mark()
    if gathering.commands:
        yield gathering.take()
    cursor.position, cursor.database = gathering.end, gathering.database


def _one_by_one(
    part: Part,
    block: Block,
    gathering: _Transaction,
    batch_bytes: t.Callable[[], int],
    refused: t.Container[int],
) -> t.Iterator[Batch]:
    taken, before = 0, -1
    ends = [*block.offsets(), block.end][1:]
    for command, size, start, end in zip(block.commands, block.sizes, block.offsets(), ends):
        name = command[0].upper()
        raw = block.data[taken : taken + size]
        taken += size
        if (
            name == b"MULTI" and not gathering.in_multi
        ):  # a server that loads the file passes over one inside of another
            gathering.mark()
        gathering.commands += start != before
        before = start
        gathering.end = part.position_of(end)
        if name == b"EXEC":
            gathering.in_multi = False
        elif name != b"MULTI" and part.position_of(start) not in refused:
            gathering.database = selected_database(command, gathering.database)
            gathering.add(raw, size, 1)
            if name != b"SELECT":
                gathering.databases.add(gathering.database if block.database is None else block.database)
        if gathering.size >= batch_bytes() and not gathering.in_multi:
            yield gathering.take()


class _Transaction:
    """A batch while it is put together, and how it was at the last MULTI of the AOF."""

    def __init__(self, start: int, database: int) -> None:
        self.start = self.end = start
        self.database = self._database_before = database
        self.parts: list[Sendable] = []
        self.size = self.sent = self.commands = 0
        self.in_multi = False
        self.databases: set[int] = set()
        """Of the source, those that its commands are in."""
        self.named: set[int] = set()
        """Of the target, those that MOVE, COPY and SWAPDB name."""
        self._marked: tuple[int, int, int, int, int, int, frozenset[int]] = (0, 0, 0, 0, 0, 0, frozenset())

    def add(self, data: Sendable, size: int, sent: int) -> None:
        self.parts.append(data)
        self.size += size
        self.sent += sent

    def mark(self) -> None:
        self.in_multi = True
        self._marked = (
            self.end,
            self.database,
            len(self.parts),
            self.size,
            self.sent,
            self.commands,
            frozenset(self.databases),
        )

    def back_to_mark(self) -> None:
        self.end, self.database, parts, self.size, self.sent, self.commands, databases = self._marked
        self.databases = set(databases)
        del self.parts[parts:]
        self.in_multi = False

    def take(self) -> Batch:
        """The batch so far; the next one begins where it ends. It is not expected to be sent as it stands."""
        batch = Batch(
            self.parts,
            self.size,
            self.sent,
            start=self.start,
            end=self.end,
            commands=self.commands,
            database_before=self._database_before,
            database=self.database,
            databases=frozenset(self.databases),
            named=frozenset(self.named),
        )
        self.databases, self.named = set(), set()
        self.start, self.parts, self._database_before = self.end, [], self.database
        self.size = self.sent = self.commands = 0
        return batch
