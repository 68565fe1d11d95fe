# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``keyspace_compare``: one thing is changed in one of two equal servers, and exactly that is reported."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._compare.keyspace import compare_keyspaces
from ansible_collections.redisops.tair.plugins.module_utils._compare.report import Difference, Options, Report
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.servers import Server, build

LATER = 4_000_000_000_000
Command = t.Tuple[t.Any, ...]

#: Sizes that are read whole, in pieces, and in pieces of pieces.
MEDIUM, BIG = 40_000, 2_500_000
MANY = 6_000
LONG = 200

LIBRARY = """#!lua name=lib
redis.register_function('lib_get', function(keys, args) return redis.call('GET', keys[1]) end)
"""

DATA: tuple[Command, ...] = (
    ("SET", "string", "abc"),
    ("SET", "empty", ""),
    ("SET", "integer", "12345"),
    ("SET", b"binary\xff\x00\r\nkey", b"\x00\xff\r\n"),
    ("SET", "medium", b"m" * MEDIUM),
    ("SET", "big", b"b" * BIG),
    ("SET", "expiring", "v", "PX", "999"),
    ("PEXPIREAT", "expiring", LATER),
    ("RPUSH", "list", "a", "b", "b", "c"),
    ("RPUSH", "biglist", *(f"{n:0{LONG}}" for n in range(MANY))),
    ("SADD", "set", "a", "b", "c"),
    ("SADD", "intset", 1, 2, 3),
    ("SADD", "bigset", *(f"{n:0{LONG}}" for n in range(MANY))),
    ("HSET", "hash", "f", "1", "g", "2"),
    ("HSET", "bighash", *(x for n in range(MANY) for x in (f"field-{n}", f"{n:0{LONG}}"))),
    ("ZADD", "zset", 1, "a", 2.5, "b", "-inf", "c"),
    ("ZADD", "bigzset", *(x for n in range(MANY) for x in (n / 3, f"{n:0{LONG}}"))),
    ("PFADD", "hll", *range(50)),
    ("XADD", "stream", "1-1", "f", "v"),
    ("XADD", "stream", "1-2", "f", "v"),
    ("XADD", "stream", "1-3", "f", "v"),
    ("XADD", "stream", "2-1", "f", "v"),
    ("XDEL", "stream", "1-2"),
    ("XGROUP", "CREATE", "stream", "group", "1-3"),
    ("XCLAIM", "stream", "group", "alice", 0, "1-1", "TIME", 1_700_000_000_000, "RETRYCOUNT", 3, "FORCE"),
    ("XCLAIM", "stream", "group", "bob", 0, "1-3", "TIME", 1_700_000_000_000, "RETRYCOUNT", 1, "FORCE"),
    ("XGROUP", "CREATECONSUMER", "stream", "group", "idle"),
)
FIELD_TTLS: tuple[Command, ...] = (
    ("HSET", "fields", "f", 1, "g", 2),
    ("HPEXPIREAT", "fields", LATER, "FIELDS", 1, "f"),
    ("HPEXPIREAT", "bighash", LATER, "FIELDS", 1, "field-17"),
)


@dataclass
class Servers:
    source: Server
    target: Server

    def compare(self, **options: t.Any) -> Report:
        source, target = (Endpoint(server.host, server.port) for server in (self.source, self.target))
        return compare_keyspaces(source, target, Options(**options))


PACKED = b"".join(map(snapshot.Conn.pack, (("FLUSHALL",), *DATA)))


def run(server: Server, *commands: Command, db: int = 0) -> None:
    with snapshot.Conn(server.host, server.port) as conn:
        conn.call("SELECT", db)
        for reply in conn.pipeline(commands):
            assert not isinstance(reply, snapshot.ReplyError), reply


def know(server: Server, command: str) -> bool:
    with snapshot.Conn(server.host, server.port) as conn:
        return bool(conn.call("COMMAND", "INFO", command)[0])


