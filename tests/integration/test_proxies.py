# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Targets behind real proxies: what they are taken for, and what arrives through them."""

from __future__ import annotations

import contextlib
import time
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._errors import ImportFailedError
from ansible_collections.redisops.tair.plugins.module_utils._import.importer import import_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import Progress
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_KEY, key_slot
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.cluster import becomes_replica, node_serving
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.migration import Migration
from ansible_collections.redisops.tair.tests.support.module_process import ModuleProcess
from ansible_collections.redisops.tair.tests.support.proxies import Envoy, Haproxy, RealProxy, Twemproxy
from ansible_collections.redisops.tair.tests.support.servers import RESP2, Server
from ansible_collections.redisops.tair.tests.support.small_aof import SELECT, assert_complete, lists_and_strings
from ansible_collections.redisops.tair.tests.support.waiting import wait_until

Result = t.Dict[str, t.Any]
StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., Result]
Enter = t.Callable[[RealProxy], RealProxy]


@pytest.fixture
def enter() -> t.Iterator[Enter]:
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


LISTS = 1500


class Aof(t.NamedTuple):
    path: Path
    base_size: int


@pytest.fixture
def aof(tmp_path: Path) -> Aof:
    """1.8 MB, the first half of which a rewrite has written: lists, whose length tells what came twice, and strings."""
    path = tmp_path / "appendonly.aof"
    items = [SELECT, *lists_and_strings(LISTS)]
    path.write_bytes(b"".join(items))
    return Aof(path, sum(map(len, items[: LISTS // 2])))


def imported(aof: Aof, port: int, *, once: t.Callable[[], None] = lambda: None, **options: t.Any) -> Outcome:
    """Import, and do something ``once``, a quarter of the way and again at three quarters."""
    left = [3, 1]

    def report(progress: Progress) -> None:
        if left and progress.position * 4 > progress.size * (4 - left[0]):
            left.pop(0)
            once()

    with open_aof(find_aof(aof.path), base_size=aof.base_size) as opened:
        return import_aof(
            opened,
            Endpoint(host="127.0.0.1", port=port),
            Options(batch_bytes=8192, window_bytes=65536, **options),
            report=report,
        )


def test_haproxy_is_the_server_behind_it(start_server: StartServer, run_module: RunModule, enter: Enter) -> None:
    proxy = enter(Haproxy([start_server("redis-7.0.15")]))

    info = run_module("tair_info", proxy.login)

    assert info["topology"] == "standalone" and info["version"] == "7.0.15" and info["writable"]


def test_an_import_survives_a_load_balancer_that_is_restarted(
    start_server: StartServer, enter: Enter, aof: Aof
) -> None:
    target = start_server("redis-7.0.15")
    proxy = enter(Haproxy([target]))

    def restart() -> None:
        proxy.kill()
        proxy.start()

    outcome = imported(aof, proxy.port, once=restart, rate_limit=500_000)

    assert outcome.reconnects >= 2 and outcome.errors.count == 0
    assert_complete(target.client(), LISTS)


def test_a_load_balancer_that_turns_to_another_server_is_noticed(
    start_server: StartServer, enter: Enter, aof: Aof
) -> None:
    target, spare = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    proxy = enter(Haproxy([target, spare]))

    with pytest.raises(ImportFailedError, match="checkpoint of this import is no longer in"):
        imported(aof, proxy.port, once=target.kill, rate_limit=500_000)

    assert spare.client().dbsize() == 0


def test_twemproxy_is_a_proxy_that_tells_nothing(
    start_server: StartServer, run_module: RunModule, enter: Enter
) -> None:
    proxy = enter(Twemproxy([start_server("redis-7.0.15"), start_server("redis-6.2.14")]))

    info = run_module("tair_info", proxy.login)

    assert not info["failed"], info["msg"]
    assert info["topology"] == "proxy" and info["version"] is None and info["databases"] == 1


def test_an_import_through_twemproxy_is_refused_with_the_reason(
    start_server: StartServer, run_module: RunModule, enter: Enter, aof: Aof
) -> None:
    servers = [start_server("redis-7.0.15"), start_server("redis-6.2.14")]
    proxy = enter(Twemproxy(servers))

    refused = run_module("aof_import", {"path": str(aof.path), **proxy.login, "if_not_empty": "append"})

    assert refused["failed"] and "twemproxy" in refused["msg"] and "give the servers behind it" in refused["msg"]
    assert [server.client().dbsize() for server in servers] == [0, 0]


def test_envoy_in_front_of_a_cluster_is_a_proxy(
    start_cluster: t.Callable[..., list[Server]], run_module: RunModule, enter: Enter
) -> None:
    nodes = start_cluster("redis-7.0.15")
    proxy = enter(Envoy(nodes[:1]))

    info = run_module("tair_info", proxy.login)

    assert info["topology"] == "proxy" and info["version"] == "7.0.15" and info["databases"] == 1


@pytest.fixture
def behind_envoy(start_cluster: t.Callable[..., list[Server]], enter: Enter) -> tuple[RealProxy, list[Server]]:
    nodes = start_cluster("redis-7.0.15")
    return enter(Envoy(nodes[:1])), nodes


def test_an_import_through_a_proxy_in_front_of_a_cluster(
    behind_envoy: tuple[RealProxy, list[Server]], start_server: StartServer, run_module: RunModule
) -> None:
    proxy, nodes = behind_envoy
    source = source_with_lists(start_server)

    result = run_module("aof_import", {"path": str(source.aof_path()), **proxy.login})

    assert not result["failed"], result["msg"]
    found = snapshot.snapshot(nodes[0].host, nodes[0].port, cluster=True)
    expected = snapshot.snapshot(source.host, source.port)
    assert snapshot.diff({**expected, "functions": None}, {**found, "functions": None}) == []
    again = run_module("aof_import", {"path": str(source.aof_path()), **proxy.login})
    assert again["failed"] and f"{proxy.host}:{proxy.port} is not empty" in again["msg"]


def fill_for_envoy(source: Server, keys: int) -> None:
    """All that Envoy lets through: no streams, whose XSETID it does not know, no functions, no databases."""
    fill(source.host, source.port, keys=keys, password=source.password or None)
    client = source.client()
    for database in range(1, 16):
        source.client(db=database).flushdb()
    client.function_flush()
    client.delete(*client.scan_iter(_type="stream", count=10_000))


def test_a_comparison_through_a_proxy_finds_what_is_missing_and_other(
    behind_envoy: tuple[RealProxy, list[Server]], start_server: StartServer, run_module: RunModule
) -> None:
    proxy, nodes = behind_envoy
    source = start_server("redis-7.0.15", {"appendonly": "yes", "aof-use-rdb-preamble": "no"})
    fill_for_envoy(source, 500)
    source.client().rpush("large", *("x" * 100 for _number in range(5000)))
    source.client().bgrewriteaof()
    source.wait_for_rewrite()
    assert not run_module("aof_import", {"path": str(source.aof_path()), **proxy.login})["failed"]
    params = {**proxy.login, "source": source.login()}

    equal = {mode: run_module("keyspace_compare", {**params, "mode": mode}) for mode in ("full", "meta", "count")}
    assert all(result["equal"] for result in equal.values()), equal
    assert equal["full"]["compared"] == source.client().dbsize()

    cluster = redis.RedisCluster(host=nodes[0].host, port=nodes[0].port)
    cluster.delete("large")
    cluster.set("extra", 1)
    changed = next(key for key in source.client().scan_iter(_type="list") if key != b"large")
    cluster.rpush(changed, "one more")
    different = run_module("keyspace_compare", params)
    # Envoy can't be asked for all keys, so the one that only the target has is not found, which is told.
    assert (different["missing"], different["extra"], different["mismatched"]) == (1, 0, 1)
    assert {one["reason"] for one in different["differences"]} == {"missing", "length"}
    assert equal["full"]["one_way"] is True and "could not be seen" in equal["full"]["summary"]
    assert "was not looked for" in str(equal["full"]["warnings"])
    repaired = run_module("keyspace_compare", {**params, "repair": True})
    assert repaired["equal"] and repaired["repaired"] == 2


def test_the_role_migrates_through_a_proxy(
    behind_envoy: tuple[RealProxy, list[Server]], make_migration: t.Callable[..., Migration]
) -> None:
    proxy, nodes = behind_envoy
    migration = make_migration(
        keys=0,
        source={"appendonly": "yes"},
        aof_migrate_target_host=proxy.host,
        aof_migrate_target_port=proxy.port,
        aof_migrate_target_password="",
    )
    fill_for_envoy(migration.source, 300)

    run = migration.run()

    assert run.returncode == 0, run.output
    report = migration.report
    assert report["target"]["topology"] == "proxy" and report["compare"]["equal"] is True
    assert report["compare"]["compared"] == sum(node.client().dbsize() for node in nodes)
    again = migration.run()
    assert again.stats[migration.HOST]["changed"] == 0 and "already holds the data of" in again.output


def test_what_replicas_say_is_not_taken_for_the_checkpoint(
    start_cluster: t.Callable[..., list[Server]], start_server: StartServer, enter: Enter
) -> None:
    """A proxy that splits reads from writes, in front of a replica that has lost its master before the import began."""
    nodes = start_cluster("redis-7.0.15")
    _host, port = node_serving(nodes[0], key_slot(CHECKPOINT_KEY))
    master = next(node for node in nodes if node.port == port)
    replica = start_server("redis-7.0.15", {"cluster-enabled": "yes"})
    replica.client().execute_command("CLUSTER", "MEET", master.host, master.port)
    name = master.client().execute_command("CLUSTER", "MYID").decode()
    wait_until(lambda: becomes_replica(replica, name))
    wait_until(lambda: replica.client().info("replication")["master_link_status"] == "up")
    # The proxy may ask any of them who is who.
    wait_until(
        lambda: all(str(replica.port) in str(node.client().execute_command("CLUSTER", "SLOTS")) for node in nodes)
    )
    replica.client().config_set("masteruser", "nobody")
    replica.client().config_set("masterauth", "wrong")
    master.client().execute_command("CLIENT", "KILL", "TYPE", "replica")
    wait_until(lambda: replica.client().info("replication")["master_link_status"] == "down")
    proxy = enter(Envoy(nodes[:1], read_policy="PREFER_REPLICA"))
    source = source_with_lists(start_server)
    process = ModuleProcess("aof_import")
    begun = input_bytes(nodes)
    process.start(
        {
            "path": str(source.aof_path()),
            **proxy.login,
            "rate_limit": 40_000,
            "batch_bytes": 1024,
            "window_bytes": 16384,
        }
    )
    while input_bytes(nodes) - begun < 60_000:
        time.sleep(0.01)
    process.kill()
    assert process.result() is None
    time.sleep(0.5)
    seen = redis.Redis(host=proxy.host, port=proxy.port, **RESP2)
    assert master.client().exists(CHECKPOINT_KEY) and not seen.hlen(CHECKPOINT_KEY), "the proxy must ask the replica"

    with open_aof(find_aof(source.aof_path())) as aof:
        outcome = import_aof(aof, Endpoint(host=proxy.host, port=proxy.port), Options())

    assert outcome.resumed_from
    found = snapshot.snapshot(nodes[0].host, nodes[0].port, cluster=True)
    expected = snapshot.snapshot(source.host, source.port)
    assert snapshot.diff({**expected, "functions": None}, {**found, "functions": None}) == []


@pytest.mark.parametrize("written", [20_000, 60_000])
def test_an_import_killed_behind_a_proxy_is_finished_by_the_next_one_exactly(
    written: int, behind_envoy: tuple[RealProxy, list[Server]], start_server: StartServer
) -> None:
    proxy, nodes = behind_envoy
    source = source_with_lists(start_server)
    arguments = {"path": str(source.aof_path()), **proxy.login, "rate_limit": 40_000}
    begun = input_bytes(nodes)
    process = ModuleProcess("aof_import")
    process.start({**arguments, "batch_bytes": 1024, "window_bytes": 16384})
    while input_bytes(nodes) - begun < written:
        time.sleep(0.01)
    process.kill()
    assert process.result() is None
    time.sleep(0.5)  # the proxy can't be asked to close what is left on the way

    with open_aof(find_aof(source.aof_path())) as aof:
        outcome = import_aof(aof, Endpoint(host=proxy.host, port=proxy.port), Options())

    assert outcome.resumed_from is not None
    found = snapshot.snapshot(nodes[0].host, nodes[0].port, cluster=True)
    expected = snapshot.snapshot(source.host, source.port)
    assert snapshot.diff({**expected, "functions": None}, {**found, "functions": None}) == []


def input_bytes(nodes: t.Iterable[Server]) -> int:
    return sum(node.client().info("stats")["total_net_input_bytes"] for node in nodes)


def source_with_lists(start_server: StartServer) -> Server:
    """Lists in its base, and more of them and counters after it."""
    source = start_server("redis-7.0.15", {"appendonly": "yes", "aof-use-rdb-preamble": "no"})
    client = source.client()
    for number in range(500):
        client.rpush(f"list:{number}", *range(number % 9 + 1))
    client.bgrewriteaof()
    source.wait_for_rewrite()
    for number in range(500):
        client.rpush(f"list:{number % 60}", "late", number)
        client.incr(f"counter:{number % 7}")
    return source
