# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hybrid AOFs and dumps brought into real servers, by RESTORE and by commands: the target then holds what the source had."""

from __future__ import annotations

import os
import random
import time
import typing as t

import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import crc64
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import Restorer
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import server_rdb_version
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import commands
from ansible_collections.redisops.tair.plugins.module_utils._errors import UnsupportedTypeError
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.rdb_target import (
    Target,
    describe,
    differences,
    entries_of,
    saved,
    unexplained,
    version_of,
)
from ansible_collections.redisops.tair.tests.support.servers import Build, Server

StartServer = t.Callable[..., Server]

HYBRIDS = corpus(variant="hybrid")
FUTURE = 4_102_444_800_000  # milliseconds since the epoch


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


def test_elements_of_every_length_that_is_written_otherwise_arrive(any_build: Build, start_server: StartServer) -> None:
    """Around each length from which on a packed element has another header, or tells its own length in more bytes."""
    multi = any_build.layout == "multi"
    packed = "listpack" if multi else "ziplist"
    config = {f"{kind}-max-{packed}-value": "64mb" for kind in ("hash", "zset")}
    source = start_server(any_build, {**config, f"list-max-{packed}-size": "-5"})
    target = Target(start_server(any_build))
    values = [b"x" * (size + by) for size in (1, 63, 127, 253, 255, 4095, 16383) for by in (-1, 0, 1, 2)]
    for number in (0, 12, 127, 4095, 32767, 1 << 23, 1 << 31, (1 << 63) - 2):
        values += [b"%d" % (sign * (number + by)) for sign in (1, -1) for by in (-1, 0, 1)]
    client = source.client()
    for number, value in enumerate(values):
        client.hset(f"hash:{number % 7}", f"f{number}", value)
        client.rpush(f"list:{number % 7}", value)
        client.sadd(f"set:{number % 7}", value)
        client.zadd(f"zset:{number % 7}", {value: number})
    assert {client.object("encoding", "hash:1"), client.object("encoding", "zset:1")} == {packed.encode()}

    target.load_rdb(saved(source), restoring=False)

    assert not target.refused and target.by_commands >= 7 * 4
    found = unexplained(snapshot.snapshot(source.host, source.port), target, restoring=False)
    assert not found, describe(found)


def test_a_payload_is_what_dump_gives_but_for_the_version(any_build: Build, start_server: StartServer) -> None:
    server = start_server(any_build)
    fill(server.host, server.port, keys=500)
    path = saved(server)
    entries, version = entries_of(path)
    compared = 0

    for key, entry in entries.items():
        told = server.client(db=entry.database).dump(key)
        raw = path.read_bytes()[entry.start : entry.end]
        made = Restorer(version, version).command(entry.key, entry.expiry, entry.type, raw)
        assert told is not None and made is not None
        command, encoded = made
        assert encoded == encode(command)
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

    assert caught.value.facts == {"key": "vectors", "database": 0, "kind": "a value of the module type vectorset"}
    target = Target(start_server("redis-8.2.3"))
    target.load_rdb(path, restoring=True)
    assert target.by_restore == 3 and not target.refused
    assert target.server.client().execute_command("VCARD", "vectors") == 1


def test_what_redis_8_10_writes_of_streams_and_arrays_is_what_its_rewrites_write() -> None:
    """There is no such server here, so its own base file of the same kind of data is the measure."""
    found: dict[bytes, list[list[bytes]]] = {}
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
