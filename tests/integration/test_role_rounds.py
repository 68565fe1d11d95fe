# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sources that are written to while they are migrated: caught up with behind a fence, and never a success without one."""

from __future__ import annotations

import contextlib
import threading
import typing as t

import pytest
import redis
from ansible_collections.redisops.tair.tests.support.migration import Migration, message
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

MakeMigration = t.Callable[..., Migration]
BUILDS = pytest.mark.parametrize("build", ["redis-6.2.14", "redis-7.0.15", "valkey-8.1.8"])


class Writer(threading.Thread):
    """A client that writes lists and counters as fast as it can, until it is refused. ``done``: what was acknowledged."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._ends = threading.Event()
        self.done = 0
        self.refused: str = ""

    def run(self) -> None:
        while not self._ends.is_set() and not self.refused:
            try:
                self._client.rpush(f"written:{self.done % 50}", self.done)
                self.done += 1
            except redis.ResponseError as exc:
                self.refused = str(exc)

    def end(self) -> None:
        self._ends.set()
        self.join()


@contextlib.contextmanager
def writing(migration: Migration) -> t.Iterator[Writer]:
    writer = Writer(migration.source.client())
    writer.start()
    try:
        yield writer
    finally:
        writer.end()


def acknowledged(migration: Migration) -> int:
    client = migration.target.client()
    return sum(client.llen(f"written:{number}") for number in range(50))


@BUILDS
def test_a_source_under_writes_is_caught_up_with_and_its_writers_stop_for_the_last_round_only(
    build: str, make_migration: MakeMigration
) -> None:
    migration = make_migration(build, "valkey-9.1.2" if "valkey" in build else "redis-8.2.3", aof_migrate_fence="last")
    with writing(migration) as writer:
        run = migration.run()
        assert run.returncode == 0, run.output

    assert writer.refused.startswith("NOREPLICAS"), "the fence stays"
    assert acknowledged(migration) == writer.done > 0, "not one acknowledged write is lost"
    assert migration.differences() == []
    report = migration.report["catch_up"]
    assert report["fence"] == "min-replicas" and 0 < report["downtime"] < 30
    assert "the source takes no writes" in migration.report["message"]
    assert not any(client.exists("redisops.tair:checkpoint:imports") for client in [migration.target.client()])


def test_a_source_under_writes_without_a_fence_is_a_failure_that_tells_the_rate(make_migration: MakeMigration) -> None:
    migration = make_migration()
    settings = migration.settings()
    with writing(migration) as writer:
        told = message(migration.run())
        assert not writer.refused

    assert f"{migration.source} is still written to" in told and "lately RPUSH" in told, told
    assert migration.settings() == settings and not migration.journal.exists()


def test_keys_that_expire_meanwhile_are_no_writers(make_migration: MakeMigration) -> None:
    migration = make_migration(keys=0)
    client = migration.source.client()
    with client.pipeline() as pipe:
        for number in range(20_000):
            pipe.set(f"short:{number}", "x", px=2000 + number)
        pipe.set("long", "x")
        pipe.execute()

    run = migration.run()

    assert run.returncode == 0, run.output
    assert migration.target.client().get("long") == b"x"


def test_with_fence_first_the_writers_stop_before_the_rewrite_and_may_be_let_back(
    make_migration: MakeMigration,
) -> None:
    migration = make_migration(aof_migrate_fence="first", aof_migrate_fence_after="lift")
    with writing(migration) as writer:
        run = migration.run()

    assert run.returncode == 0, run.output
    assert writer.refused.startswith("NOREPLICAS")
    assert acknowledged(migration) == writer.done
    assert migration.differences() == []
    assert migration.source.client().set("after", "1"), "the fence is lifted"


def test_a_failure_after_the_fence_lifts_it(make_migration: MakeMigration) -> None:
    migration = make_migration(aof_migrate_fence="last", aof_migrate_if_target_not_empty="append")
    migration.target.client().set("written:0", "in the way of the list")  # every push to it will be refused
    with writing(migration) as writer:
        told = message(migration.run())

    assert "WRONGTYPE" in told
    assert migration.source.client().rpush("after", "1") == 1, "the writers are let back"
    assert not writer.refused or writer.refused.startswith("NOREPLICAS")
    assert not migration.journal.exists()


@pytest.mark.parametrize("transfer", ["fetch", "direct"])
def test_it_works_through_ssh(transfer: str, make_migration: MakeMigration, tmp_path: t.Any) -> None:
    with Sshd() as sshd:
        host = {**sshd.inventory_vars(), "ansible_python_interpreter": __import__("sys").executable}
        migration = make_migration(aof_migrate_fence="last", aof_migrate_transfer=transfer, **host)
        with writing(migration) as writer:
            run = migration.run()
            assert run.returncode == 0, run.output
    assert acknowledged(migration) == writer.done > 0
    assert migration.differences() == []
    assert migration.report["catch_up"]["downtime"] < 30
