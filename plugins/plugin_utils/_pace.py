# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Whether a copy gains by compression on the way, by what is measured while it runs.

The first piece of a large file travels plain. Where that is slow, the next one is compressed, and the rest goes the way
that was faster: what counts is how fast the file's own bytes arrive, and that depends on the line, on both machines and
on the data.
"""

from __future__ import annotations

import time
import typing as t

_MB = 1_000_000
_SMALLEST_TRIAL, _LARGEST_TRIAL, _TRIALS = 2 * _MB, 32 * _MB, 16  # a trial is this part of what is missing
_LONGEST_PIECE = 1000 * _MB  # then the rates are looked at again
#: Bytes a second from which compression is not tried: no compressor is much faster.
FAST = 250e6
_GAIN = 1.1  # what is not faster than this is not worth the processor time of the host


class Piece:
    """``length`` bytes to be copied at one go, ``packed`` or plain; it takes the time of its second half."""

    def __init__(self, length: int, *, packed: bool, clock: t.Callable[[], float]) -> None:
        self.length, self.packed = length, packed
        self._clock = clock
        self._arrived = 0
        self._half: tuple[int, float] | None = None  # the first half is for the line to get up to its speed
        self.rate: float | None = None

    def arrived(self, count: int) -> None:
        self._arrived += count
        if self._half is None:
            if 2 * self._arrived >= self.length:
                self._half = (self._arrived, self._clock())
        elif self._arrived >= self.length:
            bytes_there, then = self._half
            self.rate = (self._arrived - bytes_there) / max(self._clock() - then, 1e-6)


class Pace:
    """``possible``: whether both ends can compress at all."""

    def __init__(self, *, possible: bool, clock: t.Callable[[], float] = time.monotonic) -> None:
        self.possible = possible
        self._clock = clock
        self._rates: dict[bool, float] = {}  # bytes of the file a second: packed, plain

    def next_piece(self, missing: int) -> Piece:
        """How to go on with a file of which ``missing`` bytes are to come."""
        length, packed = self._choose(missing)
        return Piece(length, packed=packed, clock=self._clock)

    def _choose(self, missing: int) -> tuple[int, bool]:
        trial = min(missing // _TRIALS, _LARGEST_TRIAL)
        plain, compressed = self._rates.get(False), self._rates.get(True)
        if not self.possible or (trial < _SMALLEST_TRIAL and (plain is None or compressed is None)):
            return missing, False
        if plain is None:
            return trial, False
        if compressed is None:
            return (missing, False) if plain >= FAST else (trial, True)
        return min(missing, _LONGEST_PIECE), compressed > _GAIN * plain

    def took(self, piece: Piece) -> None:
        """A piece has arrived whole."""
        if piece.rate is not None:
            self._rates[piece.packed] = piece.rate
