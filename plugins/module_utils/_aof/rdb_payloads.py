# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What does a RESTORE among the commands of an AOF carry, is it sound, and which commands does another target take for it?

Users' RESTORE and MIGRATE write it, and so do servers of a cluster that move slots. The payload is one value of an RDB,
between its type and a footer of ten bytes: the RDB version (two bytes) and a checksum (eight).
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import checksum
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import ARRAY, BULK, MAX_HEADER, read_header
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_extents import module_name
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import Restorer, dumped
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_sanity import Sanity
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_streams import Version
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import commands_in
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import Window
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

RESTORES = frozenset((b"RESTORE", b"RESTORE-ASKING"))
FOOTER = 10
_READ_BYTES = 1 << 20
#: From this version on Redis and Valkey mean different types by the same number.
_PARTED = 12


@dataclass(frozen=True)
class Payload:
    """The payload from ``start`` to ``end`` of a file, or of bytes (``held``)."""

    type: int
    version: int
    start: int
    end: int
    fd: int = -1
    held: bytes = b""

    @property
    def is_known(self) -> bool:
        """Whether the value can be read: its version and type are known."""
        newest = rdb_types.NEWEST
        known = self.version <= newest[b"REDIS"] or rdb_types.VALKEY <= self.version <= newest[b"VALKEY"]
        return known and self.type in rdb_types.types_of(self.version) and self.type != rdb_types.MODULE_PRE_GA

    @property
    def kind(self) -> str:
        """What it holds, in words."""
        if not self.is_known:
            return f"a value of type {self.type} of an RDB of version {self.version}"
        if self.type == rdb_types.MODULE_2:
            return f"a value of the module type {module_name(self.window('a module').length('a number'))}"
        kind = rdb_types.kind_of(self.type, self.version)
        return f"{'an' if kind == 'array' else 'a'} {kind} of an RDB of version {self.version}"

    def window(self, where: str) -> Window:
        """A window over the value."""
        start, end = self.start + 1, self.end - FOOTER
        if self.fd < 0:
            return Window.of(self.held[start:end], where=where)
        return Window(self.fd, start, end, where=where)

    def fault(self) -> str | None:
        """Return what was expected instead of the payload; None if it is sound, or can't be read."""
        value, offset, stop = 0, self.start, self.end - 8
        calculate = checksum()
        while offset < stop:
            data = self._read(offset, min(_READ_BYTES, stop - offset))
            if not data:
                return "the end of a payload"
            value = calculate(data, value)
            offset += len(data)
        if self._read(stop, 8) != value.to_bytes(8, "little"):
            return f"a payload with the checksum {value:#018x}"
        if not self.is_known:
            return None
        return Sanity(self.version).fault(self.window("a payload"), self.type)

    def _read(self, offset: int, size: int) -> bytes:
        return self.held[offset : offset + size] if self.fd < 0 else os.pread(self.fd, size, offset)


def payload_of(command: Command) -> Payload | None:
    """Return what a RESTORE carries; None where there is no payload."""
    if len(command) < 4 or len(command[3]) <= FOOTER:
        return None
    data = command[3]
    return Payload(data[0], int.from_bytes(data[-10:-8], "little"), 0, len(data), held=data)


def payload_in(fd: int, large: LargeCommand) -> Payload | None:
    """Return what a RESTORE carries that is too large to hold; None where there is no payload."""
    position, kind, arguments = large.start, ARRAY, 0
    while arguments < min(large.args, 4):
        header = read_header(os.pread(fd, MAX_HEADER, position), 0, kind, "")
        if header is None:
            return None  # never: the command has been walked over before
        length, size = header
        position += size
        if kind == ARRAY:
            kind = BULK
            continue
        arguments += 1
        if arguments == 4 and length > FOOTER:
            end = position + length
            version = int.from_bytes(os.pread(fd, 2, end - FOOTER), "little")
            return Payload(os.pread(fd, 1, position)[0], version, position, end, fd)
        position += length + 2
    return None


class Restoring:
    """What a target is sent for a RESTORE. ``accepted``: the newest RDB version of its RESTORE, 0 where it can't be used.

    ``level``: the version of Redis whose commands it knows.
    """

    def __init__(self, accepted: int, level: Version) -> None:
        self._accepted = accepted
        self._level = level
        self._restorers: dict[int, Restorer] = {}

    def takes(self, payload: Payload) -> bool:
        """Whether the target takes a payload as it is. Of a module's value it can't be told."""
        version, accepted = payload.version, self._accepted
        if not accepted or version > accepted:
            return False
        if not payload.is_known:
            return False  # what can't be checked could crash it
        if payload.type == rdb_types.MODULE_2:
            return True
        if version >= _PARTED and (version >= rdb_types.VALKEY) != (accepted >= rdb_types.VALKEY):
            return False
        return self._restorer(version).may_restore(payload.type, payload.end - payload.start - 1 - FOOTER)

    def commands(self, command: Command) -> list[Command] | None:
        """Return the commands to send for a RESTORE; None for itself.

        Raises :class:`UnsupportedTypeError` where no commands build the value, and :class:`AofFormatError`.
        """
        payload = payload_of(command)
        if payload is None or self.takes(payload) or not payload.is_known:
            return None
        replace, absolute = _options(command[4:])
        raw = command[3][1:-FOOTER]
        made = self._restorer(payload.version).command(command[1], None, payload.type, raw)
        if made is not None:
            return [[b"RESTORE", *command[1:3], made[0][3], *command[4:]]]
        entry = Entry(command[1], 0, None, payload.type, 0, len(raw))
        built = list(commands_in(payload.window("a payload"), entry, payload.version, target=self._level))
        ttl = command[2]
        if ttl != b"0":
            built.append([b"PEXPIREAT" if absolute else b"PEXPIRE", command[1], ttl])
        if not replace and self._accepted:
            # As the payload's RESTORE would, this one is an error where the key exists.
            guard = dumped(rdb_types.STRING, b"\x01x", min(self._accepted, 6))
            built.insert(0, [b"RESTORE", command[1], b"0", guard])
            built.insert(1, [b"DEL", command[1]])
        else:
            built.insert(0, [b"DEL", command[1]])
        return built

    def concerns_large(self, fd: int, large: LargeCommand) -> bool:
        """Whether other commands have to be sent for a large RESTORE."""
        payload = payload_in(fd, large)
        return payload is not None and payload.is_known and not self.takes(payload)

    def _restorer(self, version: int) -> Restorer:
        if version not in self._restorers:
            self._restorers[version] = Restorer(version, self._accepted)
        return self._restorers[version]


def _options(words: t.Sequence[bytes]) -> tuple[bool, bool]:
    """Return whether REPLACE and ABSTTL are among a RESTORE's options. How long the key was not used has no command."""
    options = {word.upper() for word in words}
    return b"REPLACE" in options, b"ABSTTL" in options
