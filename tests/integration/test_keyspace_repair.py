# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``keyspace_compare`` with ``repair``: what differs is copied again, whatever its type, and both sides are equal then."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._compare import repair
from ansible_collections.redisops.tair.tests.support import dataset, snapshot
from ansible_collections.redisops.tair.tests.support.servers import Server

Result = t.Dict[str, t.Any]
StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., Result]

LIBRARY = """#!lua name=lib
redis.register_function('lib_get', function(keys, args) return redis.call('GET', keys[1]) end)
"""


def repairing(source: Server, target: Server, **options: t.Any) -> Result:
    return {**target.login(), "source": source.login(), "repair": True, **options}


def differences(source: Server, target: Server) -> list[str]:
    """Read by other code than the collection's own."""
    sides = [snapshot.snapshot(server.host, server.port) for server in (source, target)]
    return [snapshot.describe(difference) for difference in snapshot.diff(*sides, ttl_tolerance_ms=1000)]


def fill_with_big_ones(server: Server) -> None:
    """Values that no DUMP is made of, as it would take too much memory."""
    client = server.client(db=2)
    client.set("big string", b"\x00\r\n" * 1_000_000, pxat=4_000_000_000_000)
    client.rpush("big list", *(f"{number:0200}" for number in range(8000)))
    client.sadd("big set", *(f"{number:0200}" for number in range(8000)))
    client.hset("big hash", mapping={f"{number:0200}": number for number in range(8000)})
    client.zadd("big zset", {f"{number:0200}": number / 3 for number in range(8000)})
    with client.pipeline(transaction=False) as pipe:
        for number in range(1, 8001):
            pipe.xadd("big stream", {"f": f"{number:0200}"}, f"{number}-1")
        pipe.xgroup_create("big stream", "group", "7000-1")
        pipe.xclaim(
            "big stream", "group", "alice", 0, [f"{n}-1" for n in range(1, 1500)], time=1_700_000_000_000, force=True
        )
        pipe.execute()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("redis-7.0.15", "redis-7.0.15"),
        ("redis-6.2.14", "valkey-9.1.2"),
        ("redis-8.2.3", "redis-8.2.3"),
        ("redis-8.2.3", "valkey-9.1.2"),
    ],
)
def test_all_that_is_missing_or_other_is_copied_again(
    start_server: StartServer, run_module: RunModule, source: str, target: str
) -> None:
    one, other = start_server(source), start_server(target)
    dataset.fill(one.host, one.port, keys=1000)
    fill_with_big_ones(one)
    if source != "redis-6.2.14":
        one.client().function_load(LIBRARY)
    other.client(db=2).rpush("big set", "of another type")
    other.client(db=2).hset("big hash", "extra", "field")

    check = run_module("keyspace_compare", repairing(one, other), check=True)
    assert check["changed"] and not check["equal"] and check["repaired"] == 0
    assert other.client().dbsize() == 0

    result = run_module("keyspace_compare", repairing(one, other))

    assert not result["failed"], result
    assert result["equal"] and result["changed"], result["differences"]
    assert result["repaired"] == check["missing"] + check["mismatched"]
    assert "copied again" in result["summary"]
    assert differences(one, other) == []

    again = run_module("keyspace_compare", repairing(one, other))
    assert again["equal"] and not again["changed"] and again["repaired"] == 0


def test_a_target_that_can_not_read_the_dump_gets_the_commands(
    start_server: StartServer, run_module: RunModule
) -> None:
    """An older target. What it has no place for stays a difference, and is told."""
    source, target = start_server("valkey-9.1.2"), start_server("redis-6.2.14")
    client = source.client()
    client.set("", b"")
    client.set("string", "x", pxat=4_000_000_000_000)
    client.rpush("list", "a", "b")
    client.sadd("set", "a", "b")
    client.hset("hash", mapping={"f": "1"})
    client.zadd("zset", {"a": 0.1, "b": float("inf")})
    client.xadd("stream", {"f": "v"}, "1-1")
    client.xadd("stream", {"f": "v"}, "1-2")
    client.xdel("stream", "1-2")
    client.xgroup_create("stream", "group", "0")
    client.xreadgroup("group", "alice", {"stream": ">"})
    client.xadd("empty stream", {"f": "v"}, "5-1")
    client.xdel("empty stream", "5-1")
    client.hset("fields", mapping={"f": "1"})
    client.execute_command("HPEXPIREAT", "fields", 4_000_000_000_000, "FIELDS", 1, "f")
    client.function_load(LIBRARY)

    result = run_module("keyspace_compare", repairing(source, target))

    assert [(d["key"], d["reason"]) for d in result["differences"]] == [("lib", "missing"), ("fields", "field_ttl")]
    assert result["repaired"] == 9
    stream = snapshot.snapshot(target.host, target.port)
    assert target.client().xpending("stream", "group")["pending"] == 1 and stream
    assert target.client().xinfo_stream("stream")["last-generated-id"] == b"1-2"


def test_extra_keys_are_left_alone_and_told(start_server: StartServer, run_module: RunModule) -> None:
    source, target = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    source.client().set("key", 1, px=100_000)
    target.client().set("key", 1)
    target.client().set("extra", 1)

    result = run_module("keyspace_compare", repairing(source, target, mode="meta", fail_on_difference=True))

    assert result["failed"] and (result["missing"], result["extra"], result["mismatched"]) == (0, 1, 0)
    assert target.client().get("extra") == b"1" and 0 < target.client().pttl("key") <= 100_000
    assert source.client().dbsize() == 1


def test_keys_go_where_the_map_says_and_only_those_that_are_wanted(
    start_server: StartServer, run_module: RunModule
) -> None:
    source, target = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    source.client(db=1).mset({"user:1": 1, "page:1": 2})

    result = run_module("keyspace_compare", repairing(source, target, database_map={1: 4}, include_keys=["user:*"]))

    assert result["repaired"] == 1
    assert target.client(db=4).keys() == [b"user:1"] and target.client(db=1).keys() == []


def test_a_target_that_refuses_the_copy_is_told_with_the_key(start_server: StartServer, run_module: RunModule) -> None:
    source, target = start_server("redis-7.0.15"), start_server("redis-7.0.15", {"maxmemory": "3mb"})
    source.client().mset({f"key:{number}": "x" * 20_000 for number in range(200)})

    result = run_module("keyspace_compare", repairing(source, target))

    assert result["failed"]
    assert str(target) in result["msg"] and "OOM" in result["msg"] and "key:" in result["msg"]
    assert "keys had been copied" in result["msg"]

    source.client().flushall()
    target.client().flushall()
    source.client().rpush("big list", *("x" * 20_000 for _number in range(200)))
    assert "OOM" in run_module("keyspace_compare", repairing(source, target))["msg"]
    assert target.client().dbsize() == 0, "nothing half built is left"


def test_a_count_can_not_be_repaired(run_module: RunModule) -> None:
    result = run_module("keyspace_compare", {"source": {}, "repair": True, "mode": "count"})

    assert result["failed"] and "count finds no keys" in result["msg"]


def test_a_big_key_is_there_all_the_time(start_server: StartServer, run_module: RunModule) -> None:
    """It is built beside the old one; what an earlier repair has left half built does not get into it."""
    source, target = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    for server, last in ((source, "new"), (target, "old")):
        server.client().sadd("set", *(f"{number:0200}" for number in range(8000)), last)
    target.client().sadd(repair._BESIDE, "left over")

    assert run_module("keyspace_compare", repairing(source, target))["equal"]
    assert target.client().info("commandstats")["cmdstat_rename"]["calls"] == 1
    assert differences(source, target) == []
