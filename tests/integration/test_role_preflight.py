# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The preflight of the role, and of a fleet by its playbook: what is told, to people and to programs, and that nothing changes."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
import time
import typing as t
from pathlib import Path

import redis
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host, run_playbook
from ansible_collections.redisops.tair.tests.support.answering_proxy import Disguise
from ansible_collections.redisops.tair.tests.support.migration import Migration, message, migrate_fleet
from ansible_collections.redisops.tair.tests.support.processes import free_port
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

MakeMigration = t.Callable[..., Migration]
StartServer = t.Callable[..., Server]


def findings(run: PlaybookRun, host: str | None = None) -> dict[str, dict[str, str]]:
    """What the task that judges returned, by id."""
    judged = run.result("Stop at everything that stands in the way", host)
    return {finding["id"]: finding for finding in judged["findings"]}


def wait_for_link(replica: Server, state: str) -> None:
    end = time.monotonic() + 30
    while replica.client().info("replication")["master_link_status"] != state:
        assert time.monotonic() < end, f"the link never is {state}"
        time.sleep(0.02)


def is_loading(server: Server) -> bool:
    try:
        server.client().ping()
    except redis.BusyLoadingError:
        return True
    return False


# ----------------------------------------------------------------------------------------------------------- one host


def test_everything_is_told_at_once_as_text_and_as_data_and_nothing_is_changed(make_migration: MakeMigration) -> None:
    migration = make_migration(target={"databases": 2, "maxmemory": "2mb", "maxmemory-policy": "volatile-lru"})
    migration.target.client().set("somebody's", 1)
    settings = migration.settings()

    run = migration.run("redisops.tair.preflight")

    assert run.returncode == 2
    told = run.result("Stop at everything that stands in the way")["msg"]
    assert "the target has only 2" in told and "memory is too small" in told and "is not empty" in told
    found = findings(run)
    assert {"target.databases", "target.memory", "target.not_empty"} == {
        name for name, finding in found.items() if finding["severity"] == "obstacle"
    }
    assert found["target.evicts"]["severity"] == "doubt" and found["target.databases"]["todo"].startswith("Raise")
    assert all(finding["side"] == name.split(".")[0] for name, finding in found.items())
    assert migration.settings() == settings and not migration.artifacts.exists()


def test_the_findings_and_the_estimate_are_in_the_report(make_migration: MakeMigration) -> None:
    migration = make_migration(target={"databases": 2})
    message(migration.run())

    preflight = migration.report["preflight"]

    assert [finding["id"] for finding in preflight["findings"] if finding["severity"] == "obstacle"] == [
        "target.databases"
    ]
    estimate = preflight["estimate"]
    assert estimate["seconds"] > 0 and estimate["bandwidth"] > 0
    assert set(estimate["steps"]) == {"rewrite", "transfer", "import", "comparison"}
    assert any("measured" in reason for reason in estimate["assumptions"])


def test_a_source_and_a_target_that_are_not_there_are_told_together(make_migration: MakeMigration) -> None:
    migration = make_migration(keys=0)
    migration.source.stop()
    migration.target.stop()

    told = message(migration.run())

    assert f"{migration.source} refuses the connection" in told and f"{migration.target} refuses the connection" in told


def test_a_source_that_is_loading_is_told_beside_what_is_wrong_with_the_target(make_migration: MakeMigration) -> None:
    migration = make_migration(
        keys=0, target={"maxmemory-policy": "volatile-lru"}, source={"enable-debug-command": "yes"}
    )
    client = migration.source.client(socket_timeout=None)  # or it would send DEBUG RELOAD once more
    client.mset({f"key:{number}": number for number in range(20_000)})
    client.config_set("loading-process-events-interval-bytes", 1024)
    client.config_set("key-load-delay", 5000)  # microseconds: it loads for longer than the test takes

    def load() -> None:
        with contextlib.suppress(redis.RedisError):  # it is killed
            client.execute_command("DEBUG", "RELOAD")

    threading.Thread(target=load, daemon=True).start()
    end = time.monotonic() + 30
    while not is_loading(migration.source):
        assert time.monotonic() < end, "it does not load"
        time.sleep(0.02)

    run = migration.run("redisops.tair.preflight")
    assert is_loading(migration.source), "all the time"
    migration.source.kill()

    assert run.returncode == 2
    found = findings(run)
    assert found["source.not_looked_at"]["severity"] == "obstacle" and "load" in found["source.not_looked_at"]["what"]
    assert found["target.evicts"]["severity"] == "doubt"


