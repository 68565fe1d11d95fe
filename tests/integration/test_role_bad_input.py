# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong before or during a migration. Each ends in one message, with the source as it was."""

from __future__ import annotations

import dataclasses
import socket
import socketserver
import threading
import time
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.tests.integration.conftest import SOURCE_PASSWORD
from ansible_collections.redisops.tair.tests.support.certs import issue
from ansible_collections.redisops.tair.tests.support.migration import Migration, message, messages, migrate_fleet
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

MakeMigration = t.Callable[..., Migration]
MakeSshMigration = t.Callable[..., t.Tuple[Migration, Sshd]]


def untouched(migration: Migration) -> bool:
    """Whether the target holds nothing, and nothing is left of the migration on the control node."""
    return migration.target.client().info("keyspace") == {} and not migration.journal.exists()


# ------------------------------------------------------------------------------------------------- can't get there


class RefusesAddresses(socketserver.BaseRequestHandler):
    """Only Tair answers like this, so here a few lines do."""

    def handle(self) -> None:
        while self.request.recv(4096):
            self.request.sendall(b"-ERR illegal address\r\n")


@pytest.fixture
def whitelisted() -> t.Iterator[int]:
    """The port of a server on whose whitelist this machine is not."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), RefusesAddresses) as tair:
        threading.Thread(target=tair.serve_forever, daemon=True).start()
        yield tair.server_address[1]
        tair.shutdown()


def test_every_host_is_told_what_it_has_wrong(
    make_migration: MakeMigration, start_server: t.Callable[..., Server], whitelisted: int, tmp_path: Path
) -> None:
    """One run over hosts with the same source and target, each with something else that can't be so."""
    sound = make_migration()
    source, target = str(sound.source), str(sound.target)
    encrypted = start_server("redis-7.0.15", certificate=issue(tmp_path / "tls"))
    wrong: dict[str, tuple[dict[str, t.Any], list[str]]] = {
        "source-gone": (
            {"aof_migrate_source_port": 1},
            ["127.0.0.1:1 refuses the connection: nothing listens there"],
        ),
        "target-gone": (
            {"aof_migrate_target_port": 1},
            ["127.0.0.1:1 refuses the connection: nothing listens there"],
        ),
        "source-password": (
            {"aof_migrate_source_password": "a wrong one"},
            [f"{source} refused to log in", "the password is wrong"],
        ),
        "target-password": (
            {"aof_migrate_target_password": "a wrong one"},
            [f"{target} refused to log in", "the password is wrong"],
        ),
        "source-no-password": (
            {"aof_migrate_source_password": ""},
            [source, "wants a password and none was given"],
        ),
        "target-no-password": (
            {"aof_migrate_target_password": ""},
            [target, "wants a password and none was given"],
        ),
        "whitelist": (
            {"aof_migrate_target_port": whitelisted},
            ["illegal address", "IP whitelist", f"{socket.gethostname()} (127.0.0.1, if"],
        ),
        "speaks-no-tls": (
            {"aof_migrate_target_tls": True},
            [target, "tls=false"],
        ),
        "speaks-only-tls": (
            {"aof_migrate_target_port": encrypted.port},
            [f"{encrypted} closed the connection", "tls=true"],
        ),
        "nowhere-to-write": (
            {"aof_migrate_artifacts_dir": "/proc/no-such-place"},
            ["/proc/no-such-place", f"The settings of {source} are as they were"],
        ),
        "direct-without-python": (
            {"aof_migrate_transfer": "direct", "aof_migrate_source_via": "control_node"},
            ["aof_migrate_transfer=direct runs the import on the source host"],
        ),
    }
    fleet = {name: dataclasses.replace(sound, variables=variables) for name, (variables, _told) in wrong.items()}
    settings = sound.settings()

    run = migrate_fleet(fleet, serial=len(fleet))

    told = messages(run)
    missing = {name: told.get(name) for name in wrong if not all(text in told.get(name, "") for text in wrong[name][1])}
    assert missing == {}
    assert "a wrong one" not in run.output
    assert sound.settings() == settings and all(untouched(migration) for migration in fleet.values())


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


# -------------------------------------------------------------------------------------------- one of both does not want


