# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Everything but a rewritten part, into a cluster: for each slot a transaction that records the slot's own position.

A transaction can't span slots, and needs not: commands of different slots have no order between them. A batch of the
AOF is divided by slots, each share travels as ``MULTI ... HSET <record of the slot> EXEC``, and the next batch is sent
when all shares are confirmed. An import that goes on leaves out, slot by slot, what that slot's record covers.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Frame
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._errors import ImportFailedError
from ansible_collections.redisops.tair.plugins.module_utils._import.checkpoint import Checkpoint
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster_batches import (
    Placed,
    SlotBatch,
    SlotBatches,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster_pipe import ClusterPipe
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster_pipe import Part as RoutedPart
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import Request
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Found, Rewind, Session
from ansible_collections.redisops.tair.plugins.module_utils._keys import checkpoint_key_of, slot_tags
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, Reply, encode

_MULTI = encode([b"MULTI"])
_EXEC = encode([b"EXEC"])
#: Replies to a transaction beside those to the commands of the AOF: to MULTI, the record and EXEC.
_FRAME_REPLIES = 3


def position_field(name: bytes) -> bytes:
    """The field of a slot's record that holds the position of the import ``name``."""
    return name + b":applied"


def send_by_slot(
    session: Session, pipe: ClusterPipe, part: Part, frames: t.Iterable[Frame], applied: t.Mapping[int, int]
) -> None:
    """Send what ``frames`` give and wait until all of it is confirmed.

    ``applied``: of a slot, the position before which its commands are in the target already.
    """
    _Sender(session, pipe, part, applied).send(frames)


@dataclass
class _Shares(Request):
    """What is sent of a batch: a transaction for each slot."""

    slots: list[tuple[int, list[Placed]]] = field(default_factory=list)


class _Sender:
    def __init__(self, session: Session, pipe: ClusterPipe, part: Part, applied: t.Mapping[int, int]) -> None:
        self._session = session
        self._pipe = pipe
        self._part = part
        self._applied = applied
        self._field = position_field(session.checkpoint.id.encode())
        # Nothing after this position has been sent, be it by an earlier run; and the checksum of all before it.
        self._covered, self._crc = session.checkpoint.covered, session.checkpoint.crc
        self._reached = session.reached_in(part)
        self._database = session.checkpoint.db

    def send(self, frames: t.Iterable[Frame]) -> None:
        flying: tuple[SlotBatch, _Shares] | None = None
        batches = SlotBatches(self._session, self._part, self._reached, self._database)
        for batch in batches.of(frames):
            if flying is not None:
                self._confirm(*flying)
                flying = None
            if batch.end > self._session.checkpoint.covered:
                self._write(max(self._reached + self._session.window_bytes, batch.end))
            if batch.everywhere is None:
                flying = batch, self._submit(batch)
            elif batch.flush:
                self._flush(batch, batch.everywhere)
            else:
                self._send_everywhere(batch, batch.everywhere)
        if flying is not None:
            self._confirm(*flying)
        self._reached, self._database = batches.end, batches.database
        if self._reached < self._covered:  # something is cut off at the end
            self._covered, self._crc = self._reached, self._session.aof.checksum(self._reached)
        self._write(self._reached)

    def _submit(self, batch: SlotBatch) -> _Shares:
        tags, shares, parts = slot_tags(), _Shares([], 0, 0), []
        for slot, placed in batch.shares.items():
            done = self._applied.get(slot, 0)
            left = [one for one in placed if one.found.position >= done] if done else placed
            if left:
                key = checkpoint_key_of(tags[slot])
                record = encode((b"HSET", key, self._field, b"%d" % batch.end))
                size = len(_MULTI) + sum([one.size for one in left]) + len(record) + len(_EXEC)
                data = [_MULTI, *[one.data for one in left], record, _EXEC]
                parts.append(RoutedPart(key, data, size, len(left) + _FRAME_REPLIES))
                shares.slots.append((slot, left))
        if not self._session.topology.one_at_a_time:
            self._pipe.submit(_routed(shares, parts))
            return shares
        for part in parts:
            one = Request([], 0, 0)
            self._pipe.submit(_routed(one, [part]))
            self._await()
            shares.replies += one.replies
        return shares

    def _confirm(self, batch: SlotBatch, shares: _Shares) -> None:
        """Wait until a batch is answered and take the answers in."""
        session = self._session
        self._await()
        taken, refused = 0, False
        errors: list[tuple[Found, ErrorReply]] = []
        for _slot, placed in shares.slots:
            multi, *queued, last = shares.replies[taken : taken + len(placed) + _FRAME_REPLIES]
            taken += len(placed) + _FRAME_REPLIES
            if isinstance(last, list) and len(last) == len(queued):
                session.outcome.changed = True
                errors += _errors(placed, last)
            elif ErrorReply in map(type, queued[:-1]):
                # Nothing of it was applied. It goes again, without the commands that the target does not take.
                for found, reply in _errors(placed, queued):
                    session.add_error(found, reply, refused=True)
                refused = True
            else:
                faults = (reply for reply in (multi, *queued, last) if isinstance(reply, ErrorReply))
                raise session.checkpoint_refused(next(faults, ErrorReply("EXEC gave nil")))
        if errors:
            self._record_errors(errors)
        if refused:
            raise Rewind
        self._passed(batch)

    def _record_errors(self, errors: list[tuple[Found, ErrorReply]]) -> None:
        """The rest of these transactions has been applied, so a later run must know of the commands that have not."""
        try:
            for found, reply in errors:
                self._session.add_error(found, reply)
        except ImportFailedError:
            self._write(self._covered)
            raise
        self._write(self._covered)

    def _send_everywhere(self, batch: SlotBatch, placed: Placed) -> None:
        """A function or a script, which every master has for itself; it may have been sent by a run that was killed."""
        command = _repeatable(placed.found.command)
        data = placed.data if command is placed.found.command else encode(command)
        request = Request([], 0, 0)
        self._pipe.submit(_routed(request, [RoutedPart(None, (data,), placed.size)]))
        self._await()
        reply = request.replies[0]
        deleted_before = command[1].upper() == b"DELETE" and "not found" in str(reply)
        if isinstance(reply, ErrorReply) and not deleted_before:
            self._session.add_error(placed.found, reply)
        self._session.outcome.changed = True
        self._passed(batch)
        self._write(self._covered)

    def _flush(self, batch: SlotBatch, placed: Placed) -> None:
        """Empty the masters one after the other, each together with the record that it was."""
        session = self._session
        self._write(self._covered)  # what goes on from here does not need what is taken away
        self._passed(batch)
        self._covered, self._crc = batch.end, session.aof.checksum(batch.end)
        self._applied = {}  # each slot's own record goes, too
        *copies, _main = session.topology.record(self._checkpoint()).routed or ()
        for copy in copies:  # one for each master
            data = [_MULTI, placed.data, *copy.data, _EXEC]
            size = len(_MULTI) + placed.size + copy.size + len(_EXEC)
            request = Request([], 0, 0)
            self._pipe.submit(_routed(request, [RoutedPart(copy.key, data, size, 1 + _FRAME_REPLIES)]))
            self._await()
            fault = next((reply for reply in request.replies if isinstance(reply, ErrorReply)), None)
            if fault is not None:
                session.add_error(placed.found, fault)
        session.outcome.changed = True
        self._write(self._covered)

    def _await(self) -> None:
        while not self._pipe.idle:
            self._pipe.wait()
            for _done in self._pipe.finished():
                pass

    def _passed(self, batch: SlotBatch) -> None:
        self._session.confirm(batch)
        self._reached, self._database = batch.end, batch.database

    def _write(self, covered: int) -> None:
        """Write down how far it is, before anything past ``covered`` is sent; never less than was covered before."""
        covered = max(min(covered, self._part.position + self._part.size), self._covered)
        self._crc = self._session.aof.checksum(covered, self._covered, self._crc)
        self._covered = covered
        request = self._session.topology.record(self._checkpoint())
        self._pipe.submit(request)
        self._await()
        self._session.checkpoint = self._session.confirmed(request)

    def _checkpoint(self) -> Checkpoint:
        session = self._session
        return session.checkpoint.at(
            self._reached,
            zone=self._covered - self._reached,
            crc=self._crc,
            db=self._database,
            commands=session.outcome.commands,
            errors=session.outcome.errors.before(self._reached),
        ).written_to(session.outcome.databases)


def _routed(request: t.Any, parts: list[RoutedPart]) -> t.Any:
    request.routed = parts
    request.size = sum([part.size for part in parts])
    request.expected = sum([part.expected for part in parts])
    return request


def _errors(placed: list[Placed], replies: list[Reply]) -> list[tuple[Found, ErrorReply]]:
    if ErrorReply not in map(type, replies):
        return []
    return [(one.found, reply) for one, reply in zip(placed, replies) if isinstance(reply, ErrorReply)]


def _repeatable(command: list[bytes]) -> list[bytes]:
    """The same so that it may be sent twice: the source had nothing of this name when it took it."""
    words = [word.upper() for word in command[:3]]
    if words[:2] == [b"FUNCTION", b"LOAD"] and words[2] != b"REPLACE":
        return [*command[:2], b"REPLACE", *command[2:]]
    if words[:2] == [b"FUNCTION", b"RESTORE"] and len(command) == len(words):
        return [*command, b"REPLACE"]
    return command
