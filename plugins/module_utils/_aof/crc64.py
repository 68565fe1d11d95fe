# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which checksum do bytes of an RDB have? CRC-64 by Jones' polynomial, as at the end of an RDB and of DUMP's payloads.

By anycrc where it is installed (15 GB a second), and otherwise by a table in plain Python: 20 MB a second, so that no
host needs a library for it.
"""

from __future__ import annotations

import functools
import sys
import typing as t

try:
    import anycrc
except ImportError:
    anycrc = None

Buffer = t.Union[bytes, memoryview]
Checksum = t.Callable[[Buffer, int], int]
"""The checksum of more bytes, continuing from the one of the bytes before them; 0 at the beginning."""

_POLYNOMIAL = 0x95AC9329AC4BC9B5  # 0xad93d23594c935a9, the lowest bit first


def crc64(data: Buffer, value: int = 0) -> int:
    """The checksum of ``data``, continuing from ``value``."""
    return checksum()(data, value)


@functools.cache
def checksum(use_anycrc: bool = True) -> Checksum:
    """The fastest function there is."""
    if use_anycrc and anycrc is not None:
        return t.cast(Checksum, anycrc.Model("CRC64-REDIS").calc)
    return _plain


def _plain(data: Buffer, value: int) -> int:
    view = memoryview(data)
    even = len(view) & ~1 if sys.byteorder == "little" else 0
    pairs, single = _pairs(), _bytes()
    for pair in view[:even].cast("H"):
        value = pairs[(value ^ pair) & 0xFFFF] ^ value >> 16
    for byte in view[even:]:
        value = single[(value ^ byte) & 0xFF] ^ value >> 8
    return value


@functools.cache
def _bytes() -> list[int]:
    """What a byte makes of a checksum of 0."""
    table = []
    for value in range(256):
        for _bit in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


@functools.cache
def _pairs() -> list[int]:
    """The same for two bytes, read as a number, the first one the lower: half as many steps."""
    table = _bytes()
    return [table[(table[low] ^ high) & 0xFF] ^ table[low] >> 8 for high in range(256) for low in range(256)]
