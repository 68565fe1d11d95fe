# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong before or during a migration. Each ends in one message, with the source as it was."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.tests.support.accounts import python_for_accounts
from ansible_collections.redisops.tair.tests.support.certs import issue
from ansible_collections.redisops.tair.tests.support.migration import Migration, message
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

MakeMigration = t.Callable[..., Migration]


def untouched(migration: Migration) -> bool:
    """Whether the target holds nothing, and nothing is left of the migration on the control node."""
    return migration.target.client().info("keyspace") == {} and not migration.journal.exists()


# ------------------------------------------------------------------------------------------------- can't get there


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_server_that_is_not_there(side: str, make_migration: MakeMigration) -> None:
    migration = make_migration()
    settings = migration.settings()

    told = message(migration.run(**{f"aof_migrate_{side}_port": 1}))

    assert "127.0.0.1:1 refuses the connection: nothing listens there" in told
    assert migration.settings() == settings and untouched(migration)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_wrong_password(side: str, make_migration: MakeMigration) -> None:
    migration = make_migration()
    settings = migration.settings()

    run = migration.run(**{f"aof_migrate_{side}_password": "a wrong one"})

    told = message(run)
    assert f"{getattr(migration, side)} refused to log in" in told and "the password is wrong" in told
    assert "a wrong one" not in run.output
    assert migration.settings() == settings and untouched(migration)


@pytest.mark.parametrize("side", ["source", "target"])
def test_no_password_where_one_is_wanted(side: str, make_migration: MakeMigration) -> None:
    migration = make_migration()

    told = message(migration.run(**{f"aof_migrate_{side}_password": ""}))

    assert f"{getattr(migration, side)}" in told and "wants a password and none was given" in told


def test_an_address_that_is_not_on_the_whitelist(make_migration: MakeMigration) -> None:
    """Only Tair answers like this, so here a few lines do."""

    class Refuses(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(4096):
                self.request.sendall(b"-ERR illegal address\r\n")

    migration = make_migration()
    settings = migration.settings()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuses) as tair:
        threading.Thread(target=tair.serve_forever, daemon=True).start()
        told = message(migration.run(aof_migrate_target_port=tair.server_address[1]))
        tair.shutdown()

    assert "illegal address" in told and "IP whitelist" in told and f"{socket.gethostname()} (127.0.0.1, if" in told
    assert migration.settings() == settings and untouched(migration)


def test_tls_with_a_server_that_does_not_speak_it(make_migration: MakeMigration) -> None:
    migration = make_migration()
    settings = migration.settings()

    told = message(migration.run(aof_migrate_target_tls=True))

    assert f"{migration.target}" in told and "tls=false" in told
    assert migration.settings() == settings and untouched(migration)


def test_no_tls_with_a_server_that_speaks_nothing_else(
    make_migration: MakeMigration, start_server: t.Callable[..., Server], tmp_path: Path
) -> None:
    migration = make_migration()
    target = start_server("redis-7.0.15", certificate=issue(tmp_path / "tls"))

    told = message(migration.run(aof_migrate_target_port=target.port))

    assert f"{target} closed the connection" in told and "tls=true" in told


def test_a_certificate_that_is_not_trusted(
    make_migration: MakeMigration, start_server: t.Callable[..., Server], tmp_path: Path
) -> None:
    certificate = issue(tmp_path / "tls")
    migration = make_migration()
    target = start_server("redis-7.0.15", certificate=certificate)
    options = {
        "aof_migrate_target_port": target.port,
        "aof_migrate_target_password": "",
        "aof_migrate_target_tls": True,
    }

    told = message(migration.run(**options))
    trusted = migration.run(**options, aof_migrate_target_ca_certs=str(certificate.ca_file))

    assert f"The TLS certificate of {target} was not accepted" in told and "ca_certs" in told
    assert trusted.returncode == 0, trusted.output


# ------------------------------------------------------------------------------------------- the source does not want


@pytest.mark.parametrize(
    "source",
    [{"rename-command": 'CONFIG ""'}, {"user": ["default on >s3cret-of-the-source ~* &* +@all -config"]}],
    ids=["renamed", "forbidden"],
)
def test_config_may_not_be_used_at_all(source: dict[str, t.Any], make_migration: MakeMigration) -> None:
    migration = make_migration(source=source)

    told = message(migration.run())

    assert "CONFIG is renamed or forbidden on the source" in told and "+config" in told
    assert untouched(migration)
    assert not migration.source.client().info("persistence")["aof_enabled"]


def test_config_may_only_be_read(make_migration: MakeMigration) -> None:
    migration = make_migration(source={"user": ["default on >s3cret-of-the-source ~* &* +@all -config|set"]})
    settings = migration.settings()

    told = message(migration.run())

    assert "CONFIG SET is not allowed on the source" in told and "have appendonly switched on there" in told
    assert migration.settings() == settings and untouched(migration)


