# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Is the value of a key sound, so that a server which restores it can use it?

RESTORE of a server with ``sanitize-dump-payload no``, the default, checks the length of a packed value only. It crashes
at the first command that reads a damaged element. These checks are those of ``sanitize-dump-payload yes`` and those that
a fuzz test against servers has shown to be missing there.

Sources: ``lpValidateIntegrity``, ``ziplistValidateIntegrity``, ``intsetValidateIntegrity``, ``zipmapValidateIntegrity``,
``streamValidateListpackIntegrity`` and ``rdbLoadObject`` of Redis 7.0.
"""

from __future__ import annotations

import math
import re
import struct
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof import lzf, rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_extents import SINGLE, skip_producers, skip_value
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_packed import (
    BadPacked,
    Listpack,
    intset_bounds,
    ziplist,
    zipmap,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import INTEGERS, MAX_STRING, Window
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError

#: Larger values are built by commands, which need no unique fields.
_MOST_UNIQUE_BYTES = 1 << 20
#: The times of fields take 48 bits in Redis; a larger one ends in an assertion.
_LATEST_FIELD = (1 << 48) - 2
_SCORE = re.compile(rb"-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf)")
_DELETED, _SAME_FIELDS = 1, 2
_PACKED_HASHES = frozenset((rdb_types.HASH_ZIPMAP, rdb_types.HASH_ZIPLIST, rdb_types.HASH_LISTPACK))
_PACKED_ZSETS = frozenset((rdb_types.ZSET_ZIPLIST, rdb_types.ZSET_LISTPACK))
_LISTPACKS = frozenset((rdb_types.HASH_LISTPACK, rdb_types.ZSET_LISTPACK, rdb_types.SET_LISTPACK))


class BadValue(Exception):
    """A value is damaged; the text names what was expected instead."""


class Sanity:
    """Checks the values of an RDB of ``version``. ``templates``: of hashes, with the number of their fields."""

    def __init__(self, version: int, templates: t.Mapping[int, int] | None = None) -> None:
        self._version = version
        self._templates = templates or {}
        self._wide = version >= rdb_types.VALKEY

    def fault(self, window: Window, rdb_type: int) -> str | None:
        """Return what was expected instead of the value that is all of ``window``; None if the value is sound."""
        end = window.end
        try:
            self._check(window, rdb_type)
        except BadValue as exc:
            return str(exc)
        except AofFormatError as exc:
            return str(exc.facts.get("expected", exc.what))
        return None if window.offset == end else "the end of the value"

    def fault_in(self, data: bytes, start: int, end: int, rdb_type: int) -> str | None:
        """Return the same as :meth:`fault` for a value of a type in ``SINGLE`` from ``start`` to ``end`` of ``data``."""
        try:
            if rdb_type == rdb_types.STRING:
                if data[start] == 0xC3:
                    _string(data, start, end)
                return None
            self._packed(_string(data, start, end), rdb_type)
        except BadValue as exc:
            return str(exc)
        return None

    # ------------------------------------------------------------------------------------------------ by type

    def _check(self, window: Window, rdb_type: int) -> None:
        unique = window.end - window.base <= _MOST_UNIQUE_BYTES
        if rdb_type == rdb_types.STRING:
            for _piece in window.pieces(1 << 20, "a string"):
                pass
        elif rdb_type in SINGLE:
            self._packed(window.string("a packed value"), rdb_type)
        elif rdb_type in (rdb_types.STREAM, rdb_types.STREAM_2, rdb_types.STREAM_3) or (
            not self._wide and rdb_type in (rdb_types.STREAM_4, rdb_types.STREAM_5)
        ):
            self._stream(window, rdb_type)
        elif rdb_type in (rdb_types.LIST_QUICKLIST, rdb_types.LIST_QUICKLIST_2):
            self._quicklist(window, rdb_type)
        elif rdb_type in (rdb_types.LIST, rdb_types.SET, rdb_types.HASH):
            _strings(window, rdb_type, unique=unique)
        elif rdb_type in (rdb_types.ZSET, rdb_types.ZSET_2):
            _zset(window, rdb_type, unique=unique)
        elif self._wide and rdb_type == rdb_types.HASH_2:
            _hash_2(window, unique=unique)
        elif rdb_type in (rdb_types.HASH_LISTPACK_EXPIRING, rdb_types.HASH_LISTPACK_EXPIRING_RC):
            if rdb_type == rdb_types.HASH_LISTPACK_EXPIRING:
                _first_expiry(window)
            self._expiring_listpack(window.string("a hash"))
        elif rdb_type in (rdb_types.HASH_EXPIRING, rdb_types.HASH_EXPIRING_RC):
            _expiring(window, rdb_type, unique=unique)
        else:
            skip_value(window, rdb_type, self._version, self._templates)

    def _packed(self, value: bytes, rdb_type: int) -> None:
        """Check a value that is one string."""
        if rdb_type == rdb_types.SET_INTSET:
            _intset(value)
            return
        if rdb_type in _LISTPACKS:
            listpack = self._listpack(value)
            if rdb_type == rdb_types.SET_LISTPACK:
                _unique(listpack, 1, "a set")
            elif rdb_type == rdb_types.HASH_LISTPACK:
                _unique(listpack, 2, "a hash")
            else:
                _unique(listpack, 2, "a sorted set")
                _scores(list(listpack))
            return
        elements = _unpacked(zipmap if rdb_type == rdb_types.HASH_ZIPMAP else ziplist, value)
        if rdb_type == rdb_types.LIST_ZIPLIST:
            if not elements:
                raise BadValue("an element of a list: it is empty")
            return
        kind = "a hash" if rdb_type in _PACKED_HASHES else "a sorted set"
        if len(elements) % 2:
            raise BadValue(f"an even number of elements of {kind}")
        members = elements[::2]
        _different(members, kind)
        if rdb_type in _PACKED_ZSETS:
            _scores(elements)

    def _listpack(self, value: bytes) -> Listpack:
        try:
            return Listpack(value, wide=self._wide)
        except BadPacked as exc:
            raise BadValue(str(exc)) from None

    def _quicklist(self, window: Window, rdb_type: int) -> None:
        found = False
        for _node in range(window.length("the number of a list's nodes")):
            if rdb_type == rdb_types.LIST_QUICKLIST:
                found = bool(_unpacked(ziplist, window.string("a list node"))) or found
            elif window.length("a list node's container") == 2:
                found = len(self._listpack(window.string("a list node"))) > 0 or found
            else:
                window.skip_string("an element")
                found = True
        if not found:
            raise BadValue("an element of a list: it is empty")

    def _expiring_listpack(self, value: bytes) -> None:
        listpack = self._listpack(value)
        _unique(listpack, 3, "a hash with expiring fields")
        last = 0
        for at in range(2, len(listpack), 3):
            expiry = listpack.integer(at)
            if expiry is None or not 0 <= expiry <= _LATEST_FIELD:
                raise BadValue("a field's expiry")
            if at > 2 and last == 0 < expiry or 0 < expiry < last:
                raise BadValue("fields in the order of their expiries")
            last = expiry

    # ------------------------------------------------------------------------------------------------- streams

    def _stream(self, window: Window, rdb_type: int) -> None:
        entries, newest, known = 0, b"", set()
        for _node in range(window.length("the number of a stream's nodes")):
            key = window.string("a stream's node")
            if len(key) != 16 or key in known:
                raise BadValue("the identifier of a stream's node")
            known.add(key)
            found, last = self._stream_node(key, window.string("a stream's node"))
            entries, newest = entries + found, max(newest, last)
        if window.length("the number of a stream's entries") != entries:
            raise BadValue(f"the number of a stream's entries, {entries}")
        if _identifier(window) < newest:
            raise BadValue("the last identifier of a stream")
        if rdb_type != rdb_types.STREAM:
            _identifier(window)
            _identifier(window)
            window.length("the number of entries added")
        groups = set()
        for _group in range(window.length("the number of a stream's groups")):
            groups.add(window.string("a group's name"))
            _group_of(window, rdb_type)
            if len(groups) != _group + 1:
                raise BadValue("a group's name that no other group has")
        if rdb_type >= rdb_types.STREAM_4:
            skip_producers(window)

    def _stream_node(self, key: bytes, value: bytes) -> tuple[int, bytes]:
        """Check a node; return the number of its entries and its last identifier."""
        listpack = self._listpack(value)
        integer, size = listpack.integer, len(listpack)
        milliseconds, sequence = struct.unpack(">QQ", key)
        try:
            count, deleted, fields = (_natural(integer(at)) for at in range(3))
            if integer(3 + fields) != 0:
                raise BadValue("the end of a stream node's master entry")
            at, live, last = 4 + fields, 0, b""
            for _entry in range(count + deleted):
                flags, by_time, by_sequence = _whole(integer(at)), _whole(integer(at + 1)), _whole(integer(at + 2))
                length = 3 + fields if flags & _SAME_FIELDS else 4 + 2 * _natural(integer(at + 3))
                at += length
                if at >= size or integer(at) != length:
                    raise BadValue("the number of elements of a stream's entry")
                at += 1
                if not flags & _DELETED:
                    live += 1
                identifier = struct.pack(
                    ">QQ", (milliseconds + by_time) % (1 << 64), (sequence + by_sequence) % (1 << 64)
                )
                last = max(last, identifier)
        except IndexError:
            raise BadValue("a stream's entry") from None
        if at != size or live != count:
            raise BadValue(f"a stream node of {count} entries and {deleted} deleted ones")
        return live, last


def _string(data: bytes, at: int, end: int) -> bytes:
    """Return the string from ``at`` to ``end``, uncompressed. Its extent is known to be right."""
    first = data[at]
    if first < 0x40:
        return data[at + 1 : end]
    if first < 0x80:
        return data[at + 2 : end]
    if first in INTEGERS:
        return b"%d" % int.from_bytes(data[at + 1 : end], "little", signed=True)
    if first != 0xC3:
        return data[at + (5 if first == 0x80 else 9) : end]
    _compressed, at = _length(data, at + 1)
    length, at = _length(data, at)
    if length > MAX_STRING or not lzf.could_hold(end - at, length):
        raise BadValue(f"a compressed string of {length} bytes")
    try:
        return lzf.decompress(data[at:end], length)
    except lzf.BadLzf:
        raise BadValue(f"{end - at} bytes of LZF that give {length}") from None


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return the length at ``at``, and where it ends."""
    first = data[at]
    if first < 0x40:
        return first, at + 1
    if first < 0x80:
        return (first & 0x3F) << 8 | data[at + 1], at + 2
    size = 4 if first == 0x80 else 8
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def _unpacked(unpack: t.Callable[[bytes], t.Iterator[bytes]], value: bytes) -> list[bytes]:
    try:
        return list(unpack(value))
    except BadPacked as exc:
        raise BadValue(str(exc)) from None


