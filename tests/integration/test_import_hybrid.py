# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""aof_import of what begins with an RDB: hybrid AOFs and dumps, by RESTORE and by commands."""

from __future__ import annotations

import random
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support import dataset, snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.module_process import ModuleProcess
from ansible_collections.redisops.tair.tests.support.proxy import Proxy
from ansible_collections.redisops.tair.tests.support.rdb_target import (
    commands_level,
    describe,
    differences,
    is_lost,
    saved,
)
from ansible_collections.redisops.tair.tests.support.servers import BUILDS, Build, Server, build

StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., dict[str, t.Any]]
CHECKPOINT = b"redisops.tair:checkpoint:imports"
#: Small, so that many checkpoints are under way.
SMALL = {"batch_bytes": 4096, "window_bytes": 64 * 1024}


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def takes(server: Build, aof: CorpusSet) -> bool:
    """Whether the server knows all that the set's server writes: its own line, or the Redis that both descend from."""
    source, target = version_of(aof.version), version_of(server.version)
    if aof.server == "keydb":
        return True
    if server.flavor == aof.server:
        return source <= target
    return aof.server == "redis" and source <= (7, 2)


MATRIX = [
    pytest.param(server, aof, id=f"{aof} into {server.name}")
    for server in BUILDS
    for aof in corpus(variant="hybrid")
    if takes(server, aof)
]
NEWER = [aof for aof in corpus(variant="hybrid") if version_of(aof.version) > (6, 2) and aof.version != "8.10.2"]


@pytest.fixture(scope="module")
def targets() -> t.Iterator[t.Callable[[Build], Server]]:
    """An empty server of each build."""
    started: dict[str, Server] = {}

    def target(of: Build) -> Server:
        if of.name not in started:
            started[of.name] = Server(of)
            started[of.name].start()
        server = started[of.name]
        server.client().flushall()
        if version_of(of.version) >= (7, 0):
            server.client().function_flush()
        return server

    yield target
    for server in started.values():
        server.close()


@pytest.mark.parametrize(("server", "aof"), MATRIX)
def test_a_hybrid_aof_arrives_as_the_data_that_its_server_had(
    server: Build, aof: CorpusSet, targets: t.Callable[[Build], Server], run_module: RunModule
) -> None:
    target = targets(server)

    result = run_module("aof_import", {**target.login(), "path": str(aof.aof)})

    assert not result["failed"], result["msg"]
    assert result["errors"] == 0 and result["position"] == result["size"] == result["bytes"]
    found = differences(aof.expected, snapshot.snapshot(target.host, target.port))
    if (version_of(server.version) >= (9, 0)) != (version_of(aof.version) >= (9, 0) and aof.server == "valkey"):
        # Long values are built by commands there.
        found = [one for one in found if one["key"] is None or not is_lost(one, aof.expected, commands_level(server))]
    assert not found, describe(found)
    assert not any(target.client(db=db).exists(CHECKPOINT) for db in result["databases"])


@pytest.mark.parametrize("aof", NEWER, ids=str)
def test_an_older_server_is_sent_commands(
    aof: CorpusSet, targets: t.Callable[[Build], Server], run_module: RunModule
) -> None:
    target = targets(build("redis-6.2.14"))

    result = run_module("aof_import", {**target.login(), "path": str(aof.aof), "drop": ["functions", "hash_field_ttl"]})

    assert not result["failed"], result["msg"]
    expected = {**aof.expected, "functions": None}
    if result["dropped"].get("hash_field_ttl"):
        expected["dbs"] = {
            db: {key: {k: v for k, v in value.items() if k != "field_ttls"} for key, value in keys.items()}
            for db, keys in aof.expected["dbs"].items()
        }
    found = [
        one
        for one in differences(expected, snapshot.snapshot(target.host, target.port))
        if one["key"] is None or not is_lost(one, expected, (6, 2))
    ]
    assert not found, describe(found)


