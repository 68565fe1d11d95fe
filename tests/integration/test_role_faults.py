# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults in the middle of a migration: it ends with equal data, or fails and says so with the source's settings as they were."""

from __future__ import annotations

import os
import signal
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun
from ansible_collections.redisops.tair.tests.support.migration import Migration, message
from ansible_collections.redisops.tair.tests.support.processes import descendants
from ansible_collections.redisops.tair.tests.support.servers import Server

MakeMigration = t.Callable[..., Migration]

#: Where the parts of a run begin, from the first change to the last.
PREPARE = "prepare | Preamble as wanted, automatic rewrites off, AOF on"
REWRITE = "rewrite | Wait for the new base file"
TRANSFER = "transfer | Copy the AOF over SSH"
IMPORT = "import | Pipe the AOF into the target"
VERIFY = "verify | Compare source and target"
CLEAN = "finish | Remove what is no longer needed"


def run_with(migration: Migration, fault: t.Callable[[int], object], *, before: str, gate: Path) -> PlaybookRun:
    """Run a migration, and let ``fault`` happen before the task of that name; it is given the number of ansible-playbook."""
    gate.mkdir()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(migration.run, env={"REDISOPS_TEST_GATE": str(gate), "REDISOPS_TEST_GATE_TASK": before})
        while not (gate / "reached").exists():
            assert not run.done(), run.result().output
            time.sleep(0.02)
        try:
            fault(int((gate / "reached").read_text()))
        finally:
            (gate / "open").touch()
        return run.result()


def run_during(migration: Migration, fault: t.Callable[[], object], *, when: t.Callable[[], object]) -> PlaybookRun:
    """Run a migration, and let ``fault`` happen as soon as something is so."""
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(migration.run)
        while not when():
            assert not run.done(), run.result().output
            time.sleep(0.002)
        fault()
        return run.result()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def outcome(migration: Migration, run: PlaybookRun, settings: dict[str, str]) -> str:
    """``equal``, or how a run ended that failed as it should: told, and the source put back."""
    if run.returncode == 0:
        assert migration.differences() == []
        assert migration.settings() == {**settings, "appendonly": "no"}
        return "equal"
    told = message(run)
    assert migration.settings() == settings, told
    assert not migration.journal.exists()
    assert migration.report["outcome"] == "failed"
    return told


# --------------------------------------------------------------------------------------------------- the control node


@pytest.mark.parametrize("phase", [PREPARE, TRANSFER, VERIFY, CLEAN], ids=lambda name: name.split()[0])
def test_a_run_killed_in_any_phase_is_finished_by_the_next_one(
    phase: str, make_migration: MakeMigration, tmp_path: Path
) -> None:
    """Those killed amid the rewrite and the import are in test_role.py."""
    migration = make_migration()
    settings = migration.settings()
    killed = run_with(migration, kill, before=phase, gate=tmp_path / "gate")
    assert killed.returncode == -signal.SIGKILL
    assert migration.journal.exists()

    run = migration.run()

    assert run.returncode == 0, run.output
    assert migration.differences() == []
    assert migration.settings() == {**settings, "appendonly": "no"}
    assert not migration.journal.exists() and not migration.copy.exists()


def test_a_run_killed_before_the_comparison_is_rolled_back(make_migration: MakeMigration, tmp_path: Path) -> None:
    migration = make_migration(source={"appendonly": "yes"})
    settings = migration.settings()
    run_with(migration, kill, before=VERIFY, gate=tmp_path / "gate")

    back = migration.run("redisops.tair.rollback")

    assert back.returncode == 0, back.output
    assert migration.settings() == settings
    assert not migration.journal.exists()


# -------------------------------------------------------------------------------------------------------- the source


def test_the_rewrite_child_is_killed(make_migration: MakeMigration) -> None:
    migration = make_migration(source={"rdb-key-save-delay": 2000})
    settings = migration.settings()

    def child() -> list[int]:
        return descendants(migration.source.pid)

    def kill_it() -> None:
        for pid in child():
            kill(pid)

    run = run_during(migration, kill_it, when=lambda: migration.journal.exists() and child())

    told = outcome(migration, run, settings)
    assert told == "equal" or str(migration.source) in told


def restart(server: Server) -> None:
    server.client().save()
    server.kill()
    server.start()


@pytest.mark.parametrize("phase", [REWRITE, IMPORT, VERIFY], ids=lambda name: name.split()[0])
def test_the_source_restarts_between_two_phases(phase: str, make_migration: MakeMigration, tmp_path: Path) -> None:
    """It comes back with the settings of its configuration file, and with its data."""
    migration = make_migration()
    settings = migration.settings()

    run = run_with(migration, lambda _pid: restart(migration.source), before=phase, gate=tmp_path / "gate")

    outcome(migration, run, settings)


# -------------------------------------------------------------------------------------------------------- the target


def has_keys(server: Server) -> t.Callable[[], bool]:
    """Whether it has more than the import's own key: what goes now is missed."""
    return lambda: server.client().dbsize() > 1000


#: Empties a target that holds more than the import's own key and less than so many keys; in one with it, lest it gets more meanwhile.
FLUSH_AMID = """
local keys = redis.call('DBSIZE')
return keys > 1000 and keys < tonumber(ARGV[1]) and redis.call('FLUSHALL')
"""


def test_the_target_restarts_without_its_data_during_the_import(make_migration: MakeMigration) -> None:
    migration = make_migration("redis-6.2.14", keys=20_000)
    settings = migration.settings()

    def restart_empty() -> None:
        migration.target.kill()
        migration.target.start()

    outcome(migration, run_during(migration, restart_empty, when=has_keys(migration.target)), settings)


def test_the_target_is_emptied_by_someone_else_during_the_import(make_migration: MakeMigration) -> None:
    migration = make_migration("redis-6.2.14", keys=20_000)
    settings, client = migration.settings(), migration.target.client()
    half = migration.source.client().dbsize() // 2

    run = run_during(migration, lambda: None, when=lambda: client.eval(FLUSH_AMID, 0, half))

    assert outcome(migration, run, settings) != "equal"


def test_the_target_is_emptied_by_someone_else_before_the_comparison(
    make_migration: MakeMigration, tmp_path: Path
) -> None:
    migration = make_migration()
    settings = migration.settings()

    run = run_with(migration, lambda _pid: migration.target.client().flushall(), before=VERIFY, gate=tmp_path / "gate")

    assert "missing" in outcome(migration, run, settings)


def test_the_target_gets_full_during_the_import(make_migration: MakeMigration, tmp_path: Path) -> None:
    migration = make_migration(keys=0)
    migration.source.client().mset({f"key:{number}": "x" * 20_000 for number in range(300)})
    settings = migration.settings()

    def limit(_pid: int) -> None:
        client = migration.target.client()
        client.config_set("maxmemory", client.info("memory")["used_memory"] + (1 << 20))

    run = run_with(migration, limit, before=IMPORT, gate=tmp_path / "gate")

    told = outcome(migration, run, settings)
    assert "OOM" in told or "memory" in told

    migration.target.client().config_set("maxmemory", 0)
    again = migration.run()
    assert again.returncode == 0, again.output
    assert migration.differences() == []
