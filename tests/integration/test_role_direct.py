# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role where the import runs on the source's host, where that has no Python, and for sources that are hard to get at."""

from __future__ import annotations

import os
import signal
import socket
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.integration.conftest import SOURCE_PASSWORD, TARGET_PASSWORD
from ansible_collections.redisops.tair.tests.support.accounts import python_for_accounts, python_without_redis
from ansible_collections.redisops.tair.tests.support.migration import Migration, message, migrate_fleet
from ansible_collections.redisops.tair.tests.support.processes import descendants
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

MakeMigration = t.Callable[..., Migration]
MakeSshMigration = t.Callable[..., t.Tuple[Migration, Sshd]]


def test_the_source_host_imports_straight_into_the_target(make_ssh_migration: MakeSshMigration) -> None:
    """One of the hosts has no redis library."""
    pythons = {"redis-6.2.14": python_without_redis, "redis-7.0.15": python_for_accounts}
    hosts = {
        build: make_ssh_migration(build, keys=3000, python=python, aof_migrate_transfer="direct")
        for build, python in pythons.items()
    }
    fleet = {name: migration for name, (migration, _sshd) in hosts.items()}
    settings = {name: migration.settings() for name, migration in fleet.items()}

    plan = migrate_fleet(fleet, check=True)
    first, second = migrate_fleet(fleet, arguments=["-vvvv"]), migrate_fleet(fleet)

    assert first.returncode == 0, first.output
    assert SOURCE_PASSWORD not in first.output and TARGET_PASSWORD not in first.output
    assert second.returncode == 0, second.output
    for name, (migration, sshd) in hosts.items():
        assert "import it on its own host" in plan.result("Tell how it went", name)["msg"]
        assert migration.differences() == []
        assert migration.settings() == {**settings[name], "appendonly": "no"}
        assert migration.report["rewrite"]["proof"] in ("manifest", "inode") and migration.report["compare"]["equal"]
        assert "sha256" not in first.result("aof_fetch", name), "nothing is fetched"
        assert not migration.copy.exists() and not migration.journal.exists()
        assert second.stats[name]["changed"] == 0
        assert list(Path("/home", sshd.user, ".ansible", "tmp").iterdir()) == []


def test_an_import_that_dies_on_the_host_leaves_the_source_as_it_was_and_is_gone_on_with_by_the_next_run(
    make_ssh_migration: MakeSshMigration,
) -> None:
    migration, sshd = make_ssh_migration("redis-7.0.15", keys=20_000, aof_migrate_transfer="direct")
    settings, target = migration.settings(), migration.target

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(migration.run)
        while not target.client().dbsize():
            assert not future.done()
            time.sleep(0.005)
        os.kill(target.pid, signal.SIGSTOP)
        for pid in descendants(sshd.pid):
            if Path(f"/proc/{pid}/exe").resolve().name.startswith("python"):
                os.kill(pid, signal.SIGKILL)
        os.kill(target.pid, signal.SIGCONT)
        told = message(future.result())
    after = migration.settings()
    again = migration.run()

    assert f"The settings of {migration.source} were put back" in told
    assert "keys now; the AOF is where the source has it" in told
    assert after == settings and not migration.journal.exists()
    assert again.returncode == 0, again.output
    assert again.result("import | Pipe the AOF into the target")["resumed_from"] is not None
    assert migration.differences() == []


def test_a_target_that_the_source_host_can_not_reach_is_told_before_anything_is_changed(
    make_migration: MakeMigration, start_sshd: t.Callable[..., Sshd], tmp_path: Path
) -> None:
    """The host's Python has no network, and reaches the source by its Unix socket; the control node reaches both."""
    server_socket, python = tmp_path / "redis.sock", tmp_path / "python"
    sshd = start_sshd()
    plain = python_without_redis(sshd.directory / "python")
    python.write_text(f'#!/bin/sh\nexec unshare --net {plain} "$@"\n')
    python.chmod(0o755)
    migration = make_migration(
        source={"unixsocket": str(server_socket)},
        **sshd.inventory_vars(),
        ansible_python_interpreter=str(python),
        aof_migrate_source_unix_socket=str(server_socket),
        aof_migrate_verify="none",
    )
    settings = migration.settings()

    told = message(migration.run(aof_migrate_transfer="direct"))
    fetched = migration.run(aof_migrate_transfer="fetch")
    again = migration.run(aof_migrate_transfer="direct", ansible_python_interpreter=str(plain))

    assert f"There is no way to {migration.target} from {socket.gethostname()}" in told
    assert f"The settings of {server_socket} are as they were" in told
    assert migration.settings() == settings
    assert fetched.returncode == 0, fetched.output
    assert "The target is not empty" in message(again), "without a comparison nobody knows what it holds"


def test_a_host_without_python_is_migrated_from_the_control_node(make_ssh_migration: MakeSshMigration) -> None:
    migration, _sshd = make_ssh_migration(
        "redis-7.0.15", python=lambda _directory: Path("/nowhere/python"), aof_migrate_source_via="control_node"
    )

    first, second = migration.run(), migration.run()

    assert first.returncode == 0, first.output
    assert migration.differences() == []
    assert migration.report["rewrite"]["proof"] == "info" and migration.report["transfer"]["sha256"]
    assert "the rewrite is proved by what INFO tells alone" in first.output
    assert second.returncode == 0 and second.stats[migration.HOST]["changed"] == 0, second.output


@pytest.mark.parametrize("build", ["redis-6.2.14", "valkey-9.1.2"])
def test_a_source_in_a_container_with_renamed_commands_and_users_is_migrated(
    build: str, start_server: t.Callable[..., Server], tmp_path: Path
) -> None:
    names = {"CONFIG": "b840fc02", "BGREWRITEAOF": "c951ad13"}
    rights = "~* +@read +@connection +info +time +config +bgrewriteaof"
    source = start_server(
        build,
        {
            "rename-command": [f"{name} {new}" for name, new in names.items()],
            "user": [f"migrator on >{SOURCE_PASSWORD} {rights}", "default on nopass ~* &* +@all"],
        },
        container="/mnt",
    )
    target = start_server("redis-8.2.3" if build.startswith("redis") else build)
    source.client().mset({f"key:{number}": number for number in range(1000)})
    migration = Migration(
        source,
        target,
        tmp_path / "artifacts",
        {
            "aof_migrate_source_user": "migrator",
            "aof_migrate_source_password": SOURCE_PASSWORD,
            "aof_migrate_source_dir": str(source.data),
            "aof_migrate_source_renamed_commands": names,
        },
    )

    run = migration.run(arguments=["-vvvv", "--diff"])

    assert run.returncode == 0, run.output
    assert migration.differences() == []
    assert migration.report["rewrite"]["proof"] in ("manifest", "inode")
    assert source.client().execute_command("b840fc02", "GET", "appendonly")[1] == b"no"
    assert not any(new in run.output for new in names.values())
