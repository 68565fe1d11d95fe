# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""aof_import of an AOF that holds RESTORE, as users' RESTORE and MIGRATE and slot migrations write it."""

from __future__ import annotations

import random
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import crc64
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import case
from ansible_collections.redisops.tair.tests.support.rdb_target import describe, differences
from ansible_collections.redisops.tair.tests.support.servers import Server

StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., dict[str, t.Any]]
Command = t.Sequence[t.Any]

CASE = case("restore-newer-payload") / "appendonly.aof"
FUTURE = 4_102_444_800_000
#: Source and target, and whether fields of hashes expire at the source and not at the target.
PAIRS = [
    ("redis-8.2.3", "redis-7.0.15", True),
    ("redis-8.2.3", "redis-6.2.14", True),
    ("valkey-9.1.2", "valkey-8.1.8", True),
    ("redis-7.0.15", "redis-6.2.14", False),
    ("redis-8.2.3", "valkey-9.1.2", False),
    ("valkey-9.1.2", "redis-8.2.3", False),
    ("redis-7.0.15", "redis-7.0.15", False),
]


def packed(commands: t.Iterable[Command]) -> bytes:
    return b"".join(map(snapshot.Conn.pack, commands))


def payloads(source: Server, *, expiring: bool) -> dict[str, bytes]:
    """What DUMP of the source gives for keys of every kind, small and large."""
    client, rng = source.client(), random.Random(3)
    for name, count in (("small", 5), ("table", 530)):
        texts = [rng.randbytes(rng.randrange(1, 40)) + b"%d" % number for number in range(count)]
        client.rpush(f"list:{name}", *texts)
        client.sadd(f"set:{name}", *texts)
        client.hset(f"hash:{name}", mapping={one: one for one in texts})
        client.zadd(f"zset:{name}", {one: number / 7 for number, one in enumerate(texts)})
        for number in range(count):
            client.xadd(f"stream:{name}", {"field": number}, id=f"{number + 1}-1")
    client.sadd("intset", *range(20))
    client.set("string", rng.randbytes(100))
    client.xgroup_create("stream:small", "group", "0")
    client.xreadgroup("group", "consumer", {"stream:small": ">"}, count=2)
    client.hset("hash:large", mapping={rng.randbytes(20): rng.randbytes(80) for _field in range(4000)})
    client.rpush("list:large", *(rng.randbytes(5000) for _element in range(100)))
    if expiring:
        for name in ("small", "table"):
            client.hset(
                f"hash:expiring:{name}",
                mapping={f"f{number}": number for number in range(5 if name == "small" else 530)},
            )
            client.execute_command("HPEXPIREAT", f"hash:expiring:{name}", FUTURE, "FIELDS", 2, "f1", "f3")
    keys = t.cast("list[bytes]", client.keys())
    found = {key.decode(): t.cast(bytes, client.dump(key)) for key in keys}
    client.flushall()
    return found


def without_field_expiries(content: dict[str, t.Any]) -> dict[str, t.Any]:
    kept = {
        db: {key: {name: part for name, part in value.items() if name != "field_ttls"} for key, value in keys.items()}
        for db, keys in content["dbs"].items()
    }
    return {**content, "dbs": kept}


@pytest.mark.parametrize(("source_build", "target_build", "loses_expiries"), PAIRS)
def test_restore_arrives_at_another_version(
    source_build: str,
    target_build: str,
    loses_expiries: bool,
    start_server: StartServer,
    tmp_path: Path,
    run_module: RunModule,
) -> None:
    source, target = start_server(source_build), start_server(target_build)
    expiring = source_build in ("redis-8.2.3", "valkey-9.1.2")
    found = payloads(source, expiring=expiring)
    kinds = list(found.items())
    commands: list[Command] = [("SELECT", 0), ("SET", "before", 1)]
    commands += [("RESTORE", f"plain:{key}", 0, payload) for key, payload in kinds]
    commands += [("restore", f"lower:{key}", FUTURE, payload, "ABSTTL", "replace") for key, payload in kinds[::3]]
    commands += [("RESTORE-ASKING", f"asking:{key}", 0, payload, "REPLACE") for key, payload in kinds[::2]]
    commands += [("SET", "replaced", "old"), ("SELECT", 3), ("MULTI",), ("SET", "in", 1)]
    commands += [("RESTORE", f"multi:{key}", 0, payload, "IDLETIME", 5) for key, payload in kinds]
    commands += [("INCR", "in"), ("EXEC",), ("SELECT", 0)]
    commands += [("RESTORE", "replaced", 0, found["hash:table"], "REPLACE"), ("RPUSH", "plain:list:small", "behind it")]
    path = tmp_path / "appendonly.aof"
    path.write_bytes(packed(commands))
    conn = snapshot.Conn(source.host, source.port)
    assert not [reply for reply in conn.pipeline(commands) if isinstance(reply, snapshot.ReplyError)]
    expected = snapshot.snapshot(source.host, source.port)
    drop = ["hash_field_ttl"] if loses_expiries else []

    result = run_module("aof_import", {**target.login(), "path": str(path), "drop": drop, "batch_bytes": 20_000})

    assert not result["failed"], result["msg"]
    assert result["errors"] == 0 and result["replies"] == len(commands)
    actual = snapshot.snapshot(target.host, target.port)
    if loses_expiries:
        expected, actual = without_field_expiries(expected), without_field_expiries(actual)
    differing = differences(expected, actual)
    assert not differing, describe(differing)
    assert (result["adapted"].get("RESTORE", 0) > 0) == (source_build != target_build)
    assert not target.client().keys("*redisops*")


