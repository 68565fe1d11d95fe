# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a migration keeps on the control node."""

from __future__ import annotations

import json
import stat
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host, run_playbook


def journal(*tasks: dict[str, t.Any], check: bool = False) -> PlaybookRun:
    plays = [
        {
            "hosts": "redis",
            "gather_facts": False,
            "tasks": [{"redisops.tair.migration_journal": task, "ignore_errors": True} for task in tasks],
        }
    ]
    return run_playbook(plays, {"redis1": local_host()}, check=check)


def changes(run: PlaybookRun) -> list[bool]:
    return [result["changed"] for result in run.results("migration_journal")]


def test_the_first_one_stays_and_only_its_user_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "host" / "journal.json"
    task = {"path": str(path), "content": {"previous": {"appendonly": "no"}}}

    assert changes(journal(task, check=True)) == [True] and not path.parent.exists()
    assert changes(journal(task, {**task, "content": {"previous": {}}})) == [True, False]

    assert json.loads(path.read_text()) == task["content"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_goes_with_what_else_is_not_needed_and_nothing_that_a_link_leads_to(tmp_path: Path) -> None:
    path, copy, elsewhere = tmp_path / "journal.json", tmp_path / "aof", tmp_path / "elsewhere"
    path.write_text("{}")
    for directory in (copy, elsewhere):
        directory.mkdir()
        (directory / "file").write_text("data")
    (copy / "link").symlink_to(elsewhere)
    (tmp_path / "link").symlink_to(elsewhere)
    task = {"path": str(path), "state": "absent", "remove": [str(copy), str(tmp_path / "link"), str(tmp_path / "none")]}

    assert changes(journal(task, check=True)) == [True] and path.exists() and (copy / "file").exists()
    assert changes(journal(task, task)) == [True, False]

    assert sorted(left.name for left in tmp_path.iterdir()) == ["elsewhere"]
    assert (elsewhere / "file").read_text() == "data"


def test_one_that_can_not_be_written_is_told() -> None:
    (result,) = journal({"path": "/proc/no-such-place/journal.json", "content": {}}).results("migration_journal")

    assert "The journal /proc/no-such-place/journal.json can't be written" in result["msg"]
