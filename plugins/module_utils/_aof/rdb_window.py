# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What stands at this place of an RDB: a length, a string, a number? And where does it end?

The file is read by ``os.pread``, a window at a time: what is skipped is not held, however long it is.
"""

from __future__ import annotations

import os
import struct
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof import lzf
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import Checksum
from ansible_collections.redisops.tair.plugins.module_utils._aof.damage import damaged
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError

BLOCK_BYTES = 256 * 1024
#: What no server takes, as a key or as a value (``proto-max-bulk-len``).
MAX_STRING = 512 * 1024 * 1024

#: First bytes of lengths and of strings that are not kept as they are.
LENGTH_32, LENGTH_64 = 0x80, 0x81
INTEGERS = {0xC0: ("<b", 1), 0xC1: ("<h", 2), 0xC2: ("<i", 4)}
LZF = 0xC3


class Window:
    """A place (``offset``) in a file between ``start`` and ``end``, and the means to go on from there.

    ``checksum``: to be taken of every byte that is passed (``value``). ``data`` and ``at`` are for those who are in a
    hurry: what is read of the file at present, and where in it the place is.

    Every method raises :class:`AofFormatError` where the bytes are not what was asked for.
    """

    def __init__(
        self,
        fd: int,
        start: int,
        end: int,
        *,
        where: str,
        checksum: Checksum | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.data = b""
        self.base = start
        self.at = 0
        self.end = end
        self._fd = fd
        self._where = where
        self._checksum = checksum
        self._value = 0
        self._block_bytes = block_bytes

    @classmethod
    def of(cls, data: bytes, *, where: str, start: int = 0) -> Window:
        """Return a window over bytes that are at hand and stand at ``start`` of what ``where`` names."""
        window = cls(-1, start, start + len(data), where=where)
        window.data = data
        return window

    @property
    def offset(self) -> int:
        return self.base + self.at

    @property
    def value(self) -> int:
        """The checksum of all bytes before ``offset``."""
        self._pass(0)
        return self._value

    def need(self, size: int, expected: str) -> None:
        """Have ``size`` bytes in ``data`` from ``at`` on."""
        missing = size - (len(self.data) - self.at)
        if missing <= 0:
            return
        if size > self.end - self.offset:
            raise self.corrupt(self.end, f"{expected}, which goes on for {size - (self.end - self.offset)} bytes more")
        self._pass(max(missing, self._block_bytes))
        while len(self.data) < size:
            self.data += self._read(self.base + len(self.data), size - len(self.data))

    def more(self) -> None:
        """Read on, so that ``data`` begins here."""
        self._pass(self._block_bytes)

    def _pass(self, size: int) -> None:
        """Let go of what is before ``at``, and read ``size`` bytes more."""
        if self._checksum is not None and self.at:
            self._value = self._checksum(memoryview(self.data)[: self.at], self._value)
        self.data = self.data[self.at :]
        self.base += self.at
        self.at = 0
        if size:
            self.data += self._read(self.base + len(self.data), size)

    def _read(self, offset: int, size: int) -> bytes:
        size = min(size, self.end - offset)
        if size <= 0:
            return b""
        read = os.pread(self._fd, size, offset)
        if not read:
            raise AofFormatError(
                f"{self._where} became shorter while it was read: it ends at {offset}, {self.end} bytes were expected",
                todo="Fetch the AOF again",
                file=self._where,
                offset=offset,
            )
        return read

    # -------------------------------------------------------------------------------------------------- what is read

    def byte(self, expected: str) -> int:
        if self.at >= len(self.data):
            self.need(1, expected)
        self.at += 1
        return self.data[self.at - 1]

    def take(self, size: int, expected: str) -> bytes:
        self.need(size, expected)
        start = self.at
        self.at += size
        return self.data[start : self.at]

    def number(self, layout: str, expected: str) -> t.Any:
        """One number as :mod:`struct` calls it."""
        (number,) = struct.unpack(layout, self.take(struct.calcsize(layout), expected))
        return number

    def length(self, expected: str) -> int:
        """A length, or another number that is kept like one."""
        start = self.offset
        first = self.byte(expected)
        length = self._length(first, expected)
        if length is None:
            raise self.corrupt(start, expected)
        return length

    def _length(self, first: int, expected: str) -> int | None:
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | self.byte(expected)
        if first == LENGTH_32:
            return int.from_bytes(self.take(4, expected), "big")
        if first == LENGTH_64:
            return int.from_bytes(self.take(8, expected), "big")
        return None

    def string(self, expected: str) -> bytes:
        """A string of at most :data:`MAX_STRING` bytes."""
        start = self.offset
        first = self.byte(expected)
        length = self._length(first, expected)
        if length is not None:
            self._refuse_longer(length, start, expected)
            return self.take(length, expected)
        if first in INTEGERS:
            return b"%d" % self.number(INTEGERS[first][0], expected)
        if first != LZF:
            raise self.corrupt(start, expected)
        compressed, length = self.length(expected), self.length(expected)
        self._refuse_longer(max(compressed, length), start, expected)
        if not lzf.could_hold(compressed, length):
            raise self.corrupt(start, f"{expected}, compressed from {length} to no less than {length // 88} bytes")
        try:
            return lzf.decompress(self.take(compressed, expected), length)
        except lzf.BadLzf:
            raise self.corrupt(start, f"{expected}, {compressed} bytes of LZF that give {length}") from None

    def pieces(self, size: int, expected: str) -> t.Iterator[bytes]:
        """A string, at most ``size`` bytes at a time, and at least once. One that is compressed is held as a whole."""
        start = self.offset
        first = self.byte(expected)
        length = self._length(first, expected)
        if length is None:
            self.at -= 1
            whole = self.string(expected)
            yield from (whole[at : at + size] for at in range(0, len(whole) or 1, size))
            return
        self._refuse_longer(length, start, expected)
        yield self.take(min(length, size), expected)
        for at in range(size, length, size):
            yield self.take(min(length - at, size), expected)

    def _refuse_longer(self, length: int, start: int, expected: str) -> None:
        if length > MAX_STRING:
            raise self.corrupt(start, f"{expected} of at most {MAX_STRING} bytes")

    # ----------------------------------------------------------------------------------------------- what is skipped

    def skip(self, size: int, expected: str) -> None:
        here = len(self.data) - self.at
        if size <= here:
            self.at += size
            return
        if size > self.end - self.offset:
            raise self.corrupt(self.end, f"{expected}, which goes on for {size - (self.end - self.offset)} bytes more")
        if self._checksum is None:
            self.base, self.data, self.at = self.offset + size, b"", 0
            return
        while size > here:
            size -= here
            self.at += here
            self.more()
            here = len(self.data)
        self.at += size

    def skip_string(self, expected: str) -> None:
        start = self.offset
        first = self.byte(expected)
        length = self._length(first, expected)
        if length is None:
            if first in INTEGERS:
                length = INTEGERS[first][1]
            elif first == LZF:
                length = self.length(expected)
                self.length(expected)
            else:
                raise self.corrupt(start, expected)
        self.skip(length, expected)

    def skip_strings(self, count: int, expected: str, trailer: int = 0) -> None:
        """Skip ``count`` strings, each followed by ``trailer`` bytes."""
        data, at = self.data, self.at
        size = len(data)
        while count:
            try:
                first = data[at]
                if first < 0x40:
                    end = at + 1 + first + trailer
                elif first < 0x80:
                    end = at + 2 + ((first & 0x3F) << 8 | data[at + 1]) + trailer
                else:
                    end = size + 1
            except IndexError:
                end = size + 1
            if end > size:
                self.at = at
                self.skip_string(expected)
                self.skip(trailer, expected)
                data, end = self.data, self.at
                size = len(data)
            at = end
            count -= 1
        self.at = at

    # ------------------------------------------------------------------------------------------------------- damage

    def corrupt(self, offset: int, expected: str) -> AofFormatError:
        return damaged(self._fd, self._where, offset, expected, is_rdb=True, in_detail=self._fd >= 0)

    def unknown(self, offset: int, what: str) -> AofFormatError:
        return AofFormatError(
            f"{self._where} holds at byte {offset} {what}, which this collection can't read",
            todo="On the source set aof-use-rdb-preamble no and run BGREWRITEAOF: commands can be read",
            file=self._where,
            offset=offset,
            expected="what servers up to Redis 8.10 and Valkey 9.1 write",
        )
