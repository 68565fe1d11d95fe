# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which elements are in a value that a server keeps in one piece: a listpack, a ziplist, an intset or a zipmap?

All give bytes, as a client would read them, and raise :class:`BadPacked` for a value that is damaged in any way: every
length, count and link back is checked, as ``sanitize-dump-payload yes`` of a server does.
"""

from __future__ import annotations

import struct
import typing as t

Elements = t.Iterator[bytes]

_END = 0xFF
#: First bytes of integers, and how long the integers are.
_LISTPACK_INTEGERS = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}
_ZIPLIST_INTEGERS = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}
#: The number of elements in a header that stands for any number.
_UNCOUNTED = 0xFFFF
#: By the first byte of a listpack's element, the bytes to the next one; 0 for what is longer or no element.
_STEPS = (
    *(2 for _first in range(0x80)),
    *(length + 2 for length in range(0x40)),
    *(3 for _first in range(0xC0, 0xE0)),
    *(_LISTPACK_INTEGERS.get(first, -2) + 2 for first in range(0xE0, 0x100)),
)


class BadPacked(Exception):
    """The bytes are damaged; the text names what was expected instead."""


class Listpack:
    """The elements of a listpack, all of them checked.

    ``wide``: whether an element of 16383 bytes has its length behind it in two bytes, as Valkey 9 writes it, and not in
    three; None accepts both.
    """

    __slots__ = ("_data", "_starts")
    _data: bytes
    _starts: list[int]

    def __init__(self, data: bytes, *, wide: bool | None = None) -> None:
        at, end = 6, len(data) - 1
        if end < at or int.from_bytes(data[:4], "little") != len(data) or data[end] != _END:
            raise BadPacked("a listpack of the length that its header has")
        steps = _STEPS
        starts: list[int] = []
        found = starts.append
        try:
            while at < end:
                found(at)
                step = steps[data[at]]
                if step:
                    at += step
                    if data[at - 1] != step - 1:
                        raise BadPacked("the length of a listpack's element, behind it")
                else:
                    at = _after(data, at, end, wide)
        except IndexError:
            raise BadPacked("the end of a listpack") from None
        count = data[4] | data[5] << 8
        if at != end:
            raise BadPacked("the end of a listpack")
        if count != len(starts) and count != _UNCOUNTED:
            raise BadPacked(f"a listpack of {count} elements")
        found(end)
        self._data = data
        self._starts = starts

    def __len__(self) -> int:
        return max(0, len(self._starts) - 1)

    def __iter__(self) -> Elements:
        data = self._data
        for at, end in zip(self._starts, self._starts[1:]):
            yield _element(data, at, end)

    def integer(self, index: int) -> int | None:
        """Return the integer that an element is; None for a string. Raises :class:`IndexError`."""
        at, end = self._starts[index], self._starts[index + 1]
        first = self._data[at]
        if first < 0x80:
            return first
        return int(_element(self._data, at, end)) if 0xC0 <= first < 0xE0 or first in _LISTPACK_INTEGERS else None

    def every(self, width: int) -> list[bytes]:
        """Return each ``width``-th element from the first one on, in a form that is equal for equal elements."""
        data, starts = self._data, self._starts
        firsts, ends = starts[:-1:width], starts[1::width]
        some = [data[at:end] for at, end in zip(firsts, ends)]
        if some and (min(some) < b"\x80" or max(some) >= b"\xc0"):
            # Servers keep a number as an integer, and a short string with a short header. Damage need not.
            return [_element(data, at, end) for at, end in zip(firsts, ends)]
        return some


def listpack(data: bytes) -> Elements:
    """Return the elements of a listpack."""
    return iter(Listpack(data))


def _after(data: bytes, at: int, end: int, wide: bool | None) -> int:
    """Return where the long string ends that begins at ``at``, with its length behind it."""
    first = data[at]
    if 0xE0 <= first < 0xF0:
        size = 2 + ((first & 0x0F) << 8 | data[at + 1])
    elif first == 0xF0:
        size = 5 + int.from_bytes(data[at + 1 : at + 5], "little")
    else:
        raise BadPacked("an element of a listpack")
    at += size
    if at >= end:
        raise BadPacked("the end of a listpack")
    for most_in in (wide,) if wide is not None else (False, True):
        back = _back_length(size, most_in)
        if data.startswith(back, at) and at + len(back) <= end:
            return at + len(back)
    raise BadPacked("the length of a listpack's element, behind it")


def _back_length(size: int, wide: bool) -> bytes:
    """Return the bytes behind an element of ``size`` bytes: seven bits in each, the highest first."""
    count = 1
    while count < 5 and size >= (1 << 7 * count) - (count > 1 and not wide):
        count += 1
    return bytes([size >> 7 * (count - 1), *(size >> 7 * left & 127 | 128 for left in range(count - 2, -1, -1))])


def _element(data: bytes, at: int, end: int) -> bytes:
    """Return the element of a listpack from ``at`` to ``end``, which is known to be sound."""
    first = data[at]
    if first < 0x80:
        return b"%d" % first
    if first < 0xC0:
        return data[at + 1 : end - 1]
    if first < 0xE0:
        number = (first & 0x1F) << 8 | data[at + 1]
        return b"%d" % (number - 0x2000 if number >= 0x1000 else number)
    if first < 0xF0:
        return data[at + 2 : at + 2 + ((first & 0x0F) << 8 | data[at + 1])]
    if first == 0xF0:
        return data[at + 5 : at + 5 + int.from_bytes(data[at + 1 : at + 5], "little")]
    return b"%d" % int.from_bytes(data[at + 1 : at + 1 + _LISTPACK_INTEGERS[first]], "little", signed=True)


def ziplist(data: bytes) -> Elements:
    """Return the elements of a ziplist."""
    at, end = 10, len(data) - 1
    if end < at or int.from_bytes(data[:4], "little") != len(data) or data[end] != _END:
        raise BadPacked("a ziplist of the length that its header has")
    last, elements = at, []
    try:
        while at < end:
            before = at - last
            last = at
            told, at = data[at], at + 1
            if told == 0xFE:
                told, at = int.from_bytes(data[at : at + 4], "little"), at + 4
            if told != before:
                raise BadPacked("the length of a ziplist's element, before the next one")
            first = data[at]
            if first < 0xC0:
                if first < 0x40:
                    start, size = at + 1, first
                elif first < 0x80:
                    start, size = at + 2, (first & 0x3F) << 8 | data[at + 1]
                else:
                    start, size = at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
                at = start + size
                elements.append(data[start:at])
            elif 0xF1 <= first <= 0xFD:
                elements.append(b"%d" % ((first & 0x0F) - 1))
                at += 1
            else:
                width = _ZIPLIST_INTEGERS.get(first)
                if width is None:
                    raise BadPacked("an element of a ziplist")
                elements.append(b"%d" % int.from_bytes(data[at + 1 : at + 1 + width], "little", signed=True))
                at += 1 + width
    except IndexError:
        raise BadPacked("the end of a ziplist") from None
    if at != end:
        raise BadPacked("the end of a ziplist")
    count = data[8] | data[9] << 8
    if count != len(elements) and count != _UNCOUNTED:
        raise BadPacked(f"a ziplist of {count} elements")
    tail = int.from_bytes(data[4:8], "little")
    if tail != last and (elements or tail > end):
        raise BadPacked("the offset of a ziplist's last element")
    return iter(elements)


def intset_bounds(data: bytes) -> tuple[str, int]:
    """Return the members' layout, as :mod:`struct` calls it, and their number."""
    if len(data) < 8:
        raise BadPacked("an intset")
    width, count = struct.unpack_from("<II", data)
    layout = {2: "h", 4: "i", 8: "q"}.get(width)
    if layout is None:
        raise BadPacked("an intset's width (2, 4 or 8)")
    if len(data) != 8 + width * count:
        raise BadPacked(f"an intset of {count} members")
    return layout, count


