# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What does a compressed string of an RDB hold? (LZF, as ``rdbcompression yes`` writes it.)"""

from __future__ import annotations

#: How many bytes one can stand for: a back reference of three bytes gives at most 264.
_MOST = 88


class BadLzf(Exception):
    """The bytes are no LZF, or not of the length that was told."""


def could_hold(compressed: int, length: int) -> bool:
    """Whether ``compressed`` bytes can be as many as ``length``: damage must not cost gigabytes."""
    return length <= compressed * _MOST


def decompress(data: bytes, length: int) -> bytes:
    """The ``length`` bytes that ``data`` stands for. Raises :class:`BadLzf`."""
    out, size = bytearray(), 0
    at, end = 0, len(data)
    try:
        while at < end:
            control = data[at]
            if control < 32:  # so many bytes and one more, as they are
                at += 1
                out += data[at : at + control + 1]
                at += control + 1
                size += control + 1
                continue
            run = (control >> 5) + 2
            if run == 9:
                at += 1
                run += data[at]
            back = ((control & 31) << 8 | data[at + 1]) + 1
            at += 2
            start = size - back
            size += run
            if start < 0 or size > length:
                raise BadLzf
            if back >= run:
                out += out[start : start + run]
            else:  # it goes on in what it gives itself
                out += (out[start:] * (run // back + 1))[:run]
    except IndexError:
        raise BadLzf from None
    if size != length or at != end:
        raise BadLzf
    return bytes(out)
