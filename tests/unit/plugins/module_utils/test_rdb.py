# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The walk over an RDB: every record of what real servers wrote, where it ends, and damage told by its place."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import tracemalloc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import checksum, crc64
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frames
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import (
    Aux,
    Entry,
    Function,
    MemberExpiry,
    ModuleAux,
    Record,
    Sizes,
    SlotImport,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus

HYBRIDS = corpus(variant="hybrid")


def preamble_of(aof: CorpusSet) -> Path:
    """The file that begins with an RDB."""
    return next(aof.aof.glob("*.base.rdb")) if aof.aof.is_dir() else aof.aof


def walk(path: Path, **options: t.Any) -> tuple[list[Record], Rdb]:
    with path.open("rb") as file:
        rdb = Rdb(file.fileno(), 0, os.fstat(file.fileno()).st_size, where=str(path), **options)
        return list(rdb), rdb


@pytest.fixture
def make(tmp_path: Path) -> t.Callable[..., Path]:
    """``make(b"...")``: an RDB with these records in it."""

    def write(*records: bytes, magic: bytes = b"REDIS0011", end: bytes = b"\xff" + bytes(8), tail: bytes = b"") -> Path:
        path = tmp_path / "dump.rdb"
        path.write_bytes(magic + b"".join(records) + end + tail)
        return path

    return write


def string(text: bytes) -> bytes:
    return bytes([len(text)]) + text if len(text) < 64 else b"\x80" + struct.pack(">I", len(text)) + text


def key(rdb_type: int, value: bytes, name: bytes = b"k") -> bytes:
    return bytes([rdb_type]) + string(name) + value


@pytest.mark.parametrize("aof", HYBRIDS, ids=str)
@pytest.mark.parametrize("block_bytes", [16, 1000, 256 * 1024])
def test_it_finds_what_servers_wrote_whatever_is_read_at_once(aof: CorpusSet, block_bytes: int) -> None:
    path = preamble_of(aof)

    records, rdb = walk(path, block_bytes=block_bytes)

    entries = [record for record in records if isinstance(record, Entry)]
    told = [record for record in records if isinstance(record, Sizes)]
    for sizes in told:
        of_database = [entry for entry in entries if entry.database == sizes.database]
        assert (len(of_database), sum(entry.expiry is not None for entry in of_database)) == sizes[1:]
    assert sum(sizes.keys for sizes in told) == len(entries) > 150
    versions = {record.value for record in records if isinstance(record, Aux) and record.name.endswith(b"-ver")}
    assert aof.version.encode() in versions
    assert len([record for record in records if isinstance(record, Function)]) == (3 if aof.aof.is_dir() else 0)
    assert rdb.tail is not None
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        frames = Frames(file.fileno(), rdb.tail, size, where=str(path))
        assert all(isinstance(frame, Block) for frame in frames) and frames.complete == size


@pytest.mark.parametrize("aof", HYBRIDS, ids=str)
def test_the_values_are_every_byte_between_the_keys(aof: CorpusSet) -> None:
    path = preamble_of(aof)

    entries = [record for record in walk(path)[0] if isinstance(record, Entry)]

    for before, after in zip(entries, entries[1:]):
        assert before.start < before.end < after.start


def test_a_preamble_may_begin_and_end_anywhere(tmp_path: Path) -> None:
    content = preamble_of(HYBRIDS[0]).read_bytes()
    path = tmp_path / "moved"
    path.write_bytes(b"x" * 1000 + content + b"more")

    with path.open("rb") as file:
        rdb = Rdb(file.fileno(), 1000, 1000 + len(content), where="moved")
        moved = list(rdb)

    records, there = walk(preamble_of(HYBRIDS[0]))
    assert rdb.tail == there.tail + 1000  # type: ignore[operator]
    assert [record[:4] for record in moved if isinstance(record, Entry)] == [
        record[:4] for record in records if isinstance(record, Entry)
    ]


@pytest.mark.parametrize("use_anycrc", [True, False])
def test_one_flipped_bit_in_a_value_is_found_by_the_checksum(use_anycrc: bool, tmp_path: Path) -> None:
    content = bytearray(preamble_of(HYBRIDS[-1]).read_bytes())
    entries = [record for record in walk(preamble_of(HYBRIDS[-1]))[0] if isinstance(record, Entry)]
    entry = next(entry for entry in entries if entry.type == 0 and entry.end - entry.start > 10)
    content[entry.end - 1] ^= 1
    path = tmp_path / "damaged.rdb"
    path.write_bytes(content)

    with pytest.raises(AofFormatError, match="checksum") as caught:
        walk(path, use_anycrc=use_anycrc)

    assert caught.value.facts["offset"] == len(content) - 8 and caught.value.facts["file"] == str(path)
    assert walk(path, verify=False)[1].tail == len(content)


def test_a_file_without_a_checksum_is_taken_as_it_is(make: t.Callable[..., Path]) -> None:
    path = make(key(0, string(b"v")), tail=b"*1\r\n")

    records, rdb = walk(path)

    assert records == [Entry(b"k", 0, None, 0, 12, 14)]
    assert rdb.tail == path.stat().st_size - 4


def test_rdbs_older_than_checksums_end_without_one(make: t.Callable[..., Path]) -> None:
    path = make(key(0, string(b"v")), magic=b"REDIS0004", end=b"\xff", tail=b"behind it")
    assert walk(path)[1].tail == path.stat().st_size - len(b"behind it")


def test_the_two_ways_to_a_checksum_agree() -> None:
    pytest.importorskip("anycrc")
    rng = random.Random(1)
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA  # as crc64.c of the servers tells
    for size in (0, 1, 2, 3, 8, 255, 4097):
        data = rng.randbytes(size)
        cut = rng.randrange(size + 1)
        for function in (checksum(True), checksum(False)):
            value = function(memoryview(data)[cut:], function(data[:cut], 0))
            assert value == crc64(data), (size, cut)


def test_expiries_belong_to_the_key_behind_them(make: t.Callable[..., Path]) -> None:
    path = make(
        b"\xfc" + struct.pack("<q", 1_700_000_000_123) + b"\xf9\x05" + key(0, string(b"v"), b"ms"),
        b"\xfd" + struct.pack("<i", 1_700_000_000) + b"\xf8\x40\x90" + key(2, b"\x01" + string(b"m"), b"s"),
        b"\xf8\x05" + key(0, b"\xc0\x05", b"none"),
    )
    entries = [record for record in walk(path)[0] if isinstance(record, Entry)]
    assert [(entry.key, entry.expiry) for entry in entries] == [
        (b"ms", 1_700_000_000_123),
        (b"s", 1_700_000_000_000),
        (b"none", None),
    ]


def test_keys_are_told_however_they_are_kept(make: t.Callable[..., Path]) -> None:
    long = b"k" * 20_000
    path = make(
        b"\x00\xc0\xfb" + string(b"v"),
        b"\x00\xc2\x40\xe2\x01\x00" + string(b"v"),
        b"\x00\xc3\x06\x14\x01xx\xe0\x09\x00" + string(b"v"),
        key(0, string(b"v"), long),
        b"\x00\x41\x00" + b"y" * 256 + string(b"v"),
    )
    found = [record.key for record in walk(path)[0] if isinstance(record, Entry)]
    assert found == [b"-5", b"123456", b"x" * 20, long, b"y" * 256]


def test_modules_are_passed_by_what_they_annotate(make: t.Callable[..., Path]) -> None:
    number = 0
    for character in "ReJSON-RL":
        number = number << 6 | "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(character)
    identifier = b"\x81" + struct.pack(">Q", number << 10 | 3)
    data = (
        b"\x02\x05" + b"\x01\x40\x80" + b"\x03" + bytes(4) + b"\x04" + bytes(8) + b"\x05" + string(b"x" * 100) + b"\x00"
    )
    path = make(b"\xf7" + identifier + b"\x02\x01" + data, key(7, identifier + data), key(0, string(b"v"), b"next"))

    aux, module, plain = walk(path)[0]

    assert isinstance(aux, ModuleAux) and aux.module == "ReJSON-RL"
    assert isinstance(module, Entry) and (module.type, module.key) == (7, b"k")
    assert isinstance(plain, Entry) and plain.key == b"next"


def test_a_number_means_what_its_server_means_by_it(make: t.Callable[..., Path]) -> None:
    """Types and opcodes part after Redis 7.2."""
    of_valkey = key(22, b"\x01" + string(b"field") + string(b"value") + bytes(8))
    imported = b"\xf3" + string(b"job") + b"\x02\x00\x05\x07\x07"
    records, _rdb = walk(make(imported, of_valkey, key(0, string(b"v")), magic=b"VALKEY080"))
    assert records[0] == SlotImport(b"job", ((0, 5), (7, 7))) and len(records) == 3

    of_redis = key(22, b"\x01\x05" + string(b"field") + string(b"value"))
    known_by_modules = b"\xf3\x01" + bytes(4) + b"\x02\x01\x00"
    template = b"\xf2\x07\x02" + string(b"f1") + string(b"f2")
    of_template = key(32, b"\x07" + string(b"v1") + string(b"v2"), b"templated")
    path = make(template, known_by_modules, of_redis, of_template, magic=b"REDIS0015")
    assert [record.key for record in walk(path)[0] if isinstance(record, Entry)] == [b"k", b"templated"]


@pytest.mark.parametrize("members", [(2, b"\x01\x01m"), (11, string(struct.pack("<IIh", 2, 1, 5)))])
def test_members_that_expire_on_keydb_are_told_behind_their_key(
    members: tuple[int, bytes], make: t.Callable[..., Path]
) -> None:
    aux = b"\xfa" + string(b"mvcc-tstamp") + string(b"1795405026123456789")
    expiry = b"\xfa" + string(b"keydb-subexpire-key") + string(b"m")
    expiry += b"\xfa" + string(b"keydb-subexpire-when") + string(b"1795405026123")
    cron = key(
        64, string(b"return 1") + bytes(16) + b"\x01" + string(b"k") + b"\x02" + string(b"a") + string(b"b"), b"job"
    )
    path = make(
        b"\xfe\x03",
        aux,
        key(0, string(b"v")),
        aux,
        key(*members, b"set"),
        expiry,
        aux,
        cron,
        key(0, string(b"v"), b"next"),
    )

    _string, entry, member, job, following = walk(path)[0]

    assert isinstance(job, Entry) and job.key == b"job"
    assert isinstance(entry, Entry) and isinstance(following, Entry) and following.key == b"next"
    assert member == MemberExpiry(b"set", 3, b"m", 1795405026123, members[0])
    found = walk(path, skim=True)[0]
    assert MemberExpiry(b"set", 3, b"m", 1795405026123, members[0]) in found, "also where keys are counted only"


@pytest.mark.parametrize(
    "records, offset, expected",
    [
        ([key(0, b"\xc4")], 12, "a value"),
        ([key(0, b"\x82\x00")], 12, "a value"),
        ([key(18, b"\x01\x03" + string(b"x"))], 13, "container"),
        ([key(1, b"\xc0\x05")], 12, "how often"),
        ([key(7, b"\x05\x09")], 13, "module"),
        ([b"\x08"], 9, "a key's type"),
        ([b"\x00\xc3\x05\x14" + b"\x20\x00\x00\x00\x00" + string(b"v")], 10, "LZF"),
        ([b"\x00\xc3\x01\x80\x10\x00\x00\x00x"], 10, "compressed"),
        ([b"\x00\x80\xff\xff\xff\xff"], 10, "at most"),
        ([key(28, b"\x01\x00\x00\x07")], 15, "kind"),
        ([key(32, b"\x05")], 12, "template"),
    ],
)
def test_damage_is_told_by_its_place_and_what_was_expected(
    records: list[bytes], offset: int, expected: str, make: t.Callable[..., Path]
) -> None:
    path = make(*records, magic=b"REDIS0015")
    with pytest.raises(AofFormatError, match=f"at byte {offset}: ") as caught:
        walk(path)
    assert caught.value.facts["offset"] == offset and expected in caught.value.facts["expected"]
    assert caught.value.facts["file"] == str(path) and "redis-check-rdb" in caught.value.todo


@pytest.mark.parametrize(
    "magic, record, what",
    [
        (b"REDIS0016", b"", "version 16"),
        (b"VALKEY081", b"", "version 81"),
        (b"VALKEY080", b"\xf2", "opcode 242"),
        (b"REDIS0009", b"\xf6", "opcode 246"),
        (b"REDIS0011", key(6, b"\x00"), "release candidates"),
    ],
)
def test_what_is_newer_than_the_collection_is_no_damage(
    magic: bytes, record: bytes, what: str, make: t.Callable[..., Path]
) -> None:
    with pytest.raises(AofFormatError, match=what) as caught:
        walk(make(record, magic=magic))
    assert "aof-use-rdb-preamble no" in caught.value.todo


def test_a_file_that_is_cut_gives_all_before_the_cut(tmp_path: Path) -> None:
    whole = preamble_of(HYBRIDS[3])
    content, records = whole.read_bytes(), walk(whole)[0]
    path = tmp_path / "cut.rdb"
    path.write_bytes(content[:20_000])
    found: list[Record] = []

    with path.open("rb") as file, pytest.raises(AofFormatError) as caught:
        found.extend(Rdb(file.fileno(), 0, 20_000, where="cut.rdb"))

    assert caught.value.facts["offset"] == 20_000
    assert found == records[: len(found)] and 50 < len(found) < len(records)


def test_a_million_keys_take_no_memory(tmp_path: Path) -> None:
    path, count = tmp_path / "million.rdb", 1_000_000
    with path.open("wb") as file:
        file.write(b"REDIS0011\xfe\x00")
        for start in range(0, count, 10_000):
            file.write(b"".join([b"\x00\x0ckey:%08d\x05value" % at for at in range(start, start + 10_000)]))
        file.write(b"\xff" + bytes(8))
    program = f"""
import re
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import crc64
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry

crc64(b"a table of its own, where there is no anycrc")

def most():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])

with open({str(path)!r}, "rb") as file:
    before = most()
    rdb = Rdb(file.fileno(), 0, {path.stat().st_size}, where="million.rdb")
    print(sum(isinstance(record, Entry) and record.end - record.start == 6 for record in rdb), most() - before)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)

    found, kilobytes = map(int, told.stdout.split())
    assert found == count
    assert kilobytes < 8 * 1024


def test_a_value_of_a_gigabyte_is_not_held(make: t.Callable[..., Path]) -> None:
    size = 1 << 30
    path = make(key(0, b"\x80" + struct.pack(">I", size)), end=b"")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)  # a hole: zeros that take no disk
        file.seek(0, os.SEEK_END)
        file.write(key(0, string(b"v"), b"next") + b"\xff" + bytes(8))

    tracemalloc.start()
    records, _rdb = walk(path, verify=False)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [record.end - record.start for record in records if isinstance(record, Entry)] == [size + 5, 2]
    assert peak < 4 << 20
