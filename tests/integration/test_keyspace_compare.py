# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``keyspace_compare`` on whole data sets, and what its options do."""

from __future__ import annotations

import itertools
import json
import random
import re
import time
import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils import _resp
from ansible_collections.redisops.tair.plugins.module_utils._compare import keyspace
from ansible_collections.redisops.tair.plugins.module_utils._compare.keyspace import compare_keyspaces
from ansible_collections.redisops.tair.plugins.module_utils._compare.report import Options, Report
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import Side
from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_PREFIX, KeyFilter
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.modules import keyspace_compare
from ansible_collections.redisops.tair.tests.support import dataset
from ansible_collections.redisops.tair.tests.support.ansible_cli import local_host
from ansible_collections.redisops.tair.tests.support.certs import issue
from ansible_collections.redisops.tair.tests.support.servers import Server

Result = t.Dict[str, t.Any]
StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., Result]
RunPlaybook = t.Callable[..., t.Any]


def login(source: Server, target: Server, **options: t.Any) -> Result:
    return {**target.login(), "source": source.login(), **options}


def in_process(source: Server, target: Server, **options: t.Any) -> Report:
    return compare_keyspaces(Endpoint(source.host, source.port), Endpoint(target.host, target.port), Options(**options))


def found(result: Result) -> list[tuple[t.Any, str, str]]:
    return sorted((d["database"], d["key"], d["reason"]) for d in result["differences"])


@pytest.fixture
def both(start_server: StartServer) -> tuple[Server, Server]:
    """Two servers without keys."""
    return start_server("redis-7.0.15"), start_server("redis-7.0.15")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("redis-6.2.14", "redis-6.2.14"),
        ("redis-6.2.14", "valkey-9.1.2"),
        ("redis-7.0.15", "valkey-8.1.8"),
        ("redis-8.2.3", "redis-8.2.3"),
        ("valkey-8.1.8", "redis-8.2.3"),
        ("valkey-9.1.2", "redis-8.2.3"),
    ],
)
def test_a_data_set_that_came_by_its_aof_is_equal(
    start_server: StartServer, run_module: RunModule, source: str, target: str
) -> None:
    config = {"appendonly": "yes", "aof-use-rdb-preamble": "no"}
    one, other = start_server(source, config), start_server(target)
    counts = dataset.fill(one.host, one.port, keys=5000)
    one.wait_for_rewrite()
    imported = run_module("aof_import", {**other.login(), "path": str(one.aof_path())})
    assert imported["errors"] == 0, imported

    for mode in ("count", "meta", "full"):
        result = run_module("keyspace_compare", login(one, other, mode=mode))

        assert not result["failed"] and not result["changed"]
        assert result["equal"] and result["differences"] == []
        assert result["compared"] == sum(counts.values())
        assert result["databases"] == [
            {"source": db, "target": db, "source_keys": keys, "target_keys": keys} for db, keys in counts.items()
        ]
        assert result["summary"].startswith("EQUAL")


def test_servers_that_know_little_are_compared_all_the_same(start_server: StartServer) -> None:
    """What Redis 3.2 to 6.0 lack is taken from a newer server."""
    unknown = ["PEXPIRETIME", "MEMORY", "SMISMEMBER", "FUNCTION"]
    config = {"rename-command": [f'{name} ""' for name in unknown]}
    source, target = start_server("redis-7.0.15", config), start_server("redis-7.0.15", config)
    for server in (source, target):
        client = server.client()
        client.set("expiring", "v", pxat=4_000_000_000_000)
        client.sadd("bigset", *(f"{number:0200}" for number in range(6000)))
        client.hset("bighash", mapping={f"f{number}": "x" * 200 for number in range(6000)})
        client.rpush("biglist", *("x" * 200 for _number in range(6000)))
        client.xadd("stream", {"f": "v"}, "1-1")
    assert in_process(source, target).equal

    target.client().pexpireat("expiring", 4_000_000_005_000)
    target.client().srem("bigset", f"{5999:0200}")
    target.client().sadd("bigset", "x")
    target.client().hset("bighash", "f5999", "y")
    target.client().lset("biglist", 5999, "y")

    report = in_process(source, target)
    assert sorted((d.key, d.reason) for d in report.differences) == [
        ("bighash", "value"),
        ("biglist", "value"),
        ("bigset", "value"),
        ("expiring", "ttl"),
    ]


