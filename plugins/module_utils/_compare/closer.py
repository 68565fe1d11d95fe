# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""One key at a time, whatever its type and size, in bounded memory.

For what :mod:`sieve` can't settle in a batch: big values, streams, module types, keys that look different. Values are
read in pieces of about :data:`PIECE_BYTES`; a single element larger than that is still held whole.
"""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import (
    GONE,
    NO_EXPIRY,
    KeyChanged,
    Pair,
    Side,
)
from ansible_collections.redisops.tair.plugins.module_utils._compare.streams import stream_difference
from ansible_collections.redisops.tair.plugins.module_utils._compare.values import (
    Finding,
    counted,
    expiry_difference,
    length_difference,
    same_expiry,
    same_scored,
    sized,
    string_difference,
    told_expiry,
    zset_difference,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.resp import Reply

PIECE_BYTES = 1 << 20
#: Elements in a piece, at most.
_PIECE_ELEMENTS = 5000
#: Bytes of an element where the server does not tell what a key takes (Redis 3.2 has no MEMORY USAGE).
GUESSED_ELEMENT = 128
#: A string up to this size may be a HyperLogLog (a dense one has 12304 bytes).
_MAX_HYPERLOGLOG = 16 * 1024
#: What follows the value in a DUMP payload: the RDB version and a checksum.
DUMP_FOOTER = 10

#: The command that tells the length of a value, by type.
LENGTHS = {
    b"string": b"STRLEN",
    b"list": b"LLEN",
    b"set": b"SCARD",
    b"hash": b"HLEN",
    b"zset": b"ZCARD",
    b"stream": b"XLEN",
}


class CloserLook:
    """Compares single keys of the databases that are selected on both sides.

    ``full``: values too, else existence, type, expiry and length.
    """

    def __init__(self, pair: Pair, *, full: bool) -> None:
        self._pair = pair
        self._full = full
        self.field_expiries = False
        """Whether hashes may have fields that expire, on either side."""

    def findings(self, key: bytes) -> list[Finding]:
        """How the target's key differs from the source's. A key that the source does not have (any more) does not."""
        (kind, expiry), (target_kind, target_expiry) = self._pair.describe(key)
        if expiry == GONE:
            return []
        if target_expiry == GONE:
            return [] if self._pair.expired(expiry) else [missing(kind, expiry)]
        if kind != target_kind:
            return [Finding("type", kind.decode(), target_kind.decode())]
        try:
            value = self._value_difference(key, kind)
        except KeyChanged:
            value = Finding("value", kind.decode(), f"{kind.decode()}, changed while it was being read")
        ttl = expiry_difference(expiry, target_expiry, self._pair.tolerance)
        return [finding for finding in (value, ttl) if finding is not None]

    def field_expiries_differ(self, hashes: t.Sequence[tuple[bytes, list[bytes]]]) -> list[Finding | None]:
        """For each key with (some of) its fields: whether these have other expiries, or none where they should."""
        sides = [_read_field_expiries(side, hashes) for side in (self._pair.source, self._pair.target)]
        found: list[Finding | None] = []
        for a, b in zip(*sides):
            if all(same_expiry(x, y, self._pair.tolerance) for x, y in zip(a, b)):
                found.append(None)
            else:
                facts = [counted(sum(expiry >= 0 for expiry in side), "field") + " with an expiry" for side in (a, b)]
                found.append(
                    Finding("field_ttl", facts[0], facts[1] + (", other ones" if facts[0] == facts[1] else ""))
                )
        return found

    def _value_difference(self, key: bytes, kind: bytes) -> Finding | None:
        if kind not in LENGTHS:
            return self._dump_difference(key, kind.decode()) if self._full else None
        source, target = self._one(LENGTHS[kind], key)
        if kind == b"string":
            return self._string_difference(key, source, target)
        if kind == b"hash" and self.field_expiries and (self._full or source != target):
            # Either length may count fields that have expired: what one side has is looked for on the other.
            return self._hash_difference(key, source) or self._extra_fields(key, target)
        if source != target:
            return length_difference(kind.decode(), source, target)
        if not self._full:
            return None
        if kind == b"stream":
            return stream_difference(self._pair, key, piece=self._piece(key, source))
        compare = {
            b"list": self._list_difference,
            b"set": self._set_difference,
            b"hash": self._hash_difference,
            b"zset": self._zset_difference,
        }
        return compare[kind](key, source)

    def _string_difference(self, key: bytes, source: int, target: int) -> Finding | None:
        if max(source, target) <= _MAX_HYPERLOGLOG:
            # Equal HyperLogLogs may differ in length; of other strings only the length counts where values don't.
            difference = string_difference(*self._one(b"GETRANGE", key, b"0", b"-1"))
            return difference if self._full or source != target else None
        if source != target:
            return length_difference("string", source, target)
        if not self._full:
            return None
        for start in range(0, source, PIECE_BYTES):
            a, b = self._one(b"GETRANGE", key, b"%d" % start, b"%d" % (start + PIECE_BYTES - 1))
            if a != b:
                return Finding(
                    "value", sized("string", source), f"{sized('string', target)}, other ones from {start} on"
                )
        return None

    def _list_difference(self, key: bytes, length: int) -> Finding | None:
        piece = self._piece(key, length)
        for start in range(0, length, piece):
            a, b = self._one(b"LRANGE", key, b"%d" % start, b"%d" % (start + piece - 1))
            if a != b:
                index = start + next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                return Finding("value", sized("list", length), f"{sized('list', length)}, differs at index {index}")
        return None

    def _zset_difference(self, key: bytes, length: int) -> Finding | None:
        piece = self._piece(key, length)
        for start in range(0, length, piece):
            a, b = self._one(b"ZRANGE", key, b"%d" % start, b"%d" % (start + piece - 1), b"WITHSCORES")
            if a != b and not same_scored(a, b):
                if length <= piece:
                    return zset_difference(a, b)
                return Finding("value", sized("zset", length), f"{sized('zset', length)}, differs after rank {start}")
        return None

    def _set_difference(self, key: bytes, length: int) -> Finding | None:
        """All members of the source are in the target, and there are as many of them: then the sets are equal."""
        for members in self._pieces(self._pair.source, b"SSCAN", key, length):
            absent = _have(self._pair.target, key, members).count(0)
            if absent:
                return Finding(
                    "value", sized("set", length), f"{sized('set', length)}, {absent} or more not of the source"
                )
        return None

    def _hash_difference(self, key: bytes, length: int) -> Finding | None:
        for flat in self._pieces(self._pair.source, b"HSCAN", key, length):
            fields, values = flat[::2], flat[1::2]
            there = self._pair.target.read(b"HMGET", key, *fields)
            if there != values:
                absent = there.count(None)
                changed = sum(a != b for a, b in zip(values, there)) - absent
                return Finding(
                    "value", sized("hash", length), f"{absent} or more missing, {changed} or more with another value"
                )
            if self.field_expiries:
                difference = self.field_expiries_differ([(key, fields)])[0]
                if difference:
                    return difference
        return None

    def _extra_fields(self, key: bytes, length: int) -> Finding | None:
        for flat in self._pieces(self._pair.target, b"HSCAN", key, length):
            extra = self._pair.source.read(b"HMGET", key, *flat[::2]).count(None)
            if extra:
                return Finding("value", "hash", f"{counted(extra, 'field')} or more not of the source")
        return None

    def _dump_difference(self, key: bytes, kind: str) -> Finding | None:
        """A module's type: the same bytes prove the same value, other bytes the contrary only from the same server."""
        a, b = self._one(b"DUMP", key)
        if a is None or b is None:
            raise KeyChanged
        if a[:-DUMP_FOOTER] == b[:-DUMP_FOOTER]:
            return None
        sizes = [f"{kind}, {counted(len(payload), 'byte')} by DUMP" for payload in (a, b)]
        if self._pair.source.build == self._pair.target.build:
            return Finding("value", sizes[0], sizes[1])
        return Finding("not_comparable", sizes[0], f"{sizes[1]}, of another server version")

    def _one(self, *command: bytes) -> tuple[Reply, Reply]:
        """The replies of both sides to one command."""
        (source,), (target,) = self._pair.both(command)
        return source, target

    def _piece(self, key: bytes, length: int) -> int:
        """How many elements make a piece."""
        source = self._pair.source
        size = source.read(b"MEMORY", b"USAGE", key) if source.tells_memory else None
        return max(1, min(_PIECE_ELEMENTS, PIECE_BYTES * length // (size or length * GUESSED_ELEMENT or 1)))

    def _pieces(self, side: Side, command: bytes, key: bytes, length: int) -> t.Iterator[list[bytes]]:
        cursor, count = b"0", b"%d" % self._piece(key, length)
        while True:
            cursor, piece = side.read(command, key, cursor, b"COUNT", count)
            if piece:
                yield piece
            if cursor == b"0":
                return


def missing(kind: bytes, expiry: int) -> Finding:
    return Finding("missing", f"{kind.decode()}, {told_expiry(expiry)}", "absent")


def _have(side: Side, key: bytes, members: list[bytes]) -> list[int]:
    """For each member 1 where the set has it, else 0."""
    if side.tells_members:
        return t.cast(t.List[int], side.read(b"SMISMEMBER", key, *members))
    replies = side.wire.exchange([(b"SISMEMBER", key, member) for member in members])
    return [side.checked(reply, b"SISMEMBER") for reply in replies]


def _read_field_expiries(side: Side, hashes: t.Sequence[tuple[bytes, list[bytes]]]) -> list[list[int]]:
    if not side.has_field_expiry:
        return [[NO_EXPIRY] * len(fields) for _key, fields in hashes]
    commands = [(b"HPEXPIRETIME", key, b"FIELDS", b"%d" % len(fields), *fields) for key, fields in hashes]
    replies = side.wire.exchange(commands)
    # A key that has gone meanwhile: nil from Redis 7.4.
    return [
        reply if isinstance(reply, list) else [GONE] * len(fields) for reply, (_key, fields) in zip(replies, hashes)
    ]
