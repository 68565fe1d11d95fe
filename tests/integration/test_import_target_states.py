# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens to a target during an import: states that end by themselves are waited out, the others stop it cleanly."""

from __future__ import annotations

import shutil
import threading
import time
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._errors import ImportFailedError
from ansible_collections.redisops.tair.plugins.module_utils._import.importer import import_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import Progress
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command
from ansible_collections.redisops.tair.tests.support.answering_proxy import RefusingProxy
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.small_aof import SELECT, assert_complete, lists_and_strings

StartServer = t.Callable[..., Server]
LISTS = 2000
RATE = 1_000_000  # bytes a second: the import takes as long as what is done to its target

both_ways = pytest.mark.parametrize("base", [False, True], ids=["transactions", "plain"])


@pytest.fixture
def aof(tmp_path: Path) -> Path:
    """2.4 MB: lists, whose length tells what came twice, and strings."""
    path = tmp_path / "appendonly.aof"
    path.write_bytes(SELECT + b"".join(lists_and_strings(LISTS)))
    return path


def imported(
    aof: Path, port: int, *, base: bool, once: t.Callable[[], None] = lambda: None, **options: t.Any
) -> Outcome:
    """Import, and do something to the target ``once``, on the way."""
    done = False

    def report(progress: Progress) -> None:
        nonlocal done
        if not done and progress.position > progress.size // 4:
            done = True
            once()

    size = aof.stat().st_size if base else 0
    with open_aof(find_aof(aof), base_size=size) as opened:
        return import_aof(
            opened,
            Endpoint(host="127.0.0.1", port=port),
            Options(batch_bytes=8192, window_bytes=65536, **options),
            report=report,
        )


def wait_for(happened: t.Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def then(happened: t.Callable[[], bool], do: t.Callable[[], object]) -> None:
    """Do something, in the background, as soon as the server shows that something has happened."""

    def run() -> None:
        wait_for(happened)
        do()

    threading.Thread(target=run, daemon=True).start()


@both_ways
def test_a_switch_over_of_the_target_is_waited_out(start_server: StartServer, aof: Path, base: bool) -> None:
    target = start_server("redis-7.0.15")
    client = target.client()

    def become_a_replica() -> None:
        client.replicaof("127.0.0.1", "1")  # nobody is there, so its data stay
        then(lambda: "errorstat_READONLY" in client.info("errorstats"), lambda: client.replicaof("NO", "ONE"))

    outcome = imported(aof, target.port, base=base, once=become_a_replica, rate_limit=RATE)
    assert outcome.reconnects >= 1 and outcome.errors.count == 0
    assert_complete(client, LISTS)


@both_ways
def test_a_target_without_a_free_connection_is_waited_for(start_server: StartServer, aof: Path, base: bool) -> None:
    target = start_server("redis-7.0.15")
    control, other = target.client(single_connection_client=True), target.client(single_connection_client=True)
    other.ping()

    def cut_and_shut_out() -> None:
        control.config_set("maxclients", 2)
        refused = control.info("stats")["rejected_connections"]
        control.client_kill_filter(_type="normal", skipme=True)
        other.ping()  # its connection is made again before the importer's; else the importer is not shut out
        then(
            lambda: target_stats(control)["rejected_connections"] > refused,
            lambda: control.config_set("maxclients", 100),
        )

    outcome = imported(aof, target.port, base=base, once=cut_and_shut_out, rate_limit=RATE)
    assert outcome.reconnects >= 2
    assert_complete(control, LISTS)


def target_stats(client: redis.Redis) -> dict[str, t.Any]:
    stats: dict[str, t.Any] = client.info("stats")
    return stats


@both_ways
def test_a_target_that_can_not_save_stops_the_import_which_goes_on_when_it_can(
    start_server: StartServer, aof: Path, base: bool
) -> None:
    target = start_server("redis-7.0.15", {"save": "3600 1"})
    client = target.client()

    def stop_saving() -> None:
        (target.data / "dump.rdb" / "in the way").mkdir(parents=True)
        client.bgsave()
        wait_for(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")

    with pytest.raises(ImportFailedError, match="MISCONF") as failure:
        imported(aof, target.port, base=base, once=stop_saving, rate_limit=RATE)
    assert "can't save to its own disk" in str(failure.value) and "goes on from there" in str(failure.value)
    assert 0 < client.dbsize() < 4000

    shutil.rmtree(target.data / "dump.rdb")
    client.bgsave()
    wait_for(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")
    outcome = imported(aof, target.port, base=base)
    assert outcome.resumed_from is not None
    assert_complete(client, LISTS)


def test_a_proxy_that_takes_few_commands_at_once_is_sent_fewer(start_server: StartServer, aof: Path) -> None:
    target = start_server("redis-7.0.15")
    with RefusingProxy(target.port, lambda pending, _command: pending > 40) as proxy:
        outcome = imported(aof, proxy.port, base=True)
    assert proxy.refused and outcome.errors.count == 0
    assert_complete(target.client(), LISTS)


def is_list_700(_pending: int, command: Command) -> bool:
    return command[1:2] == [b"list:700"]


def test_a_proxy_that_keeps_commands_from_a_transaction_is_noticed(start_server: StartServer, aof: Path) -> None:
    target = start_server("redis-7.0.15")
    with RefusingProxy(target.port, is_list_700) as proxy, pytest.raises(ImportFailedError) as failure:
        imported(aof, proxy.port, base=False)
    assert "without all of its commands" in str(failure.value) and "too many pending request" in str(failure.value)
