# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for tests that need several servers and a playbook between them."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.accounts import python_for_accounts
from ansible_collections.redisops.tair.tests.support.cluster import form_cluster
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.migration import Migration
from ansible_collections.redisops.tair.tests.support.servers import Config, Server
from ansible_collections.redisops.tair.tests.support.sshd import Sshd
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

SOURCE_PASSWORD = "s3cret-of-the-source"
TARGET_PASSWORD = "s3cret-of-the-target"


@pytest.fixture
def small_disk(tmp_path: Path) -> t.Iterator[Path]:
    """A file system of 2 MB. Ask for it before servers that use it, so that they are stopped first."""
    if os.geteuid() != 0:
        raise UnavailableError("only root can mount")
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], check=True)
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.fixture
def start_cluster(start_server: t.Callable[..., Server]) -> t.Callable[..., list[Server]]:
    """``start_cluster("redis-7.0.15")``: three masters, all slots served. Takes all that ``start_server`` takes."""

    def start(build: str, config: Config | None = None, **kwargs: t.Any) -> list[Server]:
        nodes = [start_server(build, {"cluster-enabled": "yes", **(config or {})}, **kwargs) for _node in range(3)]
        form_cluster(nodes)
        return nodes

    return start


@pytest.fixture
def make_migration(start_server: t.Callable[..., Server], tmp_path: Path) -> t.Callable[..., Migration]:
    """``make_migration("redis-6.2.14", "valkey-9.1.2", keys=2000)``: both servers, the source with data of every type.

    ``source`` and ``target`` are directives for the two, ``keys=0`` leaves the source empty, ``source_directory`` is
    where its files go; everything else is a variable of the host in every run.
    """

    def make(
        source_build: str = "redis-7.0.15",
        target_build: str = "redis-8.2.3",
        *,
        keys: int = 1000,
        source: Config | None = None,
        target: Config | None = None,
        source_directory: Path | None = None,
        **variables: t.Any,
    ) -> Migration:
        migration = Migration(
            start_server(source_build, source, password=SOURCE_PASSWORD, directory=source_directory),
            start_server(target_build, target, password=TARGET_PASSWORD),
            tmp_path / "artifacts",
            variables,
        )
        if keys:
            fill(migration.source.host, migration.source.port, keys=keys, password=migration.source.password)
        return migration

    return make


@pytest.fixture
def make_ssh_migration(
    start_server: t.Callable[..., Server],
    start_sshd: t.Callable[..., Sshd],
    make_account: t.Callable[..., str],
    tmp_path: Path,
) -> t.Callable[..., tuple[Migration, Sshd]]:
    """``make_ssh_migration("redis-6.2.14")``: from a host that is reached by SSH, whose files only the server's account may read.

    The account that logs in may do all by sudo. ``python`` makes the host's Python in a directory of its own; everything
    else is a variable of the host in every run.
    """

    def make(
        build: str, *, keys: int = 1000, python: t.Callable[[Path], Path] = python_for_accounts, **variables: t.Any
    ) -> tuple[Migration, Sshd]:
        source = start_server(build, unix_user=make_account("redis"), password=SOURCE_PASSWORD)
        target = start_server("redis-8.2.3", password=TARGET_PASSWORD)
        fill(source.host, source.port, keys=keys, password=source.password)
        sshd = start_sshd(user=make_account("deploy", sudo="(ALL) NOPASSWD: ALL"))
        host = {
            **sshd.inventory_vars(),
            "ansible_python_interpreter": str(python(sshd.directory / "python")),
            "ansible_remote_tmp": "~/.ansible/tmp",
            "aof_migrate_become": True,
        }
        return Migration(source, target, tmp_path / "artifacts", {**host, **variables}), sshd

    return make