def found(report: Report) -> list[tuple[t.Any, str, str]]:
    return sorted((d.database, d.key, d.reason) for d in report.differences)


OLD_AND_NEW = ("redis-6.2.14", "valkey-9.1.2")
WITH_FUNCTIONS = (("redis-7.0.15", "valkey-8.1.8"), ("redis-7.0.15", "redis-7.0.15"))
WITH_FIELD_EXPIRY = (
    ("redis-8.2.3", "redis-8.2.3"),
    ("redis-8.2.3", "valkey-9.1.2"),
    ("valkey-9.1.2", "valkey-9.1.2"),
)


def between(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("servers", pairs, indirect=True, ids="-to-".join, scope="module")


everywhere = between(OLD_AND_NEW, *WITH_FUNCTIONS, *WITH_FIELD_EXPIRY)


@pytest.fixture(scope="module")
def servers(request: pytest.FixtureRequest) -> t.Iterator[Servers]:
    """Two servers that are started once."""
    source, target = map(build, request.param)
    with Server(source) as one, Server(target) as other:
        yield Servers(one, other)


@pytest.fixture
def equal(servers: Servers) -> Servers:
    """The same two, holding the same."""
    both = servers.source, servers.target
    for server in both:
        with contextlib.closing(Wire(Endpoint(server.host, server.port))) as wire:
            wire.send(PACKED)
            assert not [reply for reply in wire.receive(len(DATA) + 1) if isinstance(reply, Exception)]
        run(server, ("SET", "elsewhere", 1), db=3)
        if all(know(each, "HPEXPIREAT") for each in both):
            run(server, *FIELD_TTLS)
        if all(know(each, "FUNCTION") for each in both):
            run(server, ("FUNCTION", "FLUSH"), ("FUNCTION", "LOAD", LIBRARY))
    return servers


@everywhere
def test_equal_servers_are_equal(equal: Servers) -> None:
    report = equal.compare()

    assert report.equal and report.differences == []
    assert report.compared == sum(equal.source.client(db=db).dbsize() for db in (0, 3))


CHANGES: dict[str, tuple[list[Command], str, str]] = {
    "a missing key": ([("DEL", "string")], "string", "missing"),
    "an extra key": ([("SET", "another", 1)], "another", "extra"),
    "another type": ([("DEL", "string"), ("RPUSH", "string", "abc")], "string", "type"),
    "a string of another content": ([("SET", "string", "abd")], "string", "value"),
    "a longer string": ([("APPEND", "string", "d")], "string", "length"),
    "an empty string": ([("SET", "string", "")], "string", "length"),
    "another integer": ([("INCR", "integer")], "integer", "value"),
    "a byte of a binary key": ([("SET", b"binary\xff\x00\r\nkey", b"\x00\xfe\r\n")], r"binary\xff\x00\r\nkey", "value"),
    "a byte of a medium string": ([("SETRANGE", "medium", MEDIUM - 1, "x")], "medium", "value"),
    "a byte of a big string": ([("SETRANGE", "big", BIG - 1, "x")], "big", "value"),
    "a longer big string": ([("APPEND", "big", "x")], "big", "length"),
    "the order of a list": ([("LSET", "list", 0, "b"), ("LSET", "list", 1, "a")], "list", "value"),
    "a repeated element of a list": ([("LREM", "list", 1, "b")], "list", "length"),
    "an element of a big list": ([("LSET", "biglist", MANY - 2, "x")], "biglist", "value"),
    "an element more in a big list": ([("RPUSH", "biglist", "x")], "biglist", "length"),
    "a member of a set": ([("SREM", "set", "a"), ("SADD", "set", "x")], "set", "value"),
    "a member more in a set": ([("SADD", "set", "x")], "set", "length"),
    "a member of an intset": ([("SREM", "intset", 1), ("SADD", "intset", 4)], "intset", "value"),
    "a member of a big set": ([("SREM", "bigset", f"{5900:0{LONG}}"), ("SADD", "bigset", "x")], "bigset", "value"),
    "a member less in a big set": ([("SREM", "bigset", f"{5900:0{LONG}}")], "bigset", "length"),
    "a field of a hash": ([("HSET", "hash", "f", "0")], "hash", "value"),
    "the name of a field": ([("HDEL", "hash", "f"), ("HSET", "hash", "h", "1")], "hash", "value"),
    "a field more in a hash": ([("HSET", "hash", "h", "1")], "hash", "length"),
    "a field of a big hash": ([("HSET", "bighash", "field-1", "x")], "bighash", "value"),
    "the name of a field of a big hash": (
        [("HDEL", "bighash", "field-1"), ("HSET", "bighash", "x", 1)],
        "bighash",
        "value",
    ),
    "one score": ([("ZADD", "zset", 2.5000000000000004, "b")], "zset", "value"),
    "a member of a sorted set": ([("ZREM", "zset", "a"), ("ZADD", "zset", 1, "x")], "zset", "value"),
    "a member more in a sorted set": ([("ZADD", "zset", 1, "x")], "zset", "length"),
    "one score of a big sorted set": (
        [("ZADD", "bigzset", "1966.666666666667", f"{5900:0{LONG}}")],
        "bigzset",
        "value",
    ),
    "a later expiry": ([("PEXPIREAT", "expiring", LATER + 5000)], "expiring", "ttl"),
    "no expiry": ([("PERSIST", "expiring")], "expiring", "ttl"),
    "an expiry": ([("PEXPIREAT", "list", LATER)], "list", "ttl"),
    "an expiry of a big key": ([("PEXPIREAT", "bigset", LATER)], "bigset", "ttl"),
    "an expiry of a stream": ([("PEXPIREAT", "stream", LATER)], "stream", "ttl"),
    "more in a hyperloglog": ([("PFADD", "hll", *range(1000, 1100))], "hll", "length"),
    "an entry less in a stream": ([("XDEL", "stream", "1-1")], "stream", "length"),
    "the last identifier of a stream": ([("XSETID", "stream", "9-9")], "stream", "stream"),
    "a group more": ([("XGROUP", "CREATE", "stream", "new", "0")], "stream", "groups"),
    "a group less": ([("XGROUP", "DESTROY", "stream", "group")], "stream", "groups"),
    "how far a group has read": ([("XGROUP", "SETID", "stream", "group", "2-1")], "stream", "groups"),
    "a pending entry less": ([("XACK", "stream", "group", "1-1")], "stream", "groups"),
    "a pending entry more": (
        [("XCLAIM", "stream", "group", "bob", 0, "2-1", "TIME", 1_700_000_000_000, "FORCE")],
        "stream",
        "groups",
    ),
    "whom a pending entry was delivered to": (
        [("XCLAIM", "stream", "group", "bob", 0, "1-1", "TIME", 1_700_000_000_000, "RETRYCOUNT", 3)],
        "stream",
        "groups",
    ),
    "how often a pending entry was delivered": (
        [("XCLAIM", "stream", "group", "bob", 0, "1-3", "TIME", 1_700_000_000_000, "RETRYCOUNT", 2)],
        "stream",
        "groups",
    ),
    "when a pending entry was delivered": (
        [("XCLAIM", "stream", "group", "bob", 0, "1-3", "TIME", 1_700_000_009_000, "RETRYCOUNT", 1)],
        "stream",
        "groups",
    ),
    "a consumer more": ([("XGROUP", "CREATECONSUMER", "stream", "group", "carol")], "stream", "groups"),
    "a consumer with what was pending for it": (
        [("XGROUP", "DELCONSUMER", "stream", "group", "bob")],
        "stream",
        "groups",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@between(OLD_AND_NEW, *WITH_FUNCTIONS, ("redis-8.2.3", "redis-8.2.3"))
def test_one_change_is_reported_and_nothing_else(equal: Servers, change: str) -> None:
    commands, key, reason = CHANGES[change]
    run(equal.target, *commands)

    report = equal.compare()

    assert found(report) == [(0, key, reason)]
    assert (report.missing, report.extra, report.mismatched) == (
        reason == "missing",
        reason == "extra",
        reason not in ("missing", "extra"),
    )


@pytest.mark.parametrize(
    "change", [change for change in CHANGES if CHANGES[change][2] in ("missing", "extra", "type", "ttl", "length")]
)
@between(OLD_AND_NEW, ("redis-8.2.3", "redis-8.2.3"))
def test_meta_sees_all_but_values(equal: Servers, change: str) -> None:
    commands, key, reason = CHANGES[change]
    run(equal.target, *commands)

    assert found(equal.compare(mode="meta")) == [(0, key, reason)]


@everywhere
def test_meta_does_not_look_at_values(equal: Servers) -> None:
    run(equal.target, ("SET", "string", "xyz"), ("HSET", "hash", "f", "0"), ("SETRANGE", "big", 7, "x"))

    assert equal.compare(mode="meta").equal


@everywhere
def test_an_entry_of_a_stream_with_another_value_is_a_difference(equal: Servers) -> None:
    for server, value in ((equal.source, "v"), (equal.target, "w")):
        run(server, ("XADD", "twin", "1-1", "f", "v"), ("XADD", "twin", "1-2", "f", value))

    assert found(equal.compare()) == [(0, "twin", "value")]


@everywhere
def test_a_key_in_another_database_is_missing_there_and_extra_here(equal: Servers) -> None:
    run(equal.target, ("MOVE", "string", 7))

    report = equal.compare()

    assert found(report) == [(0, "string", "missing"), (7, "string", "extra")]
    assert [(d.source, d.target, d.source_keys, d.target_keys) for d in report.databases][-1] == (None, 7, 0, 1)


@everywhere
def test_several_changes_are_all_reported(equal: Servers) -> None:
    run(equal.target, ("DEL", "set"), ("SET", "another", 1), ("PERSIST", "expiring"), ("SET", "expiring", "w"))

    report = equal.compare()

    assert found(report) == [
        (0, "another", "extra"),
        (0, "expiring", "ttl"),
        (0, "expiring", "value"),
        (0, "set", "missing"),
    ]
    assert (report.missing, report.extra, report.mismatched) == (1, 1, 1)


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ([("HPEXPIREAT", "fields", LATER + 5000, "FIELDS", 1, "f")], "field_ttl"),
        ([("HPERSIST", "fields", "FIELDS", 1, "f")], "field_ttl"),
        ([("HPEXPIREAT", "fields", LATER, "FIELDS", 1, "g")], "field_ttl"),
        ([("HPERSIST", "bighash", "FIELDS", 1, "field-17")], "field_ttl"),
        ([("HSET", "bighash", "more", 1)], "length"),
        ([("HDEL", "bighash", "field-1"), ("HSET", "bighash", "x", 1)], "value"),
    ],
)
@between(*WITH_FIELD_EXPIRY)
def test_the_expiry_of_a_field_is_compared(equal: Servers, commands: list[Command], reason: str) -> None:
    run(equal.target, *commands)

    assert found(equal.compare()) == [(0, commands[0][1], reason)]


@between(("redis-8.2.3", "redis-6.2.14"), ("valkey-9.1.2", "redis-7.0.15"))
def test_a_field_that_can_not_expire_on_an_older_target_is_a_difference(equal: Servers) -> None:
    for server in (equal.source, equal.target):
        run(server, ("HSET", "lost", "f", 1))
    run(equal.source, ("HPEXPIREAT", "lost", LATER, "FIELDS", 1, "f"))

    assert (0, "lost", "field_ttl") in found(equal.compare())


@between(("redis-7.0.15", "redis-6.2.14"))
def test_a_function_is_missing_on_a_target_that_knows_none(equal: Servers) -> None:
    run(equal.source, ("FUNCTION", "LOAD", "REPLACE", LIBRARY))

    assert (None, "lib", "missing") in found(equal.compare())


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("FUNCTION", "DELETE", "lib"), "missing"),
        (("FUNCTION", "LOAD", LIBRARY.replace("lib", "more")), "extra"),
        (("FUNCTION", "LOAD", "REPLACE", LIBRARY + "\n"), "value"),
    ],
)
@between(*WITH_FUNCTIONS, *WITH_FIELD_EXPIRY)
def test_functions_are_compared(equal: Servers, command: Command, reason: str) -> None:
    run(equal.target, command)

    assert found(equal.compare()) == [(None, "more" if reason == "extra" else "lib", reason)]


