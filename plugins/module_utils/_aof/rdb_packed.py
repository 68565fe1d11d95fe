# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which elements are in a value that a server keeps in one piece: a listpack, a ziplist, an intset or a zipmap?

All give bytes, as a client would read them, and raise :class:`BadPacked` for what is none.
"""

from __future__ import annotations

import struct
import typing as t

Elements = t.Iterator[bytes]

_END = 0xFF
#: First bytes of integers, and how long the integers are.
_LISTPACK_INTEGERS = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}
_ZIPLIST_INTEGERS = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}


class BadPacked(Exception):
    """The bytes are not what they should be."""


def listpack(data: bytes) -> Elements:
    """The elements of a listpack."""
    at, end = 6, len(data) - 1
    if end < at or int.from_bytes(data[:4], "little") != len(data) or data[end] != _END:
        raise BadPacked
    while at < end:
        first = data[at]
        if first < 0x80:
            yield b"%d" % first
            at += 2
            continue
        if first >= 0xF1:
            size = _LISTPACK_INTEGERS.get(first)
            if size is None:
                raise BadPacked
            yield b"%d" % int.from_bytes(data[at + 1 : at + 1 + size], "little", signed=True)
            at += size + 2
            continue
        if 0xC0 <= first < 0xE0:
            number = (first & 0x1F) << 8 | data[at + 1]
            yield b"%d" % (number - 0x2000 if number >= 0x1000 else number)
            at += 3
            continue
        if first < 0xC0:
            start, size = at + 1, first & 0x3F
        elif first < 0xF0:
            start, size = at + 2, (first & 0x0F) << 8 | data[at + 1]
        else:
            start, size = at + 5, int.from_bytes(data[at + 1 : at + 5], "little")
        if start + size > end:
            raise BadPacked
        yield data[start : start + size]
        size += start - at
        at += size
        at += _size_of_back_length(size, data[at])
    if at != end:
        raise BadPacked


def _size_of_back_length(size: int, first: int) -> int:
    """How many bytes behind an element tell how long it is; ``first`` is the first of them, the highest seven bits.

    Redis, and Valkey before 9, take one more than is needed for 16383 and the like: then the first is 0.
    """
    needed = 1 if size < 1 << 7 else 2 if size < 1 << 14 else 3 if size < 1 << 21 else 4 if size < 1 << 28 else 5
    return needed + 1 if first == 0 else needed


def ziplist(data: bytes) -> Elements:
    """The elements of a ziplist."""
    at, end = 10, len(data) - 1
    if end < at or int.from_bytes(data[:4], "little") != len(data) or data[end] != _END:
        raise BadPacked
    while at < end:
        at += 5 if data[at] == 0xFE else 1
        first = data[at]
        if first < 0xC0:
            if first < 0x40:
                start, size = at + 1, first
            elif first < 0x80:
                start, size = at + 2, (first & 0x3F) << 8 | data[at + 1]
            else:
                start, size = at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
            at = start + size
            if at > end:
                raise BadPacked
            yield data[start:at]
        elif 0xF1 <= first <= 0xFD:
            yield b"%d" % ((first & 0x0F) - 1)
            at += 1
        else:
            width = _ZIPLIST_INTEGERS.get(first)
            if width is None:
                raise BadPacked
            yield b"%d" % int.from_bytes(data[at + 1 : at + 1 + width], "little", signed=True)
            at += 1 + width
    if at != end:
        raise BadPacked


def intset(data: bytes) -> Elements:
    """The members of a set of integers."""
    if len(data) < 8:
        raise BadPacked
    width, count = struct.unpack_from("<II", data)
    layout = {2: "h", 4: "i", 8: "q"}.get(width)
    if layout is None or len(data) != 8 + width * count:
        raise BadPacked
    for (number,) in struct.iter_unpack(f"<{layout}", data[8:]):
        yield b"%d" % number


def zipmap(data: bytes) -> Elements:
    """The fields and the values of a small hash, as Redis 2.4 kept them."""
    at, end = 1, len(data) - 1
    if end < at or data[end] != _END:
        raise BadPacked
    is_value = False
    while at < end:
        size, at = data[at], at + 1
        if size == 0xFE:
            size, at = int.from_bytes(data[at : at + 4], "little"), at + 4
        free = 0
        if is_value:
            free, at = data[at], at + 1
        if at + size + free > end:
            raise BadPacked
        yield data[at : at + size]
        at += size + free
        is_value = not is_value
    if at != end or is_value:
        raise BadPacked


def pairs(elements: Elements) -> t.Iterator[tuple[bytes, bytes]]:
    """Two and two of them."""
    for first in elements:
        second = next(elements, None)
        if second is None:
            raise BadPacked
        yield first, second