def test_a_slow_parser_finds_the_same(both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_resp, "hiredis", None)
    for server in both:
        dataset.fill(server.host, server.port, keys=1000)
    source, target = both
    target.client().set("odd:float", "0.4")

    assert ("odd:float", "value") in {
        (d.key, d.reason) for d in in_process(source, target, tolerance=60_000).differences
    }


@pytest.mark.parametrize("sides", [("source", "target"), ("target",)], ids=len)
def test_a_server_behind_a_proxy_that_answers_ping_itself_is_compared_all_the_same(
    both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch, sides: tuple[str, ...]
) -> None:
    source, target = both
    unmarked = {
        str(Endpoint(server.host, server.port)) for server, name in zip(both, ("source", "target")) if name in sides
    }
    connect = Side.connect

    def without_marks(side: Side) -> t.Any:
        wire = connect(side)
        if str(side) in unmarked:
            wire.mark = b""
        return wire

    monkeypatch.setattr(Side, "connect", without_marks)
    for server in both:
        dataset.fill(server.host, server.port, keys=1000)
        server.client().set("medium", "x" * 40_000)
    target.client().set("odd:float", "0.4")
    target.client().setrange("medium", 39_999, "y")

    assert {("odd:float", "value"), ("medium", "value")} <= {
        (d.key, d.reason) for d in in_process(source, target, tolerance=60_000).differences
    }


def test_values_that_look_like_errors_are_values_and_errors_on_both_sides_are_no_proof(
    both: tuple[Server, Server],
) -> None:
    source, target = both
    for server in both:
        server.client().mset({"a": "-ERR no", "b": "x\r\n-ERR no\r\n", "c": "-1"})
        server.client().execute_command("ACL SETUSER reader on >pw ~a ~b ~c +@all")
    assert in_process(source, target).equal

    for server in both:
        server.client().set("secret", server.port)
    one, other = (Endpoint(server.host, server.port, user="reader", password="pw") for server in both)
    with pytest.raises(ReplyError, match="secret|keys"):
        compare_keyspaces(one, other, Options())


def test_as_many_keys_as_on_the_source_may_still_be_other_ones(both: tuple[Server, Server]) -> None:
    source, target = both
    for server in both:
        server.client().mset({f"key:{number}": "x" for number in range(3000)})
    source.client().set("short-lived", 1, px=1)
    target.client().set("other", 1)

    report = in_process(source, target, tolerance=0)

    assert [(d.key, d.reason) for d in report.differences] == [("other", "extra")]


# ------------------------------------------------------------------------------------------------------ expiries


def test_keys_that_have_expired_on_one_side_only_are_equal(start_server: StartServer, run_module: RunModule) -> None:
    """One server has dropped them, the other one has not looked at them since."""
    config = {"enable-debug-command": "yes"}
    source, target = start_server("redis-7.0.15", config), start_server("redis-7.0.15", config)
    for server in (source, target):
        server.client().execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        server.client().set("stays", 1)
    for number in range(50):
        source.client().set(f"due-on-source:{number}", 1, px=1)
        target.client().set(f"due-on-target:{number}", 1, px=1)
    time.sleep(0.05)

    for mode in ("full", "meta", "count"):
        source.client().set("due", 1, px=1)
        time.sleep(0.01)
        assert source.client().dbsize() > target.client().dbsize() or mode != "count"

        result = run_module("keyspace_compare", login(source, target, mode=mode))

        assert result["equal"], result
        assert result["databases"] == [{"source": 0, "target": 0, "source_keys": 1, "target_keys": 1}]


def test_a_key_that_is_due_by_the_other_servers_clock_is_equal(both: tuple[Server, Server]) -> None:
    source, target = both
    source.client().set("about to expire", 1, px=700)
    target.client().set("about to expire as well", 1, px=700)

    assert in_process(source, target, tolerance=1000).equal
    assert not in_process(source, target, tolerance=0).equal