def _intset(value: bytes) -> None:
    try:
        width, count = intset_bounds(value)
    except BadPacked as exc:
        raise BadValue(str(exc)) from None
    members = struct.unpack_from(f"<{count}{width}", value, 8)
    if not members:
        raise BadValue("a member of an intset: it is empty")
    if count > 1 and not all(map(int.__lt__, members, members[1:])):
        raise BadValue("the members of an intset in ascending order")


def _different(fields: t.Sequence[bytes], kind: str) -> None:
    if not fields:
        raise BadValue(f"an element of {kind}: it is empty")
    if len(set(fields)) != len(fields):
        raise BadValue(f"no element of {kind} twice")


def _unique(listpack: Listpack, width: int, kind: str) -> None:
    """Check that a listpack consists of groups of ``width`` elements, the first ones of which differ."""
    if len(listpack) % width:
        raise BadValue(f"{width} elements for each field or member of {kind}")
    _different(listpack.every(width), kind)


def _scores(elements: t.Sequence[bytes]) -> None:
    """Check the scores of a packed sorted set: numbers, and in order."""
    before: tuple[float, bytes] | None = None
    for member, score in zip(elements[::2], elements[1::2]):
        if not _SCORE.fullmatch(score):
            raise BadValue("a score")
        here = float(score), member
        if before is not None and here < before:
            raise BadValue("the members of a sorted set in the order of their scores")
        before = here


