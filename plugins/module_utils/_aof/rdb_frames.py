# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""From an RDB to commands, in blocks like those of an AOF.

Strings become ``SET``, which importers can gather. Any other value is given to the target as it stands, by ``RESTORE``,
where it takes that; else by the commands that build it. Each command's place is where its key's record begins: there a
later walk can go on.
"""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Skipped
from ansible_collections.redisops.tair.plugins.module_utils._aof.made_block import SET, MadeBlock, is_plain_set
from ansible_collections.redisops.tair.plugins.module_utils._aof.preamble import Preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry, Function, MemberExpiry, Run
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import Restorer, restore_command
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import (
    NEWEST,
    commands,
    function_command,
    member_expiry_command,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import INTEGERS
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, encode

#: A longer value is not restored as a whole, which would have to be held: it is built piece by piece.
LONGEST_RESTORED = 1 << 20
#: Of a SET what stands behind its name.
_PAIR = b"$%d\r\n%b\r\n$%d\r\n%b\r\n"


@dataclass(frozen=True)
class RdbTarget:
    """What a target takes."""

    accepted: int = 0
    """The newest RDB version of its RESTORE; 0 where it can't be used."""
    level: tuple[int, int] = NEWEST
    """The version of Redis whose commands it knows."""
    keydb: bool = True
    """Whether it knows KeyDB's command for a member that expires."""


