# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every form in which servers keep a value: it gives commands that build what a server makes of it itself."""

from __future__ import annotations

import random
import struct
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import crc64
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.rdb_target import (
    Target,
    describe,
    differences,
    entries_of,
    saved,
)
from ansible_collections.redisops.tair.tests.support.servers import Build, Server

StartServer = t.Callable[..., Server]


@pytest.mark.parametrize("restoring", [True, False], ids=["by-restore", "by-commands"])
def test_every_width_and_length_arrives(restoring: bool, any_build: Build, start_server: StartServer) -> None:
    """Numbers and strings on both sides of where packed values and lengths take another form."""
    packed = {"list-max-ziplist-size": -5, "hash-max-ziplist-value": 1 << 20, "zset-max-ziplist-value": 1 << 20}
    source, target = start_server(any_build, packed), Target(start_server(any_build))
    client, rng = source.client(), random.Random(1)
    numbers = [sign * (1 << bits) + more for bits in range(63) for sign in (1, -1) for more in (-1, 0, 1)]
    numbers += [-(1 << 63), (1 << 63) - 1, 4095, 4096, -4096, -4097, 12, 13]
    texts = [
        rng.randbytes(length)
        for edge in (63, 64, 127, 128, 253, 254, 255, 4095, 4096, 16383, 16384)
        for length in range(edge - 6, edge + 2)
    ]
    for number in numbers:
        client.set(f"string:{number}", number)
        client.set(str(number), "a key that is a number")
    both: tuple[list[t.Any], ...] = (numbers, texts)
    for number, some in enumerate(both):
        for at in range(0, len(some), 40):
            elements = some[at : at + 40]
            client.rpush(f"list:{number}:{at}", *elements)
            client.sadd(f"set:{number}:{at}", *elements)
            client.hset(f"hash:{number}:{at}", mapping=dict(zip(elements, reversed(elements))))
            client.zadd(f"zset:{number}:{at}", dict.fromkeys(elements, at / 3))
            client.xadd(f"stream:{number}:{at}", dict(zip(elements, reversed(elements))))
    client.rpush("list:long", b"x" * 100_000, *texts, b"y" * 9000)
    for width in (2, 4, 8):
        client.sadd(f"intset:{width}", *range((1 << 8 * width - 2), (1 << 8 * width - 2) + 9), -1)
    client.set("string:repeated", b"ab" * 5000 + b"c" * 300)

    target.load_rdb(saved(source), restoring=restoring)

    assert not target.refused
    found = differences(snapshot.snapshot(source.host, source.port), target.snapshot())
    assert not found, describe(found)


def craft(rdb_type: int, value: bytes, version: int) -> bytes:
    content = bytes([rdb_type]) + value + version.to_bytes(2, "little")
    return content + crc64(content).to_bytes(8, "little")


def text(value: bytes) -> bytes:
    assert len(value) < 64
    return bytes([len(value)]) + value


def ziplist(*elements: bytes) -> bytes:
    body, before = b"", 0
    for element in elements:
        body += bytes([before]) + text(element)
        before = len(element) + 2
    size = 11 + len(body)
    return text(struct.pack("<IIH", size, size - 1 - before, len(elements)) + body + b"\xff")


def listpack(*elements: bytes | int) -> bytes:
    body = b""
    for element in elements:
        if isinstance(element, int):
            body += b"\xf4" + struct.pack("<q", element) + b"\x09"
        else:
            body += bytes([0x80 | len(element)]) + element + bytes([len(element) + 1])
    return text(struct.pack("<IH", 7 + len(body), len(elements)) + body + b"\xff")


