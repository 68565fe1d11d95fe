# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How many bytes go to keys of the same prefix, in bounded memory.

A prefix is what a key begins with up to its first ``:``, the ``:`` included, if that stands within the first
:data:`LONGEST` bytes; other keys have none.
"""

from __future__ import annotations

import collections
import operator
import typing as t
from dataclasses import dataclass

LONGEST = 128
#: A table that grows beyond the first is cut down to the second: some 5 MB at most.
_MOST, _KEPT = 20_000, 10_000


@dataclass(frozen=True)
class PrefixBytes:
    prefix: bytes
    size: int
    """Bytes of the commands on such keys; at most :attr:`Prefixes.uncertain` bytes less than there really are."""


class Prefixes:
    """``uncertain``: bytes by which any figure may fall short, because its prefix was once dropped as a small one.

    ``totals``: bytes by ``key[: key.find(b":", 0, LONGEST) + 1]`` (nothing stands before the first byte, where there is no
    colon). Who adds to them in a loop of its own calls :meth:`bound` now and then.
    """

    def __init__(self) -> None:
        self.totals: collections.defaultdict[bytes, int] = collections.defaultdict(int)
        self.uncertain = 0

    def add(self, keys: t.Iterable[bytes], sizes: t.Iterable[int]) -> None:
        """Commands on these keys, each of its size."""
        totals, longest = self.totals, LONGEST
        for key, size in zip(keys, sizes):
            totals[key[: key.find(b":", 0, longest) + 1]] += size
        self.bound()

    def top(self, count: int) -> list[PrefixBytes]:
        """The prefixes with the most bytes, largest first; the empty one stands for keys without a prefix."""
        ordered = sorted(self.totals.items(), key=lambda item: (-item[1], item[0]))
        return [PrefixBytes(prefix, size) for prefix, size in ordered[:count]]

    def bound(self) -> None:
        """Forget the smallest ones where there are too many."""
        if len(self.totals) <= _MOST:
            return
        ordered = sorted(self.totals.items(), key=operator.itemgetter(1), reverse=True)
        self.uncertain += ordered[_KEPT][1]  # the largest of what goes
        self.totals = collections.defaultdict(int, ordered[:_KEPT])
