# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What packed and compressed values hold, which version goes where, and what is told of what can't be built."""

from __future__ import annotations

import os
import random
import struct
import tempfile
import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof import lzf, rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_packed import (
    BadPacked,
    intset,
    listpack,
    pairs,
    ziplist,
    zipmap,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry, Function, MemberExpiry
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import Restorer
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import (
    footer_version,
    kind_of,
    server_rdb_version,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import (
    commands,
    function_command,
    member_expiry_command,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError, UnsupportedTypeError
from hypothesis import given
from hypothesis import strategies as st


def build(
    rdb_type: int, value: bytes, version: int = 11, expiry: int | None = None, **options: t.Any
) -> list[list[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(value)
        file.flush()
        entry = Entry(b"key", 3, expiry, rdb_type, 0, len(value))
        return list(commands(file.fileno(), entry, version, where="dump.rdb", **options))


def compressed(data: bytes) -> bytes:
    """As short literal runs and back references as LZF has them: not well, but of every kind."""
    out, at = b"", 0
    while at < len(data):
        best = max(
            (
                (size, back)
                for back in range(1, min(at, 40) + 1)
                for size in (3, 8, 9, 30, 264)
                if _repeats(data, at, back, size)
            ),
            default=(0, 0),
        )
        size, back = best
        if size:
            length = size - 2
            head = bytes([min(length, 7) << 5 | (back - 1) >> 8]) + (bytes([length - 7]) if length >= 7 else b"")
            out += head + bytes([(back - 1) & 255])
            at += size
        else:
            run = data[at : at + 1]
            out += bytes([len(run) - 1]) + run
            at += len(run)
    return out


def _repeats(data: bytes, at: int, back: int, size: int) -> bool:
    return at + size <= len(data) and all(data[at + n] == data[at + n - back] for n in range(size))


@given(st.lists(st.sampled_from([b"a", b"ab", b"abc", b"x" * 9, bytes(300)])).map(b"".join))
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert lzf.decompress(compressed(data), len(data)) == data


@pytest.mark.parametrize("data", [b"\x20\x00", b"\x00a\x20\x05", b"\x05abc", b"\xe0", b"\x00a\xe0\x05"])
def test_damaged_lzf_is_told(data: bytes) -> None:
    with pytest.raises(lzf.BadLzf):
        lzf.decompress(data, 5)


def test_a_damaged_reference_does_not_cost_more_than_was_told() -> None:
    bomb = b"\x00a" + b"\xe0\xff\x00" * 100_000
    with pytest.raises(lzf.BadLzf):
        lzf.decompress(bomb, 1000)
    assert not lzf.could_hold(10, 1 << 30) and lzf.could_hold(3, 264)


def test_a_set_of_integers_has_members_of_every_width() -> None:
    for layout, width in (("h", 2), ("i", 4), ("q", 8)):
        low = -(1 << 8 * width - 1)
        data = struct.pack(f"<II3{layout}", width, 3, low, 0, -low - 1)
        assert list(intset(data)) == [b"%d" % low, b"0", b"%d" % (-low - 1)]


@pytest.mark.parametrize(
    "unpack, rdb_type, data",
    [
        (listpack, rdb_types.SET_LISTPACK, b""),
        (listpack, rdb_types.SET_LISTPACK, struct.pack("<IH", 8, 0) + b"\xff"),
        (listpack, rdb_types.SET_LISTPACK, struct.pack("<IH", 9, 1) + b"\x85a\xff"),
        (listpack, rdb_types.SET_LISTPACK, struct.pack("<IH", 9, 1) + b"\xf5\x01\xff"),
        (ziplist, rdb_types.LIST_ZIPLIST, struct.pack("<IIH", 13, 10, 1) + b"\x00\x05\xff"),
        (ziplist, rdb_types.LIST_ZIPLIST, struct.pack("<IIH", 13, 10, 1) + b"\x00\xd1\xff"),
        (intset, rdb_types.SET_INTSET, struct.pack("<II", 2, 3) + b"ab"),
        (intset, rdb_types.SET_INTSET, struct.pack("<II", 3, 1) + b"abc"),
        (zipmap, rdb_types.HASH_ZIPMAP, b"\x01\x01a\xff"),
        (zipmap, rdb_types.HASH_ZIPMAP, b"\x01\x01a\x05\x00b\xff"),
    ],
)
def test_damaged_packed_values_are_told(
    unpack: t.Callable[[bytes], t.Iterator[bytes]], rdb_type: int, data: bytes
) -> None:
    with pytest.raises((BadPacked, IndexError)):
        list(unpack(data))
    with pytest.raises(AofFormatError, match="dump.rdb is damaged at byte 0: a ") as caught:
        build(rdb_type, bytes([len(data)]) + data)
    assert caught.value.facts["offset"] == 0


def test_an_odd_number_of_elements_is_no_hash() -> None:
    with pytest.raises(BadPacked):
        list(pairs(iter([b"f", b"v", b"g"])))


def test_an_empty_collection_gives_no_command_not_even_an_expiry() -> None:
    assert build(rdb_types.SET, b"\x00", expiry=5) == []
    assert build(rdb_types.STRING, b"\x00", expiry=5) == [[b"SET", b"key", b""], [b"PEXPIREAT", b"key", b"5"]]


def test_a_long_string_is_appended_in_pieces_compressed_or_not() -> None:
    data = random.Random(1).randbytes(2_500_000)
    made = build(rdb_types.STRING, b"\x80" + struct.pack(">I", len(data)) + data)
    assert [command[0] for command in made] == [b"SET", b"APPEND", b"APPEND"]
    assert b"".join(command[2] for command in made) == data

    packed = b"\x00a" + b"\xe0\xff\x00" * 10_000
    lengths = b"\x80" + struct.pack(">I", len(packed)) + b"\x80" + struct.pack(">I", 1 + 264 * 10_000)
    made = build(rdb_types.STRING, b"\xc3" + lengths + packed)
    assert [command[0] for command in made] == [b"SET", b"APPEND", b"APPEND"]
    assert b"".join(command[2] for command in made) == b"a" * (1 + 264 * 10_000)


def test_functions_have_commands() -> None:
    assert function_command(Function(b"#!lua name=x", 9)) == [b"FUNCTION", b"LOAD", b"#!lua name=x"]


@pytest.mark.parametrize(
    ("rdb_type", "now", "expected"),
    [
        (rdb_types.HASH, 4999, "HPEXPIREAT k 5000 FIELDS 1 m"),
        (rdb_types.HASH, 5001, "HPEXPIREAT k 5000 FIELDS 1 m"),
        (rdb_types.SET, 4999, "PEXPIREMEMBERAT k m 5000"),
        (rdb_types.SET, 5000, "SREM k m"),
        (11, 5000, "SREM k m"),
        (rdb_types.ZSET_2, 4999, "PEXPIREMEMBERAT k m 5000"),
        (rdb_types.ZSET_2, 5000, "ZREM k m"),
    ],
)
def test_member_that_expires_on_keydb_becomes_what_the_target_knows(rdb_type: int, now: int, expected: str) -> None:
    expiring = MemberExpiry(b"k", 0, b"m", 5000, rdb_type)

    assert member_expiry_command(expiring, 9, keydb=False, now=now) == expected.encode().split()
    assert member_expiry_command(expiring, 9, keydb=True, now=now) == [b"PEXPIREMEMBERAT", b"k", b"m", b"5000"]


@pytest.mark.parametrize(
    "rdb_type, value, what",
    [
        (rdb_types.HASH_TEMPLATE, b"\x00", "template"),
        (rdb_types.CRON, b"\x00", "KEYDB.CRON"),
        (7, b"\x00", "AAAAAAAAA"),
    ],
)
def test_what_no_command_builds_is_told_by_its_key(rdb_type: int, value: bytes, what: str) -> None:
    with pytest.raises(UnsupportedTypeError, match=what) as caught:
        build(rdb_type, value)
    assert (caught.value.facts["key"], caught.value.facts["database"]) == ("key", 3) and caught.value.todo


def test_the_value_must_end_where_it_was_said_to_end() -> None:
    with pytest.raises(AofFormatError, match="at byte 2: the end of a value"):
        build(rdb_types.STRING, b"\x01vmore")


@pytest.mark.parametrize(
    "flavor, version, expected",
    [
        ("redis", (3, 0), 6),
        ("redis", (3, 2), 7),
        ("redis", (4, 0), 8),
        ("redis", (6, 2), 9),
        ("redis", (7, 0), 10),
        ("redis", (7, 3), 11),
        ("redis", (8, 4), 12),
        ("redis", (8, 10), 15),
        ("redis", (9, 0), 15),
        ("valkey", (8, 1), 11),
        ("valkey", (9, 1), 80),
        ("keydb", (6, 3), 9),
    ],
)
def test_servers_take_what_their_version_tells(flavor: str, version: tuple[int, int], expected: int) -> None:
    assert server_rdb_version(flavor, version) == expected


@pytest.mark.parametrize(
    "rdb_type, version, accepted, expected",
    [
        (rdb_types.STRING, 15, 6, 6),
        (rdb_types.STRING, 80, 9, 6),
        (rdb_types.ZSET_2, 11, 7, None),
        (rdb_types.ZSET_2, 11, 9, 8),
        (rdb_types.HASH_LISTPACK, 11, 9, None),
        (rdb_types.HASH_LISTPACK, 12, 11, 10),
        (rdb_types.HASH_LISTPACK_EXPIRING, 12, 80, None),
        (rdb_types.HASH_LISTPACK_EXPIRING, 12, 15, 12),
        (rdb_types.HASH_2, 80, 15, None),
        (rdb_types.HASH_2, 80, 80, 80),
        (rdb_types.HASH_TEMPLATE, 15, 15, None),
        (rdb_types.CRON, 9, 9, None),
    ],
)
def test_a_payload_has_the_lowest_version_that_has_the_type(
    rdb_type: int, version: int, accepted: int, expected: int | None
) -> None:
    assert footer_version(rdb_type, version, accepted) == expected


def test_only_values_that_can_hold_a_long_element_part_at_valkey_9() -> None:
    for size, restored in ((186, True), (187, False), (20_000, False)):
        raw, entry = os.urandom(size), Entry(b"key", 0, None, rdb_types.HASH_LISTPACK, 0, size)
        assert (Restorer(80, 12).command(entry.key, entry.expiry, entry.type, raw) is not None) == restored
        assert (Restorer(11, 80).command(entry.key, entry.expiry, entry.type, raw) is not None) == restored
        assert Restorer(80, 80).command(entry.key, entry.expiry, entry.type, raw) is not None


def test_every_type_has_a_kind() -> None:
    for version in (11, 15, 80):
        kinds = {kind_of(rdb_type, version) for rdb_type in rdb_types.types_of(version)}
        assert {"string", "list", "set", "zset", "hash", "stream", "module"} <= kinds
