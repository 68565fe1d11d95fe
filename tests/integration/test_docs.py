# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guides as readers use them: every command, in order, with the variables shown, against real servers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.redisops.tair.tests.support import certs
from ansible_collections.redisops.tair.tests.support.ansible_cli import environment
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.migration import Migration
from ansible_collections.redisops.tair.tests.support.paths import CHECKOUT
from ansible_collections.redisops.tair.tests.support.servers import Server

GUIDES = [*sorted((CHECKOUT / "docs").glob("*.md")), CHECKOUT / "README.md", CHECKOUT / "roles/aof_migrate/README.md"]
SPECS = yaml.safe_load((CHECKOUT / "roles/aof_migrate/meta/argument_specs.yml").read_text())["argument_specs"]
#: Guides whose commands are about more than one host.
ABOUT_SEVERAL = [CHECKOUT / name for name in ("docs/cluster.md", "docs/fleet.md")]
#: Read by the playbooks, not by the role.
OF_PLAYBOOKS = {"aof_migrate_hosts", "aof_migrate_serial", "aof_migrate_max_fail_percentage"}


def blocks(guide: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", guide.read_text(), re.MULTILINE | re.DOTALL)


def commands(guide: Path) -> list[str]:
    """Those of ``shell`` blocks; of ``console`` blocks those that start with Ansible (the others are the Makefile's and pip's)."""
    shell = [line for block in blocks(guide, "shell") for line in block.splitlines() if line.strip()]
    console = re.findall(r"^\$ (ansible-playbook .*?)(?: +#.*)?$", "\n".join(blocks(guide, "console")), re.MULTILINE)
    return shell + console


def variables(guide: Path) -> dict[str, t.Any]:
    """What the ``yaml`` blocks of a guide set; the READMEs show an inventory and plays there instead."""
    found: dict[str, t.Any] = {}
    for block in blocks(guide, "yaml") if guide.parent.name == "docs" else []:
        found.update(yaml.safe_load(block))
    return found


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(CHECKOUT)))
def test_every_variable_that_a_guide_names_exists(guide: Path) -> None:
    known = set(SPECS["main"]["options"]) | OF_PLAYBOOKS
    named = set(re.findall(r"\baof_migrate_[a-z_]+[a-z]\b", guide.read_text()))
    prefixes = {name for name in named if any(option.startswith(name + "_") for option in known)}
    assert named - known - prefixes == set()
    assert set(variables(guide)) <= known


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(CHECKOUT)))
def test_links_to_files_and_headings_lead_somewhere(guide: Path) -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", guide.read_text()):
        path, _hash, heading = target.partition("#")
        file = (guide.parent / path).resolve() if path else guide
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, target


def read_together() -> dict[str, list[Path]]:
    """The guides with commands. Those that show no variables of their own are followed on one host, one after the other."""
    together: dict[str, list[Path]] = {}
    for guide in filter(commands, GUIDES):
        alone = guide in ABOUT_SEVERAL or variables(guide)
        together.setdefault(guide.stem if alone else "as it comes", []).append(guide)
    return together


@pytest.mark.parametrize("guides", [pytest.param(guides, id=name) for name, guides in read_together().items()])
def test_every_command_of_a_guide_works(
    guides: list[Path],
    start_server: t.Callable[..., Server],
    start_cluster: t.Callable[..., list[Server]],
    tmp_path: Path,
) -> None:
    """A command that is shown twice runs once, where it stands first."""
    guide = guides[0]
    shown = variables(guide)
    numbers = (1, 2) if guide in ABOUT_SEVERAL else (1,)
    fleet = {f"redis{number}": migration(start_server, tmp_path, shown) for number in numbers}
    if guide.stem == "cluster":
        for pair in fleet.values():
            pair.target = start_cluster("redis-8.2.3", password=pair.target.password)[0]
            for database in range(1, 16):
                pair.source.client(db=database).flushdb()
    content = {"redis": {"hosts": {name: each.host() for name, each in fleet.items()}}}
    (tmp_path / "inventory.yml").write_text(json.dumps(content))
    (tmp_path / "retry").mkdir()
    (tmp_path / "retry" / "migrate.retry").write_text("redis1\n")  # as after a failure
    env = environment({"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})

    shown_commands = list(dict.fromkeys(command for guide in guides for command in commands(guide)))
    for command in shown_commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    if any("tair.migrate" in command and "--check" not in command for command in shown_commands):
        assert [difference for each in fleet.values() for difference in differences(each)] == []


def differences(pair: Migration) -> list[str]:
    """Of a target with TLS, which the snapshots do not speak, the number of keys in each database."""
    if pair.target.certificate is None:
        return pair.differences()
    counts = [
        {name: database["keys"] for name, database in server.client().info("keyspace").items()}
        for server in (pair.source, pair.target)
    ]
    return [] if counts[0] and counts[0] == counts[1] else [f"{counts[0]} keys, {counts[1]} in the target"]


def migration(start_server: t.Callable[..., Server], directory: Path, shown: dict[str, t.Any]) -> Migration:
    """A source with data and its target; what a guide says of TLS is kept, its file is one of ours."""
    source = start_server("redis-6.2.14", password="s3cret-of-the-source")
    fill(source.host, source.port, keys=200, password=source.password)
    if not shown.get("aof_migrate_target_tls"):
        target = start_server("redis-8.2.3", password="s3cret-of-the-target")
        return Migration(source, target, directory / "artifacts", shown)
    certificate = certs.issue(directory / f"certificate-{source.port}")
    target = start_server("redis-7.0.15", password="s3cret-of-the-target", certificate=certificate)
    return Migration(
        source, target, directory / "artifacts", {**shown, "aof_migrate_target_ca_certs": str(certificate.ca_file)}
    )
