# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A closer look at one key, whatever its type and size, in bounded memory.

For what :mod:`sieve` can't settle in passing: big values, streams, module types, keys that look different. Values are
read in pieces of about :data:`PIECE_BYTES`; a single element larger than that is still held whole.
"""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._compare.pair import KeyChanged, Look, Pair
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import GONE, NO_EXPIRY, Command, Side
from ansible_collections.redisops.tair.plugins.module_utils._compare.streams import StreamLook
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

#: A key and how it differs; nothing where it does not.
Found = t.Tuple[bytes, t.List[Finding]]
Difference = t.Optional[Finding]


class CloserLook:
    """Looks at keys of the databases that are selected on both sides.

    ``full``: values too, else existence, type, expiry and length.
    """

    def __init__(self, pair: Pair, *, full: bool) -> None:
        self._pair = pair
        self._full = full
        self.field_expiries = False
        """Whether hashes may have fields that expire, on either side."""

    def key(self, key: bytes) -> Look[Found]:
        """How the target's key differs from the source's. What the source does not have (any more) does not."""
        source, target = self._pair.source, self._pair.target
        describe = [(b"TYPE", key)]
        answer = yield from self._pair.ask(
            [*describe, *source.expiry_commands(key)], [*describe, *target.expiry_commands(key)]
        )
        (kind, *told), (target_kind, *target_told) = answer
        expiry, target_expiry = source.expiry(*told), target.expiry(*target_told)
        if expiry == GONE:
            return key, []
        if target_expiry == GONE:
            return key, [] if self._pair.expired(expiry) else [missing(kind, expiry)]
        if kind != target_kind:
            return key, [Finding("type", kind.decode(), target_kind.decode())]
        try:
            value = yield from self._value(key, kind)
        except KeyChanged:
            value = Finding("value", kind.decode(), f"{kind.decode()}, changed while it was being read")
        ttl = expiry_difference(expiry, target_expiry, self._pair.tolerance)
        return key, [finding for finding in (value, ttl) if finding is not None]

    def fields(self, key: bytes, fields: list[bytes]) -> Look[Found]:
        """Whether some fields of a hash have other expiries on the target, or none where they should."""
        difference = yield from self._field_expiries(key, fields)
        return key, [difference] if difference else []

    def _value(self, key: bytes, kind: bytes) -> Look[Difference]:
        if kind not in LENGTHS:
            return (yield from self._dump(key, kind.decode())) if self._full else None
        source, target = yield from self._pair.both(LENGTHS[kind], key)
        if kind == b"string":
            return (yield from self._string(key, source, target))
        if kind == b"hash" and self.field_expiries and (self._full or source != target):
            # Either length may count fields that have expired: what one side has is looked for on the other.
            difference = (yield from self._hash(key, source)) or (yield from self._extra_fields(key, target))
            if difference and source != target:
                return length_difference("hash", source, target)
            return difference
        if source != target:
            return length_difference(kind.decode(), source, target)
        if not self._full:
            return None
        if kind == b"stream":
            piece = yield from self._piece(key, source)
            return (yield from StreamLook(self._pair, key, piece).difference())
        looks = {b"list": self._list, b"set": self._set, b"hash": self._hash, b"zset": self._zset}
        return (yield from looks[kind](key, source))

    def _string(self, key: bytes, source: int, target: int) -> Look[Difference]:
        if max(source, target) <= _MAX_HYPERLOGLOG:
            # Equal HyperLogLogs may differ in length; of other strings only the length counts where values don't.
            a, b = yield from self._pair.both(b"GETRANGE", key, b"0", b"-1")
            difference = string_difference(a, b)
            return difference if self._full or source != target else None
        if source != target:
            return length_difference("string", source, target)
        for start in range(0, source if self._full else 0, PIECE_BYTES):
            a, b = yield from self._pair.both(b"GETRANGE", key, b"%d" % start, b"%d" % (start + PIECE_BYTES - 1))
            if a != b:
                return Finding(
                    "value", sized("string", source), f"{sized('string', target)}, other ones from {start} on"
                )
        return None

    def _list(self, key: bytes, length: int) -> Look[Difference]:
        piece = yield from self._piece(key, length)
        for start in range(0, length, piece):
            a, b = yield from self._pair.both(b"LRANGE", key, b"%d" % start, b"%d" % (start + piece - 1))
            if a != b:
                index = start + next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                return Finding("value", sized("list", length), f"{sized('list', length)}, differs at index {index}")
        return None

    def _zset(self, key: bytes, length: int) -> Look[Difference]:
        piece = yield from self._piece(key, length)
        for start in range(0, length, piece):
            ranks = b"%d" % start, b"%d" % (start + piece - 1)
            a, b = yield from self._pair.both(b"ZRANGE", key, *ranks, b"WITHSCORES")
            if a != b and not same_scored(a, b):
                if length <= piece:
                    return zset_difference(a, b)
                return Finding("value", sized("zset", length), f"{sized('zset', length)}, differs after rank {start}")
        return None

    def _set(self, key: bytes, length: int) -> Look[Difference]:
        """All members of the source are in the target, and there are as many of them: then the sets are equal."""
        piece = yield from self._piece(key, length)
        cursor = None
        while cursor != b"0":
            ((cursor, members),), _none = yield from self._pair.ask([_scan(b"SSCAN", key, cursor, piece)], [])
            _none, replies = yield from self._pair.ask([], _membership(self._pair.target, key, members))
            absent = sum(reply.count(0) if isinstance(reply, list) else not reply for reply in replies)
            if absent:
                return Finding(
                    "value", sized("set", length), f"{sized('set', length)}, {absent} or more not of the source"
                )
        return None

    def _hash(self, key: bytes, length: int) -> Look[Difference]:
        piece = yield from self._piece(key, length)
        cursor = None
        while cursor != b"0":
            ((cursor, flat),), _none = yield from self._pair.ask([_scan(b"HSCAN", key, cursor, piece)], [])
            fields, values = flat[::2], flat[1::2]
            if not fields:
                continue
            _none, (there,) = yield from self._pair.ask([], [(b"HMGET", key, *fields)])
            if there != values:
                absent = there.count(None)
                changed = sum(a != b for a, b in zip(values, there)) - absent
                facts = f"{absent} or more missing, {changed} or more with another value"
                return Finding("value", sized("hash", length), f"{sized('hash', length)}, {facts}")
            difference = yield from self._field_expiries(key, fields)
            if difference:
                return difference
        return None

    def _extra_fields(self, key: bytes, length: int) -> Look[Difference]:
        piece = yield from self._piece(key, length)
        cursor = None
        while cursor != b"0":
            _none, ((cursor, flat),) = yield from self._pair.ask([], [_scan(b"HSCAN", key, cursor, piece)])
            if flat:
                (there,), _none = yield from self._pair.ask([(b"HMGET", key, *flat[::2])], [])
                extra = there.count(None)
                if extra:
                    return Finding("value", "hash", f"hash with {counted(extra, 'field')} or more not of the source")
        return None

    def _field_expiries(self, key: bytes, fields: list[bytes]) -> Look[Difference]:
        if not self.field_expiries:
            return None
        sides = self._pair.source, self._pair.target
        command = (b"HPEXPIRETIME", key, b"FIELDS", b"%d" % len(fields), *fields)
        answer = yield from self._pair.ask(*([command] if side.has_field_expiry else [] for side in sides))
        told = []
        for replies in answer:
            # A server without field expiries has none; for a key that is gone Redis 7.4 answers nil.
            reply = replies[0] if replies else [NO_EXPIRY] * len(fields)
            told.append(reply if reply is not None else [GONE] * len(fields))
        if all(same_expiry(a, b, self._pair.tolerance) for a, b in zip(*told)):
            return None
        source, target = (counted(sum(expiry >= 0 for expiry in side), "field") + " with an expiry" for side in told)
        return Finding("field_ttl", source, f"{target}, other ones" if source == target else target)

    def _dump(self, key: bytes, kind: str) -> Look[Difference]:
        """A module's type: the same bytes prove the same value, other bytes the contrary only from the same server."""
        a, b = yield from self._pair.both(b"DUMP", key)
        if a is None or b is None:
            raise KeyChanged
        if a[:-DUMP_FOOTER] == b[:-DUMP_FOOTER]:
            return None
        source, target = (f"{kind}, {counted(len(payload), 'byte')} by DUMP" for payload in (a, b))
        if self._pair.source.build == self._pair.target.build:
            return Finding("value", source, target)
        return Finding("not_comparable", source, f"{target}, of another server version")

    def _piece(self, key: bytes, length: int) -> Look[int]:
        """How many elements make a piece."""
        size = length * GUESSED_ELEMENT
        if self._pair.source.tells_memory:
            (told,), _none = yield from self._pair.ask([(b"MEMORY", b"USAGE", key)], [])
            size = told or size
        return max(1, min(_PIECE_ELEMENTS, PIECE_BYTES * length // max(size, 1)))


def missing(kind: bytes, expiry: int) -> Finding:
    return Finding("missing", f"{kind.decode()}, {told_expiry(expiry)}", "absent")


def _scan(command: bytes, key: bytes, cursor: bytes | None, count: int) -> Command:
    return command, key, cursor or b"0", b"COUNT", b"%d" % count


def _membership(side: Side, key: bytes, members: list[bytes]) -> list[Command]:
    """Ask which of the members a set has. SMISMEMBER is of Redis 6.2."""
    if side.tells_members:
        return [(b"SMISMEMBER", key, *members)] if members else []
    return [(b"SISMEMBER", key, member) for member in members]
