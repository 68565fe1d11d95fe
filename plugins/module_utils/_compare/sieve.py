# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Many keys at once: settles all small values in a few round trips per thousand keys, and hands on the rest.

A *flight* is what is asked of both servers in one go: the expiry and the value (or its length) of some hundred keys of
one type. While one flight is looked at the next one is on its way.
"""

from __future__ import annotations

import re
import typing as t
from collections import deque
from dataclasses import dataclass, field
from itertools import chain, compress

from ansible_collections.redisops.tair.plugins.module_utils._compare.closer import (
    DUMP_FOOTER,
    GUESSED_ELEMENT,
    LENGTHS,
    CloserLook,
    Found,
    missing,
)
from ansible_collections.redisops.tair.plugins.module_utils._compare.pair import Look, Pair
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import GONE, TYPE, Side, short_replies
from ansible_collections.redisops.tair.plugins.module_utils._compare.values import (
    Finding,
    expiry_difference,
    hash_difference,
    list_difference,
    set_difference,
    string_difference,
    told_expiry,
    zset_difference,
)
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, Reply
from ansible_collections.redisops.tair.plugins.module_utils._wire import Section, bulk, for_each, head, replies_in

#: Keys in a flight, and bytes of the collections in one as the source counts them.
_FLIGHT_KEYS = 250
_FLIGHT_BYTES = 2 << 20
#: A collection above this size, and a string that reaches the other, are looked at in pieces.
_SMALL_COLLECTION = 256 * 1024
_SMALL_STRING = 32 * 1024
#: Flights that are on their way at a time.
_WINDOW = 2
#: Keys put aside before a closer look at them is taken, how many are looked at together, and of the big ones.
_ASIDE = 1000
_TOGETHER = 64
_BIG_TOGETHER = 2
#: Fields of hashes that are held until their expiries are asked for.
_FIELDS = 20_000

#: What stands before and after the key in the command that reads a small value whole.
_VALUES: dict[bytes, tuple[bytes, bytes]] = {
    b"string": (head(4, b"GETRANGE"), bulk(b"0") + bulk(b"%d" % (_SMALL_STRING - 1))),
    b"list": (head(4, b"LRANGE"), bulk(b"0") + bulk(b"-1")),
    b"set": (head(2, b"SMEMBERS"), b""),
    b"hash": (head(2, b"HGETALL"), b""),
    b"zset": (head(5, b"ZRANGE"), bulk(b"0") + bulk(b"-1") + bulk(b"WITHSCORES")),
    b"stream": (head(2, b"DUMP"), b""),
}
_LENGTHS = {kind: (head(2, command), b"") for kind, command in LENGTHS.items()}
_MEMORY = head(3, b"MEMORY", b"USAGE")
_NONE = b"none"
#: Every error has it; values may, too, and are parsed for nothing then.
_MAYBE_ERROR = re.compile(rb"\r\n-[A-Za-z]")

_DIFFERENCES: dict[bytes, t.Callable[[t.Any, t.Any], Finding | None]] = {
    b"string": string_difference,
    b"list": list_difference,
    b"set": set_difference,
    b"hash": hash_difference,
    b"zset": zset_difference,
}


@dataclass
class Batch:
    """Keys as the scan returns them, with their types and the bytes that each takes (0 where it does not matter)."""

    keys: list[bytes] = field(default_factory=list)
    encoded: list[bytes] = field(default_factory=list)
    kinds: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


@dataclass
class Flight:
    """Keys of one type. ``size``: bytes of their values, as far as known."""

    kind: bytes
    keys: list[bytes] = field(default_factory=list)
    encoded: list[bytes] = field(default_factory=list)
    size: int = 0


class Sieve:
    """Compares keys of the databases that are selected on both sides.

    ``full``: values too, else existence, type, expiry and length.
    """

    def __init__(self, pair: Pair, *, full: bool) -> None:
        self._pair = pair
        self._full = full
        self._ahead = pair.source.connect()
        self._closer = CloserLook(pair, full=full)
        self._same_build = pair.source.build == pair.target.build
        self._aside: list[Look[Found]] = []
        self._big: list[Look[Found]] = []
        self._fields = 0

    def differing(self, batches: t.Iterable[list[bytes]], *, field_expiries: bool) -> t.Iterator[Found]:
        """The keys of ``batches`` that differ on the target, and how. What the source does not have does not differ.

        ``field_expiries``: whether hashes may have fields that expire. The wires of both sides are busy until the
        iterator is exhausted.
        """
        self._closer.field_expiries = field_expiries
        window: deque[Flight] = deque()
        for flight in self._flights(self._described(batches)):
            self._send(flight)
            window.append(flight)
            if len(window) == _WINDOW:
                yield from self._judged(window.popleft())
            if len(self._aside) + len(self._big) >= _ASIDE or self._fields >= _FIELDS:
                while window:
                    yield from self._judged(window.popleft())
                yield from self._looked_at_closer()
        while window:
            yield from self._judged(window.popleft())
        yield from self._looked_at_closer()

    def _described(self, batches: t.Iterable[list[bytes]]) -> t.Iterator[Batch]:
        """What the keys are. Asked for ahead of the flights: the types of one batch with the sizes of the one before."""
        ahead = self._ahead
        ahead.select(self._pair.source.wire.database)
        ready, typed = Batch(), Batch()
        for keys in chain(batches, ([], [])):  # two empty batches push the last ones out
            fresh = Batch(keys, [bulk(key) for key in keys])
            sized = self._collections(typed)
            sizes = [self._size_head(typed.kinds[i]) + typed.encoded[i] for i in sized]
            ahead.send(b"".join([*sizes, ahead.mark, for_each(fresh.encoded, *TYPE), ahead.mark]))
            yield ready
            for i, size in zip(sized, replies_in(ahead.section(len(sized), short_replies(len(sized))), len(sized))):
                if isinstance(size, int):  # else it is gone, or another type by now: its flight will tell
                    typed.sizes[i] = size if self._pair.source.tells_memory else size * GUESSED_ELEMENT
            fresh.kinds = self._kinds(ahead.section(len(keys), short_replies(len(keys))), len(keys))
            fresh.sizes = [0] * len(keys)
            ready, typed = typed, fresh

    def _kinds(self, section: Section, count: int) -> list[bytes]:
        """The replies to TYPE: a line each, as long as there is no error among them."""
        if isinstance(section, bytes) and b"-" not in section:
            return section.replace(b"+", b"").split(b"\r\n")[:-1]
        return [self._ahead.checked(kind, b"TYPE") for kind in replies_in(section, count)]

    def _collections(self, batch: Batch) -> list[int]:
        """The keys (their places in the batch) whose size must be known before they are read."""
        if not self._full:
            return []
        return [i for i, kind in enumerate(batch.kinds) if kind != b"string" and kind in _VALUES]

    def _size_head(self, kind: bytes) -> bytes:
        return _MEMORY if self._pair.source.tells_memory else _LENGTHS[kind][0]

    def _flights(self, described: t.Iterable[Batch]) -> t.Iterator[Flight]:
        open_flights: dict[bytes, Flight] = {}
        for batch in described:
            for kind in set(batch.kinds):
                if kind == _NONE:
                    continue
                of_kind = list(map(kind.__eq__, batch.kinds))
                if self._full and kind != b"string":
                    yield from self._sized(kind, batch, of_kind, open_flights)
                    continue
                keys, encoded = list(compress(batch.keys, of_kind)), list(compress(batch.encoded, of_kind))
                for start in range(0, len(keys), _FLIGHT_KEYS):
                    end = start + _FLIGHT_KEYS
                    yield Flight(kind, keys[start:end], encoded[start:end])
        yield from open_flights.values()

    def _sized(
        self, kind: bytes, batch: Batch, of_kind: list[bool], open_flights: dict[bytes, Flight]
    ) -> t.Iterator[Flight]:
        """Keys of a type whose size matters: the small ones fly, the others are put aside."""
        for key, encoded, size in compress(zip(batch.keys, batch.encoded, batch.sizes), of_kind):
            if size > _SMALL_COLLECTION or kind not in _VALUES:
                self._big.append(self._closer.key(key))
                continue
            if kind == b"stream" and not self._same_build:  # no DUMP of it would be the same
                self._aside.append(self._closer.key(key))
                continue
            flight = open_flights.get(kind)
            if flight is None:
                flight = open_flights[kind] = Flight(kind)
            flight.keys.append(key)
            flight.encoded.append(encoded)
            flight.size += size
            if len(flight.keys) == _FLIGHT_KEYS or flight.size > _FLIGHT_BYTES:
                yield open_flights.pop(kind)

    def _command(self, kind: bytes) -> tuple[bytes, bytes]:
        if self._full:
            return _VALUES[kind]
        return _LENGTHS.get(kind, TYPE)

    def _limit(self, kind: bytes, count: int) -> int | None:
        """Bytes that the replies for so many keys may have; None where a value may be as large as it likes."""
        if not self._full or kind not in _VALUES:
            return short_replies(count)
        return short_replies(count) + count * _SMALL_STRING if kind == b"string" else None

    def _send(self, flight: Flight) -> None:
        before, after = self._command(flight.kind)
        for side in (self._pair.source, self._pair.target):
            side.send_looks(flight.encoded, before, after)

    def _judged(self, flight: Flight) -> t.Iterator[Found]:
        kind, pair = flight.kind, self._pair
        count = len(flight.keys)
        limit = self._limit(kind, count)
        source, source_told = pair.source.receive_looks(count, limit)
        target, target_told = pair.target.receive_looks(count, limit)
        same = source == target and self._conclusive(kind, source)
        if same and source_told == target_told and not self._wants_fields(kind):
            return  # most often it is so, and nothing had to be parsed
        source_expiries, target_expiries = (
            side.expiries(told, count) for side, told in ((pair.source, source_told), (pair.target, target_told))
        )
        source_values = [b""] * count if same and not self._wants_fields(kind) else replies_in(source, count)
        target_values = source_values if same else replies_in(target, count)
        for key, expiry, value, target_expiry, target_value in zip(
            flight.keys, source_expiries, source_values, target_expiries, target_values
        ):
            if expiry == GONE:
                continue
            if target_expiry == GONE:
                if not pair.expired(expiry):
                    yield key, [missing(kind, expiry)]
                continue
            if self._full and kind == b"string" and _SMALL_STRING in map(_length, (value, target_value)):
                self._big.append(self._closer.key(key))
                continue
            if self._needs_closer_look(kind, value, target_value):
                self._aside.append(self._closer.key(key))
                continue
            ttl = expiry_difference(expiry, target_expiry, pair.tolerance)
            difference = self._difference(kind, value, target_value)
            if ttl or difference:
                yield key, [finding for finding in (difference, ttl) if finding]
            else:
                self._remember_fields(kind, [key], [value])

    def _conclusive(self, kind: bytes, section: Section) -> bool:
        """Whether the same bytes from both sides mean the same values: not where both refuse, or tell a part only."""
        if isinstance(section, list):
            return not (self._reads_in_part(kind) and _SMALL_STRING in map(_length, section))
        if self._reads_in_part(kind) and b"$%d\r\n" % _SMALL_STRING in section:
            return False
        return not section.startswith(b"-") and not (b"\r\n-" in section and _MAYBE_ERROR.search(section))

    def _reads_in_part(self, kind: bytes) -> bool:
        return self._full and kind == b"string"

    def _needs_closer_look(self, kind: bytes, source: Reply, target: Reply) -> bool:
        if isinstance(source, ErrorReply) or isinstance(target, ErrorReply):
            return True  # most likely another type; what it really is, is found out there
        if not self._full:
            return bool(source != target)
        if kind == b"stream":
            return source is None or target is None or source[:-DUMP_FOOTER] != target[:-DUMP_FOOTER]
        return False

    def _difference(self, kind: bytes, source: Reply, target: Reply) -> Finding | None:
        return _DIFFERENCES[kind](source, target) if self._full and kind in _DIFFERENCES else None

    def _wants_fields(self, kind: bytes) -> bool:
        return kind == b"hash" and self._full and self._closer.field_expiries

    def _remember_fields(self, kind: bytes, keys: list[bytes], values: list[Reply]) -> None:
        if self._wants_fields(kind):
            self._aside += [self._closer.fields(key, value[::2]) for key, value in zip(keys, values) if value]
            self._fields += sum(map(len, values)) // 2

    def _looked_at_closer(self) -> t.Iterator[Found]:
        aside, self._aside, self._fields = self._aside, [], 0
        big, self._big = self._big, []
        for looks, together in ((aside, _TOGETHER), (big, _BIG_TOGETHER)):
            for key, findings in self._pair.take(looks, together):
                if findings:
                    yield key, findings


def _length(value: Reply) -> int:
    return len(value) if isinstance(value, bytes) else 0


def extra_keys(pair: Pair, batches: t.Iterable[list[bytes]], sources: t.Sequence[int]) -> t.Iterator[Found]:
    """The keys of ``batches`` that the target has and no database of the source among ``sources``."""
    for keys in batches:
        absent = keys
        for database in sources:
            pair.source.wire.select(database)
            absent = _not_on(pair.source, absent)
            if not absent:
                break
        if absent:
            yield from _still_there(pair, absent)


def _not_on(side: Side, keys: list[bytes]) -> list[bytes]:
    if not side.is_node and side.wire.call(b"EXISTS", *keys) == len(keys):
        return []  # most often all are there; a cluster wants to be asked key by key
    found = side.wire.exchange([(b"EXISTS", key) for key in keys])
    return [key for key, there in zip(keys, found) if not side.wire.checked(there, b"EXISTS")]


def _still_there(pair: Pair, keys: list[bytes]) -> t.Iterator[Found]:
    """Those that the target has and that are not due."""
    target = pair.target
    count = len(keys)
    target.send_looks([*map(bulk, keys)], *TYPE)
    kinds, told = target.receive_looks(count, short_replies(count))
    for key, kind, expiry in zip(keys, replies_in(kinds, count), target.expiries(told, count)):
        if expiry != GONE and not pair.expired(expiry):
            yield key, [Finding("extra", "absent", f"{kind.decode()}, {told_expiry(expiry)}")]