def test_check_mode_tells_the_findings_and_the_plan_with_its_duration(make_migration: MakeMigration) -> None:
    migration = make_migration(target={"maxmemory": "1gb", "maxmemory-policy": "volatile-lru"})

    run = migration.run(check=True)

    assert run.returncode == 0, run.output
    doubts = run.result("Tell what may become a problem")["msg"]
    assert any("maxmemory-policy volatile-lru" in doubt for doubt in doubts)
    assert "It takes about" in doubts[-1] and "assumed" in doubts[-1]
    plan = run.result("Tell how it went")["msg"]
    steps = ["set aof-use-rdb-preamble", "rewrite its AOF", "copy it to", "add to", "compare both", "put the other"]
    places = [plan.index(step) for step in steps]
    assert places == sorted(places) and "that takes about" in plan


def test_a_replica_with_a_broken_link_is_refused_and_one_in_sync_is_not(
    make_migration: MakeMigration, start_server: StartServer
) -> None:
    primary = start_server("redis-7.0.15", {"repl-diskless-sync-delay": 0})
    primary.client().set("key", 1)
    migration = make_migration(keys=0, source={"replicaof": f"{primary.host} {primary.port}"})
    wait_for_link(migration.source, "up")
    joined = migration.run("redisops.tair.preflight")
    primary.kill()
    wait_for_link(migration.source, "down")

    alone = migration.run("redisops.tair.preflight")

    assert joined.returncode == 0, joined.output
    assert findings(joined)["source.replica"]["severity"] == "doubt"
    assert alone.returncode == 2
    cut_off = findings(alone)["source.replica_cut_off"]
    assert f"a replica of {primary}" in cut_off["what"] and "REPLICAOF NO ONE" in cut_off["todo"]


def python_with_memory(directory: Path, overcommit: str, available: int) -> Path:
    """A Python that reads these of its host: ``vm.overcommit_memory``, and ``available`` KiB of memory."""
    directory.mkdir()
    (directory / "overcommit").write_text(f"{overcommit}\n")
    (directory / "meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable: {available} kB\n")
    mounts = (
        f"mount --bind {directory}/overcommit /proc/sys/vm/overcommit_memory"
        f" && mount --bind {directory}/meminfo /proc/meminfo"
    )
    python = directory / "python"
    inside = f'{mounts} && exec {shlex.quote(sys.executable)} "$@"'
    python.write_text(f'#!/bin/sh\nexec unshare --mount sh -c {shlex.quote(inside)} sh "$@"\n')
    python.chmod(0o755)
    return python


