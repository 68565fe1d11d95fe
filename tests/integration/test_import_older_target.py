# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AOFs of newer servers into Redis 6.2: equal, or different by exactly what was dropped by name."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.servers import Server, build

StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., t.Dict[str, t.Any]]


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


#: But Redis 8.10, whose arrays and further commands (ARMSET, XCFGSET, XNACK, LMOVEM) nothing older stands for, and one
#: that holds vector sets and XDELEX with DELREF as they were written.
NEWER = [
    aof
    for aof in corpus()
    if not aof.meta["has_preamble"]
    and (aof.server == "valkey" or (aof.server == "redis" and (7,) <= version_of(aof.version) < (8, 10)))
    and str(aof) != "redis-8.2.3/no-rewrite"
]


@pytest.fixture(scope="module")
def old() -> t.Iterator[Server]:
    with Server(build("redis-6.2.14")) as server:
        yield server


@pytest.fixture(autouse=True)
def empty(old: Server) -> None:
    old.client().flushall()


def without_what_is_dropped(expected: dict[str, t.Any], dropped: dict[str, int]) -> dict[str, t.Any]:
    """The dataset as an older server can hold it."""
    dbs: dict[str, t.Any] = {}
    for db, entries in expected["dbs"].items():
        dbs[db] = {}
        for key, entry in entries.items():
            entry = dict(entry)
            if dropped.get("hash_field_ttl"):
                entry.pop("field_ttls", None)
            dbs[db][key] = entry
    return {"dbs": dbs, "functions": None}


@pytest.mark.parametrize("aof", NEWER, ids=str)
def test_a_newer_server_s_aof_arrives_but_for_what_is_dropped_by_name(
    aof: CorpusSet, old: Server, run_module: RunModule
) -> None:
    result = run_module(
        "aof_import",
        {"path": str(aof.aof), **old.login(), "drop": ["functions", "hash_field_ttl"], "if_not_empty": "append"},
    )

    assert not result["failed"], result["msg"]
    found = snapshot.snapshot(old.host, old.port)
    differences = snapshot.diff(without_what_is_dropped(aof.expected, result["dropped"]), found)
    assert [snapshot.describe(difference) for difference in differences] == []


def test_what_nothing_older_stands_for_is_told_with_its_place(old: Server, run_module: RunModule) -> None:
    (aof,) = (aof for aof in corpus() if str(aof) == "redis-8.2.3/no-rewrite")

    result = run_module("aof_import", {"path": str(aof.aof), **old.login(), "drop": ["functions", "hash_field_ttl"]})

    assert result["failed"] and result["errors"] == 1
    (sample,) = result["error_samples"]
    assert sample["command"] == "XDELEX" and sample["offset"] == 75998


def written(path: Path, *commands: str) -> Path:
    file = path / "appendonly.aof"
    file.write_bytes(b"".join(encode([word.encode() for word in command.split()]) for command in commands))
    return file


def test_what_has_no_equivalent_stops_the_import_unless_it_is_dropped_by_name(
    old: Server, tmp_path: Path, run_module: RunModule
) -> None:
    aof = written(tmp_path, "SELECT 0", "HSET h f v", "HPEXPIREAT h 4000000000000 FIELDS 1 f", "RPUSH l a b")

    refused = run_module("aof_import", {"path": str(aof), **old.login()})
    assert refused["failed"] and "HPEXPIREAT of key 'h'" in refused["msg"]

    dropped = run_module("aof_import", {"path": str(aof), **old.login(), "drop": ["hash_field_ttl"]})
    assert dropped["errors"] == 0 and dropped["dropped"] == {"hash_field_ttl": 1}
    assert old.client().hgetall("h") == {b"f": b"v"} and old.client().lrange("l", 0, -1) == [b"a", b"b"]


