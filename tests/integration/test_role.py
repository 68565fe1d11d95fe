# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role and its playbooks on real servers: what a run does, what it leaves behind, and what a second run does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import time
import typing as t
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.migration import Migration, message, migrate_fleet
from ansible_collections.redisops.tair.tests.support.processes import descendants
from ansible_collections.redisops.tair.tests.support.servers import BUILDS, Server
from ansible_collections.redisops.tair.tests.support.waiting import wait_until

MakeMigration = t.Callable[..., Migration]

#: The newest target of each flavor takes what every source of that flavor writes.
NEWEST = {"redis": "redis-8.2.3", "valkey": "valkey-9.1.2"}


# ------------------------------------------------------------------------------------------------- a whole migration


def test_a_migration_arrives_equal_and_a_second_one_changes_nothing(
    make_migration: MakeMigration, start_server: t.Callable[..., Server]
) -> None:
    """In one run a host of every kind of server, one without any key, and one with passwords that Ansible would mask.

    It masks them wherever they stand in what a module returns, here in paths and versions.
    """
    fleet = {build.name: make_migration(build.name, NEWEST[build.flavor], keys=3000) for build in BUILDS}
    fleet["old"] = make_migration("redis-5.0.6", "redis-7.0.15", keys=300)
    fleet["empty"] = make_migration(keys=0)
    source, target = start_server("redis-7.0.15", password="redis"), start_server("redis-8.2.3", password="8")
    fleet["masked"] = Migration(source, target, fleet["empty"].artifacts)
    source.client().mset({f"key:{number}": number for number in range(100)})
    assert "redis" in str(source.aof_path())
    settings = {name: migration.settings() for name, migration in fleet.items()}

    first, second = migrate_fleet(fleet, serial=len(fleet)), migrate_fleet(fleet, serial=len(fleet))

    assert [run.returncode for run in (first, second)] == [0, 0], first.output + second.output
    for name, migration in fleet.items():
        assert migration.differences() == [], name
        assert migration.settings() == {**settings[name], "appendonly": "no"}, name
        assert not migration.journal.exists() and not migration.copy.exists()
        assert not list(migration.artifacts.rglob("*.aof_fetch"))
        assert second.stats[name]["changed"] == 0, name
        assert "already holds the data" in second.result("Tell how it went", name)["msg"]
    assert not fleet["empty"].source.aof_path().exists()
    replies = {build.name: fleet[build.name].report["import"]["replies"] for build in BUILDS}
    for name, number in replies.items():
        assert f"errors: 0, replies: {number};" in first.result("Tell how it went", name)["msg"] and number >= 3000


def test_appendonly_is_left_as_asked(make_migration: MakeMigration) -> None:
    asked = {  # aof_migrate_appendonly_after, what it was before, what it is afterwards
        "disabled": ("disable", "yes", "no"),
        "restored": ("restore", "yes", "yes"),
        "restored-off": ("restore", "no", "no"),
        "kept": ("keep", "no", "yes"),
        "not-compared": ("disable", "yes", "yes"),
    }
    fleet = {
        name: make_migration(source={"appendonly": before}, aof_migrate_appendonly_after=after)
        for name, (after, before, _expected) in asked.items()
    }
    fleet["not-compared"].variables["aof_migrate_verify"] = "none"
    settings = {name: migration.settings() for name, migration in fleet.items()}

    first = migrate_fleet(fleet)
    left = {name: migration.settings() for name, migration in fleet.items()}
    del fleet["not-compared"]  # nobody knows what its target holds
    second = migrate_fleet(fleet)

    assert [run.returncode for run in (first, second)] == [0, 0], first.output + second.output
    assert left == {name: {**settings[name], "appendonly": asked[name][2]} for name in asked}
    assert {name: migration.settings() for name, migration in fleet.items()} == {name: left[name] for name in fleet}
    assert [stats["changed"] for stats in second.stats.values()] == [0, 0, 0, 0]
    assert "not compared" in first.result("Tell how it went", "not-compared")["msg"]