FUTURE = 4_102_444_800_000
LATER = b"\x81" + (FUTURE + 1000).to_bytes(8, "big")
#: Type, value, the RDB version of the file; and the build that reads it, too.
OLD_ENCODINGS = {
    "list": (1, b"\x03" + text(b"a") + b"\xc0\xfb" + text(b""), 6, "redis-6.2.14"),
    "set": (2, b"\x02" + text(b"a") + b"\xc1\x00\x80", 6, "redis-6.2.14"),
    "zset": (3, b"\x04\x01a\x041.25\x01b\xfe\x01c\xff\x01d\x053e-10", 6, "redis-6.2.14"),
    "hash": (4, b"\x01" + text(b"f") + b"\xc2\x40\xe2\x01\x00", 6, "redis-6.2.14"),
    "zipmap": (9, text(b"\x02\x01a\x01\x00b\x02cc\x03\x02ddd..\xff"), 6, "redis-6.2.14"),
    "list-ziplist": (10, ziplist(b"a", b"", b"ccc"), 6, "redis-6.2.14"),
    "zset-ziplist": (12, ziplist(b"m", b"1", b"n", b"2.5"), 6, "redis-6.2.14"),
    "hash-ziplist": (13, ziplist(b"f", b"v", b"g", b"w"), 6, "redis-6.2.14"),
    "quicklist": (14, b"\x02" + ziplist(b"a", b"b") + ziplist(b"c"), 7, "redis-6.2.14"),
    "plain-node": (18, b"\x02\x01" + text(b"plain") + b"\x02" + listpack(b"a", b"b"), 10, "redis-7.0.15"),
    "expiring-rc": (22, b"\x02\x00" + text(b"f") + text(b"v") + LATER + text(b"g") + text(b"w"), 12, "redis-8.2.3"),
    "listpack-expiring-rc": (23, listpack(b"f", b"v", FUTURE, b"g", b"w", 0), 12, "redis-8.2.3"),
    "expiring": (
        24,
        struct.pack("<q", FUTURE)
        + b"\x03\x00"
        + text(b"f")
        + text(b"v")
        + b"\x01"
        + text(b"g")
        + text(b"w")
        + b"\x45\x00"
        + text(b"h")
        + text(b"x"),
        12,
        "redis-8.2.3",
    ),
    "listpack-expiring": (
        25,
        struct.pack("<q", FUTURE) + listpack(b"f", b"v", FUTURE, b"g", b"w", 0),
        12,
        "redis-8.2.3",
    ),
    "hash-2": (
        22,
        b"\x02" + text(b"f") + text(b"v") + b"\xff" * 8 + text(b"g") + text(b"w") + struct.pack("<q", FUTURE),
        80,
        "valkey-9.1.2",
    ),
}


@pytest.mark.parametrize("name", OLD_ENCODINGS)
def test_an_encoding_gives_what_a_server_makes_of_it(name: str, start_server: StartServer, tmp_path: Path) -> None:
    rdb_type, value, version, build = OLD_ENCODINGS[name]
    path = tmp_path / "dump.rdb"
    magic = b"REDIS%04d" % version if version < 80 else b"VALKEY%03d" % version
    path.write_bytes(magic + bytes([rdb_type]) + text(b"key") + value + b"\xff" + bytes(8))
    server, target = start_server(build), Target(start_server(build))
    server.client().restore("key", 0, craft(rdb_type, value, max(version, 6)))

    target.load_rdb(path, restoring=False)

    expected = snapshot.snapshot(server.host, server.port)
    assert expected["dbs"]["0"] and not target.refused
    found = differences(expected, target.snapshot())
    assert not found, describe(found)


def test_a_large_hash_of_expiring_fields_arrives(start_server: StartServer) -> None:
    """Too large for a listpack: Redis keeps the fields' expiries as differences to the first one."""
    source = start_server("redis-8.2.3")
    client = source.client()
    client.hset("hash", mapping={f"field{number}": number for number in range(2000)})
    for number in range(0, 2000, 3):
        client.execute_command("HPEXPIREAT", "hash", FUTURE + number // 9 * 1000, "FIELDS", 1, f"field{number}")
    path = saved(source)
    assert entries_of(path)[0][b"hash"].type == 24

    for build in ("redis-8.2.3", "valkey-9.1.2"):
        target = Target(start_server(build))
        target.load_rdb(path, restoring=False)
        assert not target.refused
        found = differences(snapshot.snapshot(source.host, source.port), target.snapshot())
        assert not found, describe(found)
