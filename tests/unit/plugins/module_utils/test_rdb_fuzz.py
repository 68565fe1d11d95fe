# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""RDBs of real servers, damaged at random: the walk and the values are read to an end or told to be damaged, and nothing else.

Runs for 10 seconds, and for 150 files at least; ``FUZZ_SECONDS=600 pytest tests/unit/plugins/module_utils/test_rdb_fuzz.py`` for longer. A failure names its
seed.
"""

from __future__ import annotations

import os
import random
import struct
import tempfile
import time
import tracemalloc
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import Restorer
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import commands
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError, UnsupportedTypeError
from ansible_collections.redisops.tair.tests.support.corpus import corpus

SECONDS = float(os.environ.get("FUZZ_SECONDS", "10"))
SLOWEST = 5.0  # of processor time, for one file of some 50 KB that is read in milliseconds when it is whole
MOST_MEMORY = 32 << 20  # of it


def damaged(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _time in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
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
        elif kind == 5:  # a length
            lengths = (
                b"\x7f\xff",
                b"\x80" + rng.randbytes(4),
                b"\x81" + rng.randbytes(8),
                b"\x80\x1f\xff\xff\xff",
                b"\xc3",
            )
            length = rng.choice(lengths)
            data[at : at + rng.choice((0, len(length)))] = length
        else:
            data[at : at + 1] = bytes([rng.choice((*range(34), *range(242, 256)))])
    return bytes(data)


def text(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def rarities() -> bytes:
    """What the corpus has none of."""
    ziplist = struct.pack("<IIH", 19, 14, 2) + b"\x00\x02ab\x04\x02cd\xff"
    listpack = struct.pack("<IH", 25, 3) + b"\x81f\x02\x81v\x02\xf4" + bytes(8) + b"\x09\x00\x01\xff"
    values = (
        (1, b"\x02" + text(b"a") + b"\xc0\x05"),
        (3, b"\x03\x01a\x041.25\x01b\xfe\x01c\xff"),
        (9, text(b"\x02\x01a\x01\x00b\x02cc\x03\x02ddd..\xff")),
        (10, text(ziplist)),
        (7, b"\x81" + bytes(8) + b"\x02\x05\x04" + bytes(8) + b"\x05\x01x\x00"),
        (22, b"\x01\x05" + text(b"f") + text(b"v")),
        (23, text(listpack)),
        (24, bytes(8) + b"\x01\x05" + text(b"f") + text(b"v")),
        (30, text(listpack)),
        (32, b"\x07" + text(b"v1") + text(b"v2")),
    )
    template = b"\xf2\x07\x02" + text(b"f1") + text(b"f2")
    keys = b"".join(bytes([rdb_type]) + text(b"key") + value for rdb_type, value in values)
    return b"REDIS0015" + template + keys * 5 + b"\xff" + bytes(8)


def read(fd: int, size: int, verify: bool, block_bytes: int) -> tuple[list[t.Any], int | None]:
    """The records, and where the damage is."""
    found: list[t.Any] = []
    try:
        found.extend(Rdb(fd, 0, size, where="fuzzed", verify=verify, block_bytes=block_bytes))
    except AofFormatError as exc:
        assert 0 <= exc.facts["offset"] <= size and exc.facts["expected"] and exc.facts["file"] == "fuzzed"
        return found, exc.facts["offset"]
    return found, None


def build(fd: int, found: list[t.Any], version: int) -> int:
    """Make commands and payloads of all entries; how many could not be."""
    faults = 0
    for entry in found:
        if isinstance(entry, Entry):
            try:
                for command in commands(fd, entry, version, where="fuzzed"):
                    assert len(command) < 70 or command[0] in (b"HPEXPIREAT", b"HSET", b"ZADD", b"ARMSET", b"XADD")
            except (AofFormatError, UnsupportedTypeError):
                faults += 1
            Restorer(version, 12).command(
                entry.key, entry.expiry, entry.type, os.pread(fd, entry.end - entry.start, entry.start)
            )
    return faults


def test_damaged_rdbs_are_read_to_an_end() -> None:
    sources = [rarities()]
    for aof in corpus(variant="hybrid"):
        sources.append((next(aof.aof.glob("*.base.rdb")) if aof.aof.is_dir() else aof.aof).read_bytes())
    seed, end = random.randrange(1 << 32), time.monotonic() + SECONDS
    tried = damage_found = values_damaged = 0
    tracemalloc.start()
    while time.monotonic() < end or tried <= 150:
        seed += 1
        rng = random.Random(seed)
        content = damaged(rng, rng.choice(sources))
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            fd, started = file.fileno(), time.process_time()
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            small, large = (read(fd, len(content), False, size) for size in (rng.choice((16, 300)), 1 << 18))
            whole = read(fd, len(content), True, 1 << 18)
            assert small == large, f"seed {seed}"
            assert whole[0] == large[0] and (large[1] is None or whole[1] == large[1]), f"seed {seed}"
            version = int(content[6:9]) if content[6:9].isdigit() else 0
            values_damaged += build(fd, large[0], version)
            took, memory = time.process_time() - started, tracemalloc.get_traced_memory()[1] - before
        assert took < SLOWEST, f"seed {seed} took {took:.1f} s"
        assert memory < MOST_MEMORY, f"seed {seed} took {memory} bytes"
        tried += 1
        damage_found += whole[1] is not None
    tracemalloc.stop()
    assert tried > 100 and damage_found > 50 and values_damaged > 20
