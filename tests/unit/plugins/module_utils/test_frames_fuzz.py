# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real AOFs, damaged at random: the reader neither hangs nor crashes, and both framers read the same.

Runs for 10 seconds, and for 150 files at least; ``FUZZ_SECONDS=600 pytest tests/unit/plugins/module_utils/test_frames_fuzz.py`` for longer. A failure names its
seed.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Annotation, Block, Frames, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.tests.support.corpus import corpus

SECONDS = float(os.environ.get("FUZZ_SECONDS", "10"))
SLOWEST = 5.0  # of processor time, for one file of some 100 KB that is read in milliseconds when it is whole


def damaged(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _time in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + rng.choice((1, 2, 10, 1000))]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 10, 300)))
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            other = rng.randrange(len(data) + 1)
            data[at:at] = data[other : other + rng.choice((10, 5000))]
        else:
            numbers = (b"0", b"-1", b"99999999", b"1099511627777", b"4294967296", b"+3", b" 3", b"3_0")
            data[at : at + 3] = rng.choice((b"*", b"$", b"#")) + rng.choice(numbers) + b"\r\n"
    return bytes(data)


def read(file: t.IO[bytes], size: int, **options: t.Any) -> tuple[list[t.Any], int, int | None]:
    """Commands and annotations in order, the offset up to which they are whole, and the offset of the damage."""
    found: list[t.Any] = []
    frames = Frames(file.fileno(), 0, size, where="fuzzed", **options)
    damage = None
    try:
        for frame in frames:
            if isinstance(frame, Block):
                found += frame.commands
            elif isinstance(frame, LargeCommand):
                found.append(("large", frame.name, frame.key, frame.args))
            elif isinstance(frame, Annotation):
                found.append(frame.text)
    except AofFormatError as exc:
        damage = exc.facts["offset"]
    return found, frames.complete, damage


def test_damaged_files_are_read_alike_and_to_an_end() -> None:
    sources = [
        path.read_bytes()
        for aof in corpus()
        if aof.variant in ("base+incr", "no-rewrite", "ts")
        for path in sorted(aof.directory.rglob("*.aof"))
    ]
    seed, end = random.randrange(1 << 32), time.monotonic() + SECONDS
    tried = damage_found = 0
    while time.monotonic() < end or tried <= 150:
        seed += 1
        rng = random.Random(seed)
        content = damaged(rng, rng.choice(sources))
        block_bytes, large_bytes = rng.choice((64, 4096, 65536)), rng.choice((1000, 256 * 1024))
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            started = time.process_time()
            results = [
                read(file, len(content), block_bytes=block_bytes, large_bytes=large_bytes, use_hiredis=use_hiredis)
                for use_hiredis in (True, False)
            ]
            took = time.process_time() - started
        assert took < SLOWEST, f"seed {seed} took {took:.1f} s"
        assert results[0][1:] == results[1][1:], f"seed {seed}"
        # A command that one of them takes for a large one is the same command to the other.
        assert len(results[0][0]) == len(results[1][0]), f"seed {seed}"
        for one, other in zip(*(result[0] for result in results)):
            if not isinstance(one, tuple) and not isinstance(other, tuple):
                assert one == other, f"seed {seed}"
        tried += 1
        damage_found += results[0][2] is not None
    assert tried > 100 and damage_found > 20