@pytest.mark.parametrize(
    "commands",
    [
        [("PFDEBUG", "TODENSE", "hll")],
        [("PFCOUNT", "hll")],
        [("ZADD", "zset", 0, "nought"), ("ZADD", "zset", "-0.0", "nought")],
        [("SADD", "set", *range(1000)), ("SREM", "set", *range(1000))],
        [("HSET", "hash", "long", "x" * 1000), ("HDEL", "hash", "long")],
        [("ZADD", "zset", 1, "x" * 1000), ("ZREM", "zset", "x" * 1000)],
        [("SADD", "intset", "x"), ("SREM", "intset", "x")],
        [("APPEND", "integer", "")],
        [("XGROUP", "DELCONSUMER", "stream", "group", "idle")],
        [("PEXPIREAT", "expiring", LATER + 900)],
        [
            ("XACK", "stream", "group", "1-3"),
            ("XCLAIM", "stream", "group", "bob", 0, "1-3", "TIME", 1_700_000_000_500, "RETRYCOUNT", 1, "FORCE"),
        ],
    ],
    ids=lambda commands: " ".join(map(str, commands[0][:2])),
)
@everywhere
def test_what_means_the_same_is_no_difference(equal: Servers, commands: list[Command]) -> None:
    if ("ZADD", "zset", 0, "nought") in commands:
        run(equal.source, commands[0])
    run(equal.target, *commands)

    assert equal.compare().differences == []