def test_equivalents_keep_their_order_and_one_reply_a_command(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    server = start_server("redis-7.0.15")
    server.client().config_set("maxmemory", 0)
    aof = written(
        tmp_path,
        "SELECT 0",
        "MULTI",
        "RPUSH l a",
        "HSETEX h PXAT 4000000000000 FIELDS 2 a 1 b 2",
        "RPUSH l b",
        "EXEC",
        "hsetex h PXAT 4000000000000 FIELDS 1 c 3",
        "RPUSH l c",
    )

    result = run_module("aof_import", {"path": str(aof), **server.login(), "drop": ["hash_field_ttl"]})

    assert result["summary"] == "errors: 0, replies: 8" and result["adapted"] == {"HSETEX": 2}
    assert result["dropped"] == {"hash_field_ttl": 2}
    assert server.client().hgetall("h") == {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert server.client().lrange("l", 0, -1) == [b"a", b"b", b"c"]


def test_compat_off_sends_everything_as_it_is(old: Server, tmp_path: Path, run_module: RunModule) -> None:
    aof = written(tmp_path, "XADD s 1-1 f v", "XSETID s 2-2 ENTRIESADDED 3 MAXDELETEDID 1-0")

    as_it_is = run_module("aof_import", {"path": str(aof), **old.login(), "compat": "off"})
    assert as_it_is["failed"] and "XSETID of key 's'" in as_it_is["msg"]

    adapted = run_module("aof_import", {"path": str(aof), **old.login()})
    assert adapted["errors"] == 0 and adapted["adapted"] == {"XSETID ENTRIESADDED": 1}
    assert old.client().xinfo_stream("s")["last-generated-id"] == b"2-2"


def test_flush_takes_functions_away_too(start_server: StartServer, tmp_path: Path, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15")
    library = "#!lua name=mine\nredis.register_function('f', function() return 1 end)"
    server.client().function_load(library)
    server.client().set("old", 1)
    file = tmp_path / "appendonly.aof"
    file.write_bytes(encode([b"FUNCTION", b"LOAD", library.encode()]) + encode([b"SET", b"new", b"1"]))

    result = run_module("aof_import", {"path": str(file), **server.login(), "if_not_empty": "flush"})

    assert not result["failed"], result["msg"]
    assert server.client().keys() == [b"new"] and len(server.client().function_list()) == 1


@pytest.mark.parametrize("target_build", ["redis-5.0.6", "redis-7.0.15", "redis-8.2.3", "valkey-9.1.2"])
def test_stream_that_never_had_an_entry_arrives_from_the_rewrite_of_redis_5(
    target_build: str, start_server: StartServer, run_module: RunModule
) -> None:
    source = start_server("redis-5.0.6", {"appendonly": "yes", "aof-use-rdb-preamble": "no"})
    source.client().execute_command("XGROUP", "CREATE", "empty", "workers", "$", "MKSTREAM")
    source.client(db=2).execute_command("XGROUP", "CREATE", "also empty", "workers", "$", "MKSTREAM")
    source.client().xadd("full", {"MAXLEN": "0"}, id="1-1")
    source.client().bgrewriteaof()
    source.wait_for_rewrite()
    assert b"MAXLEN\r\n$1\r\n0\r\n$3\r\n0-0" in source.aof_path().read_bytes()
    target = start_server(target_build)

    refused = run_module("aof_import", {"path": str(source.aof_path()), **target.login(), "compat": "off"})
    assert refused["failed"] and "XADD" in refused["msg"]
    result = run_module(
        "aof_import", {"path": str(source.aof_path()), **target.login(), "if_not_empty": "flush", "resume": False}
    )

    assert not result["failed"], result["msg"]
    assert (result["errors"], result["adapted"]) == (0, {"XADD 0-0": 2})
    expected = snapshot.snapshot(source.host, source.port)
    assert len(expected["dbs"]["0"]) == 2 and len(expected["dbs"]["2"]) == 1
    assert snapshot.diff(expected, snapshot.snapshot(target.host, target.port)) == []
    if target_build != "redis-5.0.6":
        assert target.client().xinfo_groups("empty")[0]["name"] == b"workers"
        assert target.client().xinfo_stream("empty").get("entries-added", 0) == 0
