# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``aof_info`` and ``tair_info`` tell that a preflight judges by: replication, memory, keys that no rewrite can write,
commands that the target lacks, and the bandwidth."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, encode
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.answering_proxy import AnsweringProxy
from ansible_collections.redisops.tair.tests.support.corpus import corpus
from ansible_collections.redisops.tair.tests.support.proxy import Proxy
from ansible_collections.redisops.tair.tests.support.servers import Server

Result = t.Dict[str, t.Any]
StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., Result]

LIBRARY = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"


def wait_for(condition: t.Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def link(replica: Server) -> str:
    return str(replica.client().info("replication")["master_link_status"])


# ------------------------------------------------------------------------------------------------------- replication


@pytest.mark.parametrize("build", ["redis-6.2.14", "valkey-8.1.8"])
def test_a_replica_in_sync_and_its_primary_know_each_other(
    build: str, start_server: StartServer, run_module: RunModule
) -> None:
    primary = start_server(build, {"repl-diskless-sync-delay": 0})
    replica = start_server(build, {"replicaof": f"{primary.host} {primary.port}"})
    wait_for(lambda: link(replica) == "up", "the replica does not connect")
    wait_for(lambda: primary.client().info("replication")["slave0"]["state"] == "online", "never online")

    above, below = (run_module("aof_info", server.login()) for server in (primary, replica))

    assert above["primary"] is None
    assert [one["address"] for one in above["replicas"]] == [str(replica)] and above["replicas"][0]["in_sync"] is True
    assert below["replicas"] == []
    seen = below["primary"]
    assert (seen["address"], seen["link_up"], seen["syncing"]) == (str(primary), True, False)
    assert 0 <= seen["silent_seconds"] <= 11, "a primary pings its replicas every ten seconds"


def test_a_replica_tells_that_its_link_is_broken(start_server: StartServer, run_module: RunModule) -> None:
    primary = start_server("redis-7.0.15", {"repl-diskless-sync-delay": 0})
    replica = start_server("redis-7.0.15", {"replicaof": f"{primary.host} {primary.port}"})
    wait_for(lambda: link(replica) == "up", "the replica does not connect")
    primary.kill()
    wait_for(lambda: link(replica) == "down", "the replica does not notice")

    info = run_module("aof_info", replica.login())

    assert info["role"] == "slave" and info["primary"]["link_up"] is False


# ------------------------------------------------------------------------------------------------------------ memory


def test_it_tells_the_hosts_memory_as_the_kernel_does(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15")
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))

    memory = run_module("aof_info", server.login())["host_memory"]

    assert memory["overcommit"] == int(Path("/proc/sys/vm/overcommit_memory").read_text())
    assert memory["total"] == int(total.split()[1]) * 1024
    assert 0 < memory["available"] < memory["total"]


