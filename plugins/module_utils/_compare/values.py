# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Two values of one type: are they the same, and if not, how do they differ, without telling what they hold."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import GONE, NO_EXPIRY

Reason = t.Literal[
    "missing", "extra", "type", "ttl", "length", "value", "field_ttl", "stream", "groups", "not_comparable", "count"
]


class Finding(t.NamedTuple):
    """One difference of one key: why, and what is on either side in a few words. Never a value."""

    reason: Reason
    source: str
    target: str


_UNITS = {"string": "byte", "list": "element", "hash": "field", "stream": "entry"}

#: Where the registers of a HyperLogLog begin, and how many there are (Redis' hyperloglog.c).
_HLL_MAGIC = b"HYLL"
_HLL_HEADER = 16
_HLL_REGISTERS = 16384
_HLL_DENSE_BYTES = _HLL_REGISTERS * 6 // 8


def sized(kind: str, length: int) -> str:
    """``list of 3 elements``."""
    return f"{kind} of {counted(length, _UNITS.get(kind, 'member'))}"


def counted(count: int, unit: str) -> str:
    """``1 entry``, ``3 entries``."""
    if count == 1:
        return f"1 {unit}"
    return f"{count} {unit}s" if unit != "entry" else f"{count} entries"


def told_expiry(expiry: int) -> str:
    """``no expiry`` or ``expires 2030-01-01T00:00:00.000Z``."""
    if expiry == NO_EXPIRY:
        return "no expiry"
    try:
        when = datetime.datetime.fromtimestamp(expiry / 1000, datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):  # a year that the calendar does not have
        return f"expires {expiry} ms after 1970"
    return f"expires {when:%Y-%m-%dT%H:%M:%S}.{expiry % 1000:03d}Z"


def expiry_difference(source: int, target: int, tolerance: float) -> Finding | None:
    """Of two keys that both exist. ``tolerance``: milliseconds; an expiry against none is always a difference."""
    if GONE in (source, target) or same_expiry(source, target, tolerance):
        return None
    return Finding("ttl", told_expiry(source), told_expiry(target))


def same_expiry(source: int, target: int, tolerance: float) -> bool:
    if source < 0 or target < 0:
        return source == target
    return abs(source - target) <= tolerance


def length_difference(kind: str, source: int, target: int) -> Finding:
    return Finding("length", sized(kind, source), sized(kind, target))


def string_difference(source: bytes, target: bytes) -> Finding | None:
    if source == target or same_hyperloglog(source, target):
        return None
    if len(source) != len(target):
        return length_difference("string", len(source), len(target))
    return Finding("value", sized("string", len(source)), f"{sized('string', len(target))}, other ones")


def list_difference(source: list[bytes], target: list[bytes]) -> Finding | None:
    if source == target:
        return None
    if len(source) != len(target):
        return length_difference("list", len(source), len(target))
    index = next(i for i, (a, b) in enumerate(zip(source, target)) if a != b)
    return Finding("value", sized("list", len(source)), f"{sized('list', len(target))}, differs at index {index}")


def set_difference(source: list[bytes], target: list[bytes]) -> Finding | None:
    if source == target:
        return None
    if len(source) != len(target):
        return length_difference("set", len(source), len(target))
    missing = len(set(source).difference(target))
    if not missing:
        return None
    return Finding("value", sized("set", len(source)), f"{sized('set', len(target))}, {missing} not of the source")


def hash_difference(source: list[bytes], target: list[bytes]) -> Finding | None:
    """Of two replies to HGETALL."""
    if source == target:
        return None
    a, b = _pairs(source), _pairs(target)
    if a == b:
        return None
    if len(a) != len(b):
        return length_difference("hash", len(a), len(b))
    missing = len(a.keys() - b.keys())
    changed = sum(a[name] != b[name] for name in a.keys() & b.keys())
    facts = [f"{missing} missing"] if missing else []
    facts += [f"{changed} with another value"] if changed else []
    return Finding("value", sized("hash", len(a)), f"{sized('hash', len(b))}, {', '.join(facts)}")


def zset_difference(source: list[bytes], target: list[bytes]) -> Finding | None:
    """Of two replies to ZRANGE WITHSCORES. Both are ordered by score, then by the member's bytes."""
    if source == target or same_scored(source, target):
        return None
    a, b = _pairs(source), _pairs(target)
    if len(a) != len(b):
        return length_difference("zset", len(a), len(b))
    missing = len(a.keys() - b.keys())
    changed = sum(float(a[member]) != float(b[member]) for member in a.keys() & b.keys())
    facts = [f"{missing} missing"] if missing else []
    facts += [f"{changed} with another score"] if changed else []
    return Finding("value", sized("zset", len(a)), f"{sized('zset', len(b))}, {', '.join(facts)}")


def same_scored(source: list[bytes], target: list[bytes]) -> bool:
    """Whether two runs of members and scores are the same.

    6.2 and older write a score with 17 digits, 7.0 and newer with as few as are needed; -0.0 loses its sign in an AOF.
    """
    return source[::2] == target[::2] and list(map(float, source[1::2])) == list(map(float, target[1::2]))


def same_hyperloglog(source: bytes, target: bytes) -> bool:
    """Whether both count the same, be one stored sparse and the other dense, or its cached cardinality stale."""
    if not source.startswith(_HLL_MAGIC) or not target.startswith(_HLL_MAGIC):
        return False
    registers = hyperloglog_registers(source)
    return registers is not None and registers == hyperloglog_registers(target)


def hyperloglog_registers(raw: bytes) -> bytes | None:
    """The 16384 registers of a HyperLogLog, a byte each; None where the string is not one."""
    body = raw[_HLL_HEADER:]
    if not raw.startswith(_HLL_MAGIC) or len(raw) < _HLL_HEADER:
        return None
    if raw[4] == 0:  # dense: 6 bits a register, least significant first
        if len(body) < _HLL_DENSE_BYTES:
            return None
        fours = (int.from_bytes(body[i : i + 3], "little") for i in range(0, _HLL_DENSE_BYTES, 3))
        return bytes(four >> shift & 63 for four in fours for shift in (0, 6, 12, 18))
    registers = bytearray()
    i = 0
    while i < len(body):  # sparse: 00nnnnnn zeros, 01nnnnnn nnnnnnnn zeros, 1vvvvvnn one value
        opcode = body[i]
        if opcode & 0x80:
            registers += bytes([(opcode >> 2 & 31) + 1]) * ((opcode & 3) + 1)
        elif opcode & 0x40 and i + 1 < len(body):
            registers += bytes(((opcode & 0x3F) << 8 | body[i + 1]) + 1)
            i += 1
        else:
            registers += bytes((opcode & 0x3F) + 1)
        i += 1
    return bytes(registers) if len(registers) == _HLL_REGISTERS else None


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2]))
