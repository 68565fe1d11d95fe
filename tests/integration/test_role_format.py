# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role with an AOF that begins with an RDB: when asked for, and where commands can't be had."""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.tests.support.migration import Migration, message, migrate_fleet

MakeMigration = t.Callable[..., Migration]


def test_an_rdb_is_written_where_it_is_asked_for(make_migration: MakeMigration) -> None:
    builds = ("redis-6.2.14", "valkey-8.1.8")
    fleet = {build: make_migration(build, "redis-7.0.15", aof_migrate_format="hybrid") for build in builds}
    before = {name: migration.settings() for name, migration in fleet.items()}

    run = migrate_fleet(fleet)

    assert run.returncode == 0, run.output
    assert run.output.count("because aof_migrate_format is hybrid") == len(fleet)
    for name, migration in fleet.items():
        assert migration.differences() == [], name
        assert migration.report["rewrite"]["format"] == "hybrid"
        assert migration.settings() == {**before[name], "appendonly": "no"}


def test_keys_that_no_command_builds_go_to_a_target_that_has_their_module(make_migration: MakeMigration) -> None:
    migration = make_migration("redis-8.2.3", "redis-8.2.3")
    add = ("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")
    migration.source.client(db=2).execute_command(*add)

    plan = migration.run(check=True)
    told = "because there are keys that can not be written as commands: vectors in database 2 (vectorset)"
    assert plan.returncode == 0 and told in " ".join(plan.output.split()), plan.output
    run = migration.run()

    assert run.returncode == 0, run.output
    assert migration.report["rewrite"]["format"] == "hybrid" and migration.report["compare"]["equal"] is True
    assert migration.target.client(db=2).execute_command("VEMB", "vectors", "element")
    assert [finding["id"] for finding in migration.report["preflight"]["findings"]].count("source.hybrid") == 1


def test_a_target_without_the_module_is_refused_before_anything_is_sent(make_migration: MakeMigration) -> None:
    migration = make_migration("redis-8.2.3", "redis-7.0.15", keys=0)
    migration.source.client().set("key", "value")
    migration.source.client().execute_command("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")
    before = migration.settings()

    told = message(migration.run())

    assert "can't be given 1 keys" in told and "'vectors' of database 0" in told
    assert migration.target.client().dbsize() == 0
    assert migration.settings() == before


READER = "user reader on >s3cret ~* &* +@all -config|set"


def test_where_config_set_is_not_allowed_nothing_is_set(make_migration: MakeMigration) -> None:
    migration = make_migration(
        "redis-7.0.15",
        "redis-8.2.3",
        source={"appendonly": "yes"},
        aof_migrate_source_user="reader",
        aof_migrate_source_password="s3cret",
    )
    migration.source.client().execute_command("ACL", "SETUSER", *READER.split()[1:])
    before = migration.source.client().config_get("*")

    told = message(migration.run(aof_migrate_format="plain"))
    assert "CONFIG SET is not allowed" in told and "aof-use-rdb-preamble set to no" in told
    run = migration.run()

    assert run.returncode == 0, run.output
    assert migration.differences() == []
    assert migration.source.client().config_get("*") == before
    assert migration.report["rewrite"]["format"] == "hybrid" and migration.report["appendonly"] == "yes"