def test_the_control_nodes_memory_is_not_taken_for_the_hosts(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15")

    assert run_module("aof_info", {**server.login(), "via": "control_node"})["host_memory"] is None


def test_an_rdb_file_that_could_not_be_written_is_told(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15")
    (server.data / "dump.rdb").mkdir()  # can't be replaced by a file
    server.client().bgsave()
    wait_for(lambda: not server.client().info("persistence")["rdb_bgsave_in_progress"], "the save does not end")

    assert run_module("aof_info", server.login())["last_save_ok"] is False


# ------------------------------------------------------------------------------------------- what the rewrite will write


def test_a_vector_set_is_found_in_whatever_database_it_is(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-8.2.3")
    server.client().mset({f"key:{number}": 1 for number in range(5000)})
    server.client(db=3).execute_command("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")

    found = run_module("aof_info", server.login())["unrewritable"]

    assert found == [{"type": "vectorset", "database": 3, "key": "vectors"}]


def test_without_such_keys_none_is_told_and_without_scan_it_is_not_known(
    start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server("redis-8.2.3", {"user": ["default on nopass ~* &* +@all", "blind on nopass ~* +@all -scan"]})
    server.client().set("key", 1)

    assert run_module("aof_info", server.login())["unrewritable"] == []
    blind = run_module("aof_info", {**server.login(), "login_user": "blind", "login_password": "any"})
    assert not blind["failed"] and blind["unrewritable"] is None


@pytest.mark.parametrize(
    ("build", "expiring"),
    [("redis-8.2.3", "HPEXPIREAT key 1 FIELDS 1 field"), ("valkey-9.1.2", "HSETEX key PXAT 1 FIELDS 1 field value")],
)
def test_the_commands_told_are_those_that_the_rewrite_writes(
    build: str, expiring: str, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(build, {"appendonly": "yes", "aof-use-rdb-preamble": "no"})
    client = server.client()
    assert run_module("aof_info", server.login())["rewrite_writes"] == []
    client.hset("hash", "field", 1)
    client.execute_command("HEXPIRE", "hash", 1000, "FIELDS", 1, "field")
    client.xadd("stream", {"field": 1})
    client.execute_command("FUNCTION", "LOAD", LIBRARY)

    told = run_module("aof_info", server.login())["rewrite_writes"]

    assert sorted(told) == sorted(["FUNCTION LOAD code", expiring, "XSETID key 1-1 ENTRIESADDED 1 MAXDELETEDID 0-0"])
    client.bgrewriteaof()
    server.wait_for_rewrite()
    (base,) = server.aof_path().glob("*.base.aof")
    words = base.read_bytes().split(b"\r\n")
    for command in told:
        assert {word.encode() for word in command.split() if word.isupper()} <= set(words)


def test_an_older_target_tells_what_it_lacks_and_a_newer_one_nothing(
    start_server: StartServer, run_module: RunModule
) -> None:
    commands = [
        "FUNCTION LOAD code",
        "HPEXPIREAT key 1 FIELDS 1 field",
        "XSETID key 1-1 ENTRIESADDED 1 MAXDELETEDID 0-0",
    ]
    older, newer = start_server("redis-6.2.14"), start_server("redis-8.2.3")

    as_they_are = {"commands": commands, "compat": "off"}
    lacking, nothing = (run_module("tair_info", {**server.login(), **as_they_are}) for server in (older, newer))
    adapted = run_module("tair_info", {**older.login(), "commands": commands})
    dropped = run_module("tair_info", {**older.login(), "commands": commands, "drop": ["functions", "hash_field_ttl"]})

    assert [one["what"] for one in lacking["lacking"]] == [
        "FUNCTION",
        "HPEXPIREAT",
        "XSETID ENTRIESADDED",
        "XSETID MAXDELETEDID",
    ]
    assert all(one["reason"] for one in lacking["lacking"])
    assert nothing["lacking"] == dropped["lacking"] == []
    assert {one["what"]: one["drop"] for one in adapted["lacking"]} == {
        "FUNCTION": "functions",
        "HPEXPIREAT": "hash_field_ttl",
    }
    assert older.client().dbsize() == newer.client().dbsize() == 0, "nothing was executed"


# --------------------------------------------------------------------------------------------------------- bandwidth


def test_the_bandwidth_is_measured_only_if_asked_for_and_a_long_line_has_less(
    start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server("redis-7.0.15")
    ask = {**server.login(), "measure_bandwidth": True}

    assert run_module("tair_info", server.login())["bandwidth"] is None
    here = run_module("tair_info", ask)["bandwidth"]
    with Proxy(server.port, delay=0.1) as line:
        started = time.monotonic()
        far = run_module("tair_info", {**ask, "login_port": line.port})["bandwidth"]
        elapsed = time.monotonic() - started

    assert here > 20_000_000 > far > 100_000, "2 MB at once take a fifth of a second and more on that line"
    assert elapsed < 30


def test_a_target_that_does_not_take_echo_has_no_bandwidth(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15", {"rename-command": 'ECHO ""'})

    info = run_module("tair_info", {**server.login(), "measure_bandwidth": True})

    assert not info["failed"] and info["bandwidth"] is None


# ------------------------------------------------------------------------------------- streams of 8.6, arrays of 8.10

#: What the rewrite of Redis 8.10 writes that Redis 8.2 lacks, and the example that is given for it (ARSEEK only follows ARMSET).
_OF_8_10 = {
    "ARMSET": "ARMSET key 0 value",
    "ARSEEK": None,
    "XCFGSET": "XCFGSET key IDMP-DURATION 1 IDMP-MAXSIZE 1",
    "XIDMPRECORD": "XIDMPRECORD key producer 1 1-1",
    "XNACK": "XNACK key group FAIL IDS 1 1-1 RETRYCOUNT 1 FORCE",
}


class Newer(AnsweringProxy):
    """A Redis 8.2 that replies as Redis 8.10 about streams with producers, entries given back, and an array."""

    def __init__(self, server: Server, *, producers: bool, given_back: bool, array: bool) -> None:
        super().__init__(server.port, self._reply)
        self._producers = producers
        self._given_back = given_back
        self._array = array

    def _reply(self, _pending: int, command: Command) -> bytes | None:
        words = [word.upper() for word in command]
        if words[:2] == [b"COMMAND", b"INFO"] and b"ARMSET" in words:
            return b"*%d\r\n" % len(words[2:]) + b"*2\r\n$4\r\nname\r\n:-4\r\n" * len(words[2:])
        if words[0] == b"SCAN" and words[-1] == b"ARRAY":
            return b"*2\r\n$1\r\n0\r\n*" + (b"1\r\n$1\r\na\r\n" if self._array else b"0\r\n")
        if words[:2] == [b"XINFO", b"STREAM"] and command[2] == b"producers":
            told = (300, 50, 1) if self._producers else (100, 100, 0)
            return (
                b"*6\r\n$13\r\nidmp-duration\r\n:%d\r\n$12\r\nidmp-maxsize\r\n:%d\r\n$12\r\niids-tracked\r\n:%d\r\n"
                % told
            )
        if words[0] == b"XPENDING" and self._given_back:
            return b"*4\r\n:2\r\n$3\r\n1-1\r\n$3\r\n1-2\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n1\r\n"
        return None


@pytest.fixture
def streams(start_server: StartServer) -> Server:
    server = start_server("redis-8.2.3")
    client = server.client()
    client.mset({f"key:{number}": 1 for number in range(3000)})
    client.xadd("producers", {"f": 1}, id="1-1")
    client.xadd("pending", {"f": 1}, id="1-1")
    client.xgroup_create("pending", "group", id="0")
    client.xreadgroup("group", "c", {"pending": ">"})
    return server


@pytest.mark.parametrize(
    ("holds", "names"),
    [
        ({"producers": True, "given_back": True, "array": True}, ["ARMSET", "XCFGSET", "XIDMPRECORD", "XNACK"]),
        ({"producers": False, "given_back": True, "array": False}, ["XNACK"]),
        ({"producers": False, "given_back": False, "array": False}, []),
    ],
    ids=["all", "one", "none"],
)
def test_streams_and_arrays_of_newer_versions_are_found_and_refused_by_an_older_target(
    holds: dict[str, bool], names: list[str], streams: Server, run_module: RunModule
) -> None:
    with Newer(streams, **holds) as source:
        info = run_module("aof_info", {**streams.login(), "login_port": source.port})

    told = info["rewrite_writes"]
    assert sorted(told) == sorted(
        [*(str(_OF_8_10[name]) for name in names), "XSETID key 1-1 ENTRIESADDED 1 MAXDELETEDID 0-0"]
    )
    assert info["rewrite_may_write"] == []
    # The server itself is of Redis 8.2, and lacks all of them.
    lacking = run_module("tair_info", {**streams.login(), "commands": told})["lacking"]
    assert {one["what"]: one["drop"] for one in lacking} == {
        name: "stream_producers" if name in ("XCFGSET", "XIDMPRECORD") else None for name in names
    }


def test_the_examples_are_all_that_the_rewrite_of_redis_8_10_writes_and_8_2_lacks(streams: Server) -> None:
    (aof,) = (aof for aof in corpus(variant="base") if str(aof) == "redis-8.10.2/base")
    names = sorted(aof.meta["command_counts"])

    with snapshot.Conn(streams.host, streams.port) as connection:
        known = connection.call("COMMAND", "INFO", *names)

    assert {name for name, row in zip(names, known) if not row} == set(_OF_8_10)


def test_what_could_not_be_searched_may_be_written(streams: Server, run_module: RunModule) -> None:
    streams.client().execute_command("ACL", "SETUSER", "blind", "on", "nopass", "~*", "&*", "+@all", "-xinfo", "-scan")
    with Newer(streams, producers=True, given_back=True, array=True) as source:
        login = {**streams.login(), "login_port": source.port, "login_user": "blind", "login_password": "any"}
        info = run_module("aof_info", login)

    assert info["rewrite_may_write"] == ["XCFGSET", "XIDMPRECORD", "XNACK"] and info["rewrite_writes"] == [
        "ARMSET key 0 value"
    ]


# ----------------------------------------------------------------------------------------------------- libraries alone


@pytest.mark.parametrize("build", ["redis-7.0.15", "valkey-9.1.2"])
def test_target_with_a_library_and_no_key_is_not_empty(
    build: str, start_server: StartServer, run_module: RunModule, tmp_path: Path
) -> None:
    target = start_server(build, {"user": ["default on nopass ~* &* +@all", "another on nopass ~* +@all"]})
    target.client().script_load("return 1")
    assert run_module("tair_info", target.login())["empty"] is True, "scripts and users are no data"
    target.client().execute_command("FUNCTION", "LOAD", LIBRARY)
    aof = tmp_path / "appendonly.aof"
    aof.write_bytes(encode([b"FUNCTION", b"LOAD", LIBRARY.encode()]) + encode([b"SET", b"key", b"1"]))
    ask = {**target.login(), "path": str(aof)}

    info = run_module("tair_info", target.login())
    assert (info["empty"], info["libraries"], info["keyspace"]) == (False, 1, {})
    of_slots = run_module("tair_info", {**target.login(), "slots": ["0-5"]})
    assert of_slots["empty"] is True, "another master of the source's cluster may have brought it"

    refused = run_module("aof_import", ask)
    assert refused["failed"] and "it holds 1 libraries of functions" in refused["msg"]
    assert "Nothing was changed" in refused["msg"] and target.client().dbsize() == 0
    flushed = run_module("aof_import", {**ask, "if_not_empty": "flush"})
    assert not flushed["failed"] and flushed["errors"] == 0, flushed["msg"]
    assert target.client().get("key") == b"1" and len(target.client().function_list()) == 1
