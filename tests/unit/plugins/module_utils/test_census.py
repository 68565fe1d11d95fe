# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two censuses of keys: alike whatever the order, in doubt about few keys where a few are odd."""

from __future__ import annotations

import random

from ansible_collections.redisops.tair.plugins.module_utils._compare.census import Census

KEYS = [b"key:%d" % number for number in range(20_000)]


def census(keys: list[bytes]) -> Census:
    counted = Census()
    for start in range(0, len(keys), 1000):
        counted.add(keys[start : start + 1000])
    return counted


def test_the_same_keys_in_any_order_leave_no_doubt() -> None:
    assert not census(KEYS).doubts(census(random.sample(KEYS, len(KEYS))))


def test_an_odd_key_is_among_the_doubtful_ones_and_few_others_are() -> None:
    more, last, twice = b"more", KEYS[-1], KEYS[7]
    for other, odd in (
        ([*KEYS, more], {more}),
        (KEYS[:-1], {last}),
        ([*KEYS[:-1], more], {last, more}),
        ([*KEYS, twice], {twice}),
    ):
        doubtful = census(KEYS).doubts(census(other)).among([*KEYS, more])

        assert odd <= set(doubtful)
        assert len(doubtful) < 100
