# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which commands may be in a file, found without reading it command by command, at about 900 MB a second.

What looks like the beginning of a command may be in a value. So this finds every name that a file can hold and perhaps others:
a name that is not found is not there, a name that is found is to be proved by :class:`Frames`.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.data_commands import CONTAINERS
from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import MAX_HEADER

_ARRAY = rb"\*[0-9]+\r\n\$"
#: Small enough to stay in a processor's cache between reading and searching.
_READ_BYTES = 256 * 1024
#: Of a name or an argument; what is longer is cut after one byte more.
_LONGEST = 64
#: The longest head that is read: three header lines, a name and an argument.
_MARGIN = 3 * MAX_HEADER + 2 * _LONGEST + 8
#: Distinct heads, after which every command is read instead: the values hold what looks like commands.
_MOST = 400
_LENGTH = re.compile(rb"([0-9]{1,30})\r\n")


@dataclass(frozen=True)
class Head:
    """The beginning of what may be a command, at ``offset`` of the file.

    ``name``: as written, cut after 65 bytes. ``argument``: the first, of the commands where that decides; else empty.
    """

    offset: int
    name: bytes
    argument: bytes = b""


def head_of(name: bytes, argument: bytes) -> tuple[bytes, bytes]:
    """Return name and argument of a command as its head has them."""
    return name[: _LONGEST + 1], argument[: _LONGEST + 1] if wants_argument(name) else b""


def is_too_long(name: bytes) -> bool:
    """Whether the name of a head is cut; no server has a command with such a name."""
    return len(name) > _LONGEST


def wants_argument(name: bytes) -> bool:
    """Whether the first argument of a command is a part of its head."""
    name = name.upper()
    return name == b"SELECT" or name in CONTAINERS


class HeadScan:
    """Each distinct head between two offsets of a file, once. ``overflowed``: whether there were too many to find all.

    ``mentioned``: whether the bytes that were read hold ``word``, of at most 64 bytes.
    """

    def __init__(self, fd: int, start: int, end: int, *, word: bytes) -> None:
        self._fd = fd
        self._start = start
        self._end = end
        self._word = word
        self.overflowed = False
        self.mentioned = False

    def __iter__(self) -> t.Iterator[Head]:
        seen: list[bytes] = []
        pattern = re.compile(_ARRAY)
        buffer = bytearray(_MARGIN + _READ_BYTES)
        view = memoryview(buffer)
        offset, kept, count = self._start, 0, 0
        while offset < self._end:
            read = os.preadv(self._fd, [view[kept : kept + min(_READ_BYTES, self._end - offset)]], offset)
            if not read:
                return  # it became shorter: whoever reads it command by command reports that
            offset += read
            length, position = kept + read, 0
            self.mentioned = self.mentioned or buffer.find(self._word, 0, length) >= 0
            kept = min(_MARGIN, length)
            while (found := pattern.search(buffer, position, length)) is not None:
                position = found.start()
                if offset < self._end and position > length - _MARGIN:
                    kept = length - position
                    break
                head = _head(buffer, found.end(), length)
                if head is None:
                    position += 1
                    continue
                name, argument, literal = head
                yield Head(offset - length + position, name, argument)
                count += 1
                if count == _MOST:
                    self.overflowed = True
                    return
                if literal:
                    seen.append(re.escape(literal))
                    pattern = re.compile(_ARRAY + b"(?!" + b"|".join(seen) + b")")
                else:
                    position += 1
            buffer[:kept] = buffer[length - kept : length]


def _head(buffer: bytearray, position: int, end: int) -> tuple[bytes, bytes, bytes] | None:
    """Return name, argument and the bytes from ``position`` on by which the same head is known; None where it is cut off.

    No bytes where an argument is wanted and there is none: others of this name may have one.
    """
    length = _LENGTH.match(buffer, position, end)
    name, name_end = _value(buffer, length, end) if length is not None else (None, 0)
    if name is None:
        return None
    if not wants_argument(name):
        return name, b"", bytes(buffer[position:name_end])
    is_followed = buffer[name_end + 2 : name_end + 3] == b"$"
    length = _LENGTH.match(buffer, name_end + 3, end) if is_followed else None
    argument, argument_end = _value(buffer, length, end) if length is not None else (None, 0)
    return (name, b"", b"") if argument is None else (name, argument, bytes(buffer[position:argument_end]))


def _value(buffer: bytearray, length: re.Match[bytes], end: int) -> tuple[bytes | None, int]:
    """Return the value after its length, cut after one byte more than the longest that counts, and where that ends."""
    start = length.end()
    stop = start + min(int(length[1]), _LONGEST + 1)
    return (bytes(buffer[start:stop]), stop) if stop <= end else (None, end)
