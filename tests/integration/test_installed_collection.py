# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as users get it: built, installed into an empty path, without the rest of the repository."""

from __future__ import annotations

import json
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.ansible_cli import (
    PlaybookRun,
    beside_python,
    environment,
    local_host,
)
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.paths import CHECKOUT
from ansible_collections.redisops.tair.tests.support.servers import Server

SHIPPED = {
    "CHANGELOG.md",
    "CHANGELOG.rst",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "REUSE.toml",
    "SECURITY.md",
} | {
    "changelogs",
    "docs",
    "examples",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
PUBLIC = {path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py") if not path.name.startswith("_")}


def galaxy(*arguments: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [beside_python("ansible-galaxy"), "collection", *arguments],
        env=environment(env),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``ansible-galaxy collection build`` makes of the checkout."""
    directory = tmp_path_factory.mktemp("build")
    galaxy("build", "--output-path", str(directory))
    (path,) = directory.glob("redisops-tair-*.tar.gz")
    return path


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which nothing but the installed collection is found."""
    alone = {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path_factory.mktemp("collections"))}
    galaxy("install", "--offline", str(tarball), env=alone)
    return alone


def document(kind: str, name: str, installed: dict[str, str]) -> dict[str, t.Any]:
    done = subprocess.run(
        [beside_python("ansible-doc"), "--json", "--type", kind, f"redisops.tair.{name}"],
        env=environment(installed),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "redisops" not in done.stderr  # ansible-core 2.21 warns of a collection of its own
    content: dict[str, t.Any] = json.loads(done.stdout)[f"redisops.tair.{name}"]
    return content


def test_only_what_users_need_is_shipped(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = {name.removeprefix("./").split("/")[0] for name in archive.getnames()}
        hidden = [name for name in archive.getnames() if "/." in name or "__pycache__" in name or name.endswith(".pyc")]
    assert names - SHIPPED == set()
    assert hidden == []


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_a_module_is_documented(module: str, installed: dict[str, str]) -> None:
    content = document("module", module, installed)
    assert content["doc"]["short_description"]
    assert content["doc"]["options"]
    assert "redisops.tair." + module in content["examples"]
    assert content["return"]


@pytest.mark.parametrize("role", sorted(role.name for role in (CHECKOUT / "roles").iterdir()))
def test_a_role_is_documented(role: str, installed: dict[str, str]) -> None:
    assert document("role", role, installed)["entry_points"]["main"]["options"]


def test_the_installed_collection_migrates(
    installed: dict[str, str],
    tmp_path: Path,
    start_server: t.Callable[..., Server],
    run_playbook: t.Callable[..., PlaybookRun],
) -> None:
    source, target = start_server("redis-6.2.14", password="one"), start_server("valkey-9.1.2", password="other")
    fill(source.host, source.port, keys=2000, password="one")
    variables = {
        "aof_migrate_source_port": source.port,
        "aof_migrate_source_password": "one",
        "aof_migrate_target_host": target.host,
        "aof_migrate_target_port": target.port,
        "aof_migrate_target_password": "other",
        "aof_migrate_artifacts_dir": str(tmp_path),
    }
    run = run_playbook("redisops.tair.migrate", {"source": local_host(**variables)}, env=installed)
    assert run.returncode == 0, run.output
    sides = [snapshot.snapshot(server.host, server.port, server.password) for server in (source, target)]
    assert snapshot.diff(*sides) == []
    assert sum(map(len, sides[1]["dbs"].values())) >= 2000