class RdbFrames:
    """The records from ``start`` to ``stop`` of an RDB.

    ``start``: its beginning, or the place of a command; ``stop``: such a place, or its end. ``database``: of the keys at
    ``start``. ``takes``: whether a key of a database is wanted at all. Nothing but :class:`Block` and :class:`Skipped` is
    given. Raises :class:`AofFormatError`.
    """

    def __init__(
        self,
        fd: int,
        start: int,
        stop: int,
        *,
        where: str,
        preamble: Preamble,
        database: int,
        target: RdbTarget,
        takes: t.Callable[[bytes, int], bool] | None = None,
        block_bytes: int = 64 * 1024,
    ) -> None:
        self._fd = fd
        self._start = start
        self._stop = stop
        self._where = where
        self._preamble = preamble
        self._version = preamble.version
        self._database = database
        self._target = target
        self._restored = Restorer(preamble.version, target.accepted).command
        self._takes = takes
        self._block_bytes = block_bytes
        self._block = _Pending(start, database)
        self._reached = start

    def __iter__(self) -> t.Iterator[Block | Skipped]:
        rdb = self._preamble.walk(self._start, self._database)
        for found in rdb.runs():
            if self._reached >= self._stop:
                break
            if isinstance(found, Run):
                yield from self._of_run(found)
            elif isinstance(found, Entry):
                yield from self._in_database(found.database)
                raw = rdb.raw(found) if found.end - found.start <= LONGEST_RESTORED else None
                yield from self._of_entry(found, raw)
            else:
                for command in self._of_no_key(found):
                    self._block.add(*_in_full(command), self._reached)
                # Behind the number of another database no walk can begin before its SELECT is given.
                if rdb.database == self._block.database:
                    self._reached = rdb.reached
        yield self._block.until(self._stop)

    def _in_database(self, database: int) -> t.Iterator[Block | Skipped]:
        """Begin another block where the keys that follow are of another database."""
        block, place = self._block, self._reached
        if database == block.database:
            return
        if block.start < place or block.size:  # the last piece of a key has no bytes of the file of its own
            yield block.until(place)
        self._block = _Pending(place, database)
        select: Command = [b"SELECT", b"%d" % database]
        self._block.add(*_in_full(select), place)

    def _of_run(self, run: Run) -> t.Iterator[Block | Skipped]:
        """Keys that are at hand. Nothing that can wait is done for each, as there may be millions of them."""
        yield from self._in_database(run.database)
        data, base, database = run.data, run.base, run.database
        takes, stop, most = self._takes, self._stop, self._block_bytes
        restored, uncompressed = self._restored, _uncompressed
        block, reached = self._block, self._reached
        for key, expiry, rdb_type, start, end in run.rows:
            place = reached
            if place >= stop:
                break
            reached = base + end
            if takes is not None and not takes(key, database):
                continue
            value = uncompressed(data, start, end) if rdb_type == rdb_types.STRING and expiry is None else None
            if value is not None:
                raw = _PAIR % (len(key), key, len(value), value)
                block.commands.append([b"SET", key, value])
                block.pairs.append(raw)
            else:
                whole = restored(key, expiry, rdb_type, data[start:end])
                if whole is None:
                    self._reached = place
                    yield from self._of_entry(Entry(key, database, expiry, rdb_type, base + start, base + end), None)
                    block = self._block
                    continue
                command, raw = whole
                block.commands.append(command)
                block.others.append(raw)
            block.places.append(place)
            block.size += len(raw)
            if block.size >= most:
                self._reached = reached
                yield from self._if_full()
                block = self._block
        self._reached = reached

    def _of_entry(self, entry: Entry, raw: bytes | None) -> t.Iterator[Block | Skipped]:
        """A key by the commands that make it. ``raw``: its value, where it may be restored from that."""
        place, self._reached = self._reached, entry.end
        if self._takes is not None and not self._takes(entry.key, entry.database):
            return
        whole = self._at_once(entry, raw)
        if whole is not None:
            self._block.add(*whole, place)
        else:
            for command in commands(self._fd, entry, self._version, where=self._where, target=self._target.level):
                # Of a value in pieces the first one stands for all of its bytes.
                yield from self._if_full()
                self._block.add(*_in_full(command), place)
        yield from self._if_full()

    def _if_full(self) -> t.Iterator[Block | Skipped]:
        """The block, where it is long enough, and another one is begun."""
        if self._block.size >= self._block_bytes:
            yield self._block.until(self._reached)
            self._block = _Pending(self._reached, self._block.database)

    def _at_once(self, entry: Entry, raw: bytes | None) -> tuple[Command, bytes] | None:
        """The one command that makes a key, and the same as bytes; None where it takes others, or is long."""
        if raw is not None and entry.type == rdb_types.STRING and entry.expiry is None:
            value = _uncompressed(raw, 0, len(raw))
            if value is not None:
                return _in_full([b"SET", entry.key, value])
        unbuildable = entry.type in rdb_types.UNBUILDABLE
        if unbuildable and raw is None and self._target.accepted:
            raw = os.pread(self._fd, entry.end - entry.start, entry.start)
        whole = self._restored(entry.key, entry.expiry, entry.type, raw) if raw is not None else None
        if whole is None and unbuildable:
            # The target refuses it, and so it counts as the error that it is.
            whole = _in_full(restore_command(entry.key, entry.expiry, b""))
        return whole

    def _of_no_key(self, record: t.Any) -> list[Command]:
        if isinstance(record, Function):
            return [function_command(record)]
        if isinstance(record, MemberExpiry) and (self._takes is None or self._takes(record.key, record.database)):
            now = time.time() * 1000
            return [member_expiry_command(record, self._version, keydb=self._target.keydb, now=now)]
        return []


def _in_full(command: Command) -> tuple[Command, bytes]:
    """A command, and the same as bytes."""
    return command, encode(command)


def _uncompressed(data: bytes, start: int, end: int) -> bytes | None:
    """The string from ``start`` to ``end``; None where it is compressed or takes a longer length."""
    first = data[start]
    if first < 0x40:
        return data[start + 1 : end]
    if first < 0x80:
        return data[start + 2 : end]
    if first in INTEGERS:
        return b"%d" % int.from_bytes(data[start + 1 : end], "little", signed=True)
    return None


class _Pending:
    """What the next block will hold, from ``start`` of the file on."""

    def __init__(self, start: int, database: int) -> None:
        self.start = start
        self.database = database
        self.size = 0
        self.commands: list[Command] = []
        self.pairs: list[bytes] = []
        self.others: list[bytes] = []
        self.places: list[int] = []

    def add(self, command: Command, raw: bytes, place: int) -> None:
        self.commands.append(command)
        if is_plain_set(command):
            self.pairs.append(raw[len(SET) :])
        else:
            self.others.append(raw)
        self.places.append(place)
        self.size += len(raw)

    def until(self, end: int) -> Block | Skipped:
        if not self.commands:
            return Skipped(self.start, end, self.database)
        return MadeBlock(self.start, end, self.commands, self.places, self.database, self.pairs, self.others)