def _strings(window: Window, rdb_type: int, *, unique: bool) -> None:
    kind = {rdb_types.LIST: "a list", rdb_types.SET: "a set"}.get(rdb_type, "a hash")
    count = window.length(f"the number of elements of {kind}")
    if not count:
        raise BadValue(f"an element of {kind}: it is empty")
    pairs = rdb_type == rdb_types.HASH
    if rdb_type == rdb_types.LIST or not unique:
        for _element in range(count * 2 if pairs else count):
            window.string("an element") if unique else window.skip_string("an element")
        return
    fields = []
    for _element in range(count):
        fields.append(window.string("a field or member"))
        if pairs:
            window.string("a value")
    _different(fields, kind)


def _zset(window: Window, rdb_type: int, *, unique: bool) -> None:
    count = window.length("the number of a sorted set's members")
    members = []
    for _member in range(count):
        member = window.string("a member")
        if unique:
            members.append(member)
        if rdb_type == rdb_types.ZSET_2:
            bad = math.isnan(window.number("<d", "a score"))
        else:
            length = window.byte("a score")
            bad = length == 253 or length < 253 and not _SCORE.fullmatch(window.take(length, "a score"))
        if bad:
            raise BadValue("a score")
    if unique or not count:
        _different(members, "a sorted set")


