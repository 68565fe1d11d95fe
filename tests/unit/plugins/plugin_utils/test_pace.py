# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.redisops.tair.plugins.plugin_utils._pace import Pace

MB = 1_000_000
CHUNK = 100_000


class Line:
    """A copy over a line of known rates, in bytes of the file a second; ``ways`` is how each piece went."""

    def __init__(self, *, plain: float, packed: float, possible: bool = True) -> None:
        self._rates = {False: plain, True: packed}
        self._now = 0.0
        self._pace = Pace(possible=possible, clock=lambda: self._now)
        self.ways: list[tuple[int, bool]] = []

    def copy(self, size: int) -> list[tuple[int, bool]]:
        missing = size
        while missing:
            piece = self._pace.next_piece(missing)
            self.ways.append((piece.length, piece.packed))
            arrived = 0
            while arrived < piece.length:
                count = min(CHUNK, piece.length - arrived)
                self._now += count / self._rates[piece.packed]
                arrived += count
                piece.arrived(count)
            self._pace.took(piece)
            missing -= piece.length
        return self.ways


@pytest.mark.parametrize(
    ("plain", "packed", "way"),
    [(10 * MB, 40 * MB, True), (10 * MB, 10 * MB, False), (40 * MB, 20 * MB, False)],
    ids=["much faster", "no faster", "slower"],
)
def test_both_ways_are_tried_and_the_rest_goes_the_faster_one(plain: float, packed: float, way: bool) -> None:
    first, second, *rest = Line(plain=plain, packed=packed).copy(1000 * MB)
    assert (first[1], second[1]) == (False, True)
    assert first[0] + second[0] <= 1000 * MB / 8, "a trial is a small part"
    assert rest and {packed for _length, packed in rest} == {way}


def test_on_a_fast_line_compression_is_not_even_tried() -> None:
    assert {packed for _length, packed in Line(plain=400 * MB, packed=900 * MB).copy(1000 * MB)} == {False}


def test_a_small_file_goes_in_one_piece() -> None:
    assert Line(plain=MB, packed=10 * MB).copy(5 * MB) == [(5 * MB, False)]


def test_where_it_is_not_possible_all_goes_in_one_piece() -> None:
    assert Line(plain=MB, packed=10 * MB, possible=False).copy(1000 * MB) == [(1000 * MB, False)]


def test_a_very_large_file_is_looked_at_again_on_the_way() -> None:
    ways = Line(plain=10 * MB, packed=40 * MB).copy(5000 * MB)
    assert max(length for length, _packed in ways) <= 1000 * MB