def test_a_source_that_can_not_write_its_aof(small_disk: Path, make_migration: MakeMigration) -> None:
    migration = make_migration(keys=0, source={"appendonly": "yes"}, source_directory=small_disk / "server")
    settings = migration.settings()
    with pytest.raises(redis.ResponseError, match="MISCONF"):
        for number in range(100):
            migration.source.client().set(f"key:{number}", "x" * 100_000)
            time.sleep(0.05)

    told = message(migration.run())

    assert "The source can't write its AOF" in told and "Free disk space" in told
    assert migration.settings() == settings and untouched(migration)


def test_the_disk_of_the_source_gets_full_during_the_rewrite(small_disk: Path, make_migration: MakeMigration) -> None:
    migration = make_migration(keys=0, source_directory=small_disk / "server")
    migration.source.client().mset({f"key:{number}": "x" * 100_000 for number in range(12)})
    settings = migration.settings()

    told = message(migration.run())

    assert "aof_last_bgrewrite_status:err" in told and "the disk is full" in told and "bytes free in" in told
    assert migration.settings() == settings and untouched(migration)


def test_data_that_can_not_be_written_as_commands_is_told_before_the_rewrite(make_migration: MakeMigration) -> None:
    migration = make_migration("redis-8.2.3", aof_migrate_format="plain")
    migration.source.client().execute_command("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")
    settings = migration.settings()

    run = migration.run()

    told = message(run)
    assert (
        "vectors in database 0 (vectorset)" in told
        and "aof_migrate_format=hybrid" in told
        and "was not touched" in told
    )
    assert f"The settings of {migration.source} are as they were" in told
    assert migration.settings() == settings and untouched(migration)
    assert not migration.source.aof_path().exists(), "no rewrite was tried"


def test_the_preamble_is_turned_on_again_meanwhile(make_migration: MakeMigration) -> None:
    migration = make_migration(source={"appendonly": "yes"})
    settings = migration.settings()

    def turn_on() -> None:
        client = migration.source.client()
        while client.config_get("aof-use-rdb-preamble")["aof-use-rdb-preamble"] == "yes":
            time.sleep(0.01)
        client.config_set("aof-use-rdb-preamble", "yes")

    threading.Thread(target=turn_on, daemon=True).start()
    told = message(migration.run())

    assert "aof-use-rdb-preamble is 'yes'" in told and f"{migration.target} was not touched" in told
    assert migration.settings() == settings and untouched(migration)


# ------------------------------------------------------------------------------------------- the target does not want


def test_a_target_that_is_a_replica(make_migration: MakeMigration, start_server: t.Callable[..., Server]) -> None:
    primary = start_server("redis-8.2.3")
    migration = make_migration(target={"replicaof": f"{primary.host} {primary.port}"})
    settings = migration.settings()

    told = message(migration.run())

    assert "The target takes no writes" in told
    assert migration.settings() == settings


def test_a_target_with_too_little_memory(make_migration: MakeMigration) -> None:
    migration = make_migration(keys=5000, target={"maxmemory": "3mb", "maxmemory-policy": "volatile-lru"})
    settings = migration.settings()

    told = message(migration.run())

    assert "The target's memory is too small" in told and "would evict keys (maxmemory-policy volatile-lru)" in told
    assert migration.settings() == settings and untouched(migration)


def test_a_target_with_too_few_databases(make_migration: MakeMigration) -> None:
    migration = make_migration(target={"databases": 2})

    told = message(migration.run())

    assert "The source uses database 5, the target has only 2" in told
    assert untouched(migration)


def test_a_target_that_lacks_commands_is_told_before_the_rewrite(make_migration: MakeMigration) -> None:
    migration = make_migration("redis-7.0.15", "redis-6.2.14", source={"appendonly": "yes"})
    settings = migration.settings()

    told = message(migration.run())
    as_they_are = message(migration.run(aof_migrate_compat="off"))

    assert "FUNCTION (it does not know this command" in told and "XSETID" not in told
    assert "FUNCTION (it does not know this command" in as_they_are and "XSETID ENTRIESADDED" in as_they_are
    assert migration.settings() == settings and untouched(migration)


def test_a_target_that_dies_before_the_comparison(make_migration: MakeMigration) -> None:
    migration = make_migration()
    settings = migration.settings()

    def keys(server: Server) -> int:
        return sum(database["keys"] for database in server.client().info("keyspace").values())

    def kill() -> None:
        while keys(migration.target) < keys(migration.source):
            time.sleep(0.01)
        time.sleep(0.2)  # the checkpoint is removed
        migration.target.kill()

    threading.Thread(target=kill, daemon=True).start()
    told = message(migration.run())

    assert f"{migration.target} can not be asked for its state now" in told
    assert migration.settings() == settings and not migration.journal.exists()


# ------------------------------------------------------------------------------------------------- the control node