def test_a_key_that_expires_before_the_second_look_is_equal(
    both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = both
    source.client().set("expires meanwhile", 1, px=300)
    source.client().set("stays", 1)
    target.client().set("expires there", 1, px=300)
    second_look = keyspace._Comparison._settle
    suspects: list[bytes] = []

    def later(comparison: t.Any, db: int, keys: list[bytes]) -> None:
        suspects.extend(keys)
        time.sleep(0.4)
        second_look(comparison, db, keys)

    monkeypatch.setattr(keyspace._Comparison, "_settle", later)

    report = in_process(source, target, tolerance=0)

    assert sorted(suspects) == [b"expires meanwhile", b"stays"]
    assert [d.key for d in report.differences] == ["stays"]


def test_a_field_that_has_expired_on_one_side_only_is_equal(start_server: StartServer) -> None:
    """HLEN still counts it."""
    config = {"enable-debug-command": "yes"}
    source, target = start_server("redis-8.2.3", config), start_server("redis-8.2.3", config)
    for server in (source, target):
        server.client().execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        server.client().hset("hash", mapping={"f": 1, "g": 2})
        server.client().hset("bighash", mapping={f"f{number}": "x" * 200 for number in range(3000)})
        server.client().execute_command("HPEXPIREAT", "hash", 4_000_000_000_000, "FIELDS", 1, "g")
    for key in ("hash", "bighash"):
        source.client().hset(key, "short-lived", 1)
        source.client().execute_command("HPEXPIRE", key, 1, "FIELDS", 1, "short-lived")
    time.sleep(0.05)
    assert source.client().hlen("hash") > target.client().hlen("hash")

    assert in_process(source, target).differences == []
    assert in_process(source, target, mode="meta").differences == []


# ---------------------------------------------------------------------------------------------- which keys, and where


def test_databases_are_found_where_the_map_says(both: tuple[Server, Server], run_module: RunModule) -> None:
    source, target = both
    for db, there in ((0, 3), (1, 0)):
        source.client(db=db).set(f"from {db}", db)
        target.client(db=there).set(f"from {db}", db)

    assert run_module("keyspace_compare", login(source, target, database_map={0: 3, 1: 0}))["equal"]
    result = run_module("keyspace_compare", login(source, target))
    assert found(result) == [
        (0, "from 0", "missing"),
        (0, "from 1", "extra"),
        (1, "from 1", "missing"),
        (3, "from 0", "extra"),
    ]


def test_two_databases_may_be_in_the_same_one(both: tuple[Server, Server], run_module: RunModule) -> None:
    source, target = both
    for db in (0, 1):
        source.client(db=db).set(f"from {db}", db)
        target.client().set(f"from {db}", db)
    target.client().set("from nowhere", 1)

    result = run_module("keyspace_compare", login(source, target, database_map={"1": "0"}))

    assert found(result) == [(0, "from nowhere", "extra")]
    assert [db["target_keys"] for db in result["databases"]] == [3, 3]
    counted = run_module("keyspace_compare", login(source, target, database_map={1: 0}, mode="count"))
    assert (counted["compared"], counted["missing"], counted["extra"]) == (2, 0, 1)


def test_only_the_databases_asked_for_are_compared(both: tuple[Server, Server], run_module: RunModule) -> None:
    source, target = both
    source.client(db=1).set("missing", 1)
    target.client(db=2).set("extra", 1)

    assert run_module("keyspace_compare", login(source, target, databases=[0, 3]))["equal"]
    assert found(run_module("keyspace_compare", login(source, target, databases=[1]))) == [(1, "missing", "missing")]
    assert found(run_module("keyspace_compare", login(source, target, databases=[2]))) == [(2, "extra", "extra")]


def test_a_database_that_the_target_does_not_have_is_said(start_server: StartServer, run_module: RunModule) -> None:
    source, target = start_server("redis-7.0.15"), start_server("redis-7.0.15", {"databases": 4})
    source.client(db=9).set("key", 1)

    result = run_module("keyspace_compare", login(source, target))

    assert result["failed"]
    assert "DB index is out of range" in result["msg"] and str(target) in result["msg"]


@pytest.mark.parametrize("mode", ["full", "meta", "count"])
def test_only_keys_that_match_are_compared(both: tuple[Server, Server], run_module: RunModule, mode: str) -> None:
    source, target = both
    for key in ("user:1", "user:1:tmp", "page:1"):
        source.client().set(key, 1)
    target.client().set("user:1", 1)
    target.client().set("page:2", 1)
    options = {"mode": mode, "include_keys": ["user:*"], "exclude_keys": ["*:tmp"]}

    result = run_module("keyspace_compare", login(source, target, **options))

    assert result["equal"] and result["compared"] == 1
    result = run_module("keyspace_compare", login(source, target, mode=mode, include_keys=["user:*"]))
    assert (result["missing"], result["extra"]) == (1, 0)


def test_patterns_mean_what_they_mean_to_the_server(start_server: StartServer) -> None:
    client = start_server("redis-7.0.15").client()
    rng = random.Random(4)
    keys = {bytes(rng.choices(b"ab-]^[*?\\\n", k=rng.randrange(1, 5))) for _key in range(400)}
    client.mset(dict.fromkeys(keys, 1))
    for _pattern in range(600):
        pattern = "".join(rng.choices("ab-]^[*?\\\n", k=rng.randrange(7)))

        taken = {key for key in keys if KeyFilter([pattern]).takes(key)}

        assert taken == set(client.keys(pattern)), pattern


def test_the_position_of_an_import_is_no_difference(both: tuple[Server, Server], run_module: RunModule) -> None:
    source, target = both
    source.client().set("key", 1)
    target.client().set("key", 1)
    target.client().hset(CHECKPOINT_PREFIX + b"imports", "id", "position")
    target.client(db=5).hset(CHECKPOINT_PREFIX + b"imports", "id", "position")

    for mode in ("full", "meta", "count"):
        result = run_module("keyspace_compare", login(source, target, mode=mode))

        assert result["equal"], result
        assert [(db["target"], db["target_keys"]) for db in result["databases"]] == [(0, 1), (5, 0)]


def test_a_sample_looks_at_some_keys_and_says_what_that_proves(
    both: tuple[Server, Server], run_module: RunModule
) -> None:
    source, target = both
    for server in both:
        server.client().mset({f"key:{number}": number for number in range(20_000)})
        server.client(db=1).set("single", 1)

    for size, compared in ((300, 301), (15_000, 15_001), (20_000, 20_001)):
        result = run_module("keyspace_compare", login(source, target, sample=size))
        assert result["equal"] and result["compared"] == compared
        assert ("1 % of all keys differ" in result["summary"]) is (size == 300)
    filtered = run_module("keyspace_compare", login(source, target, sample=300, include_keys=["key:1*"]))
    assert filtered["equal"] and filtered["compared"] == 300

    target.client().flushdb()
    target.client().mset({f"other:{number}": number for number in range(20_000)})
    result = run_module("keyspace_compare", login(source, target, sample=300))
    assert (result["missing"], result["extra"]) == (300, 300)


# ------------------------------------------------------------------------------------------------------------ results


def test_differences_are_counted_beyond_those_that_are_listed(
    both: tuple[Server, Server], run_module: RunModule
) -> None:
    source, target = both
    source.client().mset({f"missing:{number}": number for number in range(25_000)})
    target.client().mset({f"extra:{number}": number for number in range(25_000)})

    result = run_module("keyspace_compare", login(source, target, max_differences=7))

    assert (result["compared"], result["missing"], result["extra"]) == (25_000, 25_000, 25_000)
    assert len(result["differences"]) == 7
    assert result["summary"].startswith("DIFFERENT: 25000 missing, 25000 extra, 0 mismatched of 25000 keys compared")


def test_a_key_that_a_scan_returns_twice_differs_once(
    both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = both
    source.client().set("missing", 1)
    target.client().set("extra", 1)
    scan = Side.scan

    def twice(side: Side, *args: t.Any) -> t.Iterator[list[bytes]]:
        return itertools.chain.from_iterable((keys, keys) for keys in scan(side, *args))

    monkeypatch.setattr(Side, "scan", twice)

    report = in_process(source, target)

    assert [(d.key, d.reason) for d in report.differences] == [("missing", "missing"), ("extra", "extra")]
    assert (report.missing, report.extra) == (1, 1)


def test_a_count_is_compared_by_database(both: tuple[Server, Server], run_module: RunModule) -> None:
    source, target = both
    source.client().mset({"a": 1, "b": 2})
    target.client().mset({"a": 1})
    target.client(db=4).set("c", 3)

    result = run_module("keyspace_compare", login(source, target, mode="count"))

    assert not result["equal"]
    assert (result["compared"], result["missing"], result["extra"], result["mismatched"]) == (2, 1, 1, 0)
    assert result["differences"] == [
        {"database": 0, "key": "", "reason": "count", "source": "2 keys", "target": "1 key"},
        {"database": 4, "key": "", "reason": "count", "source": "0 keys", "target": "1 key"},
    ]


def test_a_difference_fails_the_task_only_where_that_is_asked_for(
    both: tuple[Server, Server], run_playbook: RunPlaybook
) -> None:
    source, target = both
    source.client().set("key", 1)
    task = {"redisops.tair.keyspace_compare": login(source, target), "register": "comparison"}
    strict = {"redisops.tair.keyspace_compare": login(source, target, fail_on_difference=True)}
    play = {"hosts": "redis", "gather_facts": False}

    lenient = run_playbook([{**play, "tasks": [task]}], {"here": local_host()})
    assert lenient.returncode == 0
    assert lenient.result("keyspace_compare")["equal"] is False

    failed = run_playbook([{**play, "tasks": [strict]}], {"here": local_host()})
    assert failed.returncode == 2
    result = failed.result("keyspace_compare")
    assert result["msg"] == result["summary"] and result["missing"] == 1
    assert found(result) == [(0, "key", "missing")]


def test_neither_values_nor_passwords_are_in_the_output(start_server: StartServer, run_module: RunModule) -> None:
    source = start_server("redis-7.0.15", password="source-hunter2")
    target = start_server("redis-7.0.15", password="target-hunter2")
    for server, value in ((source, "secret-of-source"), (target, "secret-of-target")):
        client = server.client()
        client.set("string", value)
        client.rpush("list", value)
        client.sadd("set", value)
        client.hset("hash", mapping={value: value, "field-name": value})
        client.zadd("zset", {value: 1})
        client.xadd("stream", {value: value}, "1-1")

    result = run_module("keyspace_compare", login(source, target))

    assert [d["key"] for d in result["differences"]] and result["mismatched"] == 6
    output = json.dumps(result)
    for secret in ("secret-of", "hunter2", "field-name"):
        assert secret not in output


def test_check_mode_compares_too(both: tuple[Server, Server], run_module: RunModule) -> None:
    source, target = both
    source.client().set("key", 1)

    assert found(run_module("keyspace_compare", login(source, target), check=True)) == [(0, "key", "missing")]


# ------------------------------------------------------------------------------------------------------- what goes wrong


def test_a_server_is_not_compared_with_itself(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15")
    server.client().set("key", 1)

    result = run_module("keyspace_compare", login(server, server))

    assert result["failed"] and "are the same server" in result["msg"]
    moved = run_module("keyspace_compare", login(server, server, databases=[0], database_map={0: 1}))
    assert found(moved) == [(0, "key", "missing")]


@pytest.mark.parametrize("side", ["source", "target"])
def test_the_server_that_can_not_be_reached_is_named(
    both: tuple[Server, Server], run_module: RunModule, side: str
) -> None:
    source, target = both
    (source if side == "source" else target).stop()

    result = run_module("keyspace_compare", login(source, target))

    assert result["failed"]
    assert f"{source if side == 'source' else target} refuses the connection" in result["msg"]


def test_the_source_takes_nothing_from_the_environment(start_server: StartServer, run_module: RunModule) -> None:
    source = start_server("redis-7.0.15", password="source-hunter2")
    target = start_server("redis-7.0.15", password="target-hunter2")
    params = {"source": {"login_host": source.host, "login_port": source.port}}
    env = {"REDISOPS_LOGIN_PORT": str(target.port), "REDISOPS_LOGIN_PASSWORD": "target-hunter2"}

    result = run_module("keyspace_compare", params, env=env)

    assert result["failed"] and f"{source} refused to log in" in result["msg"]
    params["source"]["login_password"] = "source-hunter2"
    assert run_module("keyspace_compare", params, env=env)["equal"]


def test_the_permissions_that_the_documentation_names_are_enough(
    start_server: StartServer, run_module: RunModule
) -> None:
    source, target = start_server("redis-8.2.3"), start_server("redis-8.2.3")
    named = re.search(r"C\((~\* [^)]+)\)", keyspace_compare.DOCUMENTATION)
    assert named
    account = {"login_user": "reader", "login_password": "pw"}
    for server in (source, target):
        dataset.fill(server.host, server.port, keys=1000)
        server.client().execute_command(f"ACL SETUSER reader on >pw {named[1]}")
    target.client().delete("odd:set")
    both = {**target.login(), **account, "source": {**source.login(), **account}, "ttl_tolerance": 3600}

    for mode in ("full", "meta", "count"):
        result = run_module("keyspace_compare", {**both, "mode": mode})

        assert not result["failed"] and "warnings" not in result
        assert result["missing"] == 1
    assert not run_module("keyspace_compare", {**both, "sample": 10})["failed"]


def test_an_account_that_may_not_read_is_told_which_command_it_lacks(
    start_server: StartServer, run_module: RunModule
) -> None:
    source, target = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    source.client().set("key", 1)
    source.client().execute_command("ACL SETUSER reader on >pw ~* +@all -getrange -function")

    result = run_module(
        "keyspace_compare",
        {**target.login(), "source": {**source.login(), "login_user": "reader", "login_password": "pw"}},
    )
    assert not result["failed"] and found(result) == [(0, "key", "missing")]
    assert f"{source} does not let this user run FUNCTION LIST" in str(result["warnings"])

    target.client().set("key", 1)
    result = run_module(
        "keyspace_compare",
        {**target.login(), "source": {**source.login(), "login_user": "reader", "login_password": "pw"}},
    )
    assert result["failed"] and "getrange" in result["msg"].lower() and str(source) in result["msg"]


def test_it_speaks_tls_with_either_side(start_server: StartServer, run_module: RunModule, tmp_path: t.Any) -> None:
    source = start_server("redis-7.0.15", certificate=issue(tmp_path / "source"))
    target = start_server("redis-7.0.15", certificate=issue(tmp_path / "target"))
    source.client().set("key", 1)

    assert found(run_module("keyspace_compare", login(source, target))) == [(0, "key", "missing")]


@pytest.mark.parametrize(
    "options",
    [{"sample": -1}, {"ttl_tolerance": -0.1}, {"max_differences": -1}, {"databases": [-1]}, {"database_map": {"x": 1}}],
)
def test_options_that_make_no_sense_are_refused(run_module: RunModule, options: Result) -> None:
    result = run_module("keyspace_compare", {"source": {}, **options})

    assert result["failed"] and next(iter(options)) in result["msg"]


def test_module_types_are_compared_by_their_dump(start_server: StartServer) -> None:
    source, target = start_server("redis-8.2.3"), start_server("redis-8.2.3")
    for key in ("same", "other"):
        source.client().execute_command("VADD", key, "VALUES", 2, 1, 2, "element")
        target.client().execute_command("RESTORE", key, 0, source.client().dump(key))
    assert in_process(source, target).equal

    target.client().execute_command("VADD", "other", "VALUES", 2, 3, 4, "more")

    report = in_process(source, target)
    assert [(d.key, d.reason) for d in report.differences] == [("other", "value")]
    assert in_process(source, target, mode="meta").equal
