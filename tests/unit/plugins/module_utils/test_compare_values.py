# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import GONE, NO_EXPIRY, batches, draw
from ansible_collections.redisops.tair.plugins.module_utils._compare.values import (
    Finding,
    counted,
    expiry_difference,
    hash_difference,
    hyperloglog_registers,
    list_difference,
    set_difference,
    sized,
    string_difference,
    told_expiry,
    zset_difference,
)

SECRET = b"s3cret"


def hyperloglog(encoding: int, body: bytes) -> bytes:
    return b"HYLL" + bytes([encoding, 0, 0, 0]) + b"\x00" * 8 + body


def dense(registers: dict[int, int]) -> bytes:
    bits = sum(value << 6 * index for index, value in registers.items())
    return hyperloglog(0, bits.to_bytes(12288, "little"))


def sparse(*opcodes: int) -> bytes:
    return hyperloglog(1, bytes(opcodes))


#: 16383 zeros, and a register of the value 5: an XZERO of two bytes and a VAL.
LAST_IS_FIVE = sparse(0x40 | (16382 >> 8), 16382 & 0xFF, 0x80 | (5 - 1) << 2)


def test_lists_differ_by_order() -> None:
    assert list_difference([b"a", b"b"], [b"a", b"b"]) is None
    assert list_difference([b"a", b"b", b"c"], [b"a", b"c", b"b"]) == Finding(
        "value", "list of 3 elements", "list of 3 elements, differs at index 1"
    )


def test_sets_and_hashes_do_not() -> None:
    assert set_difference([b"a", b"b"], [b"b", b"a"]) is None
    assert hash_difference([b"f", b"1", b"g", b"2"], [b"g", b"2", b"f", b"1"]) is None


def test_another_number_of_elements_is_called_that() -> None:
    assert list_difference([b"a"], [b"a", b"b"]) == Finding("length", "list of 1 element", "list of 2 elements")
    assert set_difference([b"a"], [b"a", b"b"]) == Finding("length", "set of 1 member", "set of 2 members")
    assert hash_difference([b"f", b"1"], []) == Finding("length", "hash of 1 field", "hash of 0 fields")
    assert zset_difference([b"m", b"1"], []) == Finding("length", "zset of 1 member", "zset of 0 members")
    assert string_difference(b"ab", b"") == Finding("length", "string of 2 bytes", "string of 0 bytes")


def test_what_differs_is_counted_and_not_shown() -> None:
    found = [
        string_difference(SECRET, SECRET[::-1]),
        list_difference([SECRET], [b"other"]),
        set_difference([SECRET, b"a"], [b"other", b"a"]),
        hash_difference([SECRET, b"1", b"f", SECRET, b"g", b"2"], [b"other", b"1", b"f", b"new", b"g", b"2"]),
        zset_difference([SECRET, b"1", b"m", b"2"], [b"other", b"1", b"m", b"3"]),
    ]
    assert [finding.target for finding in found if finding] == [
        "string of 6 bytes, other ones",
        "list of 1 element, differs at index 0",
        "set of 2 members, 1 not of the source",
        "hash of 3 fields, 1 missing, 1 with another value",
        "zset of 2 members, 1 missing, 1 with another score",
    ]
    assert {finding.reason for finding in found if finding} == {"value"}
    assert SECRET.decode() not in str(found)


@pytest.mark.parametrize(
    ("source", "target"),
    [(b"0.1", b"0.10000000000000001"), (b"-0", b"0"), (b"1e+300", b"1e300"), (b"inf", b"inf"), (b"3", b"3.0")],
)
def test_scores_are_compared_as_numbers(source: bytes, target: bytes) -> None:
    assert zset_difference([b"m", source], [b"m", target]) is None


def test_a_score_that_is_next_to_another_is_another() -> None:
    assert zset_difference([b"m", b"0.1"], [b"m", b"0.10000000000000002"]) is not None


def test_hyperloglogs_are_equal_by_their_registers_whatever_their_encoding() -> None:
    assert string_difference(LAST_IS_FIVE, dense({16383: 5})) is None
    assert string_difference(dense({16383: 5}), LAST_IS_FIVE) is None
    # ZERO takes up to 64 registers, XZERO up to 16384; VAL repeats a value up to four times.
    mixed = sparse(0x3F, 0x80 | (7 - 1) << 2 | 1, 0x40 | (16384 - 66 - 1) >> 8, (16384 - 66 - 1) & 0xFF)
    assert hyperloglog_registers(mixed) == bytes(64) + b"\x07\x07" + bytes(16384 - 66)
    assert hyperloglog_registers(dense({0: 1, 3: 63, 16383: 2})) == b"\x01\x00\x00\x3f" + bytes(16379) + b"\x02"


def test_hyperloglogs_with_other_registers_differ() -> None:
    assert string_difference(LAST_IS_FIVE, dense({16383: 6})) is not None


@pytest.mark.parametrize(
    "raw", [b"HYLL", b"HYLL\x00" + bytes(11), sparse(0x80), hyperloglog(1, b""), b"x" * 20, sparse(0x7F)]
)
def test_what_only_begins_like_a_hyperloglog_is_a_string(raw: bytes) -> None:
    assert hyperloglog_registers(raw) is None
    assert string_difference(raw, LAST_IS_FIVE) is not None


@pytest.mark.parametrize(
    ("source", "target", "differs"),
    [
        (NO_EXPIRY, NO_EXPIRY, False),
        (NO_EXPIRY, 1_900_000_000_000, True),
        (1_900_000_000_000, NO_EXPIRY, True),
        (1_900_000_000_000, 1_900_000_001_000, False),
        (1_900_000_000_000, 1_900_000_001_001, True),
        (1_900_000_001_001, 1_900_000_000_000, True),
        (GONE, NO_EXPIRY, False),
    ],
)
def test_expiries_may_differ_by_the_tolerance_but_not_be_missing(source: int, target: int, differs: bool) -> None:
    assert (expiry_difference(source, target, tolerance=1000) is not None) is differs


def test_an_expiry_is_told_as_a_date() -> None:
    assert told_expiry(NO_EXPIRY) == "no expiry"
    assert told_expiry(1_900_000_000_042) == "expires 2030-03-17T17:46:40.042Z"
    assert told_expiry(1 << 62) == "expires 4611686018427387904 ms after 1970"


def test_numbers_read_well() -> None:
    assert [counted(n, "entry") for n in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]
    assert [counted(n, "key") for n in (0, 1, 2)] == ["0 keys", "1 key", "2 keys"]
    assert sized("zset", 2) == "zset of 2 members"


def test_batches_hold_every_key_once_and_in_order() -> None:
    keys = [b"%d" % number for number in range(2001)]
    assert [len(batch) for batch in batches(keys)] == [1000, 1000, 1]
    assert [key for batch in batches(keys) for key in batch] == keys


def test_every_key_has_the_same_chance_of_being_drawn() -> None:
    scanned = [[b"%d" % number for number in range(start, start + 10)] for start in range(0, 50, 10)]
    times = dict.fromkeys((key for batch in scanned for key in batch), 0)
    for _draw in range(2000):
        drawn = draw(iter(scanned), 5)
        assert len(set(drawn)) == 5
        for key in drawn:
            times[key] += 1
    assert all(100 < count < 300 for count in times.values())  # 200 expected, standard deviation 13
