# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster as the target: exactly once, while the importer is killed, connections are cut, slots move, masters fail over."""

from __future__ import annotations

import os
import random
import signal
import threading
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._errors import (
    ImportFailedError,
    TargetStateError,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.importer import import_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._import.selection import Selection
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_KEY, DatabaseMap, key_slot
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support import dataset, snapshot
from ansible_collections.redisops.tair.tests.support.cluster import becomes_replica, node_serving
from ansible_collections.redisops.tair.tests.support.module_process import ModuleProcess
from ansible_collections.redisops.tair.tests.support.servers import Server, build
from ansible_collections.redisops.tair.tests.support.waiting import wait_until

StartCluster = t.Callable[..., t.List[Server]]

CRLF = b"\r\n"
OPTIONS: dict[str, t.Any] = {"batch_bytes": 4096, "window_bytes": 64 * 1024, "timeout": 20.0}


@dataclass(frozen=True)
class Source:
    """An AOF with a base and incr commands, and what it holds."""

    aof: Path
    size: int
    expected: dict[str, t.Any]


def write_after_rewrite(client: redis.Redis, rng: random.Random, commands: int = 6000) -> None:
    """Commands whose number and order matter, with keys of one slot and of several."""
    for number in range(commands):
        tag = f"{{late:{rng.randrange(40)}}}"
        choice = rng.random()
        if choice < 0.4:
            client.rpush(f"{tag}:list", f"{number}", "x" * rng.randrange(60))
        elif choice < 0.7:
            client.incr(f"{tag}:counter")
        elif choice < 0.75:
            client.mset({f"{tag}:some": number, f"other:{rng.randrange(40)}": number})
        elif choice < 0.8:
            client.delete(f"other:{rng.randrange(40)}", f"other:{rng.randrange(40)}", f"{tag}:some")
        elif choice < 0.85:
            client.rename(f"{tag}:counter", f"{tag}:was") if client.exists(f"{tag}:counter") else None
        elif choice < 0.9:
            client.xadd(f"{tag}:stream", {"n": number})
        else:
            with client.pipeline(transaction=True) as pipe:
                pipe.incrby(f"{tag}:counter", 7)
                pipe.rpush(f"other:list:{rng.randrange(40)}", "in multi", number)
                pipe.execute()
    client.set("last", b"\r\n*1\r\n#TS:1\r\n" * 100)
    client.rpush("large", "y" * 700_000, "z")


def made_by(server: Server, late: t.Callable[[redis.Redis], object], keys: int = 4000) -> Source:
    """A source with ``keys`` keys in its base and what ``late`` writes after it, all in database 0."""
    client = server.client()
    if keys:
        dataset.fill(server.host, server.port, keys=keys)
        for database in range(1, 16):
            server.client(db=database).flushdb()
        client.rpush("huge", *[f"{n}" for n in range(60_000)])  # one key of hundreds of commands, larger than a zone
    client.bgrewriteaof()
    server.wait_for_rewrite()
    late(client)
    wait_until(lambda: is_written(client))
    client.config_set("auto-aof-rewrite-percentage", 0)
    size = client.info("persistence")["aof_current_size"]
    return Source(server.aof_path(), size, snapshot.snapshot(server.host, server.port))


@pytest.fixture(scope="module")
def source() -> t.Iterator[Source]:
    with Server(build("redis-7.0.15"), {"appendonly": "yes", "aof-use-rdb-preamble": "no"}) as server:
        yield made_by(server, lambda client: write_after_rewrite(client, random.Random(4)))


def import_into(nodes: t.Sequence[Server], aof: Path, **options: t.Any) -> Outcome:
    with open_aof(find_aof(aof)) as opened:
        endpoint = Endpoint(host=nodes[0].host, port=nodes[0].port)
        return import_aof(opened, endpoint, Options(**{**OPTIONS, **options}))


def assert_equal(source: Source, nodes: t.Sequence[Server], *, ttl_tolerance_ms: int = 0) -> None:
    found = snapshot.snapshot(nodes[0].host, nodes[0].port, cluster=True)
    assert snapshot.diff(source.expected, found, ttl_tolerance_ms) == []


@pytest.mark.parametrize("version", ["redis-7.0.15", "redis-8.2.3", "valkey-8.1.8", "valkey-9.1.2"])
def test_everything_arrives_at_the_node_that_serves_it(
    version: str, source: Source, start_cluster: StartCluster
) -> None:
    nodes = start_cluster(version)

    outcome = import_into(nodes, source.aof)

    assert_equal(source, nodes)
    empty(nodes)
    assert import_into(nodes, source.aof, workers=3).commands == outcome.commands
    assert_equal(source, nodes)
    assert outcome.errors.count == 0 and outcome.position == source.size and outcome.databases == {0}
    assert "transactions with keys of several slots" in outcome.warnings[0]


def input_bytes(nodes: t.Iterable[Server]) -> int:
    return sum(node.client().info("stats")["total_net_input_bytes"] for node in nodes)


class AtPlaces(threading.Thread):
    """Does something whenever the nodes have been sent as much as the next of ``places`` says, while an import runs."""

    def __init__(self, nodes: t.Sequence[Server], places: t.Sequence[int], do: t.Callable[[], object]) -> None:
        super().__init__()
        self._nodes, self._places, self._do = nodes, places, do
        self._end = threading.Event()
        self.done = 0

    def run(self) -> None:
        begun = input_bytes(self._nodes)
        for place in self._places:
            while input_bytes(self._nodes) - begun < place:
                if self._end.wait(0.002):
                    return
            self._do()
            self.done += 1

    def __enter__(self) -> AtPlaces:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self.join()


def spread(source: Source, count: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return sorted(int(source.size * (n + rng.random()) / count) for n in range(count))


def empty(nodes: t.Iterable[Server]) -> None:
    for node in nodes:
        node.client().flushall()
        node.client().function_flush()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_import_killed_anywhere_is_finished_by_the_next_one_exactly(
    workers: int, source: Source, start_cluster: StartCluster
) -> None:
    nodes = start_cluster("redis-7.0.15")
    arguments = {
        "path": str(source.aof),
        "login_host": nodes[0].host,
        "login_port": nodes[0].port,
        "batch_bytes": OPTIONS["batch_bytes"],
        "window_bytes": OPTIONS["window_bytes"],
        "workers": workers,
    }
    resumed = 0
    for place in spread(source, 12, seed=workers):
        empty(nodes)
        process = ModuleProcess("aof_import")
        process.start(arguments)
        with AtPlaces(nodes, [place], process.kill):
            killed = process.result() is None
        outcome = import_into(nodes, source.aof)
        assert_equal(source, nodes)
        resumed += killed and outcome.resumed_from is not None
    assert resumed > 6


@pytest.mark.parametrize("workers", [1, 2])
def test_connections_cut_anywhere_lose_nothing(workers: int, source: Source, start_cluster: StartCluster) -> None:
    nodes = start_cluster("redis-7.0.15")
    rng = random.Random(5)

    def cut() -> None:
        rng.choice(nodes).client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    with AtPlaces(nodes, spread(source, 8, seed=2), cut) as cuts:
        outcome = import_into(nodes, source.aof, rate_limit=1_000_000, workers=workers)

    assert_equal(source, nodes)
    assert cuts.done > 4 and outcome.reconnects > 2


def test_an_import_killed_amid_the_removal_of_its_checkpoint_has_nothing_done_twice(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    nodes, aof, lists = start_cluster("redis-7.0.15"), tmp_path / "appendonly.aof", range(40)
    aof.write_bytes(b"".join(encode([b"RPUSH", b"list:%d" % number, b"element"]) for number in lists))
    client = redis.RedisCluster(host=nodes[0].host, port=nodes[0].port)
    import_into(nodes, aof, keep_checkpoint=True)
    before = input_bytes(nodes)
    import_into(nodes, aof)
    removal, killed = input_bytes(nodes) - before, 0

    for percent in range(3, 100, 8):
        empty(nodes)
        import_into(nodes, aof, keep_checkpoint=True)
        process = ModuleProcess("aof_import")
        process.start({"path": str(aof), "login_host": nodes[0].host, "login_port": nodes[0].port})
        with AtPlaces(nodes, [removal * percent // 100], process.kill):
            killed += process.result() is None
        if client.exists(CHECKPOINT_KEY):
            import_into(nodes, aof)
        assert [client.llen(f"list:{number}") for number in lists] == [1] * len(lists), percent
    assert killed > 6


class Resharding(threading.Thread):
    """Moves slots to the last node, as ``redis-cli --cluster reshard`` does."""

    def __init__(self, nodes: t.Sequence[Server], slots: t.Iterable[int]) -> None:
        super().__init__()
        self._nodes = nodes
        self._clients = {node.port: node.client() for node in nodes}
        self._ids = {port: client.execute_command("CLUSTER", "MYID").decode() for port, client in self._clients.items()}
        owners = {slot: node_serving(nodes[0], slot)[1] for slot in dict.fromkeys(slots)}
        self._slots = {slot: port for slot, port in owners.items() if port != nodes[-1].port}
        self._end = threading.Event()
        self.moved = 0

    def run(self) -> None:
        for slot, port in self._slots.items():
            if self._end.is_set():
                break
            self._move(slot, port)
            self.moved += 1

    def _move(self, slot: int, port: int) -> None:
        to = self._nodes[-1]
        source, target, target_id = self._clients[port], self._clients[to.port], self._ids[to.port]
        target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self._ids[port])
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 2):
            source.execute_command("MIGRATE", to.host, to.port, "", 0, 5000, "KEYS", *keys)
        for client in (target, source, *self._clients.values()):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def __enter__(self) -> Resharding:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self.join()


@pytest.mark.parametrize(("version", "workers"), [("redis-7.0.15", 1), ("valkey-9.1.2", 1), ("redis-7.0.15", 2)])
def test_slots_that_move_meanwhile_lose_nothing(
    version: str, workers: int, source: Source, start_cluster: StartCluster
) -> None:
    nodes = start_cluster(version)
    base = [key_slot(key) for key in (b"huge", b"large", b"redisops.tair:checkpoint:imports")]
    late = [key_slot(b"late:%d" % number) for number in range(40)]
    rng = random.Random(8)
    slots = [*base, *late, *(rng.randrange(16384) for _slot in range(1000))]
    rng.shuffle(slots)
    with Resharding(nodes, slots) as resharding:
        import_into(nodes, source.aof, rate_limit=1_000_000, workers=workers)

    assert resharding.moved > 100
    assert_equal(source, nodes, ttl_tolerance_ms=100)  # MIGRATE sends how long a key still has, not until when


def test_a_master_that_fails_over_with_the_end_of_the_data_lost_is_caught_up(
    source: Source, start_server: t.Callable[..., Server], start_cluster: StartCluster
) -> None:
    config = {"cluster-enabled": "yes", "cluster-node-timeout": "1000", "cluster-replica-validity-factor": "0"}
    nodes = start_cluster("redis-7.0.15", config)
    replica = start_server("redis-7.0.15", {**config, "repl-ping-replica-period": "1"})
    replica.client().execute_command("CLUSTER", "MEET", nodes[0].host, nodes[0].port)
    failing = nodes[1]
    name = failing.client().execute_command("CLUSTER", "MYID").decode()
    wait_until(lambda: name in replica.client().execute_command("CLUSTER", "NODES").decode())
    wait_until(lambda: becomes_replica(replica, name))
    wait_until(lambda: replica.client().info("replication").get("master_link_status") == "up")

    def stop_replicating() -> None:
        os.kill(replica.pid, signal.SIGSTOP)

    def fail() -> None:
        failing.kill()
        os.kill(replica.pid, signal.SIGCONT)

    faults_in_order = iter([stop_replicating, fail])

    def next_fault() -> None:
        next(faults_in_order)()

    # What is sent between the two is confirmed by the master, and never reaches its replica.
    with AtPlaces([nodes[0], nodes[2]], [source.size // 4, source.size // 3], next_fault) as faults:
        outcome = import_into(nodes, source.aof, rate_limit=2_000_000, timeout=60.0)

    assert faults.done == 2 and outcome.reconnects
    assert replica.client().info("replication")["role"] == "master"
    assert_equal(source, nodes)


def is_written(client: redis.Redis) -> bool:
    """Whether all that was executed is in the AOF: a server postpones its writing while its disk is busy."""
    return not client.info("persistence")["aof_buffer_length"]


def imported_from(server: Server, late: t.Callable[[redis.Redis], object]) -> Source:
    server.client().config_set("appendonly", "yes")
    server.wait_for_rewrite()
    return made_by(server, late, keys=0)


@pytest.fixture
def old_source(start_server: t.Callable[..., Server]) -> Server:
    return start_server("redis-6.2.14", {"aof-use-rdb-preamble": "no"})


def test_what_a_cluster_can_not_execute_is_told_before_anything_is_sent(
    old_source: Server, start_cluster: StartCluster
) -> None:
    nodes = start_cluster("redis-7.0.15")

    def late(client: redis.Redis) -> None:
        client.sadd("one", "a", "b")
        client.sadd("two", "b", "c")
        client.sunionstore("three", ["one", "two"])
        client.rename("three", "four")

    source = imported_from(old_source, late)
    data = source.aof.read_bytes()

    with pytest.raises(TargetStateError) as refused:
        import_into(nodes, source.aof)

    assert "2 commands that a cluster can't execute" in str(refused.value)
    assert f"sunionstore at byte {data.lower().index(b'*4' + CRLF + b'$11')}" in str(refused.value).lower()
    assert "Nothing was imported" in str(refused.value)
    assert [node.client().dbsize() for node in nodes] == [0, 0, 0]

    outcome = import_into(nodes, source.aof, stop_at_error=False)
    assert outcome.errors.count == 2 and "its keys are in several slots" in str(outcome.errors.samples[0])
    assert redis.RedisCluster(host=nodes[0].host, port=nodes[0].port).scard("one") == 2


def test_other_databases_are_refused_or_merged_where_no_key_is_in_both(
    old_source: Server, start_cluster: StartCluster
) -> None:
    nodes = start_cluster("redis-7.0.15")
    old_source.client().set("here", 1)
    old_source.client(db=3).set("there", 3)
    source = imported_from(old_source, lambda _client: old_source.client(db=3).rpush("list", "a"))

    with pytest.raises(TargetStateError, match="holds data of database 3, and a cluster has database 0 only"):
        import_into(nodes, source.aof)
    import_into(nodes, source.aof, selection=Selection(databases=DatabaseMap(targets={3: 0})))

    client = redis.RedisCluster(host=nodes[0].host, port=nodes[0].port)
    assert (client.get("here"), client.get("there"), client.lrange("list", 0, -1)) == (b"1", b"3", [b"a"])
    assert sum(node.client().dbsize() for node in nodes) == 3

    empty(nodes)
    old_source.client(db=3).append("here", "x")
    wait_until(lambda: is_written(old_source.client()))
    with pytest.raises(TargetStateError, match="The key 'here' is in the databases"):
        import_into(nodes, source.aof, selection=Selection(databases=DatabaseMap(targets={3: 0})))
    assert [node.client().dbsize() for node in nodes] == [0, 0, 0]


def test_a_database_of_clients_is_seen_behind_a_base_without_it(start_cluster: StartCluster, tmp_path: Path) -> None:
    nodes = start_cluster("redis-7.0.15")
    (tmp_path / "a.aof.1.base.aof").write_bytes(encode([b"SELECT", b"0"]) + encode([b"SET", b"here", b"1"]))
    (tmp_path / "a.aof.1.incr.aof").write_bytes(encode([b"SELECT", b"3"]) + encode([b"SET", b"there", b"3"]))
    (tmp_path / "a.aof.manifest").write_text("file a.aof.1.base.aof seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n")

    with pytest.raises(TargetStateError, match="holds data of database 3, and a cluster has database 0 only"):
        import_into(nodes, tmp_path)

    assert [node.client().dbsize() for node in nodes] == [0, 0, 0]


def test_a_flush_in_the_aof_empties_all_masters_once(old_source: Server, start_cluster: StartCluster) -> None:
    nodes = start_cluster("redis-7.0.15")

    def late(client: redis.Redis) -> None:
        for number in range(300):
            client.rpush(f"before:{number}", "a")
        client.flushall()
        for number in range(300):
            client.rpush(f"after:{number}", number)
        client.flushdb()
        with client.pipeline(transaction=True) as pipe:
            for number in range(300):
                pipe.rpush(f"after:{number}", number)
            pipe.execute()

    source = imported_from(old_source, late)
    import_into(nodes, source.aof)

    assert_equal(source, nodes)


def test_what_is_appended_later_is_imported_and_all_of_ours_is_removed_at_the_end(
    old_source: Server, start_cluster: StartCluster
) -> None:
    nodes = start_cluster("redis-7.0.15")
    rng = random.Random(11)
    source = imported_from(old_source, lambda client: write_after_rewrite(client, rng, 2000))
    first = import_into(nodes, source.aof, keep_checkpoint=True)
    write_after_rewrite(old_source.client(), rng, 2000)
    with pytest.raises(TargetStateError, match="is not empty"):
        import_into(nodes, source.aof, resume=False)
    second = import_into(nodes, source.aof)

    expected = snapshot.snapshot(old_source.host, old_source.port)
    assert snapshot.diff(expected, snapshot.snapshot(nodes[0].host, nodes[0].port, cluster=True)) == []
    assert second.resumed_from == first.position and second.bytes > 10_000
    assert not any(list(node.client().scan_iter("redisops*")) for node in nodes)


def test_connections_that_a_killed_import_has_left_behind_are_closed_on_all_nodes(
    old_source: Server, start_cluster: StartCluster
) -> None:
    nodes = start_cluster("redis-7.0.15")
    source = imported_from(old_source, lambda client: client.rpush("list", "a"))
    first = import_into(nodes, source.aof, keep_checkpoint=True)
    left = [node.client() for node in nodes]
    for client in left:
        client.client_setname(f"redisops.tair:{first.name}")

    import_into(nodes, source.aof)

    names = [client["name"] for node in nodes for client in node.client().client_list()]
    assert f"redisops.tair:{first.name}" not in names


def test_the_module_takes_any_node_and_warns_of_transactions_that_are_divided(
    source: Source, start_cluster: StartCluster, run_module: t.Callable[..., dict[str, t.Any]]
) -> None:
    nodes = start_cluster("redis-7.0.15", password="pw")

    checked = run_module("aof_import", {"path": str(source.aof), **nodes[2].login()}, check=True)
    result = run_module("aof_import", {"path": str(source.aof), **nodes[2].login()})

    assert checked["changed"] and result["changed"] and result["errors"] == 0
    assert "transactions with keys of several slots" in str(result["warnings"])
    found = snapshot.snapshot(nodes[0].host, nodes[0].port, "pw", cluster=True)
    assert snapshot.diff(source.expected, found) == []


def test_what_one_master_alone_refuses_is_an_error(start_cluster: StartCluster, tmp_path: Path) -> None:
    nodes = start_cluster("redis-7.0.15")
    code = b"#!lua name=sample\nredis.register_function('f', function() return 1 end)"
    aof = tmp_path / "appendonly.aof"
    aof.write_bytes(encode([b"FUNCTION", b"LOAD", code]))
    for node in nodes:
        for other in nodes:
            other.client().function_flush()
        node.client().function_load(code.decode().replace("sample", "other"))

        with pytest.raises(ImportFailedError, match="Function f already exists"):
            import_into(nodes, aof, if_not_empty="append", resume=False)


def test_an_error_in_the_last_batch_is_told_and_everything_is_counted(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    nodes = start_cluster("redis-7.0.15")
    aof = tmp_path / "appendonly.aof"
    aof.write_bytes(b"".join(encode(command.split()) for command in (b"SET a 1", b"INCR a", b"RPUSH a x", b"SET b 2")))

    outcome = import_into(nodes, aof, stop_at_error=False)

    (error,) = outcome.errors.samples
    assert error.command == "RPUSH" and outcome.errors.count == 1
    assert outcome.commands == 4
