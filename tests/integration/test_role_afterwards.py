# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a migration: what it has told, and what every other run finds. One migration is behind all of these."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import stat
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.integration.conftest import SOURCE_PASSWORD, TARGET_PASSWORD
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.migration import Migration, message
from ansible_collections.redisops.tair.tests.support.paths import CHECKOUT
from ansible_collections.redisops.tair.tests.support.servers import Server, build

#: A host with the default settings takes so many tasks, validation of the arguments included.
MOST_TASKS = 25


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[Migration, PlaybookRun]]:
    """A migration with the default settings by the playbook's file, and its run."""
    with (
        Server(build("redis-7.0.15"), password=SOURCE_PASSWORD) as source,
        Server(build("redis-8.2.3"), password=TARGET_PASSWORD) as target,
    ):
        fill(source.host, source.port, keys=1000, password=SOURCE_PASSWORD)
        migration = Migration(source, target, tmp_path_factory.mktemp("first") / "artifacts")
        run = migration.run(CHECKOUT / "playbooks" / "migrate.yml")
        assert run.returncode == 0, run.output
        assert migration.differences() == []
        yield migration, run


@pytest.fixture
def migrated(first: tuple[Migration, PlaybookRun], tmp_path: Path) -> t.Iterator[Migration]:
    """The same with a copy of its artifacts. A test leaves both servers as they are."""
    migration = dataclasses.replace(first[0], artifacts=tmp_path / "artifacts")
    shutil.copytree(first[0].artifacts, migration.artifacts)
    settings = migration.settings()
    yield migration
    assert migration.settings() == settings


@contextlib.contextmanager
def stranger(migration: Migration) -> t.Iterator[None]:
    """A key that only the target has."""
    migration.target.client().set("only in the target", 1)
    yield
    migration.target.client().delete("only in the target")


# -------------------------------------------------------------------------------------------------- what it has told


def test_a_host_takes_few_tasks(first: tuple[Migration, PlaybookRun]) -> None:
    done = [event["task"] for event in first[1].events if event["outcome"] != "skipped"]

    assert len(done) <= MOST_TASKS, done


def test_the_report_tells_programs_what_was_done(migrated: Migration) -> None:
    report = migrated.report

    assert report["schema_version"] == 1
    assert report["outcome"] == "migrated" and report["failure"] == {}
    assert report["source"]["address"] == str(migrated.source) and report["source"]["version"] == "7.0.15"
    assert report["target"]["address"] == str(migrated.target) and report["target"]["version"] == "8.2.3"
    assert report["rewrite"]["format"] == "plain" and report["rewrite"]["proof"] == "manifest"
    assert report["rewrite"]["size"] == report["transfer"]["bytes"] == report["import"]["bytes"]
    assert report["import"]["errors"] == 0 and report["compare"]["equal"] is True
    assert report["appendonly"] == "no"


def test_a_run_that_finds_nothing_to_do_keeps_the_report_of_the_one_that_moved_the_data(migrated: Migration) -> None:
    report = migrated.report

    run = migrated.run()

    assert run.returncode == 0 and run.stats[Migration.HOST]["changed"] == 0, run.output
    assert migrated.report == report


def test_a_page_and_a_junit_file_tell_of_all_hosts(first: tuple[Migration, PlaybookRun]) -> None:
    migration = first[0]

    suite = ET.parse(migration.artifacts / "report.xml").getroot()

    assert [case.get("name") for case in suite] == [
        "rewrite",
        "transfer",
        "import",
        "catch_up",
        "compare",
        "migration",
    ]
    assert {case.get("classname") for case in suite} == {Migration.HOST}
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert "\u2714 migrated" in (migration.artifacts / "report.html").read_text()
    assert stat.S_IMODE((migration.directory / "report.json").stat().st_mode) == 0o600
    migration.require_reports_without_passwords()


# ------------------------------------------------------------------------------------------------ what another run finds


def test_check_mode_changes_nothing_either(migrated: Migration) -> None:
    run = migrated.run(check=True)

    assert run.returncode == 0, run.output
    assert run.stats[Migration.HOST]["changed"] == 0


def test_a_target_with_the_same_keys_and_another_one_is_refused(migrated: Migration) -> None:
    with stranger(migrated):
        told = message(migrated.run())

    assert "The target is not empty" in told and "1 extra" in told
    assert f"{migrated.target} was not touched" in told


def test_with_fail_a_target_is_refused_even_if_it_is_equal(migrated: Migration) -> None:
    assert "The target is not empty" in message(migrated.run(aof_migrate_if_target_not_empty="fail"))


def test_verify_alone_compares_and_fails_at_a_difference(migrated: Migration) -> None:
    assert migrated.run("redisops.tair.verify").returncode == 0

    with stranger(migrated):
        assert "1 extra" in message(migrated.run("redisops.tair.verify"))


@pytest.mark.parametrize(
    ("tag", "done", "not_done"),
    [
        ("preflight", "preflight | Look at the source", "prepare | See what would change"),
        ("verify", "verify | Compare source and target", "preflight | Look at the source"),
        ("rollback", "rollback | Set what the journal says", "preflight | Look at the source"),
    ],
)
def test_a_tag_runs_its_part_alone(tag: str, done: str, not_done: str, migrated: Migration) -> None:
    run = migrated.run(arguments=["--tags", tag])

    assert run.returncode == 0, run.output
    assert run.results(done) and not run.results(not_done)
    assert migrated.report["outcome"] == "migrated"


def test_the_tag_report_tells_the_last_runs_line_again(
    first: tuple[Migration, PlaybookRun], migrated: Migration
) -> None:
    run = migrated.run(arguments=["--tags", "report"])

    assert run.result("Tell how it went")["msg"] == first[1].result("Tell how it went")["msg"]


@pytest.mark.parametrize("name", ["preflight", "verify", "rollback"])
def test_the_other_playbooks_work_as_files_too(name: str, migrated: Migration) -> None:
    run = migrated.run(CHECKOUT / "playbooks" / f"{name}.yml")

    assert run.returncode == 0, run.output
    assert run.stats[Migration.HOST]["changed"] == 0
