# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``tair_info`` on real servers: standalone, replica, cluster, behind a proxy, and where little may be asked."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import typing as t

import hiredis
import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_PREFIX
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.certs import issue
from ansible_collections.redisops.tair.tests.support.servers import Build, Server

Result = t.Dict[str, t.Any]
StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., Result]

CONTRACT = {
    "version",
    "redis_version",
    "flavor",
    "topology",
    "role",
    "writable",
    "obstacles",
    "used_memory",
    "maxmemory",
    "eviction_policy",
    "evicts",
    "databases",
    "keyspace",
    "empty",
    "round_trip_ms",
    "evicted_keys",
    "expired_keys",
    "modules",
    "tls",
}


@pytest.fixture
def cluster(start_cluster: t.Callable[..., list[Server]]) -> list[Server]:
    return start_cluster("redis-7.0.15")


def test_an_empty_standalone_server_is_ready(
    any_build: Build, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(any_build)

    info = run_module("tair_info", server.login())

    assert not info["failed"] and not info["changed"]
    assert set(info) >= CONTRACT
    assert (info["flavor"], info["version"]) == (any_build.flavor, any_build.version)
    assert (info["topology"], info["role"]) == ("standalone", "master")
    assert info["writable"] is True and info["obstacles"] == []
    assert info["empty"] is True and info["keyspace"] == {}
    assert (info["eviction_policy"], info["evicts"]) == ("noeviction", False)
    assert info["databases"] == 16 and info["maxmemory"] == 0 and info["used_memory"] > 0
    assert info["evicted_keys"] == info["expired_keys"] == 0
    assert 0 < info["round_trip_ms"] < 100
    assert info["tls"] is False


def test_what_it_holds_and_may_hold_is_told(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server(
        "redis-7.0.15", {"maxmemory": "64mb", "maxmemory-policy": "volatile-lru", "databases": 300}, password="pw"
    )
    server.client().mset({f"key:{number}": number for number in range(5000)})
    server.client(db=299).set("key", 1)
    server.client().set("expired", 1, px=1)
    time.sleep(0.01)
    server.client().get("expired")

    info = run_module("tair_info", server.login())

    assert info["keyspace"] == {"0": 5000, "299": 1} and info["empty"] is False
    assert info["maxmemory"] == 64 << 20
    assert (info["eviction_policy"], info["evicts"]) == ("volatile-lru", True)
    assert info["databases"] == 300
    assert info["expired_keys"] == 1


def test_nothing_is_changed(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15")
    server.client().set("key", 1)
    client = server.client()
    before = client.info("persistence")["rdb_changes_since_last_save"]
    client.config_resetstat()

    for check in (False, True):
        assert run_module("tair_info", server.login(), check=check)["changed"] is False

    assert client.info("persistence")["rdb_changes_since_last_save"] == before
    called = {name[len("cmdstat_") :].partition("|")[0] for name in client.info("commandstats")}
    with snapshot.Conn(server.host, server.port) as conn:
        flags = {name: conn.call("COMMAND", "INFO", name)[0][2] for name in called}
    assert {"info", "ping"} <= set(flags)
    assert [name for name in flags if b"write" in flags[name]] == []


def test_the_position_of_an_import_does_not_count(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15")
    server.client(db=2).hset(CHECKPOINT_PREFIX + b"imports", "id", "position")
    assert run_module("tair_info", server.login())["empty"] is True

    server.client(db=2).set("key", 1)
    assert run_module("tair_info", server.login())["keyspace"] == {"2": 1}


def test_a_read_only_replica_can_not_be_written_to(start_server: StartServer, run_module: RunModule) -> None:
    master = start_server("valkey-8.1.8")
    replica = start_server("valkey-8.1.8", {"replicaof": f"{master.host} {master.port}"})

    info = run_module("tair_info", replica.login())

    assert info["role"] == "slave" and info["writable"] is False
    assert f"read-only replica of {master}" in info["obstacles"][0]


def test_a_server_that_waits_for_its_replicas_can_not_be_written_to(
    start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server("redis-6.2.14", {"min-replicas-to-write": 1})

    info = run_module("tair_info", server.login())

    assert info["writable"] is False and "min-replicas-to-write" in info["obstacles"][0]


def test_a_server_that_has_stopped_writes_as_it_can_not_save_is_a_failure(
    start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server("redis-7.0.15", {"save": "3600 1", "dbfilename": "dump.rdb"})
    (server.data / "dump.rdb").mkdir()
    client = server.client()
    client.bgsave()
    end = time.monotonic() + 20
    while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
        assert time.monotonic() < end
        time.sleep(0.02)

    result = run_module("tair_info", server.login())

    assert result["failed"] and "MISCONF" in result["msg"] and str(server) in result["msg"]
    (server.data / "dump.rdb").rmdir()  # or it would refuse to end


def test_an_account_that_may_not_write_is_found_out_where_the_server_tells(
    start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server("redis-7.0.15")
    server.client().execute_command(
        "ACL SETUSER reader on >pw ~* +@read +@connection +info +config|get +acl|whoami +acl|dryrun"
    )

    info = run_module("tair_info", {**server.login(), "login_user": "reader", "login_password": "pw"})

    assert info["writable"] is False
    assert "this account may not run SET, RPUSH" in info["obstacles"][0]


def test_an_account_that_may_not_ask_for_much_gets_what_there_is(
    start_server: StartServer, run_module: RunModule
) -> None:
    """As on a managed instance where CONFIG, ACL, MODULE and CLUSTER are not for users."""
    server = start_server("redis-7.0.15", {"databases": 37})
    server.client(db=36).set("key", 1)
    server.client().execute_command("ACL SETUSER user on >pw ~* +@all -config -acl -module -cluster -dbsize")

    info = run_module("tair_info", {**server.login(), "login_user": "user", "login_password": "pw"})

    assert info["databases"] == 37
    assert info["keyspace"] == {"36": 1}
    assert info["topology"] == "standalone" and info["writable"] is True
    assert info["eviction_policy"] == "noeviction"


def test_without_info_the_rest_is_told(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15", {"databases": 5})
    server.client(db=4).set("key", 1)
    server.client().set("key", 1)
    server.client().execute_command("ACL SETUSER user on >pw ~* +@all -info")

    info = run_module("tair_info", {**server.login(), "login_user": "user", "login_password": "pw"})

    assert info["version"] is info["role"] is info["used_memory"] is info["evicted_keys"] is None
    assert info["topology"] == "standalone"
    assert info["keyspace"] == {"0": 1, "4": 1} and info["empty"] is False
    assert (info["databases"], info["maxmemory"], info["eviction_policy"]) == (5, 0, "noeviction")


@pytest.mark.parametrize("databases", [1, 2, 3, 16, 17, 255, 256])
def test_databases_are_counted_by_selecting_them_where_config_is_renamed(
    start_server: StartServer, run_module: RunModule, databases: int
) -> None:
    server = start_server("redis-6.2.14", {"databases": databases, "rename-command": 'CONFIG ""'})

    assert run_module("tair_info", server.login())["databases"] == databases


def test_a_cluster_is_told_as_a_whole(cluster: list[Server], run_module: RunModule) -> None:
    client = redis.RedisCluster(host=cluster[0].host, port=cluster[0].port)
    for number in range(100):
        client.set(f"key:{number}", number)

    for node in cluster:
        info = run_module("tair_info", node.login())

        assert info["topology"] == "cluster" and info["writable"] is True
        assert info["keyspace"] == {"0": 100} and info["databases"] == 1
        assert info["used_memory"] > 2 * node.client().info("memory")["used_memory"]


def test_a_cluster_that_is_not_whole_can_not_be_written_to(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15", {"cluster-enabled": "yes"})

    info = run_module("tair_info", server.login())

    assert info["topology"] == "cluster"
    assert info["writable"] is False and "cluster_state:fail" in info["obstacles"][0]


def test_a_cluster_of_one_master_is_a_cluster(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15", {"cluster-enabled": "yes"})
    server.client().execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

    assert run_module("tair_info", server.login())["topology"] == "cluster"


class Proxy:
    """Routes commands to the nodes of a cluster, so that its clients are never sent elsewhere.

    It hangs up on the commands of ``unknown``, as nutcracker does with most that have no key.
    """

    def __init__(self, nodes: t.Sequence[Server], unknown: t.Collection[str] = ()) -> None:
        self._nodes = {node.port: node for node in nodes}
        self._unknown = {name.encode() for name in unknown}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.login = {"login_host": "127.0.0.1", "login_port": self._listener.getsockname()[1]}
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        reader = hiredis.Reader()
        with contextlib.suppress(OSError), client:
            while data := client.recv(1 << 16):
                reader.feed(data)
                while command := reader.gets():
                    if command[0].upper() in self._unknown:
                        return
                    client.sendall(self._answer(command, next(iter(self._nodes))))

    def _answer(self, command: list[bytes], port: int) -> bytes:
        """One node's reply, byte for byte."""
        reader = hiredis.Reader()
        with socket.create_connection(("127.0.0.1", port)) as node:
            node.sendall(snapshot.Conn.pack(command))
            raw = b""
            while (reply := reader.gets()) is False:
                raw += (data := node.recv(1 << 16))
                reader.feed(data)
        if str(reply).startswith("MOVED"):
            return self._answer(command, int(str(reply).rpartition(":")[2]))
        return raw


@pytest.fixture
def start_proxy() -> t.Iterator[t.Callable[..., Proxy]]:
    with contextlib.ExitStack() as stack:

        def start(*args: t.Any) -> Proxy:
            return stack.enter_context(contextlib.closing(Proxy(*args)))

        yield start


def test_what_hangs_up_on_info_is_a_proxy(
    start_server: StartServer, run_module: RunModule, start_proxy: t.Callable[..., Proxy]
) -> None:
    unknown = ["INFO", "CONFIG", "SELECT", "DBSIZE", "CLUSTER", "ACL", "MODULE", "SCAN"]
    proxy = start_proxy([start_server("redis-7.0.15")], unknown)

    info = run_module("tair_info", proxy.login)

    assert not info["failed"], info["msg"]
    assert info["topology"] == "proxy" and info["version"] is None
    assert info["databases"] == 1 and info["round_trip_ms"] > 0


def test_a_cluster_that_never_sends_us_elsewhere_is_behind_a_proxy(
    cluster: list[Server], run_module: RunModule, start_proxy: t.Callable[..., Proxy]
) -> None:
    assert run_module("tair_info", start_proxy(cluster).login)["topology"] == "proxy"


def test_tls_is_told(start_server: StartServer, run_module: RunModule, tmp_path: t.Any) -> None:
    server = start_server("redis-7.0.15", certificate=issue(tmp_path))

    assert run_module("tair_info", server.login())["tls"] is True


def test_a_wrong_password_is_said_and_not_shown(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15", password="hunter2")

    result = run_module("tair_info", {**server.login(), "login_password": "hunter3"})

    assert result["failed"] and f"{server} refused to log in" in result["msg"]
    assert "hunter" not in str(result)