def test_the_disk_of_the_control_node_is_too_small(small_disk: Path, make_migration: MakeMigration) -> None:
    migration = make_migration(keys=5000, aof_migrate_artifacts_dir=str(small_disk))
    migration.artifacts = small_disk
    settings = migration.settings()

    run = migration.run()

    told = message(run)
    assert "disk is too small" in told and f"{migration.target} was not touched" in told
    assert "are free on the control node" in run.output, "preflight has told the doubt"
    assert migration.settings() == settings and migration.report["outcome"] == "failed"
    assert untouched(migration)


def test_artifacts_that_can_not_be_written_stop_it_before_anything_is_changed(make_migration: MakeMigration) -> None:
    migration = make_migration(aof_migrate_artifacts_dir="/proc/no-such-place")
    settings = migration.settings()

    told = message(migration.run())

    assert "/proc/no-such-place" in told and f"The settings of {migration.source} are as they were" in told
    assert migration.settings() == settings and untouched(migration)


# ------------------------------------------------------------------------------------------------- over SSH


@pytest.fixture
def ssh_migration(
    start_server: t.Callable[..., Server],
    start_sshd: t.Callable[..., Sshd],
    make_account: t.Callable[..., str],
    tmp_path: Path,
) -> t.Callable[..., Migration]:
    """``ssh_migration("redis-6.2.14", sudo="...")``: a source of another account, reached by SSH as a third one."""

    def make(build: str, *, sudo: str) -> Migration:
        source = start_server(build, unix_user=make_account("redis"), password="s3cret-of-the-source")
        target = start_server("redis-8.2.3", password="s3cret-of-the-target")
        source.client(db=3).mset({f"key:{number}": number for number in range(1000)})
        sshd = start_sshd(user=make_account("deploy", sudo=sudo))
        variables = {
            **sshd.inventory_vars(),
            "ansible_python_interpreter": str(python_for_accounts(sshd.directory / "python")),
            "ansible_remote_tmp": "~/.ansible/tmp",
        }
        return Migration(source, target, tmp_path / "artifacts", variables)

    return make


@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-7.0.15", "valkey-9.1.2"])
def test_an_aof_of_another_account_is_read_through_sudo(build: str, ssh_migration: t.Callable[..., Migration]) -> None:
    migration = ssh_migration(build, sudo="(ALL) NOPASSWD: ALL")

    run = migration.run(aof_migrate_become=True)

    assert run.returncode == 0, run.output
    assert migration.differences() == []
    assert migration.report["rewrite"]["proof"] in ("manifest", "inode")
    assert migration.run(aof_migrate_become=True).stats[migration.HOST]["changed"] == 0


def test_a_source_that_speaks_tls_on_its_loopback_is_compared_through_ssh(
    start_server: t.Callable[..., Server], start_sshd: t.Callable[..., Sshd], tmp_path: Path
) -> None:
    certificate = issue(tmp_path / "tls", ["127.0.0.1", "127.0.0.2"])
    source = start_server("redis-7.0.15", {"bind": "127.0.0.1 127.0.0.2"}, certificate=certificate)
    target = start_server("redis-8.2.3")
    source.client().mset({f"key:{number}": number for number in range(1000)})
    variables = {
        **start_sshd().inventory_vars(),
        "aof_migrate_source_tls": True,
        "aof_migrate_source_ca_certs": str(certificate.ca_file),
    }
    migration = Migration(source, target, tmp_path / "artifacts", variables)

    told = message(migration.run(aof_migrate_source_host="127.0.0.2"))
    run = migration.run()

    assert "The certificate of 127.0.0.2 can't be verified through the SSH connection" in told
    assert run.returncode == 0, run.output
    assert migration.report["compare"]["compared"] == 1000


def test_a_unix_socket_over_ssh_is_refused_before_anything_is_changed(
    make_migration: MakeMigration, start_sshd: t.Callable[..., Sshd], tmp_path: Path
) -> None:
    socket = tmp_path / "redis.sock"
    migration = make_migration(source={"unixsocket": str(socket)}, aof_migrate_source_unix_socket=str(socket))
    migration.variables.update(start_sshd().inventory_vars())
    settings = migration.settings()

    told = message(migration.run())

    assert "The source's Unix socket can't be reached from the control node" in told
    assert migration.settings() == settings and untouched(migration)
    assert migration.run(aof_migrate_verify="none").returncode == 0
    assert migration.differences() == []


def test_an_aof_that_can_not_be_read(ssh_migration: t.Callable[..., Migration]) -> None:
    migration = ssh_migration("redis-7.0.15", sudo="(ALL) NOPASSWD: ALL")
    settings = migration.settings()

    run = migration.run(aof_migrate_become=False)

    told = message(run)
    assert "ermission denied" in told and "become" in told
    assert f"The settings of {migration.source} were put back" in told and "was not touched" in told
    assert migration.settings() == settings and untouched(migration)
    assert "set aof_migrate_become=true" in run.output, "preflight has told the doubt"
