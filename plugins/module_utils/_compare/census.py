# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Are these two the same keys? Told from sums of their hashes, without asking a server for a single one of them.

Python hashes bytes with SipHash and 64 bits: two different sets of keys have the same sum once in 10^19 times.
"""

from __future__ import annotations

import typing as t

_BUCKETS = 4096


class Census:
    """Keys, counted by the sums of their hashes in some thousand buckets, so that a few odd keys spoil few of them."""

    def __init__(self) -> None:
        self._sums = [0] * _BUCKETS

    def add(self, keys: t.Iterable[bytes]) -> None:
        sums = self._sums
        for number in map(hash, keys):
            sums[number % _BUCKETS] += number

    def doubts(self, other: Census) -> Doubts:
        """Where the two are not the same. A key that one of them was given twice is a doubt, too."""
        return Doubts(frozenset(i for i, (a, b) in enumerate(zip(self._sums, other._sums)) if a != b))


class Doubts:
    """The buckets that differ; false where none does."""

    def __init__(self, buckets: frozenset[int]) -> None:
        self._buckets = buckets

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def among(self, keys: t.Iterable[bytes]) -> list[bytes]:
        """Those of the keys that may be on one side only."""
        return [key for key in keys if hash(key) % _BUCKETS in self._buckets]