def intset(data: bytes) -> Elements:
    """Return the members of a set of integers."""
    layout, count = intset_bounds(data)
    return (b"%d" % number for number in struct.unpack_from(f"<{count}{layout}", data, 8))


def zipmap(data: bytes) -> Elements:
    """Return the fields and the values of a small hash, as Redis 2.4 kept them."""
    at, end = 1, len(data) - 1
    if end < at or data[end] != _END:
        raise BadPacked("the end of a zipmap")
    elements = []
    is_value = False
    try:
        while at < end:
            size, at = data[at], at + 1
            if size == 0xFE:
                size, at = int.from_bytes(data[at : at + 4], "little"), at + 4
            elif size == 0xFF:
                raise BadPacked("an element of a zipmap")
            free = 0
            if is_value:
                free, at = data[at], at + 1
            elements.append(data[at : at + size])
            at += size + free
            is_value = not is_value
    except IndexError:
        raise BadPacked("the end of a zipmap") from None
    if at != end or is_value:
        raise BadPacked("the end of a zipmap")
    if data[0] < 0xFE and data[0] * 2 != len(elements):
        raise BadPacked(f"a zipmap of {data[0]} fields")
    return iter(elements)


def pairs(elements: Elements) -> t.Iterator[tuple[bytes, bytes]]:
    """Return two and two of the elements."""
    for first in elements:
        second = next(elements, None)
        if second is None:
            raise BadPacked("an even number of elements")
        yield first, second
