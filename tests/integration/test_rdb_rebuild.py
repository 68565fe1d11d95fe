# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hybrid AOFs and dumps brought into real servers, by RESTORE and by commands: the target then holds what the source had."""

from __future__ import annotations

import os
import random
import struct
import time
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import crc64
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frames
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof, has_preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Entry, Function, Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import restore_command
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import server_rdb_version
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import commands, function_command
from ansible_collections.redisops.tair.plugins.module_utils._errors import UnsupportedTypeError
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.servers import Build, Server

StartServer = t.Callable[..., Server]
Command = t.Sequence[bytes]

HYBRIDS = corpus(variant="hybrid")


def version_of(build: Build) -> tuple[int, int]:
    major, minor = build.version.split(".")[:2]
    return int(major), int(minor)


def commands_level(build: Build) -> tuple[int, int]:
    """The version of Redis whose commands a server has."""
    return version_of(build) if build.flavor == "redis" else (7, 2)


class Target:
    """A server that is sent what a file holds; ``refused`` are its error replies."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.refused: list[tuple[Command, str]] = []
        self.by_restore = self.by_commands = 0
        self._conn = snapshot.Conn(server.host, server.port)
        self._database = 0

    def send(self, batch: t.Sequence[Command], database: int | None = None) -> None:
        if database is not None and database != self._database:
            self._conn.call("SELECT", database)
            self._database = database
        for command, reply in zip(batch, self._conn.pipeline(batch)):
            if isinstance(reply, snapshot.ReplyError):
                self.refused.append((command, str(reply)))

    def load_rdb(self, path: Path, *, restoring: bool) -> int | None:
        """Send what the RDB at the beginning of a file holds; where its commands begin."""
        accepted = server_rdb_version(self.server.build.flavor, version_of(self.server.build))
        level = commands_level(self.server.build)
        with path.open("rb") as file:
            fd = file.fileno()
            rdb = Rdb(fd, 0, os.fstat(fd).st_size, where=str(path))
            for record in rdb:
                if isinstance(record, Function) and level >= (7, 0):
                    self.send([function_command(record)])
                if not isinstance(record, Entry):
                    continue
                command = restore_command(fd, record, rdb.version, accepted, where=str(path)) if restoring else None
                if command is not None:
                    self.send([command], record.database)
                    self.by_restore += 1
                else:
                    self.send(list(commands(fd, record, rdb.version, where=str(path), target=level)), record.database)
                    self.by_commands += 1
            return rdb.tail

    def load_commands(self, path: Path, start: int) -> None:
        """Send the commands of a file from ``start`` on."""
        self._conn.call("SELECT", 0)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for frame in Frames(file.fileno(), start, size, where=str(path)):
                assert isinstance(frame, Block)
                self.send(frame.commands)
        self._database = -1

    def load(self, aof: CorpusSet, *, restoring: bool) -> None:
        """Send a whole hybrid AOF."""
        found = find_aof(aof.aof)
        for path in map(found.path, found.segments):
            hybrid = has_preamble(path.read_bytes()[:9])
            start = self.load_rdb(path, restoring=restoring) if hybrid else 0
            assert start is not None
            self.load_commands(path, start)

    def snapshot(self) -> dict[str, t.Any]:
        content: dict[str, t.Any] = snapshot.snapshot(self.server.host, self.server.port)
        return content


def differences(expected: dict[str, t.Any], actual: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = snapshot.diff(expected, actual)
    return found


def describe(found: t.Iterable[dict[str, t.Any]]) -> str:
    return "\n".join(map(snapshot.describe, found))


def unexplained(expected: dict[str, t.Any], target: Target, *, restoring: bool) -> list[dict[str, t.Any]]:
    """How the target differs, but for what it was told and refused, and what no commands bring: see :func:`is_lost`."""
    level = commands_level(target.server.build)
    refused: set[str] = set()
    expiries: set[str] = set()
    for command, _reply in target.refused:
        of_fields = command[0].upper() in (b"HPEXPIREAT", b"HPERSIST")
        (expiries if of_fields else refused).update(map(snapshot.b64, command[1:]))
    return [
        one
        for one in differences(expected, target.snapshot())
        if one["key"] not in refused
        and not (one["key"] in expiries and one["what"].startswith(("field ttl", "member extra")))
        and not (one["key"] is None and level < (7, 0))  # a library of functions
        and not (one["key"] is not None and not restoring and is_lost(one, expected, level))
    ]


def is_lost(one: dict[str, t.Any], expected: dict[str, t.Any], level: tuple[int, int]) -> bool:
    """Whether it is a pending entry whose entry is deleted, or that was given back on a server that has no XNACK."""
    if " pending " not in one["what"] or one["actual"] is not None:
        return False
    entries = {entry[0] for entry in expected["dbs"][one["db"]][one["key"]]["value"]["entries"]}
    return one["what"].rpartition(" ")[2] not in entries or (level < (8, 8) and not one["expected"][0])


@pytest.mark.parametrize("aof", HYBRIDS, ids=str)
def test_a_hybrid_aof_arrives_by_restore(aof: CorpusSet, any_build: Build, start_server: StartServer) -> None:
    target = Target(start_server(any_build))

    target.load(aof, restoring=True)

    # A target that is no older refuses nothing, and gets everything as it was.
    major, minor = map(int, aof.version.split(".")[:2])
    source = server_rdb_version(aof.server, (major, minor))
    accepted = server_rdb_version(any_build.flavor, version_of(any_build))
    if source <= accepted and (source <= 11 or aof.server == any_build.flavor):
        same_listpacks = (source >= 80) == (accepted >= 80)
        assert not target.refused and target.by_commands < (1 if same_listpacks else 30)
        found = unexplained(aof.expected, target, restoring=same_listpacks)
        assert not found, describe(found)
        return
    # An older one gets what it has the types of, the rest by commands.
    assert target.by_restore > 120 and target.by_commands > 0
    found = unexplained(aof.expected, target, restoring=False)
    assert not found, describe(found)


@pytest.mark.parametrize("aof", HYBRIDS, ids=str)
def test_a_hybrid_aof_arrives_by_commands(aof: CorpusSet, any_build: Build, start_server: StartServer) -> None:
    target = Target(start_server(any_build))

    target.load(aof, restoring=False)

    assert target.by_restore == 0 and target.by_commands > 190
    found = unexplained(aof.expected, target, restoring=False)
    assert not found, describe(found)


def saved(server: Server) -> Path:
    server.client().save()
    return server.data / "dump.rdb"


@pytest.mark.parametrize("restoring", [True, False], ids=["by-restore", "by-commands"])
def test_a_dump_of_odd_data_arrives(restoring: bool, any_build: Build, start_server: StartServer) -> None:
    source, target = start_server(any_build), Target(start_server(any_build))
    fill(source.host, source.port, keys=3000)

    target.load_rdb(saved(source), restoring=restoring)

    assert not target.refused
    expected = snapshot.snapshot(source.host, source.port)
    found = unexplained(expected, target, restoring=restoring)
    assert not found, describe(found)
    assert (target.by_restore >= 3000) == restoring and (target.by_commands >= 3000) != restoring


@pytest.mark.parametrize("restoring", [True, False], ids=["by-restore", "by-commands"])
def test_every_width_and_length_arrives(restoring: bool, any_build: Build, start_server: StartServer) -> None:
    """Numbers and strings on both sides of where packed values and lengths take another form."""
    source, target = start_server(any_build, {"list-max-ziplist-size": -5}), Target(start_server(any_build))
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


def entries_of(path: Path) -> tuple[dict[bytes, Entry], int]:
    with path.open("rb") as file:
        rdb = Rdb(file.fileno(), 0, os.fstat(file.fileno()).st_size, where=str(path))
        found = {record.key: record for record in rdb if isinstance(record, Entry)}
        return found, rdb.version


def test_a_payload_is_what_dump_gives_but_for_the_version(any_build: Build, start_server: StartServer) -> None:
    server = start_server(any_build)
    fill(server.host, server.port, keys=500)
    path = saved(server)
    entries, version = entries_of(path)
    compared = 0

    for key, entry in entries.items():
        told = server.client(db=entry.database).dump(key)
        with path.open("rb") as file:
            command = restore_command(file.fileno(), entry, version, version, where=str(path))
        assert told is not None and command is not None
        assert (
            int.from_bytes(told[-10:-8], "little")
            == version
            == server_rdb_version(any_build.flavor, version_of(any_build))
        )
        if len(told) == len(command[3]) and told[0] not in (15, 19, 21):  # a consumer's times go on
            assert command[3][:-10] == told[:-10]
            compared += 1
    assert compared > 300


def test_a_server_takes_its_version_and_no_newer_one(any_build: Build, start_server: StartServer) -> None:
    """The table of versions against the servers themselves."""
    client = start_server(any_build).client()
    known = server_rdb_version(any_build.flavor, version_of(any_build))

    def takes(version: int) -> bool:
        content = b"\x00\x01v" + version.to_bytes(2, "little")
        try:
            client.restore("k", 0, content + crc64(content).to_bytes(8, "little"), replace=True)
        except redis.ResponseError as exc:
            assert "version or checksum" in str(exc)
            return False
        return True

    assert takes(6) and takes(known) and not takes(known + 1)


@pytest.mark.parametrize(
    "source_build, target_build",
    [
        ("valkey-9.1.2", "redis-8.2.3"),
        ("valkey-9.1.2", "valkey-8.1.8"),
        ("valkey-9.1.2", "redis-7.0.15"),
        ("redis-7.0.15", "valkey-9.1.2"),
        ("redis-6.2.14", "valkey-9.1.2"),
    ],
)
def test_what_the_target_would_read_otherwise_is_not_restored(
    source_build: str, target_build: str, start_server: StartServer
) -> None:
    """An element of just this size makes older servers crash of a payload of Valkey 9, and Valkey 9 refuse theirs."""
    source, target = start_server(source_build), Target(start_server(target_build))
    client = source.client()
    for length in range(16370, 16390):
        client.xadd(f"stream:{length}", {"f": b"x" * length, "g": "y"}, id="1-1")
        client.rpush(f"list:{length}", b"x" * length, "y")
    client.xadd("stream:small", {"f": "v"}, id="1-1")
    client.set("string", b"x" * 16383)

    target.load_rdb(saved(source), restoring=True)

    assert not target.refused and target.server.running
    assert target.by_restore >= 1 and target.by_commands >= 20
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


def test_no_command_has_more_than_64_elements_or_megabytes_of_them(any_build: Build, start_server: StartServer) -> None:
    server = start_server(any_build)
    client, rng = server.client(), random.Random(1)
    fill(server.host, server.port, keys=1000)
    client.set("long", rng.randbytes(3_500_000))
    client.rpush("many long", *(rng.randbytes(100_000) for _element in range(100)))
    path = saved(server)
    entries, version = entries_of(path)
    lengths = []

    with path.open("rb") as file:
        for entry in entries.values():
            made = list(commands(file.fileno(), entry, version, where=str(path)))
            lengths += [len(command) for command in made]
            assert max(sum(map(len, command)) for command in made) < 1_300_000

    assert max(lengths) == 2 + 2 * 64  # HSET and ZADD
    target = Target(start_server(any_build))
    target.load_rdb(path, restoring=False)
    assert target.server.client().get("long") == client.get("long")
    assert target.server.client().lrange("many long", 0, -1) == client.lrange("many long", 0, -1)


@pytest.mark.parametrize("restoring", [True, False], ids=["by-restore", "by-commands"])
def test_what_has_expired_is_gone_on_the_target(restoring: bool, any_build: Build, start_server: StartServer) -> None:
    source, target = start_server(any_build), Target(start_server(any_build))
    client = source.client()
    client.rpush("short", "a", "b")
    client.set("stays", "v")
    client.pexpireat("stays", FUTURE)
    client.pexpireat("short", int(time.time() * 1000) + 300)
    path = saved(source)
    expiry = entries_of(path)[0][b"short"].expiry
    assert expiry is not None
    time.sleep(max(0.0, expiry / 1000 - time.time()) + 0.005)  # until the clock says so: nothing else does

    target.load_rdb(path, restoring=restoring)

    assert not target.refused
    content = target.snapshot()["dbs"]["0"]
    assert list(content) == [snapshot.b64(b"stays")] and content[snapshot.b64(b"stays")]["pexpireat"] == FUTURE


def test_a_modules_value_is_passed_and_named(start_server: StartServer) -> None:
    """Redis 8 keeps its vector sets as a module does."""
    source = start_server("redis-8.2.3")
    client = source.client()
    client.set("before", "v")
    client.execute_command("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")
    client.set("after", "v")
    path = saved(source)
    entries, version = entries_of(path)
    assert set(entries) == {b"before", b"vectors", b"after"}

    with path.open("rb") as file, pytest.raises(UnsupportedTypeError, match="module type vectorset") as caught:
        list(commands(file.fileno(), entries[b"vectors"], version, where=str(path)))

    assert caught.value.facts == {"key": "vectors", "database": 0, "module": "vectorset"}
    target = Target(start_server("redis-8.2.3"))
    target.load_rdb(path, restoring=True)
    assert target.by_restore == 3 and not target.refused
    assert target.server.client().execute_command("VCARD", "vectors") == 1


def test_what_redis_8_10_writes_of_streams_and_arrays_is_what_its_rewrites_write() -> None:
    """There is no such server here, so its own base file of the same kind of data is the measure."""
    found: dict[bytes, list[Command]] = {}
    aof = corpus(version="8.10.2", variant="hybrid")[0]
    path = next(aof.aof.glob("*.base.rdb"))
    with path.open("rb") as file:
        rdb = Rdb(file.fileno(), 0, os.fstat(file.fileno()).st_size, where=str(path))
        for entry in rdb:
            if isinstance(entry, Entry):
                found[entry.key] = list(commands(file.fileno(), entry, rdb.version, where=str(path)))
    expected = {snapshot.unb64(key): value for keys in aof.expected["dbs"].values() for key, value in keys.items()}
    arrays = {key: value["value"] for key, value in expected.items() if value["type"] == "array"}
    assert len(arrays) == 3
    for key, value in arrays.items():
        made = [word for command in found[key] if command[0] == b"ARMSET" for word in command[2:]]
        assert [[int(index), snapshot.b64(element)] for index, element in zip(made[::2], made[1::2])] == value["items"]
        assert [command[2] for command in found[key] if command[0] == b"ARSEEK"] == [b"%d" % value["next"]] * bool(
            value["next"]
        )
    words = [command for made in found.values() for command in made]
    assert [command[2:] for command in words if command[0] == b"XCFGSET"] == [
        [b"IDMP-DURATION", b"300", b"IDMP-MAXSIZE", b"50"]
    ]
    assert [command[2:4] for command in words if command[0] == b"XIDMPRECORD"] == [[b"producer", b"i1"]]
    given_back = [command for command in words if command[0] == b"XNACK"]
    assert len(given_back) == 2 and all(command[-3:] == [b"RETRYCOUNT", b"1", b"FORCE"] for command in given_back)