def _hash_2(window: Window, *, unique: bool) -> None:
    count = window.length("the number of a hash's fields")
    fields = []
    for _field in range(count):
        field = window.string("a field")
        window.string("a value")
        if window.number("<q", "a field's expiry") < -1:
            raise BadValue("a field's expiry")
        if unique:
            fields.append(field)
    if unique or not count:
        _different(fields, "a hash with expiring fields")


def _first_expiry(window: Window) -> int:
    first: int = window.number("<Q", "a hash's first expiry")
    if first > _LATEST_FIELD + 1:
        raise BadValue("a hash's first expiry")
    return first


def _expiring(window: Window, rdb_type: int, *, unique: bool) -> None:
    first = _first_expiry(window) if rdb_type == rdb_types.HASH_EXPIRING else 1
    count = window.length("the number of a hash's fields")
    fields = []
    for _field in range(count):
        expiry = window.length("a field's expiry")
        if expiry and expiry + first - 1 > _LATEST_FIELD:
            raise BadValue("a field's expiry")
        field = window.string("a field")
        window.string("a value")
        if unique:
            fields.append(field)
    if unique or not count:
        _different(fields, "a hash with expiring fields")


def _identifier(window: Window) -> bytes:
    parts = window.length("a stream's identifier"), window.length("a stream's identifier")
    return struct.pack(">QQ", *parts)


def _whole(number: int | None) -> int:
    if number is None:
        raise BadValue("a number in a stream's entry")
    return number


def _natural(number: int | None) -> int:
    if number is None or number < 0:
        raise BadValue("a number of entries or fields in a stream's node")
    return number


def _group_of(window: Window, rdb_type: int) -> None:
    """Check a group's pending entries: each is of one consumer, or given back."""
    _identifier(window)
    if rdb_type != rdb_types.STREAM:
        window.length("what a group has read")
    pending = set()
    count = window.length("the number of a group's pending entries")
    for _entry in range(count):
        pending.add(window.take(16, "a pending entry"))
        window.skip(8, "when an entry was delivered")
        window.length("how often it was delivered")
    if len(pending) != count:
        raise BadValue("no pending entry of a group twice")
    consumers = set()
    number = window.length("the number of a group's consumers")
    for _consumer in range(number):
        consumers.add(window.string("a consumer's name"))
        window.skip(16 if rdb_type >= rdb_types.STREAM_3 else 8, "when a consumer was seen")
        _taken(window, pending)
    if len(consumers) != number:
        raise BadValue("a consumer's name that no other consumer has")
    if rdb_type >= rdb_types.STREAM_5:
        _taken(window, pending)
    if pending:
        raise BadValue("a consumer for each pending entry of a group")


def _taken(window: Window, pending: set[bytes]) -> None:
    for _entry in range(window.length("the number of a consumer's pending entries")):
        entry = window.take(16, "a pending entry")
        if entry not in pending:
            raise BadValue("a pending entry of the group that no other consumer has")
        pending.discard(entry)
