# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._keys import (
    CHECKPOINT_PREFIX,
    DatabaseMap,
    KeyFilter,
    glob_to_regex,
    printable,
)


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("*", b"", True),
        ("user:*", b"user:\xff\n1", True),
        ("user:*", b"xuser:1", False),
        ("user:*", b"user", False),
        ("h?llo", b"h\nllo", True),
        ("h?llo", b"hllo", False),
        ("h[ae]llo", b"hallo", True),
        ("h[ae]llo", b"hillo", False),
        ("h[^e]llo", b"hallo", True),
        ("h[^e]llo", b"hello", False),
        ("h[a-c]llo", b"hbllo", True),
        ("h[c-a]llo", b"hbllo", True),
        ("h[a-c]llo", b"h-llo", False),
        (r"[\]]", b"]", True),
        (r"\*", b"*", True),
        (r"\*", b"x", False),
        ("a\\", b"a\\", True),
        ("[abc", b"b", True),
        ("[]x", b"x", False),
        ("[^]", b"\n", True),
        ("a.b", b"axb", False),
        ("a|b", b"a", False),
        ("Grüße*", "Grüße, Welt".encode(), True),
    ],
)
def test_patterns_match_as_those_of_scan(pattern: str, key: bytes, matches: bool) -> None:
    assert bool(re.fullmatch(glob_to_regex(pattern), key, re.DOTALL)) is matches


def test_without_patterns_every_key_is_taken_but_our_own_checkpoint() -> None:
    keys = KeyFilter()
    assert keys.takes_all
    assert keys.takes(b"") and keys.takes(b"\x00\xff")
    assert not keys.takes(CHECKPOINT_PREFIX + b"imports")


def test_a_key_is_taken_that_matches_any_included_and_no_excluded_pattern() -> None:
    keys = KeyFilter(["user:*", "cart:*"], ["*:tmp"])
    assert not keys.takes_all
    assert keys.takes(b"user:1") and keys.takes(b"cart:1")
    assert not keys.takes(b"page:1")
    assert not keys.takes(b"user:tmp")
    assert not KeyFilter(["*"]).takes(CHECKPOINT_PREFIX + b"imports")


def test_databases_keep_their_number_unless_they_are_mapped() -> None:
    databases = DatabaseMap.from_params(None, {"1": "0", 2: 5})
    assert [databases.target(db) for db in (0, 1, 2)] == [0, 0, 5]
    assert all(databases.takes(db) for db in range(20))


def test_only_the_databases_that_are_named_are_taken() -> None:
    databases = DatabaseMap.from_params([3], None)
    assert databases.takes(3) and not databases.takes(0)


@pytest.mark.parametrize(("only", "mapped"), [([-1], None), (None, {"0": -1}), (None, {"zero": 1}), (None, {0: None})])
def test_numbers_that_are_no_databases_are_refused(only: list[int] | None, mapped: dict[object, object] | None) -> None:
    with pytest.raises(TairError):
        DatabaseMap.from_params(only, mapped)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (b"user:1", "user:1"),
        ("Grüße 🐘".encode(), "Grüße 🐘"),
        (b"a\xff\x00b", "a\\xff\\x00b"),
        (b"two\r\nlines", "two\\r\\nlines"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"C:\\x41", "C:\\\\x41"),
        ("\u202egnp".encode(), "\\u202egnp"),
        (b"k" * 300, "k" * 200 + "... (300 bytes)"),
    ],
)
def test_keys_are_shown_on_one_line_with_escapes_for_what_cant_be_seen(key: bytes, shown: str) -> None:
    assert printable(key) == shown
