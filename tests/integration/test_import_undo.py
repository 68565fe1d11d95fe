# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking back an import that was not finished: only what is known to be ours is deleted."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.migration import Migration, message
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.small_aof import SELECT, lists_and_strings

StartServer = t.Callable[..., Server]
StartCluster = t.Callable[..., t.List[Server]]
RunModule = t.Callable[..., t.Dict[str, t.Any]]
MakeMigration = t.Callable[..., Migration]

LISTS = 1000
#: May write the first lists and strings of the AOF, and what is ours.
USER = ("mover", "on", ">s3cret", "+@all", "~list:?", "~key:?", "~list:[1-4]??", "~key:[1-4]??", "~list:??", "~key:??")
SMALL = {"batch_bytes": 4096, "window_bytes": 32768}


@pytest.fixture
def aof(tmp_path: Path) -> Path:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(SELECT + b"".join(lists_and_strings(LISTS)))
    return path


def half_imported(run_module: RunModule, aof: Path, target: Server, **options: t.Any) -> dict[str, t.Any]:
    """The parameters of an import that has failed half-way."""
    target.client().execute_command("ACL", "SETUSER", *USER, "~redisops.tair:*")
    login = {**target.login(), "login_user": "mover", "login_password": "s3cret"}
    params = {"path": str(aof), **login, **SMALL}
    failed = run_module("aof_import", {**params, **options})
    assert failed["failed"] and failed["position"] > 0 and target.client().exists("list:100"), failed
    return params


@pytest.mark.parametrize("base", [0, 1 << 30], ids=["transactions", "plain"])
def test_what_was_imported_is_deleted_and_the_second_time_nothing_is_left_to_do(
    base: int, aof: Path, start_server: StartServer, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    params = {**half_imported(run_module, aof, target, aof_base_size=base), "state": "absent"}
    keys = target.client().dbsize() - 1

    planned = run_module("aof_import", params, check=True)
    assert planned["changed"] and planned["deleted_keys"] == keys == target.client().dbsize() - 1
    done = run_module("aof_import", params)
    assert done["changed"] and done["deleted_keys"] == keys and target.client().dbsize() == 0
    again = run_module("aof_import", params)
    assert not again["failed"] and not again["changed"] and again["deleted_keys"] == 0


def test_a_cluster_is_emptied_on_all_nodes(aof: Path, start_cluster: StartCluster, run_module: RunModule) -> None:
    nodes = start_cluster("redis-7.0.15")
    commands = lists_and_strings(LISTS)
    aof.write_bytes(
        SELECT
        + b"".join(commands[:600])
        + b"*3\r\n$4\r\nSADD\r\n$6\r\nlist:1\r\n$1\r\nx\r\n"
        + b"".join(commands[600:])
    )
    params = {"path": str(aof), **nodes[0].login(), **SMALL}
    failed = run_module("aof_import", params)
    assert failed["failed"] and all(node.client().dbsize() > 50 for node in nodes)

    done = run_module("aof_import", {**params, "state": "absent"})

    assert done["changed"] and done["deleted_keys"] > 300
    assert [node.client().dbsize() for node in nodes] == [0, 0, 0]


def refusal(result: dict[str, t.Any], target: Server, keys: int) -> str:
    assert result["failed"] and not result.get("changed")
    assert "may be others'" in result["msg"] and f"Nothing was deleted on {target}" in result["msg"]
    assert target.client().dbsize() == keys
    return str(result["msg"])


def test_where_the_target_was_not_empty_nothing_is_deleted(
    aof: Path, start_server: StartServer, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    target.client().set("theirs", 1)
    params = half_imported(run_module, aof, target, if_not_empty="append")
    keys = target.client().dbsize()

    told = refusal(run_module("aof_import", {**params, "state": "absent"}), target, keys)

    assert "was not known to be empty when the import began" in told


def test_an_import_of_another_aof_is_not_ours(aof: Path, start_server: StartServer, run_module: RunModule) -> None:
    target = start_server("redis-7.0.15")
    params = half_imported(run_module, aof, target)
    aof.write_bytes(SELECT + b"".join(lists_and_strings(LISTS)[1:]))
    keys = target.client().dbsize()

    told = refusal(run_module("aof_import", {**params, "state": "absent"}), target, keys)

    assert f"no checkpoint of an import of {aof}" in told


def test_a_finished_import_and_keys_of_others_are_left_alone(
    aof: Path, start_server: StartServer, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    params = {"path": str(aof), **target.login()}
    assert not run_module("aof_import", params)["failed"]

    refusal(run_module("aof_import", {**params, "state": "absent"}), target, 2 * LISTS)


def failing(make_migration: MakeMigration, **variables: t.Any) -> Migration:
    """A migration whose import fails half-way, as the target's user may not write all keys."""
    migration = make_migration(
        keys=0, aof_migrate_target_user="mover", aof_migrate_target_password="s3cret", **variables
    )
    migration.target.client().execute_command(
        "ACL", "SETUSER", "mover", "on", ">s3cret", "+@all", "~redisops.tair:*", "~a:*"
    )
    migration.source.client().mset({f"a:{number}": "x" * 100 for number in range(500)})
    migration.source.client().set("b", 1)
    return migration


def test_a_failed_run_empties_the_target_where_that_is_asked_for(make_migration: MakeMigration) -> None:
    migration = failing(make_migration, aof_migrate_rollback_target="empty")
    before = migration.settings()

    told = message(migration.run())

    assert "SET of key 'b'" in told and "was emptied again" in told
    assert migration.target.client().dbsize() == 0 and migration.settings() == before


def test_the_rollback_playbook_empties_it_later_and_only_once(make_migration: MakeMigration) -> None:
    migration = failing(make_migration)
    assert "The same run again goes on" in message(migration.run())
    assert migration.target.client().dbsize() > 1

    kept = migration.run("redisops.tair.rollback")
    assert kept.returncode == 0 and migration.target.client().dbsize() > 1
    emptied = migration.run("redisops.tair.rollback", aof_migrate_rollback_target="empty")
    assert emptied.returncode == 0 and emptied.stats[migration.HOST]["changed"] == 1, emptied.output
    assert migration.target.client().dbsize() == 0
    again = migration.run("redisops.tair.rollback", aof_migrate_rollback_target="empty")
    assert again.returncode == 0 and again.stats[migration.HOST]["changed"] == 0


def test_with_direct_the_aof_is_looked_for_on_the_source(make_migration: MakeMigration) -> None:
    migration = failing(make_migration, aof_migrate_transfer="direct", aof_migrate_rollback_target="empty")
    migration.source.client().config_set("appendonly", "yes")

    told = message(migration.run())

    assert "was emptied again" in told and migration.target.client().dbsize() == 0
