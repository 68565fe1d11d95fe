# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples as they stand: the repository's inventory and vault, the pipelines' commands, AWX's survey and environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from ansible_collections.redisops.tair.tests.support.ansible_cli import beside_python, environment
from ansible_collections.redisops.tair.tests.support.migration import Migration
from ansible_collections.redisops.tair.tests.support.paths import CHECKOUT
from ansible_collections.redisops.tair.tests.support.servers import Server

EXAMPLES = CHECKOUT / "examples"
VAULT_PASSWORDS = {"plan": "example-plan", "migrate": "example"}
#: What the vault holds.
SOURCE_PASSWORD, TARGET_PASSWORD = "example-redis-password", "example-tair-password"
SHOPS, SESSIONS = ("shop-1.example.com", "shop-2.example.com"), ("sessions-1.example.com", "sessions-2.example.com")
#: Ansible asks for its children less often, see ``ansible_cli.py``.
FOR_TESTS = ("[defaults]\n", "[defaults]\ninternal_poll_interval = 0.01\n")
#: What a pipeline gets from outside, and no test should.
INSTALLS = ("pip install", "ansible-galaxy collection install")


@dataclass
class Repository:
    """A copy of the example with real servers behind its hosts."""

    directory: Path
    fleet: dict[str, Migration] = field(default_factory=dict)

    def run(self, script: str, **env: str) -> None:
        """Run a script as a pipeline does: in the repository, to the end or the first command that fails. No secret is printed."""
        full = environment(
            {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
                **env,
            }
        )
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.directory,
            env=full,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        assert SOURCE_PASSWORD not in done.stdout and TARGET_PASSWORD not in done.stdout

    def require_migrated(self, artifacts: Path | None = None) -> None:
        assert {name: self.fleet[name].differences() for name in SHOPS} == {name: [] for name in SHOPS}
        shared = self.fleet[SESSIONS[0]].target.client()
        assert sorted(shared.keys()) == sorted(f"{name}:{number}".encode() for name in SESSIONS for number in range(50))
        assert all(((artifacts or self.directory / "artifacts") / name / "report.json").exists() for name in self.fleet)

    def require_untouched(self) -> None:
        for each in self.fleet.values():
            assert each.settings()["appendonly"] == "no" and each.target.client().info("keyspace") == {}


@pytest.fixture
def repository(start_server: t.Callable[..., Server], tmp_path: Path) -> Repository:
    made = Repository(Path(shutil.copytree(EXAMPLES / "repository", tmp_path / "repository")))
    settings = made.directory / "ansible.cfg"
    settings.write_text(settings.read_text().replace(*FOR_TESTS))
    shared = start_server("redis-8.2.3", password=TARGET_PASSWORD)
    for name in SHOPS + SESSIONS:
        source = start_server("redis-7.0.15", password=SOURCE_PASSWORD)
        target = shared if name in SESSIONS else start_server("redis-8.2.3", password=TARGET_PASSWORD)
        for number in range(50):
            source.client().set(f"{name}:{number}", number)
        made.fleet[name] = Migration(source, target, made.directory / "artifacts")
    # Only where the servers are. Everything else comes from the example's own files.
    here = {name: each.host() for name, each in made.fleet.items()}
    for host in here.values():
        for given in ("aof_migrate_source_password", "aof_migrate_target_password", "aof_migrate_artifacts_dir"):
            del host[given]
        host["aof_migrate_become"] = False
    (made.directory / "inventory" / "test.yml").write_text(json.dumps({"all": {"hosts": here}}))
    return made


def without_installs(script: str) -> str:
    return "\n".join(line for line in script.splitlines() if not line.strip().startswith(INSTALLS))


def test_the_playbook_of_the_repository_has_three_lines() -> None:
    lines = (EXAMPLES / "repository" / "migrate.yml").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) == 3


def test_the_secrets_of_the_repository_are_encrypted_apart_for_plan_and_migration() -> None:
    readme = (EXAMPLES / "repository/README.md").read_text()
    for job, password in VAULT_PASSWORDS.items():
        vault = (EXAMPLES / "repository" / "vault" / f"{job}.yml").read_text()
        assert vault.startswith("$ANSIBLE_VAULT;") and f"`{password}`" in readme


def test_the_github_pipeline_plans_and_migrates(repository: Repository, tmp_path: Path) -> None:
    kept, temporary = tmp_path / "kept", tmp_path / "runner"
    kept.mkdir()
    temporary.mkdir()
    text = (EXAMPLES / "ci" / "github-actions.yml").read_text().replace("/var/lib/aof-migrate", str(kept))
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"]

    for job in ("plan", "migrate"):
        secrets = {"VAULT_PASSWORD": VAULT_PASSWORDS[job], "SSH_KEY": "a key", "KNOWN_HOSTS": "a host"}
        for step in jobs[job]["steps"]:
            needed = {name: secrets[name] for name in step.get("env", {})}
            env = {**workflow["env"], **jobs[job].get("env", {}), **needed, "RUNNER_TEMP": str(temporary)}
            repository.run(without_installs(step.get("run", "true")), **env)
            for path in step.get("with", {}).get("path", "").splitlines():
                assert list(Path("/").glob(str(repository.directory / path)[1:])), step
        assert list(temporary.iterdir()) == []
        if job == "plan":
            repository.require_untouched()
            assert "would set" in (repository.directory / "plan.txt").read_text()
        else:
            repository.require_migrated(kept)