def test_what_a_host_has_of_its_own_is_no_obstacle(make_migration: MakeMigration, tmp_path: Path) -> None:
    """An AOF with an RDB in it that is there already, a Unix socket instead of a port, a copy that is to be kept."""
    socket = tmp_path / "redis.sock"
    hybrid = {"appendonly": "yes", "aof-use-rdb-preamble": "yes"}
    fleet = {
        "hybrid": make_migration("redis-6.2.14", source=hybrid),
        "hybrid-parts": make_migration("redis-8.2.3", source=hybrid),
        "socket": make_migration(source={"unixsocket": str(socket)}, aof_migrate_source_unix_socket=str(socket)),
        "kept": make_migration(aof_migrate_keep_copy=True),
    }
    fleet["socket"].variables["aof_migrate_source_port"] = 1
    for name in ("hybrid", "hybrid-parts"):
        fleet[name].source.client().bgrewriteaof()
        fleet[name].source.wait_for_rewrite()

    run = migrate_fleet(fleet)

    assert run.returncode == 0, run.output
    assert {name: migration.differences() for name, migration in fleet.items()} == {name: [] for name in fleet}
    assert [name for name, migration in fleet.items() if migration.copy.exists()] == ["kept"]
    copy = fleet["kept"].copy
    assert (copy / "appendonly.aof.manifest").exists() and stat.S_IMODE(copy.stat().st_mode) == 0o700


def test_the_environments_password_is_for_neither_server(make_migration: MakeMigration) -> None:
    """Both servers are without a password here: one taken from the environment would be refused."""
    migration = make_migration()
    for server in (migration.source, migration.target):
        server.client().config_set("requirepass", "")
        server.password = ""

    run = migration.run(env={"REDISOPS_LOGIN_PASSWORD": "meant for other tasks", "REDISOPS_LOGIN_USER": "somebody"})

    assert run.returncode == 0, run.output


# ------------------------------------------------------------------------------- targets that already hold something


def test_what_the_target_holds_goes_with_flush_and_stays_with_append(make_migration: MakeMigration) -> None:
    fleet = {asked: make_migration(aof_migrate_if_target_not_empty=asked) for asked in ("flush", "append")}
    for migration in fleet.values():
        migration.target.client(db=9).set("a stranger", 1)

    first, second = migrate_fleet(fleet), migrate_fleet(fleet)

    assert first.returncode == 0, first.output
    assert fleet["flush"].differences() == []
    left = fleet["append"].differences()
    assert len(left) == 1 and "a stranger" in left[0]
    assert [stats["changed"] for stats in second.stats.values()] == [0, 0], second.output


def test_a_difference_after_the_import_fails_and_puts_the_source_back(make_migration: MakeMigration) -> None:
    migration = make_migration(source={"appendonly": "yes"}, aof_migrate_if_target_not_empty="append")
    migration.source.client().rpush("list", "a", "b")
    migration.target.client().rpush("list", "already there")
    settings = migration.settings()

    told = message(migration.run())

    assert "1 mismatched" in told
    assert f"The settings of {migration.source} were put back" in told
    assert (
        f"{migration.target} holds" in told and "keys now" in told and "aof_migrate_if_target_not_empty=flush" in told
    )
    assert migration.settings() == settings
    assert migration.report["outcome"] == "failed"
    assert migration.report["failure"]["task"] == "verify | Stop at a difference"
    suite = ET.parse(migration.artifacts / "report.xml").getroot()
    failures = {case.get("name"): failure.attrib for case in suite for failure in case.findall("failure")}
    assert list(failures) == ["compare", "migration"]
    assert failures["migration"]["type"] == "verify | Stop at a difference"
    assert "1 mismatched" in failures["compare"]["message"]
    assert "\u2716 failed" in (migration.artifacts / "report.html").read_text()
    migration.require_reports_without_passwords()


# --------------------------------------------------------------------------------------------- check mode, tags, files


def test_check_mode_prints_the_plan_and_changes_nothing(make_migration: MakeMigration) -> None:
    fleet = {build: make_migration(build) for build in ("redis-6.2.14", "redis-8.2.3")}
    settings = {name: migration.settings() for name, migration in fleet.items()}

    run = migrate_fleet(fleet, check=True)

    assert run.returncode == 0, run.output
    for name, migration in fleet.items():
        plan = run.result("Tell how it went", name)["msg"]
        assert "would set aof-use-rdb-preamble from yes to no" in plan and "appendonly from no to yes" in plan
        assert migration.settings() == settings[name]
        assert migration.target.client().info("keyspace") == {}
        assert not migration.source.aof_path().exists()
        assert run.stats[name]["changed"] > 0
        files = [file.name for file in migration.artifacts.rglob("*")]
        assert files == ["plan.json"], "what was asked for, on the control node"


def test_no_password_is_printed_however_much_is_printed(make_migration: MakeMigration) -> None:
    migration = make_migration()

    runs = [
        migration.run(check=True, arguments=["-vvvv"]),
        migration.run(arguments=["-vvvv", "--diff"]),
        migration.run(arguments=["-vvvv", "--diff"], aof_migrate_if_target_not_empty="fail"),
    ]

    assert [run.returncode for run in runs] == [0, 0, 2]
    for run in runs:
        assert migration.source.password not in run.output and migration.target.password not in run.output
    for file in migration.artifacts.rglob("*"):
        if file.is_file():
            assert b"s3cret" not in file.read_bytes(), file


