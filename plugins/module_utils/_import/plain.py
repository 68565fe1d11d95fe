# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The rewritten part of an AOF, sent plain.

Every key stands once there, its commands together, so the order of keys does not matter and most commands may run
twice: runs of ``SET key value`` travel as ``MSET``, everything else as the raw bytes of the file, nothing in a
transaction. A later run goes on from the last checkpoint, with a ``DEL`` before what must not run twice.
"""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import first_key
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import (
    Annotation,
    Block,
    Frame,
    LargeCommand,
    Skipped,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.made_block import SET, MadeBlock, is_plain_set
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import (
    Batch,
    Cursor,
    database_after,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster_pipe import Part as RoutedPart
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster_pipe import Singles
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import FileRange
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Rewind, Session
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import CheckpointRequest, Link
from ansible_collections.redisops.tair.plugins.module_utils._import.zone import Zone
from ansible_collections.redisops.tair.plugins.module_utils._replies import meaning
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, encode

#: Of one MSET: each costs the server a reply and us a wake-up. It makes room for 1024 arguments at first.
MSET_PAIRS = 511

_FUNCTION_LOAD = (b"FUNCTION", b"LOAD")
#: Commands that a rewrite begins a key with and that give the same key when they are run twice.
_IDEMPOTENT = frozenset((b"SET", b"SADD", b"ZADD", b"HMSET", b"HSET", b"HSETEX", b"RESTORE"))


#: The most frequent of a rewrite whose key is the first argument.
_KEY_FIRST = frozenset((*_IDEMPOTENT, b"RPUSH", b"XADD", b"PEXPIREAT"))


def send_plain(
    session: Session,
    pipe: Link,
    part: Part,
    frames: t.Iterable[Frame],
    *,
    is_last: t.Callable[[], bool] = lambda: True,
) -> None:
    """Send what ``frames`` give of a rewritten part and wait until all of it is confirmed.

    ``is_last``: tells, when there are no more, whether nothing else of the part is going to be sent.
    """
    _PlainSender(session, pipe, part).send(frames, is_last)


class _PlainSender:
    def __init__(self, session: Session, pipe: Link, part: Part) -> None:
        self._session = session
        self._pipe = pipe
        self._part = part
        self._zone = Zone(session, pipe, part)
        self._database = session.checkpoint.db

    def send(self, frames: t.Iterable[Frame], is_last: t.Callable[[], bool]) -> None:
        session, pipe, zone = self._session, self._pipe, self._zone
        begun_at = session.checkpoint
        cursor = Cursor(begun_at.position, begun_at.db)
        batches = plain_batches(
            self._part,
            frames,
            cursor,
            careful_until=zone.careful_until,
            gather=lambda: session.gather,
            routed=session.topology.routed,
        )
        for batch in batches:
            while not zone.holds(batch.end):
                if pipe.idle:
                    zone.extend(batch.end)
                pipe.wait()
                self._confirm()
            pipe.submit(batch)
            self._confirm()
            zone.keep_up()
        self._drain()
        if cursor.position > begun_at.position:
            zone.close(cursor.position, cursor.database, last=is_last())
            self._drain()

    def _drain(self) -> None:
        while not self._pipe.idle:
            self._pipe.wait()
            self._confirm()

    def _confirm(self) -> None:
        """Take in what the target has answered."""
        session = self._session
        for done in self._pipe.finished():
            if isinstance(done, CheckpointRequest):
                self._zone.confirm(done)
            elif isinstance(done, Batch):
                if done.starts_key:
                    self._zone.reach(done.start, self._database)
                session.outcome.changed = True
                record_errors(session, done)
                self._database = done.database
                session.confirm(done)


def record_errors(session: Session, batch: Batch) -> None:
    """Count the errors among the replies to a batch. Raises what :meth:`Session.add_error` does, and :class:`Rewind`."""
    if ErrorReply not in map(type, batch.replies):
        return
    commands = list(session.commands_of(batch))
    for number, reply in enumerate(batch.replies[: batch.gathered]):
        if isinstance(reply, ErrorReply):
            if (row := meaning(str(reply))) and row.about != "command":
                gathered = [found for found in commands if is_plain_set(found.command)]
                session.add_error(gathered[number * MSET_PAIRS], reply)
            # An MSET is refused as a whole. Go back and send each SET by itself: that tells which key it is about,
            # and a user who may SET but not MSET gets on.
            session.gather = False
            raise Rewind
    if batch.gathered:
        commands = [found for found in commands if not is_plain_set(found.command)]
    answers = batch.answers or range(-batch.gathered, len(batch.replies) - batch.gathered)
    for reply, answered in zip(batch.replies, answers):
        if isinstance(reply, ErrorReply) and answered is not None:
            session.add_error(commands[answered], reply)


def plain_batches(
    part: Part,
    frames: t.Iterable[Frame],
    cursor: Cursor,
    *,
    careful_until: int,
    gather: t.Callable[[], bool],
    routed: bool = False,
) -> t.Iterator[Batch]:
    """Batches of a rewritten part.

    Up to ``careful_until`` a killed run may have applied some of the commands already: there every command goes by
    itself, after a ``DEL`` where a key begins whose commands must not run twice. ``gather``: whether MSET may be used.
    ``routed``: for a cluster, where every command goes to the node of its key and there is no database to select.
    """
    careful = cursor.position < careful_until
    for frame in frames:
        if isinstance(frame, (Annotation, Skipped)):
            cursor.position = part.position_of(frame.end)
            if isinstance(frame, Skipped):
                cursor.database = frame.database
            continue
        for piece in [frame] if isinstance(frame, LargeCommand) else _split_at_select(frame):
            first, last = keys_at_ends(piece)
            start = part.position_of(piece.start)
            starts_key = first is None or first != cursor.key
            careful = careful and not (starts_key and start >= careful_until)
            if isinstance(piece, LargeCommand):
                batch = _large(part, piece, delete=careful and starts_key, routed=routed)
            elif careful:
                batch = _one_by_one(piece, cursor.key, careful=True, routed=routed)
            elif routed:
                batch = _divisible(piece) or _one_by_one(piece, cursor.key, careful=False, routed=True)
            else:
                batch = _gathered(piece) if gather() else _raw(piece)
            database = cursor.database
            if isinstance(piece, Block):
                cursor.database = database_after(piece, cursor.database)
            cursor.key, cursor.position = last, part.position_of(piece.end)
            batch.start, batch.end, batch.starts_key = start, cursor.position, starts_key
            batch.block = piece if part.preamble is not None and isinstance(piece, Block) else None
            batch.database_before, batch.database = database, cursor.database
            if isinstance(piece, Block) and piece.names == {b"SELECT"}:
                batch.databases = ()
            yield batch


def keys_at_ends(piece: Block | LargeCommand) -> tuple[bytes | None, bytes | None]:
    if isinstance(piece, LargeCommand):
        return piece.key, piece.key
    return first_key(piece.commands[0]), first_key(piece.commands[-1])


def _split_at_select(block: Block) -> t.Iterator[Block]:
    """The block in pieces, each SELECT in one of its own: SETs must not be gathered across it."""
    if b"SELECT" not in block.names or len(block.commands) == 1:
        yield block
        return
    selects = [at for at, command in enumerate(block.commands) if command[0] == b"SELECT"]
    yield from block.pieces(sorted({0, len(block.commands), *selects, *(at + 1 for at in selects)}))


def _raw(block: Block) -> Batch:
    return Batch([block.data], len(block.data), len(block.commands), commands=block.of_aof)


def _gathered(block: Block) -> Batch:
    """SETs first, gathered into MSETs, then the other commands as they stand."""
    commands, header = block.commands, len(SET)
    pairs: list[bytes] = []
    others: list[bytes] = []
    if isinstance(block, MadeBlock):
        pairs, others = block.pairs, block.others
    elif block.names == {b"SET"} and set(map(len, commands)) == {3}:
        data, ends = block.data, itertools.accumulate(block.sizes)
        pairs = [data[end - size + header : end] for end, size in zip(ends, block.sizes)]
    else:
        data, position = block.data, 0
        run: int | None = None  # where the run of other commands began that ends at `position`
        for command, size in zip(commands, block.sizes):
            if len(command) == 3 and command[0] == b"SET":
                if run is not None:
                    others.append(data[run:position])
                    run = None
                pairs.append(data[position + header : position + size])
            elif run is None:
                run = position
            position += size
        if run is not None:
            others.append(data[run:])
    if len(pairs) < 2:
        return _raw(block)
    parts: list[bytes] = []
    for low in range(0, len(pairs), MSET_PAIRS):
        some = pairs[low : low + MSET_PAIRS]
        parts.append(b"*%d\r\n$4\r\nMSET\r\n" % (2 * len(some) + 1))
        parts += some
    payload = b"".join(parts + others)
    msets = -(-len(pairs) // MSET_PAIRS)
    replies = msets + len(commands) - len(pairs)
    return Batch([payload], len(payload), replies, commands=block.of_aof, gathered=msets)


def _divisible(block: Block) -> Batch | None:
    """Command by command, for the nodes of a cluster; None where one has no key."""
    keys = [command[1] if command[0] in _KEY_FIRST else first_key(command) for command in block.commands]
    if None in keys:
        return None
    singles = Singles(t.cast("list[bytes]", keys), block.raws)
    return Batch([], sum(block.sizes), len(keys), routed=singles, commands=block.of_aof)


def _one_by_one(block: Block, key: bytes | None, *, careful: bool, routed: bool) -> Batch:
    """Command by command; ``careful``: so that running them a second time gives the same keys.

    ``key``: of the command before.
    """
    sent: list[tuple[bytes | None, bytes]] = []
    answers: list[int | None] = []
    position = 0
    for number, (command, size) in enumerate(zip(block.commands, block.sizes)):
        raw = block.data[position : position + size]
        position += size
        name = command[0]
        if name == b"SELECT" and routed:
            continue
        previous, key = key, first_key(command)
        if careful and key is not None and key != previous and name not in _IDEMPOTENT:
            sent.append((key, encode((b"DEL", key))))
            answers.append(None)
        elif careful and tuple(command[:2]) == _FUNCTION_LOAD and command[2].upper() != b"REPLACE":
            raw = encode((*command[:2], b"REPLACE", *command[2:]))
        sent.append((key, raw))
        answers.append(number)
    batch = Batch([], 0, len(sent), commands=block.of_aof, answers=answers)
    if routed:
        batch.routed = [RoutedPart(key, (raw,), len(raw)) for key, raw in sent]
        batch.size = sum(part.size for part in batch.routed)
    else:
        payload = b"".join([raw for _key, raw in sent])
        batch.parts, batch.size = [payload], len(payload)
    return batch


def _large(part: Part, large: LargeCommand, *, delete: bool, routed: bool) -> Batch:
    raw = FileRange(part.fd, large.start, large.end, str(part.path))
    size = large.end - large.start
    prefix = encode((b"DEL", large.key)) if delete and large.name not in _IDEMPOTENT else b""
    answers: list[int | None] = [None, 0] if prefix else [0]
    batch = Batch([prefix, raw], len(prefix) + size, len(answers), commands=1, answers=answers)
    if routed:
        batch.routed = [RoutedPart(large.key, (raw,), size)]
        if prefix:
            batch.routed.insert(0, RoutedPart(large.key, (prefix,), len(prefix)))
    return batch