def test_the_github_pipeline_gives_a_pull_request_nothing_of_the_migration() -> None:
    text = (EXAMPLES / "ci" / "github-actions.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    plan, migrate = jobs["plan"], jobs["migrate"]
    assert (plan["environment"], migrate["environment"]) == ("plan", "production")
    assert not set(plan["runs-on"]) & set(migrate["runs-on"]) - {"self-hosted"}
    assert "head.repo.full_name == github.repository" in plan["if"]
    assert "workflow_dispatch" in migrate["if"] and "default_branch" in migrate["if"]
    assert "vault/migrate.yml" not in str(plan) and "pull_request_target" not in text
    for job in (plan, migrate):
        for step in job["steps"]:
            assert "secrets." not in step.get("run", "")
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
            if "checkout" in step.get("uses", ""):
                assert step["with"] == {"clean": True, "persist-credentials": False}


def test_the_gitlab_pipeline_plans_and_migrates(repository: Repository) -> None:
    pipeline = yaml.safe_load((EXAMPLES / "ci" / "gitlab-ci.yml").read_text())
    for job in pipeline["stages"]:
        files = {"VAULT_PASSWORD_FILE": VAULT_PASSWORDS[job], "SSH_KEY_FILE": "a key", "KNOWN_HOSTS_FILE": "a host"}
        given = {name: str(repository.directory.parent / name) for name in files}
        for name, content in files.items():
            Path(given[name]).write_text(content)
        for name, value in pipeline["variables"].items():
            given[name] = given.get(value.removeprefix("$"), value)
        steps = pipeline[job]
        for part in ([*pipeline["default"]["before_script"], *steps["script"]], steps.get("after_script", [])):
            repository.run(without_installs("\n".join(part)), **given)
        assert all(list(repository.directory.glob(path)) for path in steps["artifacts"]["paths"])
        if job == "plan":
            repository.require_untouched()

    repository.require_migrated()


def test_the_gitlab_pipeline_gives_a_merge_request_nothing_of_the_migration() -> None:
    pipeline = yaml.safe_load((EXAMPLES / "ci" / "gitlab-ci.yml").read_text())
    plan, migrate = pipeline["plan"], pipeline["migrate"]
    assert (plan["environment"]["name"], migrate["environment"]) == ("plan", "production")
    assert plan["tags"] != migrate["tags"] and "vault/migrate.yml" not in str(plan)
    assert [job["rules"][0]["when"] for job in (plan, migrate)] == ["manual", "manual"]
    assert "$CI_COMMIT_REF_PROTECTED" in migrate["rules"][0]["if"]
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-[a-z]+", pipeline["default"]["image"])


def test_the_examples_install_this_release() -> None:
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]
    for directory in ("repository", "awx"):
        required = yaml.safe_load((EXAMPLES / directory / "requirements.yml").read_text())
        assert required == {"collections": [{"name": "redisops.tair", "version": version}]}


def test_the_survey_asks_for_what_the_role_takes() -> None:
    options = yaml.safe_load((CHECKOUT / "roles/aof_migrate/meta/argument_specs.yml").read_text())["argument_specs"]
    known = options["main"]["options"]
    playbook = (CHECKOUT / "playbooks" / "migrate.yml").read_text()
    survey = json.loads((EXAMPLES / "awx" / "survey.json").read_text())
    assert set(survey) == {"name", "description", "spec"}
    for question in survey["spec"]:
        name = question["variable"]
        if name in known:
            assert question["default"] == known[name]["default"]
            assert question.get("choices") == known[name].get("choices")
        else:
            assert f"{name} | default(" in playbook


def test_the_execution_environment_can_be_built(tmp_path: Path) -> None:
    """As far as there is no container engine: its build context."""
    subprocess.run(
        [
            beside_python("ansible-builder"),
            "create",
            "--context",
            str(tmp_path / "context"),
            "--output-filename",
            "Containerfile",
        ],
        cwd=EXAMPLES / "awx",
        check=True,
        capture_output=True,
    )
    assert "FROM" in (tmp_path / "context" / "Containerfile").read_text()
    given = tmp_path / "context" / "_build" / "requirements.yml"
    assert yaml.safe_load(given.read_text()) == yaml.safe_load((EXAMPLES / "repository/requirements.yml").read_text())
