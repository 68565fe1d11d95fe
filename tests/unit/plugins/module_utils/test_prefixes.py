# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tracemalloc

from ansible_collections.redisops.tair.plugins.module_utils._aof.prefixes import LONGEST, PrefixBytes, Prefixes


def test_a_prefix_ends_with_the_first_colon() -> None:
    prefixes = Prefixes()
    prefixes.add([b"user:1:name", b"user:2", b"user", b":x", b"user:1:name"], [10, 20, 1, 2, 30])
    assert prefixes.top(9) == [PrefixBytes(b"user:", 60), PrefixBytes(b":", 2), PrefixBytes(b"", 1)]
    assert prefixes.top(1) == [PrefixBytes(b"user:", 60)]
    assert prefixes.uncertain == 0


def test_a_colon_far_into_a_key_makes_no_prefix() -> None:
    prefixes = Prefixes()
    prefixes.add([b"x" * (LONGEST - 1) + b":y", b"x" * LONGEST + b":y"], [1, 2])
    assert [found.size for found in prefixes.top(9)] == [2, 1]
    assert prefixes.top(1)[0].prefix == b""


def test_of_more_prefixes_than_fit_the_large_ones_stay_and_the_doubt_is_told() -> None:
    prefixes = Prefixes()
    tracemalloc.start()
    for number in range(300):
        prefixes.add([b"small-%d-%d:" % (number, key) + b":" * key for key in range(1000)], [7] * 1000)
        prefixes.add([b"large:1", b"larger:1"], [1000, 1001])
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    large, larger = 300 * 1000, 300 * 1001
    top = {found.prefix: found.size for found in prefixes.top(2)}
    assert top == {b"large:": large, b"larger:": larger}
    assert 0 < prefixes.uncertain < 300 * 7
    assert peak < 20_000_000