class Dump(t.NamedTuple):
    """A dump, and what its server holds."""

    path: Path
    expected: dict[str, t.Any]


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Dump:
    path = tmp_path_factory.mktemp("dump") / "dump.rdb"
    with Server(build("redis-7.0.15")) as server:
        dataset.fill(server.host, server.port, keys=3000)
        client = server.client()
        client.rpush("huge", *(f"{number}:{'x' * 90}" for number in range(20_000)))  # too long to restore as a whole
        client.set("large", bytes(range(256)) * 10_000)
        client.set("in three days", "v", ex=3 * 86400)
        shutil.copy(saved(server), path)
        return Dump(path, snapshot.snapshot(server.host, server.port))


def without_restore(target: Server) -> dict[str, t.Any]:
    """How to log in as somebody who may not RESTORE."""
    target.client().execute_command("ACL", "SETUSER", "plain", "on", ">word", "~*", "+@all", "-restore")
    return {**target.login(), "login_user": "plain", "login_password": "word"}


@pytest.mark.parametrize("restoring", [True, False], ids=["by restore", "by commands"])
def test_a_dump_arrives(
    restoring: bool, dump: Dump, targets: t.Callable[[Build], Server], run_module: RunModule
) -> None:
    target = targets(build("redis-7.0.15"))
    login = target.login() if restoring else without_restore(target)
    target.client().config_resetstat()

    result = run_module("aof_import", {**login, "path": str(dump.path)})

    assert not result["failed"], result["msg"]
    assert snapshot.diff(dump.expected, snapshot.snapshot(target.host, target.port)) == []
    keys = sum(target.client(db=int(db)).dbsize() for db in dump.expected["dbs"])
    selects = len(dump.expected["dbs"]) - 1  # a rewrite would have written one more, for database 0
    functions = len(dump.expected["functions"] or [])
    assert result["replies"] == keys + selects + functions and result["size"] == dump.path.stat().st_size
    restored = target.client().info("commandstats").get("cmdstat_restore", {"calls": 0})["calls"]
    assert (restored > 1000) == restoring


@pytest.mark.parametrize("restoring", [True, False], ids=["by restore", "by commands"])
def test_an_import_killed_anywhere_is_finished_by_the_next_one_exactly(
    restoring: bool, dump: Dump, targets: t.Callable[[Build], Server], run_module: RunModule
) -> None:
    rng, resumed, size = random.Random(9), 0, dump.path.stat().st_size
    for number in range(16):
        target = targets(build("redis-7.0.15"))
        login = target.login() if restoring else without_restore(target)
        process = ModuleProcess("aof_import")
        place = int(size * (number + rng.random()) / 16)
        with Proxy(target.port, fault_at=place, on_fault=process.kill) as proxy:
            process.start({**login, **SMALL, "path": str(dump.path), "login_port": proxy.port})
            process.result()

        result = run_module("aof_import", {**login, **SMALL, "path": str(dump.path)})

        assert not result["failed"], result["msg"]
        resumed += result["resumed_from"] is not None
        assert snapshot.diff(dump.expected, snapshot.snapshot(target.host, target.port)) == []
    assert resumed >= 11, "most of the kills must have hit an import under way"


def test_keys_and_databases_are_chosen_and_mapped(
    dump: Dump, targets: t.Callable[[Build], Server], run_module: RunModule
) -> None:
    target = targets(build("redis-7.0.15"))
    others = sorted(int(db) for db in dump.expected["dbs"] if db != "0")

    result = run_module(
        "aof_import",
        {
            **target.login(),
            "path": str(dump.path),
            "databases": [0, others[0]],
            "database_map": {others[0]: 9},
            "exclude_keys": ["huge", "large"],
        },
    )

    assert not result["failed"], result["msg"]
    huge_and_large = {snapshot.b64(b"huge"), snapshot.b64(b"large")}
    expected = {
        "0": {key: value for key, value in dump.expected["dbs"]["0"].items() if key not in huge_and_large},
        "9": dump.expected["dbs"][str(others[0])],
    }
    found = snapshot.snapshot(target.host, target.port)
    assert snapshot.diff({**dump.expected, "dbs": expected}, found) == []