# ---------------------------------------------------------------------------------------------------- killed runs


def kill_all_of_it() -> None:
    """Kill the run under way: the playbook, its modules and what they have started, but no server."""
    for child in descendants(os.getpid()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended, be it as yet unnoticed
            if Path(f"/proc/{child}/exe").readlink().name.startswith("python"):
                os.kill(child, signal.SIGKILL)


def kill_during_the_rewrite(migration: Migration) -> None:
    """Start a migration and kill it while the source rewrites: nothing of it is left to clean up."""
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(migration.run)
        wait_until(lambda: migration.journal.exists() and descendants(migration.source.pid))
        kill_all_of_it()
        run.exception()  # whatever it says
    assert migration.source.client().info("persistence")["aof_rewrite_in_progress"]


def kill_during_the_import(migration: Migration) -> None:
    """Start a migration and kill all of it when the first keys are in the target: more than its checkpoint."""
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(migration.run)
        client = migration.target.client()
        while client.dbsize() < 10:
            assert not run.done()
            time.sleep(0.001)
        os.kill(migration.target.pid, signal.SIGSTOP)
        kill_all_of_it()
        os.kill(migration.target.pid, signal.SIGCONT)
        run.exception()  # whatever it says


def test_a_run_after_one_killed_in_the_import_goes_on_with_it(make_migration: MakeMigration) -> None:
    migration = make_migration("redis-6.2.14", keys=20_000)
    settings = migration.settings()
    kill_during_the_import(migration)
    assert 0 < migration.target.client().dbsize() < 20_000

    plan = migration.run(check=True)
    run = migration.run()

    assert "would go on with the import that an earlier run began" in plan.output
    assert run.returncode == 0, run.output
    assert run.result("import | Pipe the AOF into the target")["resumed_from"] is not None
    assert not run.results("aof_fetch")[0].get("dest"), "nothing is fetched again"
    assert migration.settings() == {**settings, "appendonly": "no"}
    assert migration.differences() == [] and not migration.journal.exists() and not migration.copy.exists()


def test_a_killed_run_is_rolled_back_by_its_journal_and_a_second_rollback_changes_nothing(
    make_migration: MakeMigration,
) -> None:
    migration = make_migration(source={"rdb-key-save-delay": 1000})
    settings = migration.settings()
    kill_during_the_rewrite(migration)
    assert migration.settings() != settings
    assert json.loads(migration.journal.read_text())["previous"] == settings
    assert stat.S_IMODE(migration.journal.stat().st_mode) == 0o600

    runs = [migration.run("redisops.tair.rollback") for _attempt in range(2)]

    assert [run.returncode for run in runs] == [0, 0], runs[0].output
    assert migration.settings() == settings
    assert not migration.journal.exists()
    assert runs[1].stats[migration.HOST]["changed"] == 0


def test_a_run_after_a_killed_one_ends_with_the_original_settings(make_migration: MakeMigration) -> None:
    migration = make_migration(source={"rdb-key-save-delay": 1000})
    settings = migration.settings()
    kill_during_the_rewrite(migration)
    migration.source.client().config_set("rdb-key-save-delay", 0)

    run = migration.run()

    assert run.returncode == 0, run.output
    assert migration.settings() == {**settings, "appendonly": "no"}
    assert migration.differences() == [] and not migration.journal.exists()


def test_the_journal_of_another_source_is_not_used(make_migration: MakeMigration) -> None:
    migration = make_migration()
    migration.directory.mkdir(parents=True)
    migration.journal.write_text(json.dumps({"source": "elsewhere:6379", "previous": {"appendonly": "yes"}}))
    settings = migration.settings()

    told = message(migration.run())

    assert "holds the settings of another source, elsewhere:6379" in told
    assert migration.settings() == settings
    assert migration.journal.exists()


def test_a_source_that_dies_meanwhile_keeps_its_journal(make_migration: MakeMigration) -> None:
    migration = make_migration(source={"rdb-key-save-delay": 5000})
    settings = migration.settings()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(migration.run)
        while not (migration.journal.exists() and descendants(migration.source.pid)):
            assert not run.done()
            time.sleep(0.01)
        children = descendants(migration.source.pid)
        migration.source.kill()
        for child in children:
            os.kill(child, signal.SIGKILL)

    told = message(run.result())

    assert "could NOT be put back" in told and "redisops.tair.rollback" in told
    assert f"{migration.target} was not touched" in told
    migration.source.start()
    assert migration.run("redisops.tair.rollback").returncode == 0
    assert migration.settings() == settings and not migration.journal.exists()
