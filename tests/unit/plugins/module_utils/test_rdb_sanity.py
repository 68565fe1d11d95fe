# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damaged values are found, whatever is damaged in them; sound ones pass. What a server does with them: see the integration tests."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_packed import BadPacked, Listpack, ziplist, zipmap
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import (
    HASH,
    HASH_LISTPACK,
    HASH_LISTPACK_EXPIRING,
    HASH_ZIPLIST,
    HASH_ZIPMAP,
    LIST_QUICKLIST,
    LIST_QUICKLIST_2,
    SET,
    SET_INTSET,
    SET_LISTPACK,
    STREAM_2,
    STRING,
    ZSET_2,
    ZSET_LISTPACK,
)
from ansible_collections.redisops.tair.tests.support.restored_values import Value, values_of_corpus, written_length


def text(value: bytes) -> bytes:
    return written_length(len(value)) + value


def back_length(size: int) -> bytes:
    """As Redis writes it."""
    if size < 128:
        return bytes([size])
    if size < 16383:
        return bytes([size >> 7, size & 127 | 128])
    return bytes([size >> 14, size >> 7 & 127 | 128, size & 127 | 128])


def element(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raw = bytes([value]) if 0 <= value < 128 else b"\xf4" + struct.pack("<q", value)
    elif len(value) < 64:
        raw = bytes([0x80 | len(value)]) + value
    elif len(value) < 4096:
        raw = bytes([0xE0 | len(value) >> 8, len(value) & 255]) + value
    else:
        raw = b"\xf0" + struct.pack("<I", len(value)) + value
    return raw + back_length(len(raw))


def packed(body: bytes, count: int) -> bytes:
    return text(struct.pack("<IH", 7 + len(body), count) + body + b"\xff")


def listpack(*elements: bytes | int) -> bytes:
    return packed(b"".join(map(element, elements)), len(elements))


def intset(layout: str, *members: int) -> bytes:
    return text(
        struct.pack("<II", struct.calcsize(layout), len(members)) + struct.pack(f"<{len(members)}{layout}", *members)
    )


ENTRY = (2, 0, 0, b"v", 4)
MASTER = (1, 0, 1, b"f", 0)


def stream(
    *elements: bytes | int,
    entries: int = 1,
    last: bytes = b"\x05\x00",
    pending: bytes = b"\x00\x00",
    key: bytes = struct.pack(">QQ", 5, 0),
) -> bytes:
    """A stream of one node and one group ``g``; ``pending``: of the group, and its consumers."""
    group = b"\x01g" + b"\x00\x00\x00" + pending
    return b"\x01" + text(key) + listpack(*elements) + bytes([entries]) + last + b"\x00" * 4 + b"\x01\x01" + group


ID = struct.pack(">QQ", 5, 0)
NACK = ID + bytes(8) + b"\x01"


def consumer(name: bytes, *ids: bytes) -> bytes:
    return text(name) + bytes(8) + bytes([len(ids)]) + b"".join(ids)


LONG = b"x" * 16380
SOUND = {
    "hash": (HASH_LISTPACK, listpack(b"f", b"v", 5, b"", -70000, b"x" * 70)),
    "hash with a long value": (HASH_LISTPACK, listpack(b"f", b"x" * 5000)),
    "hash that does not tell its size": (HASH_LISTPACK, packed(element(b"f") + element(b"v"), 0xFFFF)),
    "set": (SET_LISTPACK, listpack(b"a", 1, b"b")),
    "intset": (SET_INTSET, intset("h", -5, 0, 7)),
    "intset wider than it needs to be": (SET_INTSET, intset("q", 1, 2)),
    "zset": (ZSET_LISTPACK, listpack(b"b", b"-inf", b"a", -2, b"c", b"1.5e-10", b"d", b"1e+20", b"e", b"inf")),
    "list with an empty node": (
        LIST_QUICKLIST_2,
        b"\x03\x02" + listpack() + b"\x02" + listpack(b"a") + b"\x01" + text(b"b"),
    ),
    "stream": (STREAM_2, stream(*MASTER, *ENTRY)),
    "stream with a deleted entry": (STREAM_2, stream(1, 1, 1, b"f", 0, *ENTRY, 3, 0, 1, b"w", 4, last=b"\x05\x01")),
    "stream with its own fields": (STREAM_2, stream(*MASTER, 0, 0, 0, 2, b"a", b"b", b"c", b"d", 8)),
    "stream with a pending entry": (
        STREAM_2,
        stream(*MASTER, *ENTRY, pending=b"\x01" + NACK + b"\x01" + consumer(b"c", ID)),
    ),
    "expiring hash": (HASH_LISTPACK_EXPIRING, bytes(8) + listpack(b"f", b"v", 4_102_444_800_000, b"g", b"w", 0)),
}
DAMAGED = {
    "empty hash": (HASH_LISTPACK, listpack(), "it is empty"),
    "field without a value": (HASH_LISTPACK, listpack(b"f", b"v", b"g"), "2 elements for each field"),
    "field twice": (HASH_LISTPACK, listpack(b"f", b"v", b"f", b"w"), "twice"),
    "field twice, as a number and as text": (HASH_LISTPACK, listpack(b"5", b"v", 5, b"w"), "twice"),
    "field twice, with two headers": (
        HASH_LISTPACK,
        packed(b"\xe0\x01f\x03" + element(b"v") + element(b"f") * 2, 4),
        "twice",
    ),
    "element beyond the end": (HASH_LISTPACK, packed(element(b"f") + b"\xbfvalue\x06", 2), "end of a listpack"),
    "long element beyond the end": (
        HASH_LISTPACK,
        packed(element(b"f") + b"\xf0\xff\xff\xff\x7fvalue\x0a", 2),
        "end of a listpack",
    ),
    "integer beyond the end": (HASH_LISTPACK, packed(element(b"f") + b"\xf4", 2), "end of a listpack"),
    "header without an end": (HASH_LISTPACK, packed(element(b"f") + b"\xe0", 2), "end of a listpack"),
    "no element": (HASH_LISTPACK, packed(element(b"f") + b"\xf5\x01", 2), "an element of a listpack"),
    "end within": (HASH_LISTPACK, packed(element(b"f") + b"\xff\x01", 2), "an element of a listpack"),
    "wrong length behind": (HASH_LISTPACK, packed(element(b"f") + b"\x81v\x03", 2), "behind it"),
    "wrong length behind a long one": (
        HASH_LISTPACK,
        packed(element(b"f") + element(b"v" * 99)[:-1] + b"\x80", 2),
        "behind it",
    ),
    "wrong count": (HASH_LISTPACK, packed(element(b"f") + element(b"v"), 4), "a listpack of 4 elements"),
    "no listpack": (HASH_LISTPACK, text(b"short"), "a listpack of the length"),
    "a number": (HASH_LISTPACK, b"\xc0\x05", "a listpack of the length"),
    "member twice": (SET_LISTPACK, listpack(b"a", b"b", b"a"), "twice"),
    "empty set": (SET_LISTPACK, listpack(), "it is empty"),
    "intset out of order": (SET_INTSET, intset("h", 1, 3, 2), "ascending"),
    "intset with a member twice": (SET_INTSET, intset("i", 1, 1), "ascending"),
    "intset of another width": (SET_INTSET, text(struct.pack("<II", 3, 1) + b"abc"), "width"),
    "intset that is longer": (SET_INTSET, text(struct.pack("<II", 2, 1) + bytes(4)), "an intset of 1"),
    "intset of so many members that their size overflows": (
        SET_INTSET,
        text(struct.pack("<II", 8, 1 << 29)),
        "members",
    ),
    "empty intset": (SET_INTSET, intset("h"), "empty"),
    "score that is none": (ZSET_LISTPACK, listpack(b"a", b"one"), "a score"),
    "score that is not a number": (ZSET_LISTPACK, listpack(b"a", b"nan"), "a score"),
    "scores out of order": (ZSET_LISTPACK, listpack(b"a", 2, b"b", 1), "order of their scores"),
    "not a number in binary": (ZSET_2, b"\x01\x01a" + struct.pack("<d", float("nan")), "a score"),
    "hash as a table with a field twice": (HASH, b"\x02\x01f\x01v\x01f\x01w", "twice"),
    "set as a table with a member twice": (SET, b"\x02\x01a\x01a", "twice"),
    "list of empty nodes": (LIST_QUICKLIST_2, b"\x01\x02" + listpack(), "empty"),
    "list of no nodes": (LIST_QUICKLIST, b"\x00", "empty"),
    "list with a damaged node": (LIST_QUICKLIST_2, b"\x01\x02" + packed(b"\x85ab\x03", 1), "listpack"),
    "string compressed to another length": (STRING, b"\xc3\x04\x09\x02abc", "LZF"),
    "hash compressed to nothing": (HASH_LISTPACK, b"\xc3\x02\x09\xe0\xff", "LZF"),
    "expiry that is text": (HASH_LISTPACK_EXPIRING, bytes(8) + listpack(b"f", b"v", b"soon"), "a field's expiry"),
    "expiries out of order": (HASH_LISTPACK_EXPIRING, bytes(8) + listpack(b"f", b"v", 900, b"g", b"w", 800), "order"),
    "expiry before one that has none": (
        HASH_LISTPACK_EXPIRING,
        bytes(8) + listpack(b"f", b"v", 0, b"g", b"w", 800),
        "order",
    ),
    "expiry that 48 bits do not hold": (
        HASH_LISTPACK_EXPIRING,
        bytes(8) + listpack(b"f", b"v", 1 << 48),
        "a field's expiry",
    ),
    "field without an expiry": (HASH_LISTPACK_EXPIRING, bytes(8) + listpack(b"f", b"v"), "3 elements"),
    "stream node of a short identifier": (
        STREAM_2,
        stream(*MASTER, *ENTRY, key=b"short"),
        "identifier of a stream's node",
    ),
    "stream entry of another length": (STREAM_2, stream(*MASTER, 2, 0, 0, b"v", 5), "number of elements"),
    "stream entry without an end": (STREAM_2, stream(*MASTER, 2, 0, 0), "number of elements"),
    "stream with a negative number of fields": (STREAM_2, stream(1, 0, -1, 0, *ENTRY), "a number of entries or fields"),
    "stream with text for a number": (STREAM_2, stream(b"1", 0, 1, b"f", 0, *ENTRY), "a number of entries or fields"),
    "stream with too many fields": (STREAM_2, stream(1, 0, 100, b"f", 0, *ENTRY), "a stream's entry"),
    "stream with more entries than it tells": (STREAM_2, stream(*MASTER, *ENTRY, *ENTRY), "a stream node of 1 entries"),
    "stream with fewer entries than it tells": (STREAM_2, stream(2, 0, 1, b"f", 0, *ENTRY), "a stream's entry"),
    "stream that tells another number": (
        STREAM_2,
        stream(*MASTER, *ENTRY, entries=3),
        "number of a stream's entries, 1",
    ),
    "stream that ends before its last entry": (STREAM_2, stream(*MASTER, *ENTRY, last=b"\x04\x00"), "last identifier"),
    "pending entry of no consumer": (
        STREAM_2,
        stream(*MASTER, *ENTRY, pending=b"\x01" + NACK + b"\x00"),
        "a consumer for each",
    ),
    "pending entry of two consumers": (
        STREAM_2,
        stream(*MASTER, *ENTRY, pending=b"\x01" + NACK + b"\x02" + consumer(b"c", ID) + consumer(b"d", ID)),
        "no other consumer has",
    ),
    "pending entry that the group lacks": (
        STREAM_2,
        stream(*MASTER, *ENTRY, pending=b"\x00\x01" + consumer(b"c", ID)),
        "a pending entry of the group",
    ),
    "hash in a zipmap of another count": (HASH_ZIPMAP, text(b"\x02\x01f\x01\x00v\xff"), "a zipmap of 2 fields"),
    "hash in a zipmap beyond the end": (HASH_ZIPMAP, text(b"\x01\x01f\xfd\x00v\xff"), "end of a zipmap"),
    "hash in a ziplist of another offset": (
        HASH_ZIPLIST,
        text(struct.pack("<IIH", 17, 10, 2) + b"\x00\x01f\x03\x01v\xff"),
        "last element",
    ),
    "hash in a ziplist with a wrong length before": (
        HASH_ZIPLIST,
        text(struct.pack("<IIH", 17, 13, 2) + b"\x00\x01f\x04\x01v\xff"),
        "before the next one",
    ),
    "something behind the value": (HASH_LISTPACK, listpack(b"f", b"v") + b"x", "end of the value"),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_value_passes(name: str) -> None:
    rdb_type, raw = SOUND[name]
    assert Value(rdb_type, raw, 12).fault() is None


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_value_is_found_with_what_was_expected(name: str) -> None:
    rdb_type, raw, expected = DAMAGED[name]
    assert expected in str(Value(rdb_type, raw, 12).fault())


def test_every_value_of_the_corpus_passes() -> None:
    values = values_of_corpus()
    assert len(values) > 2500 and {value.version for value in values} >= {9, 10, 11, 12, 15, 80}
    assert [(value, value.fault()) for value in values if value.fault()] == []


def test_length_behind_an_element_is_that_of_the_server_that_wrote_it() -> None:
    """Valkey 9 needs two bytes for 16383, all others three."""
    size = 16383 - 5
    head = b"\xf0" + struct.pack("<I", size) + b"x" * size
    redis, valkey = packed(head + b"\x00\xff\xff", 1), packed(head + b"\x7f\xff", 1)

    assert [Value(SET_LISTPACK, raw, version).fault() is None for version in (11, 80) for raw in (redis, valkey)] == [
        *(True, False),
        *(False, True),
    ]


@pytest.mark.parametrize(
    "unpack", [lambda data: iter(Listpack(data)), ziplist, zipmap], ids=["listpack", "ziplist", "zipmap"]
)
def test_truncated_packed_value_is_bad_and_nothing_else(unpack: object) -> None:
    """Every prefix, with a header and an end that fit it."""
    assert callable(unpack)
    elements = element(b"f") + element(b"x" * 99) + element(-70000) + element(b"y" * 5000)
    for length in range(len(elements)):
        cut = elements[:length]
        for data in (
            struct.pack("<IH", 7 + length, 0xFFFF) + cut + b"\xff",
            struct.pack("<IIH", 11 + length, 10, 0xFFFF) + cut + b"\xff",
            b"\xfe" + cut + b"\xff",
        ):
            try:
                list(unpack(data))
            except BadPacked:
                continue
