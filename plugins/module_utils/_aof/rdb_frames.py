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
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Skipped
from ansible_collections.redisops.tair.plugins.module_utils._aof.preamble import Preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Entry, Function, MemberExpiry
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
_SET = b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"


@dataclass(frozen=True)
class RdbTarget:
    """What a target takes."""

    accepted: int = 0
    """The newest RDB version of its RESTORE; 0 where it can't be used."""
    level: tuple[int, int] = NEWEST
    """The version of Redis whose commands it knows."""


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
        self._restorer = Restorer(preamble.version, target.accepted)
        self._takes = takes
        self._block_bytes = block_bytes

    def __iter__(self) -> t.Iterator[Block | Skipped]:
        rdb = self._preamble.walk(self._start, self._database)
        takes, most, at_once = self._takes, self._block_bytes, self._at_once
        block = _Pending(self._start, self._database)
        reached = self._start
        for record in rdb:
            place = reached
            if place >= self._stop:
                break
            if not isinstance(record, Entry):
                for command in self._of_no_entry(record):
                    block.add(command, encode(command), place)
                # Behind the number of another database no walk can begin before its SELECT is given.
                if rdb.database == block.database:
                    reached = rdb.reached
                continue
            reached = record.end
            if record.database != block.database:
                if block.start < place or block.size:  # the last piece of a key has no bytes of the file of its own
                    yield block.until(place)
                block = _Pending(place, record.database)
                select: Command = [b"SELECT", b"%d" % record.database]
                block.add(select, encode(select), place)
            if takes is not None and not takes(record.key, record.database):
                continue
            raw = rdb.raw(record) if record.end - record.start <= LONGEST_RESTORED else None
            whole = at_once(record, raw)
            if whole is not None:
                block.add(*whole, place)
            else:
                for command in commands(self._fd, record, self._version, where=self._where, target=self._target.level):
                    # Of a value in pieces the first one stands for all of its bytes.
                    if block.size >= most:
                        yield block.until(reached)
                        block = _Pending(reached, record.database)
                    block.add(command, encode(command), place)
            if block.size >= most:
                yield block.until(reached)
                block = _Pending(reached, record.database)
        yield block.until(self._stop)

    def _at_once(self, entry: Entry, raw: bytes | None) -> tuple[Command, bytes] | None:
        """The one command that makes a key, and the same as bytes; None where it takes others, or is long."""
        if raw is not None and entry.type == rdb_types.STRING and entry.expiry is None:
            first, key = raw[0], entry.key
            value: bytes | None = None
            if first < 0x40:
                value = raw[1:]
            elif first < 0x80:
                value = raw[2:]
            elif first in INTEGERS:
                value = b"%d" % int.from_bytes(raw[1:], "little", signed=True)
            if value is not None:
                return [b"SET", key, value], _SET % (len(key), key, len(value), value)
        unbuildable = entry.type in rdb_types.UNBUILDABLE
        if self._target.accepted and (raw is not None or unbuildable):
            if raw is None:
                raw = os.pread(self._fd, entry.end - entry.start, entry.start)
            restored = self._restorer.command(entry, raw)
            if restored is not None:
                return restored
        if unbuildable:
            # The target refuses it, and so it counts as the error that it is.
            command = restore_command(entry.key, entry.expiry, b"")
            return command, encode(command)
        return None

    def _of_no_entry(self, record: t.Any) -> list[Command]:
        if isinstance(record, Function):
            return [function_command(record)]
        if isinstance(record, MemberExpiry) and (self._takes is None or self._takes(record.key, record.database)):
            return [member_expiry_command(record)]
        return []


class _Pending:
    """What the next block will hold, from ``start`` of the file on."""

    def __init__(self, start: int, database: int) -> None:
        self.start = start
        self.database = database
        self.size = 0
        self._commands: list[Command] = []
        self._raws: list[bytes] = []
        self._places: list[int] = []

    def add(self, command: Command, raw: bytes, place: int) -> None:
        self._commands.append(command)
        self._raws.append(raw)
        self._places.append(place)
        self.size += len(raw)

    def until(self, end: int) -> Block | Skipped:
        if not self._commands:
            return Skipped(self.start, end, self.database)
        raws = self._raws
        return Block(self.start, end, b"".join(raws), self._commands, list(map(len, raws)), self._places, self.database)