def test_relative_time_to_live_counts_from_the_import(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    """As when a server loads the file: up to 6.2 a RESTORE is written with the time that its client named."""
    source, target = start_server("redis-8.2.3"), start_server("redis-7.0.15")
    source.client().hset("h", mapping={"f": 1, "g": 2})
    source.client().execute_command("HPEXPIREAT", "h", FUTURE, "FIELDS", 1, "f")
    payload = source.client().dump("h")
    path = tmp_path / "appendonly.aof"
    path.write_bytes(packed([("RESTORE", "h", 50_000, payload), ("RESTORE", "past", 1, payload, "ABSTTL", "REPLACE")]))

    result = run_module("aof_import", {**target.login(), "path": str(path), "drop": ["hash_field_ttl"]})

    assert not result["failed"], result["msg"]
    assert 40_000 < target.client().pttl("h") <= 50_000
    assert target.client().hgetall("h") == {b"f": b"1", b"g": b"2"} and not target.client().exists("past")


def test_restore_of_a_key_that_exists_is_an_error_without_replace(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    source, target = start_server("redis-8.2.3"), start_server("redis-6.2.14")
    source.client().hset("h", "f", "v")
    target.client().hset("h", "other", "v")
    path = tmp_path / "appendonly.aof"
    path.write_bytes(packed([("RESTORE", "h", 0, source.client().dump("h"))]))

    result = run_module("aof_import", {**target.login(), "path": str(path), "if_not_empty": "append"})

    assert result["failed"] and "BUSYKEY" in result["msg"]
    assert "but what 1 refused command would have done" in result["msg"] and "on_error=continue" in result["msg"]
    assert "the same import goes on from there" not in result["msg"]

    again = run_module("aof_import", {**target.login(), "path": str(path), "if_not_empty": "append"})
    assert again["failed"] and "on_error=continue" in again["msg"]


def test_field_expiry_that_the_target_lacks_is_reported_before_the_first_byte(
    start_server: StartServer, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")

    for check in (True, False):
        result = run_module("aof_import", {**target.login(), "path": str(CASE)}, check=check)

        assert result["failed"]
        for part in (
            "'h' of database 0 at byte 168",
            str(CASE),
            "HPEXPIREAT",
            "hash_field_ttl",
            "exclude_keys",
            "newer target",
        ):
            assert part in result["msg"]
        assert "Nothing was imported" in result["msg"]
    assert target.client().dbsize() == 0

    result = run_module("aof_import", {**target.login(), "path": str(CASE), "exclude_keys": ["h"]})
    assert not result["failed"] and target.client().get("z") == b"1" and not target.client().exists("h")

    target.client().flushall()
    result = run_module("aof_import", {**target.login(), "path": str(CASE), "drop": ["hash_field_ttl"]})
    assert not result["failed"], result["msg"]
    assert target.client().get("z") == b"1" and target.client().hlen("h") > 0
    assert result["adapted"] == {"RESTORE": 1} and result["dropped"]["hash_field_ttl"] >= 1


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_damaged_payload_is_refused_before_the_first_byte(
    large: bool, start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    server = start_server("redis-7.0.15")
    client = server.client()
    client.rpush("k", *(random.Random(1).randbytes(4000) for _element in range(100 if large else 1)))
    payload = t.cast(bytes, client.dump("k"))
    client.flushall()
    content = bytearray(payload[:-8])
    content[content.index(b"\x02", 1) + 8] ^= 0xFF
    with_checksum = bytes(content) + crc64(bytes(content)).to_bytes(8, "little")
    path = tmp_path / "appendonly.aof"

    for damaged, expected in (
        (payload[:-9] + b"\x07" + payload[-8:], "checksum"),
        (with_checksum, "listpack"),
        (b"short", "a payload"),
    ):
        path.write_bytes(packed([("SET", "a", 1), ("RESTORE", "bad", 0, damaged), ("SET", "b", 2)]))
        result = run_module("aof_import", {**server.login(), "path": str(path)})

        assert result["failed"] and result["damaged_keys"] == ["bad"] and result["offset"] == 27
        for part in (
            "1 RESTORE with a damaged payload",
            "'bad' of database 0 at byte 27",
            expected,
            "Nothing was imported",
        ):
            assert part in result["msg"]
        assert client.dbsize() == 0

    result = run_module("aof_import", {**server.login(), "path": str(path), "exclude_keys": ["bad"]})
    assert not result["failed"] and sorted(client.keys()) == [b"a", b"b"]


def test_target_is_not_emptied_for_an_aof_that_is_refused(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    target.client().set("kept", 1)
    damaged = tmp_path / "appendonly.aof"
    damaged.write_bytes(packed([("RESTORE-ASKING", "bad", 0, b"\x01" * 20)]))

    for path in (CASE, damaged):
        result = run_module("aof_import", {**target.login(), "path": str(path), "if_not_empty": "flush"})
        assert result["failed"] and target.client().keys() == [b"kept"], result["msg"]


def test_payload_that_can_not_be_checked_is_refused(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    """Of a version or type that no server known to the collection writes. Version 0 is read as any other old one."""
    server = start_server("redis-7.0.15")
    path = tmp_path / "appendonly.aof"
    listpack = b"\x10\x0d" + b"\x0d\x00\x00\x00\x02\x00\x81f\x02\x85v\x02\xff"
    for content, expected in (
        (b"\x00\x01v" + b"\x14\x00", "type 0 of an RDB of version 20"),
        (b"\x63\x01v" + b"\x0a\x00", "type 99"),
        (listpack + b"\x00\x00", "listpack"),
    ):
        path.write_bytes(packed([("RESTORE", "x", 0, content + crc64(content).to_bytes(8, "little"))]))
        result = run_module("aof_import", {**server.login(), "path": str(path), "on_error": "continue"})

        assert result["failed"] and "'x' of database 0 at byte 0" in result["msg"] and expected in result["msg"]
        assert server.client().dbsize() == 0


def test_module_value_is_reported_before_the_first_byte(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    server = start_server("redis-7.0.15")
    content = b"\x07\x81" + bytes(range(8)) + b"\x02\x05\x00" + b"\x0a\x00"
    path = tmp_path / "appendonly.aof"
    path.write_bytes(packed([("RESTORE", "m", 0, content + crc64(content).to_bytes(8, "little")), ("SET", "b", 2)]))

    result = run_module("aof_import", {**server.login(), "path": str(path)})

    assert result["failed"] and "'m' of database 0 at byte 0" in result["msg"] and "module type" in result["msg"]
    assert server.client().dbsize() == 0

    result = run_module("aof_import", {**server.login(), "path": str(path), "on_error": "continue"})
    assert not result["failed"] and result["errors"] == 1 and server.client().keys() == [b"b"]


def test_import_resumes_after_a_restore_that_was_rebuilt(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    """What follows is appended between two runs; the RESTORE is not applied twice."""
    source, target = start_server("redis-8.2.3"), start_server("redis-6.2.14")
    source.client().rpush("l", "a", "b")
    path = tmp_path / "appendonly.aof"
    path.write_bytes(packed([("RESTORE", "l", 0, source.client().dump("l")), ("RPUSH", "l", "c")]))
    options = {**target.login(), "path": str(path), "checkpoint": "keep"}
    assert not run_module("aof_import", options)["failed"]
    with path.open("ab") as file:
        file.write(packed([("RPUSH", "l", "d")]))

    result = run_module("aof_import", options)

    assert not result["failed"] and result["commands"] == 1
    assert target.client().lrange("l", 0, -1) == [b"a", b"b", b"c", b"d"]


def test_inspection_reports_what_a_target_does_not_take(start_server: StartServer, run_module: RunModule) -> None:
    old, new = start_server("redis-7.0.15"), start_server("redis-8.2.3")

    alone = run_module("aof_inspect", {"path": str(CASE)})
    refused = run_module("aof_inspect", {"path": str(CASE), **old.login()})
    taken = run_module("aof_inspect", {"path": str(CASE), **new.login()})

    assert alone["damage"] is None and alone["incompatible"] is None
    assert alone["unchecked"] == [
        "whether a target takes the payloads of 1 RESTORE commands (a hash of an RDB of version 12)"
    ]
    (one,) = refused["incompatible"]
    assert (one["kind"], one["what"], one["rewritten"]) == ("value", "RESTORE of a hash of an RDB of version 12", False)
    assert one["drop"] == "hash_field_ttl" and "up to version 10" in one["reason"] and one["count"] == 1
    assert [(place["offset"], place["key"]) for place in one["places"]] == [(168, "h")]
    assert taken["incompatible"] == []


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_inspection_reports_a_damaged_payload_and_reads_on(large: bool, tmp_path: Path, run_module: RunModule) -> None:
    path = tmp_path / "appendonly.aof"
    damaged = b"\x01" * (400_000 if large else 20)
    path.write_bytes(packed([("SET", "a", 1), ("SELECT", 4), ("RESTORE", "bad", 0, damaged), ("SET", "b", 2)]))

    result = run_module("aof_inspect", {"path": str(path)})

    damage = result["damage"]
    assert (damage["offset"], damage["key"], damage["database"], damage["count"]) == (50, "bad", 4, 1)
    assert "checksum" in damage["expected"] and "in a RESTORE" in damage["expected"]
    assert result["commands"] == {"SET": 2, "SELECT": 1, "RESTORE": 1}