def test_a_cluster_is_given_a_dump_by_the_slots_of_its_keys(
    dump: Dump, start_cluster: t.Callable[..., list[Server]], run_module: RunModule
) -> None:
    nodes = start_cluster("redis-7.0.15")

    refused = run_module("aof_import", {**nodes[0].login(), "path": str(dump.path)})
    assert refused["failed"] and "a cluster has database 0 only" in refused["msg"]
    result = run_module("aof_import", {**nodes[0].login(), "path": str(dump.path), "databases": [0]})

    assert not result["failed"], result["msg"]
    found: dict[str, t.Any] = {}
    for node in nodes:
        found.update(snapshot.snapshot(node.host, node.port)["dbs"].get("0", {}))
    assert snapshot.diff({"dbs": {"0": dump.expected["dbs"]["0"]}}, {"dbs": {"0": found}}) == []
    restored = sum(node.client().info("commandstats")["cmdstat_restore"]["calls"] for node in nodes)
    assert restored > 1000


@pytest.mark.parametrize("place", [0.4, 0.999])
def test_damage_is_told_before_anything_is_sent(
    place: float, dump: Dump, targets: t.Callable[[Build], Server], tmp_path: Path, run_module: RunModule
) -> None:
    target = targets(build("redis-7.0.15"))
    content = bytearray(dump.path.read_bytes())
    content[int(len(content) * place)] ^= 0x01
    damaged = tmp_path / "dump.rdb"
    damaged.write_bytes(content)

    result = run_module("aof_import", {**target.login(), "path": str(damaged)})

    assert result["failed"] and f"{damaged} is damaged at byte" in result["msg"]
    assert target.client().dbsize() == 0


def test_a_cut_dump_is_refused(
    dump: Dump, targets: t.Callable[[Build], Server], tmp_path: Path, run_module: RunModule
) -> None:
    target = targets(build("redis-7.0.15"))
    cut = tmp_path / "dump.rdb"
    cut.write_bytes(dump.path.read_bytes()[:-20])

    result = run_module("aof_import", {**target.login(), "path": str(cut)})

    assert result["failed"] and "damaged" in result["msg"] and target.client().dbsize() == 0


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dump with values of a module, which no command builds and no rewrite of that server can write."""
    path = tmp_path_factory.mktemp("vectors") / "dump.rdb"
    with Server(build("redis-8.2.3")) as server:
        client = server.client()
        client.set("before", "v")
        client.execute_command("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")
        client.set("after", "v")
        shutil.copy(saved(server), path)
    return path


def test_a_module_s_value_goes_where_the_module_is(
    vectors: Path, targets: t.Callable[[Build], Server], run_module: RunModule
) -> None:
    target = targets(build("redis-8.2.3"))

    result = run_module("aof_import", {**target.login(), "path": str(vectors)})

    assert not result["failed"], result["msg"]
    assert target.client().execute_command("VCARD", "vectors") == 1 and target.client().dbsize() == 3


def test_a_module_s_value_is_refused_by_name_before_anything_is_sent(
    vectors: Path, targets: t.Callable[[Build], Server], run_module: RunModule
) -> None:
    target = targets(build("redis-7.0.15"))
    params = {**target.login(), "path": str(vectors)}

    refused = run_module("aof_import", params)
    assert refused["failed"] and target.client().dbsize() == 0
    assert "1 keys" in refused["msg"] and "a value of the module type vectorset" in refused["msg"]
    assert "'vectors' of database 0" in refused["msg"] and "exclude_keys" in refused["msg"]

    without = run_module("aof_import", {**params, "exclude_keys": ["vectors"]})
    assert not without["failed"], without["msg"]
    assert set(target.client().keys()) == {b"before", b"after"}

    target.client().flushall()
    counted = run_module("aof_import", {**params, "on_error": "continue"})
    assert counted["errors"] == 1 and set(target.client().keys()) == {b"before", b"after"}
    (sample,) = counted["error_samples"]
    assert (sample["command"], sample["key"]) == ("RESTORE", "vectors")


def test_check_mode_looks_and_sends_nothing(
    vectors: Path, dump: Dump, targets: t.Callable[[Build], Server], run_module: RunModule
) -> None:
    target = targets(build("redis-7.0.15"))

    refused = run_module("aof_import", {**target.login(), "path": str(vectors)}, check=True)
    planned = run_module("aof_import", {**target.login(), "path": str(dump.path)}, check=True)

    assert refused["failed"] and "vectorset" in refused["msg"]
    assert not planned["failed"] and planned["changed"] and target.client().dbsize() == 0