def test_every_server_that_does_not_want_is_told_before_anything_is_changed(
    make_migration: MakeMigration, start_server: t.Callable[..., Server]
) -> None:
    """One run over hosts whose source or target will not do."""
    primary = start_server("redis-8.2.3")
    vectors = make_migration("redis-8.2.3", keys=0, aof_migrate_format="plain")
    vectors.source.client().execute_command("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")
    older = make_migration("redis-7.0.15", "redis-6.2.14", source={"appendonly": "yes"})
    fleet = {
        "config-renamed": make_migration(source={"rename-command": 'CONFIG ""'}),
        "config-forbidden": make_migration(source={"user": [f"default on >{SOURCE_PASSWORD} ~* &* +@all -config"]}),
        "config-read": make_migration(source={"user": [f"default on >{SOURCE_PASSWORD} ~* &* +@all -config|set"]}),
        "replica": make_migration(target={"replicaof": f"{primary.host} {primary.port}"}),
        "memory": make_migration(keys=5000, target={"maxmemory": "3mb", "maxmemory-policy": "volatile-lru"}),
        "databases": make_migration(target={"databases": 2}),
        "vectors": vectors,
        "older": older,
        "older-as-is": dataclasses.replace(older, variables={"aof_migrate_compat": "off"}),
    }
    readable = [name for name in fleet if name not in ("config-renamed", "config-forbidden")]
    settings = {name: fleet[name].settings() for name in readable}

    told = messages(migrate_fleet(fleet, serial=len(fleet)))

    for name in ("config-renamed", "config-forbidden"):
        assert "CONFIG is renamed or forbidden on the source" in told[name] and "+config" in told[name]
    assert "CONFIG SET is not allowed on the source" in told["config-read"]
    assert "have appendonly switched on there" in told["config-read"]
    assert "The target takes no writes" in told["replica"]
    assert "The target's memory is too small" in told["memory"]
    assert "would evict keys (maxmemory-policy volatile-lru)" in told["memory"]
    assert "The source uses database 5, the target has only 2" in told["databases"]
    assert "vectors in database 0 (vectorset)" in told["vectors"] and "was not touched" in told["vectors"]
    assert "aof_migrate_format=hybrid" in told["vectors"]
    assert f"The settings of {vectors.source} are as they were" in told["vectors"]
    assert "FUNCTION (it does not know this command" in told["older"] and "XSETID" not in told["older"]
    assert "FUNCTION (it does not know this command" in told["older-as-is"]
    assert "XSETID ENTRIESADDED" in told["older-as-is"]
    assert {name: fleet[name].settings() for name in readable} == settings
    for name, migration in fleet.items():
        assert untouched(migration), name
        assert migration.source.client().info("persistence")["aof_enabled"] == name.startswith("older"), name
    assert not vectors.source.aof_path().exists(), "no rewrite was tried"


# ------------------------------------------------------------------------------------------------ what happens meanwhile


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


# ------------------------------------------------------------------------------------------------- over SSH


def test_an_aof_of_another_account_is_read_through_sudo(make_ssh_migration: MakeSshMigration) -> None:
    builds = ("redis-6.2.14", "redis-7.0.15", "valkey-9.1.2")
    fleet = {build: make_ssh_migration(build)[0] for build in builds}

    first, second = migrate_fleet(fleet), migrate_fleet(fleet)

    assert first.returncode == 0, first.output
    assert {name: migration.differences() for name, migration in fleet.items()} == {name: [] for name in fleet}
    proofs = {name: migration.report["rewrite"]["proof"] for name, migration in fleet.items()}
    assert proofs == {"redis-6.2.14": "inode", "redis-7.0.15": "manifest", "valkey-9.1.2": "manifest"}
    assert [stats["changed"] for stats in second.stats.values()] == [0, 0, 0], second.output


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


def test_an_aof_that_can_not_be_read(make_ssh_migration: MakeSshMigration) -> None:
    migration, _sshd = make_ssh_migration("redis-7.0.15")
    settings = migration.settings()

    run = migration.run(aof_migrate_become=False)

    told = message(run)
    assert "ermission denied" in told and "become" in told
    assert f"The settings of {migration.source} were put back" in told and "was not touched" in told
    assert migration.settings() == settings and untouched(migration)
    assert "set aof_migrate_become=true" in run.output, "preflight has told the doubt"