def test_too_little_memory_for_the_fork_is_told_with_what_to_set(make_migration: MakeMigration, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        raise UnavailableError("only root can mount")
    migration = make_migration()
    memory = {"heuristic": ("0", 1000), "strict": ("2", 9_000_000), "always": ("1", 9_000_000)}
    hosts = {
        name: migration.host(ansible_python_interpreter=str(python_with_memory(tmp_path / name, *given)))
        for name, given in memory.items()
    }

    run = run_playbook("redisops.tair.preflight", hosts)

    assert run.returncode == 0, run.output
    assert "3 of 3 hosts can be migrated." in run.output
    told = {name: findings(run, name).get("source.fork_memory") for name in hosts}
    assert told.pop("always") is None
    for name, finding in told.items():
        assert finding is not None, name
        assert f"vm.overcommit_memory {memory[name][0]}" in finding["what"]
        assert "vm.overcommit_memory=1" in finding["todo"]


# ------------------------------------------------------------------------------------------------------------ a fleet


def test_a_fleet_gets_one_table_with_the_blockers_below_and_an_exit_status(
    start_server: StartServer, tmp_path: Path
) -> None:
    sources = {name: start_server("redis-7.0.15") for name in ("clear", "blocked", "gone")}
    sources["clear"].client().set("key", 1)
    sources["blocked"].client(db=5).set("key", 1)
    targets = {name: start_server("redis-8.2.3", {"databases": 2}) for name in sources}
    sources["gone"].stop()
    hosts = {
        name: local_host(
            aof_migrate_source_port=sources[name].port,
            aof_migrate_target_host=targets[name].host,
            aof_migrate_target_port=targets[name].port,
            aof_migrate_artifacts_dir=str(tmp_path / "artifacts"),
        )
        for name in sources
    }
    hosts["unreachable"] = {
        **hosts["gone"],
        "ansible_connection": "ssh",
        "ansible_host": "127.0.0.1",
        "ansible_port": free_port(),
    }

    run = run_playbook("redisops.tair.preflight", hosts)

    assert run.returncode == 2
    lines = run.output.splitlines()
    assert sum("VERDICT" in line for line in lines) == 1, "one table for all"
    table = run.result("Print one table for all hosts")
    assert table["blocked"] == ["blocked", "gone", "unreachable"]
    rows = {line.split()[0]: line for line in table["lines"][1:5]}
    assert rows["clear"].endswith("clear") and rows["blocked"].endswith("1 blocker")
    assert "redis 7.0.15" in rows["clear"] and str(targets["clear"]) in rows["clear"] and "~20 s" in rows["clear"]
    assert rows["gone"].endswith("1 blocker") and rows["unreachable"].endswith("1 blocker")
    assert "!! blocked [target.databases]" in lines and "!! gone [source.not_looked_at]" in lines
    assert "1 of 4 hosts can be migrated." in lines
    assert all(len(line) <= 96 for line in table["lines"])
    assert {failure["host"] for failure in run.failures() if failure["task"].startswith("Fail where")} == {
        "blocked",
        "gone",
        "unreachable",
    }


def test_what_an_older_target_lacks_is_left_out_by_name_and_the_rest_is_equal(make_migration: MakeMigration) -> None:
    migration = make_migration("redis-8.2.3", "redis-6.2.14", keys=300)
    source = migration.source.client()
    source.hset("expiring", "f", "v")
    source.execute_command("HPEXPIREAT", "expiring", "4000000000000", "FIELDS", "1", "f")
    source.xadd("stream", {"f": "v"})
    source.xgroup_create("stream", "group")

    refused = migration.run()
    dropped = migration.run(aof_migrate_drop=["functions", "hash_field_ttl"])

    assert 'aof_migrate_drop=["functions", "hash_field_ttl"]' in message(refused).replace("'", '"')
    assert dropped.returncode == 0, dropped.output
    target = migration.target.client()
    assert target.hgetall("expiring") == {b"f": b"v"}
    assert [group["name"] for group in target.xinfo_groups("stream")] == [b"group"]
    assert migration.report["compare"]["summary"].startswith("EQUAL in everything")


def test_source_of_an_untested_version_is_a_warning_and_a_target_with_a_library_is_not_empty(
    make_migration: MakeMigration,
) -> None:
    fleet = {
        "older": make_migration("redis-6.2.14", keys=0),
        "newer": make_migration("redis-8.2.3", "redis-8.2.3", keys=0),
        "oldest": make_migration("redis-6.2.14", keys=0),
    }
    fleet["newest"] = make_migration("redis-8.2.3", "redis-8.2.3", keys=0)
    versions = {"older": b"2.6.17", "oldest": b"2.8.24", "newer": b"8.12.0", "newest": b"8.10.9"}
    library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
    fleet["library"] = make_migration("redis-7.0.15", "redis-7.0.15", keys=0)
    fleet["library"].target.client().function_load(library)
    versions["library"] = b"7.0.15"
    with contextlib.ExitStack() as stack:
        for name, migration in fleet.items():
            migration.source.client().set("key", "value")
            told = migration.source.build.version.encode()
            proxy = stack.enter_context(
                Disguise(migration.source, {b"redis_version:" + told: b"redis_version:" + versions[name]})
            )
            migration.variables["aof_migrate_source_port"] = proxy.port
        plan = migrate_fleet(fleet, check=True)

    refused = message(plan)
    assert "The target is not empty, it holds 0 keys and 1 libraries of functions." in " ".join(refused.split())
    assert {failure["host"] for failure in plan.failures()} == {"library"}
    del fleet["library"]
    told_of = {name: str(plan.result("Tell what may become a problem", name)["msg"]) for name in fleet}
    untested = {name for name, text in told_of.items() if "This collection was tested with the AOFs" in text}
    assert untested == {"older", "newer"}
    assert "redis 2.6.17" in told_of["older"] and "redis 2.8 to 8.10" in told_of["newer"]
