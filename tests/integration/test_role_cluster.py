# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role with clusters: one as the target, one as the source, and both."""

from __future__ import annotations

import threading
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.tests.integration.conftest import SOURCE_PASSWORD, TARGET_PASSWORD
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.migration import Migration, message, migrate_fleet
from ansible_collections.redisops.tair.tests.support.servers import Server

StartServer = t.Callable[..., Server]
StartCluster = t.Callable[..., t.List[Server]]


@pytest.fixture
def target(start_cluster: StartCluster) -> list[Server]:
    return start_cluster("redis-7.0.15", password=TARGET_PASSWORD)


def held_by(nodes: list[Server]) -> dict[str, t.Any]:
    """The keys of a cluster, without the libraries: these are on every node."""
    found = snapshot.snapshot(nodes[0].host, nodes[0].port, nodes[0].password, cluster=len(nodes) > 1)
    return {"dbs": found["dbs"], "functions": None}


def differences(source: list[Server], target: list[Server]) -> list[str]:
    found = snapshot.diff(held_by(source), held_by(target), ttl_tolerance_ms=1000)
    return [snapshot.describe(difference) for difference in found]


def test_a_server_is_migrated_into_a_cluster_and_a_second_run_finds_nothing_to_do(
    start_server: StartServer, target: list[Server], tmp_path: Path
) -> None:
    source = start_server("redis-6.2.14", password=SOURCE_PASSWORD)
    client = source.client()
    fill(source.host, source.port, keys=2000, password=SOURCE_PASSWORD)
    for database in range(1, 16):
        source.client(db=database).flushdb()
    migration = Migration(source, target[1], tmp_path)

    planned = migration.run(check=True)
    first = migration.run()
    second = migration.run()

    assert planned.returncode == 0 and "it is a cluster" not in planned.output
    assert first.returncode == 0, first.output
    assert differences([source], target) == []
    assert migration.report["compare"]["summary"].startswith("EQUAL in everything")
    assert second.returncode == 0 and second.stats[Migration.HOST]["changed"] == 0
    assert client.config_get("appendonly")["appendonly"] == "no"


def test_writers_stop_for_the_last_round_only(start_server: StartServer, target: list[Server], tmp_path: Path) -> None:
    source = start_server("redis-7.0.15", password=SOURCE_PASSWORD)
    fill(source.host, source.port, keys=2000, password=SOURCE_PASSWORD)
    for database in range(1, 16):
        source.client(db=database).flushdb()
    stop = threading.Event()
    written = [0]

    def write() -> None:
        client = source.client()
        while not stop.wait(0.002):
            try:
                client.incr(f"counter:{written[0] % 50}")
                client.rpush(f"list:{written[0] % 50}", written[0])
            except redis.ResponseError:
                return  # the fence
            written[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        run = Migration(source, target[0], tmp_path).run(aof_migrate_fence="last")
    finally:
        stop.set()
        writer.join()

    assert run.returncode == 0, run.output
    assert written[0] > 100
    assert differences([source], target) == []


def test_data_in_other_databases_is_refused_before_anything_is_changed(
    start_server: StartServer, target: list[Server], tmp_path: Path
) -> None:
    source = start_server("redis-7.0.15", password=SOURCE_PASSWORD)
    source.client(db=2).set("key", 1)

    told = message(Migration(source, target[0], tmp_path).run())

    assert "The source uses database 2, the target has only 1. A cluster has database 0 only" in told
    assert source.client().config_get("appendonly")["appendonly"] == "no"


def masters(sources: list[Server], target: Server, directory: Path, name: str = "master") -> dict[str, Migration]:
    return {f"{name}{number}": Migration(source, target, directory) for number, source in enumerate(sources)}


def test_the_masters_of_a_cluster_share_a_target(
    start_server: StartServer, start_cluster: StartCluster, tmp_path: Path
) -> None:
    """In one run those of a cluster that goes into a server, and those of one that goes into a cluster."""
    targets = {
        "server": [start_server("redis-8.2.3", password=TARGET_PASSWORD)],
        "cluster": start_cluster("valkey-9.1.2", password=TARGET_PASSWORD),
    }
    sources = {kind: start_cluster("redis-7.0.15", password=SOURCE_PASSWORD) for kind in targets}
    fleet: dict[str, Migration] = {}
    for kind, nodes in sources.items():
        client = redis.RedisCluster(host=nodes[0].host, port=nodes[0].port, password=SOURCE_PASSWORD)
        for number in range(3000):
            client.rpush(f"list:{number}", *range(number % 9 + 1))
        fleet.update(masters(nodes, targets[kind][0], tmp_path, f"into-a-{kind}-"))

    first, second = migrate_fleet(fleet, serial=len(fleet)), migrate_fleet(fleet, serial=len(fleet))

    assert first.returncode == 0, first.output
    assert {kind: differences(sources[kind], targets[kind]) for kind in targets} == {"server": [], "cluster": []}
    assert second.returncode == 0 and all(stats["changed"] == 0 for stats in second.stats.values())


def test_a_key_in_the_slots_of_one_master_stops_that_master_alone(
    start_server: StartServer, start_cluster: StartCluster, tmp_path: Path
) -> None:
    sources = start_cluster("redis-7.0.15", password=SOURCE_PASSWORD)
    target = start_server("redis-8.2.3", password=TARGET_PASSWORD)
    client = redis.RedisCluster(host=sources[0].host, port=sources[0].port, password=SOURCE_PASSWORD)
    for number in range(300):
        client.set(f"key:{number}", number)
    foreign = next(
        f"foreign:{n}" for n in range(1000) if client.get_node_from_key(f"foreign:{n}").port == sources[1].port
    )
    target.client().set(foreign, "somebody's")

    fleet = masters(sources, target, tmp_path)
    run = migrate_fleet(fleet)
    flush = fleet["master0"].run(aof_migrate_if_target_not_empty="flush")

    assert [name for name in run.stats if run.stats[name]["failures"]] == ["master1"]
    assert "The target is not empty" in run.failures()[-1]["result"]["msg"]
    assert target.client().dbsize() == 1 + sum(node.client().dbsize() for node in (sources[0], sources[2]))
    assert "deletes what the other masters of that cluster have imported" in message(flush)
