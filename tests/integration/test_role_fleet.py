# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one command does with a fleet: who is stopped by whose failure, what runs at once, what a second try takes up."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.integration.conftest import TARGET_PASSWORD
from ansible_collections.redisops.tair.tests.support.ansible_cli import run_playbook
from ansible_collections.redisops.tair.tests.support.migration import Migration, messages, migrate_fleet
from ansible_collections.redisops.tair.tests.support.module_process import run_module
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.whitelist import CREDENTIALS, INSTANCE, WhitelistEndpoint

MakeMigration = t.Callable[..., Migration]


@pytest.fixture
def broken(make_migration: MakeMigration) -> t.Callable[..., Migration]:
    """A migration that fails after the import has begun, when the source's settings have been changed."""

    def make(**variables: t.Any) -> Migration:
        migration = make_migration(aof_migrate_if_target_not_empty="append", **variables)
        migration.source.client().rpush("list", "a", "b")
        migration.target.client().rpush("list", "already there")
        return migration

    return make


def test_hosts_that_fail_or_can_not_be_reached_stop_no_other_and_a_workflow_is_told_of_each(
    make_migration: MakeMigration, broken: t.Callable[..., Migration]
) -> None:
    """Half of them fail, which is below what is asked for."""
    gone = make_migration(ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
    fleet = {"bad": broken(), "one": make_migration(), "gone": gone, "two": make_migration()}
    for migration in fleet.values():
        migration.variables["aof_migrate_max_fail_percentage"] = 50
    settings = fleet["bad"].settings()

    run = migrate_fleet(fleet, serial=1, env={"ANSIBLE_SHOW_CUSTOM_STATS": "true"})

    told = messages(run)
    assert sorted(told) == ["bad", "gone"]
    assert "1 mismatched" in told["bad"] and "127.0.0.1" in told["gone"]
    assert [name for name in fleet if fleet[name].differences()] == ["bad", "gone"]
    assert fleet["bad"].settings() == settings
    assert {name: stats["failures"] for name, stats in run.stats.items()} == {"bad": 1, "one": 0, "gone": 1, "two": 0}
    custom = re.search(r"RUN: (\{.*\})", run.output)
    assert custom is not None, run.output
    outcomes = json.loads(custom[1])["redis_migrations"]
    assert outcomes == {"bad": "failed", "one": "migrated", "gone": "failed", "two": "migrated"}


def test_the_whitelist_is_open_until_the_last_host_is_done_and_closed_whatever_failed(
    make_migration: MakeMigration, broken: t.Callable[..., Migration]
) -> None:
    with WhitelistEndpoint() as endpoint:
        instance = {"instance_id": INSTANCE, "endpoint": endpoint.address, "addresses": ["192.0.2.10"]}
        fleet = {
            "bad": broken(aof_migrate_whitelist=instance),
            "good": make_migration(aof_migrate_whitelist=instance),
        }
        hosts = {name: migration.host() for name, migration in fleet.items()}

        migrate_fleet(fleet, check=True, env=CREDENTIALS)
        planned = endpoint.sent("ModifySecurityIps")
        run = migrate_fleet(fleet, serial=1, env=CREDENTIALS)
        modes = [sent["ModifyMode"] for sent in endpoint.sent("ModifySecurityIps")]
        closed = dict(endpoint.groups)
        # As after a killed run, and with an address of somebody else.
        endpoint.groups["redisops_tair"] = ["198.51.100.1"]
        record = fleet["good"].artifacts / "whitelist" / f"{INSTANCE}.redisops_tair.json"
        assert not record.exists()
        run_module("tair_whitelist", {**instance, "record": str(record)}, env=CREDENTIALS)
        back = run_playbook("redisops.tair.rollback", hosts, env=CREDENTIALS)

    assert planned == []
    assert run.returncode == 2 and fleet["good"].differences() == []
    assert [name for name in fleet if run.stats[name]["failures"]] == ["bad"]
    assert modes == ["Cover", "Delete"] and closed == {"default": ["127.0.0.1"]}
    tasks = [event["task"] for event in run.events]
    opened, last = (
        max(at for at, task in enumerate(tasks) if name in task) for name in ("into the targets", "Tell how it went")
    )
    assert opened < last < max(at for at, task in enumerate(tasks) if "off their lists" in task)
    assert back.returncode == 0 and endpoint.groups == {**closed, "redisops_tair": ["198.51.100.1"]}, back.output
    assert CREDENTIALS["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] not in run.output + back.output


def test_the_retry_file_names_the_hosts_that_failed_and_no_other(
    make_migration: MakeMigration, broken: t.Callable[..., Migration], tmp_path: Path
) -> None:
    fleet = {
        "bad": broken(source_build="redis-6.2.14"),
        "good": make_migration(),
    }  # a source without functions: these outlive a flush
    retry = {"ANSIBLE_RETRY_FILES_ENABLED": "true", "ANSIBLE_RETRY_FILES_SAVE_PATH": str(tmp_path)}

    migrate_fleet(fleet, env=retry)
    file = tmp_path / "migrate.retry"
    names = file.read_text().split()
    fleet["bad"].variables["aof_migrate_if_target_not_empty"] = "flush"
    second = migrate_fleet(fleet, arguments=["--limit", f"@{file}"])

    assert names == ["bad"]
    assert second.returncode == 0, second.output
    assert list(second.stats) == ["bad"] and fleet["bad"].differences() == []


def test_when_asked_the_next_batch_is_not_begun_after_a_failure(
    make_migration: MakeMigration, broken: t.Callable[..., Migration]
) -> None:
    asked = {"aof_migrate_max_fail_percentage": 0}
    fleet = {"bad": broken(**asked), "good": make_migration(**asked), "last": make_migration(**asked)}

    run = migrate_fleet(fleet, serial=2)

    assert fleet["good"].differences() == [] and run.stats["good"]["failures"] == 0
    assert "Not begun, as hosts before this one have failed: bad." in messages(run)["last"]
    last = fleet["last"]
    assert last.target.client().info("keyspace") == {} and not last.artifacts.joinpath("last").exists()


def test_the_throttle_lets_one_host_wait_for_the_other_as_a_group_with_one_target_needs_it(
    make_migration: MakeMigration, start_server: t.Callable[..., Server]
) -> None:
    """Ansible tells when a task begins; how late it hears of the end is its own affair."""
    names = ("one", "two", "three")
    alone = {name: make_migration(keys=500) for name in names}
    shared = start_server("redis-8.2.3", password=TARGET_PASSWORD)
    group = {name: make_migration(keys=0) for name in names}
    for name, migration in group.items():
        migration.target = shared
        migration.variables = {"aof_migrate_if_target_not_empty": "append", "aof_migrate_throttle": 1}
        for number in range(100):
            migration.source.client().set(f"{name}:{number}", number)
            migration.source.client(db=3).rpush(f"{name}:list", number)

    runs = [migrate_fleet(fleet, arguments=["--forks", "3"]) for fleet in (alone, group)]

    assert [run.returncode for run in runs] == [0, 0], runs[0].output + runs[1].output
    assert shared.client().dbsize() == 300 and shared.client(db=3).dbsize() == 3
    assert shared.client(db=3).lrange("two:list", 0, -1) == [str(number).encode() for number in range(100)]
    for step in ("Copy the AOF over SSH", "Pipe the AOF into the target", "Compare source and target"):
        events = [[event for event in run.events if event["task"].endswith(step)] for run in runs]
        starts = [sorted(event["start"] for event in of_run) for of_run in events]
        assert [len(of_run) for of_run in starts] == [3, 3]
        at_once, in_turn = (of_run[-1] - of_run[0] for of_run in starts)
        assert in_turn >= sum(sorted(event["result"]["elapsed"] for event in events[1])[:2])
        assert at_once < in_turn / 2, step


def test_the_report_of_a_run_does_not_take_an_earlier_run_s_success_for_its_own(
    make_migration: MakeMigration, tmp_path: Path
) -> None:
    artifacts = {"aof_migrate_artifacts_dir": str(tmp_path / "all"), "aof_migrate_max_fail_percentage": 0}
    fleet = {"first": make_migration(**artifacts), "second": make_migration(**artifacts)}

    assert migrate_fleet(fleet, serial=1).returncode == 0
    before = json.loads((tmp_path / "all" / "report.json").read_text())
    fleet["first"].target.client().set("somebody's", 1)
    run = migrate_fleet(fleet, serial=1)  # which stops at the first

    after = json.loads((tmp_path / "all" / "report.json").read_text())
    assert run.returncode == 2
    assert [host["outcome"] for host in before["hosts"].values()] == ["migrated", "migrated"]
    assert {name: host["outcome"] for name, host in after["hosts"].items()} == {
        "first": "failed",
        "second": "no report",
    }
    assert before["run"] != after["run"]
    assert "\u2716 no report" in (tmp_path / "all" / "report.html").read_text()


def test_a_plan_of_a_fleet_is_one_table_and_one_file_and_says_whether_all_is_clear(
    make_migration: MakeMigration, tmp_path: Path
) -> None:
    artifacts = {"aof_migrate_artifacts_dir": str(tmp_path / "all")}
    fleet = {"clear": make_migration(**artifacts), "blocked": make_migration(**artifacts)}
    fleet["blocked"].target.client().set("somebody's", 1)
    extra = {"aof_migrate_artifacts_dir": str(tmp_path / "all")}

    run = run_playbook(
        "redisops.tair.migrate", {name: each.host() for name, each in fleet.items()}, check=True, extra_vars=extra
    )

    assert run.returncode == 2
    plan = json.loads((tmp_path / "all" / "plan.json").read_text())
    assert plan["clear"] is False and {name: host["clear"] for name, host in plan["hosts"].items()} == {
        "clear": True,
        "blocked": False,
    }
    told = plan["hosts"]["clear"]
    assert (
        told["plan"].startswith("would set")
        and told["estimate"]["seconds"] > 0
        and told["source"]["version"] == "7.0.15"
    )
    assert [finding["id"] for finding in plan["hosts"]["blocked"]["findings"] if finding["severity"] == "obstacle"] == [
        "target.not_empty"
    ]
    for line in ("1 of 2 hosts can be migrated.", "-> clear", "!! blocked [target.not_empty]"):
        assert line in run.output, run.output
    assert all(each.source.client().config_get("appendonly")["appendonly"] == "no" for each in fleet.values())
