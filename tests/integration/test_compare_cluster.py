# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""keyspace_compare with clusters on either side."""

from __future__ import annotations

import typing as t

import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.importer import import_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.tests.support import dataset
from ansible_collections.redisops.tair.tests.support.servers import Server

StartServer = t.Callable[..., Server]
StartCluster = t.Callable[..., t.List[Server]]
RunModule = t.Callable[..., t.Dict[str, t.Any]]

SOURCE = {"appendonly": "yes", "aof-use-rdb-preamble": "no"}


def import_into(target: Server, source: Server, **options: t.Any) -> None:
    with open_aof(find_aof(source.aof_path())) as aof:
        import_aof(aof, Endpoint(host=target.host, port=target.port), Options(**options))


def compare(run_module: RunModule, source: Server, target: Server, **options: t.Any) -> dict[str, t.Any]:
    return run_module("keyspace_compare", {**target.login(), "source": source.login(), **options})


def some_key(server: Server) -> bytes:
    key = server.client().randomkey()
    assert isinstance(key, bytes)
    return key


@pytest.fixture
def filled(start_server: StartServer) -> Server:
    server = start_server("redis-7.0.15", SOURCE)
    dataset.fill(server.host, server.port, keys=3000)
    for database in range(1, 16):
        server.client(db=database).flushdb()
    server.client().bgrewriteaof()
    server.wait_for_rewrite()
    return server


@pytest.mark.parametrize("build", ["redis-7.0.15", "valkey-9.1.2"])
def test_a_server_and_the_cluster_that_it_was_imported_into(
    build: str, filled: Server, start_cluster: StartCluster, run_module: RunModule
) -> None:
    nodes = start_cluster(build)
    import_into(nodes[0], filled)

    for mode in ("full", "meta", "count"):
        result = compare(run_module, filled, nodes[1], mode=mode)
        keys = filled.client().dbsize()
        assert result["equal"] and result["compared"] == keys, result["summary"]
        assert [(db["source_keys"], db["target_keys"]) for db in result["databases"]] == [(keys, keys)]


def test_what_differs_is_found_on_whichever_node_and_repaired(
    filled: Server, start_cluster: StartCluster, run_module: RunModule
) -> None:
    nodes = start_cluster("redis-7.0.15")
    import_into(nodes[0], filled)
    client = redis.RedisCluster(host=nodes[0].host, port=nodes[0].port)
    gone = []
    for node in nodes:  # on each of them one that is missing, one that is other, and one too many
        some = some_key(node)
        gone.append(some)
        node.client().delete(some)
    for number in range(6):
        filled.client().set(f"changed:{number}", "new")
        client.set(f"changed:{number}", "old")
        client.set(f"extra:{number}", 1)

    result = compare(run_module, filled, nodes[2])
    assert (result["missing"], result["mismatched"], result["extra"]) == (3, 6, 6), result["differences"]

    for number in range(6):
        client.delete(f"extra:{number}")
    repaired = compare(run_module, filled, nodes[2], repair=True)
    assert repaired["equal"] and repaired["repaired"] == 9
    assert all(client.exists(key) for key in gone)


def test_each_master_of_a_source_cluster_answers_for_its_own_keys(
    start_server: StartServer, start_cluster: StartCluster, run_module: RunModule
) -> None:
    sources, target = start_cluster("redis-7.0.15", SOURCE), start_server("redis-7.0.15")
    client = redis.RedisCluster(host=sources[0].host, port=sources[0].port)
    for number in range(2000):
        client.rpush(f"list:{number}", *range(number % 7 + 1))
    for node in sources:
        import_into(target, node, if_not_empty="append")

    for node in sources:
        result = compare(run_module, node, target)
        assert result["equal"] and result["compared"] == node.client().dbsize(), result["summary"]

    some = some_key(sources[1])
    target.client().delete(some)
    assert [compare(run_module, node, target)["missing"] for node in sources] == [0, 1, 0]


def test_from_cluster_to_cluster(start_cluster: StartCluster, run_module: RunModule) -> None:
    sources, targets = start_cluster("redis-7.0.15", SOURCE), start_cluster("valkey-9.1.2")
    client = redis.RedisCluster(host=sources[0].host, port=sources[0].port)
    for number in range(2000):
        client.hset(f"hash:{number}", mapping={"a": number, "b": "x" * (number % 90)})
    for node in sources:
        import_into(targets[0], node, if_not_empty="append")

    results = [compare(run_module, node, targets[1]) for node in sources]

    assert all(result["equal"] for result in results), results
    assert sum(result["compared"] for result in results) == 2000