@everywhere
def test_a_pending_entry_whose_entry_is_gone_is_not_missed(equal: Servers) -> None:
    for server in (equal.source, equal.target):
        run(server, ("XDEL", "stream", "1-3"))
    run(equal.target, ("XACK", "stream", "group", "1-3"))

    assert equal.compare().differences == []


@between(("redis-7.0.15", "redis-8.2.3"), ("redis-8.2.3", "redis-8.2.3"), ("valkey-8.1.8", "redis-7.0.15"))
def test_how_many_entries_a_group_has_read_is_compared_where_the_source_hands_it_on(equal: Servers) -> None:
    run(equal.target, ("XGROUP", "SETID", "stream", "group", "1-3", "ENTRIESREAD", 1))

    expected = [] if equal.source.build.name == "redis-7.0.15" else [(0, "stream", "groups")]
    assert found(equal.compare()) == expected


@everywhere
def test_many_pending_entries_are_compared_page_by_page(equal: Servers) -> None:
    for server in (equal.source, equal.target):
        entries = [f"1-{n}" for n in range(1, 2501)]
        run(server, *(("XADD", "busy", entry, "f", "v") for entry in entries), ("XGROUP", "CREATE", "busy", "g", "0"))
        run(server, ("XCLAIM", "busy", "g", "c", 0, *entries, "TIME", 1_700_000_000_000, "FORCE", "JUSTID"))
    assert equal.compare().differences == []

    run(equal.target, ("XACK", "busy", "g", "1-2400"))

    assert equal.compare().differences == [
        Difference(0, "busy", "groups", "group g: pending entries", "group g: pending entries: 1 missing")
    ]
