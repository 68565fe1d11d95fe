# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An import by several processes: what is told of it is what one process tells, and none of them stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._errors import ImportFailedError
from ansible_collections.redisops.tair.plugins.module_utils._import.importer import import_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import Progress
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.tests.support.certs import issue
from ansible_collections.redisops.tair.tests.support.corpus import corpus
from ansible_collections.redisops.tair.tests.support.module_process import ModuleProcess
from ansible_collections.redisops.tair.tests.support.processes import die_with_parent, process_state
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.small_aof import SELECT, assert_complete, lists_and_strings
from ansible_collections.redisops.tair.tests.support.waiting import wait_until

StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., t.Dict[str, t.Any]]
LISTS = 2000
SMALL: dict[str, t.Any] = {"batch_bytes": 8192, "window_bytes": 65536}
WRONG = b"*3\r\n$4\r\nSADD\r\n$5\r\nlist1\r\n$1\r\nx\r\n"


@pytest.fixture
def target(start_server: StartServer) -> Server:
    return start_server("redis-7.0.15")


@pytest.fixture
def aof(tmp_path: Path) -> Path:
    """2.4 MB: lists, whose length tells what came twice, and strings."""
    path = tmp_path / "appendonly.aof"
    path.write_bytes(SELECT + b"".join(lists_and_strings(LISTS)))
    return path


def imported(
    aof: Path,
    port: int,
    *,
    workers: int = 3,
    report: t.Callable[[Progress], None] = lambda _progress: None,
    **options: t.Any,
) -> Outcome:
    with open_aof(find_aof(aof), base_size=aof.stat().st_size) as opened:
        return import_aof(
            opened, Endpoint(host="127.0.0.1", port=port), Options(**{**SMALL, "workers": workers, **options}), report
        )


def children(pid: int | str) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def refused_at(aof: Path, part: float) -> int:
    """Put a command into the file that a server refuses where the key is a string; where it is."""
    commands = lists_and_strings(LISTS)
    at = int(len(commands) * part)
    before = SELECT + b"".join(commands[:at])
    aof.write_bytes(before + WRONG + b"".join(commands[at:]))
    return len(before)


def test_it_tells_the_same_as_one_process(aof: Path, target: Server) -> None:
    told: list[Progress] = []
    alone = imported(aof, target.port, workers=1)
    target.client().flushall()
    together = imported(aof, target.port, report=told.append, rate_limit=2_000_000)
    assert_complete(target.client(), LISTS)
    for field in ("commands", "position", "bytes", "databases", "warnings", "changed"):
        assert getattr(together, field) == getattr(alone, field)
    assert together.errors.count == 0 and (alone.workers, together.workers) == (1, 3)
    positions = [progress.position for progress in told]
    assert positions == sorted(positions) and len(positions) > 1 and positions[-1] <= aof.stat().st_size


def test_a_refused_command_stops_it_with_its_place(aof: Path, target: Server) -> None:
    offset = refused_at(aof, 0.4)
    target.client().set("list1", "in the way")
    with pytest.raises(
        ImportFailedError, match=f"SADD of key 'list1' in database 0.*byte {offset}.*WRONGTYPE"
    ) as failed:
        imported(aof, target.port, if_not_empty="append")
    assert failed.value.facts["errors"] == 1
    assert [sample["offset"] for sample in failed.value.facts["error_samples"]] == [offset]
    assert "goes on from there" in str(failed.value)

    target.client().delete("list1")
    imported(aof, target.port)

    target.client().delete("list1")
    assert_complete(target.client(), LISTS)


def test_refused_commands_are_counted_and_too_many_stop_it(aof: Path, target: Server) -> None:
    offset = refused_at(aof, 0.4)
    target.client().set("list1", "in the way")
    outcome = imported(aof, target.port, if_not_empty="append", stop_at_error=False)
    assert outcome.errors.count == 1 and outcome.errors.samples[0].offset == offset
    alone = imported(aof, target.port, if_not_empty="flush", workers=1)
    assert outcome.commands == alone.commands

    aof.write_bytes(SELECT + (WRONG + WRONG.replace(b"list1", b"list2")) * 10_000)
    target.client().flushall()
    target.client().mset({"list1": "in the way", "list2": "in the way"})
    with pytest.raises(ImportFailedError, match="more than 5000 commands") as failed:
        imported(aof, target.port, if_not_empty="append", stop_at_error=False, max_errors=5000)
    assert 5000 < failed.value.facts["errors"] < 20_000


def test_a_user_who_may_set_but_not_mset_gets_all_keys_across(aof: Path, start_server: StartServer) -> None:
    target = start_server("redis-7.0.15", {"user": ["mover on >secret ~* +@all -mset"]})
    with open_aof(find_aof(aof), base_size=aof.stat().st_size) as opened:
        endpoint = Endpoint(host=target.host, port=target.port, user="mover", password="secret")
        outcome = import_aof(opened, endpoint, Options(**SMALL, workers=2))
    assert outcome.errors.count == 0
    assert_complete(target.client(), LISTS)


def test_it_speaks_tls_in_every_process(
    aof: Path, start_server: StartServer, run_module: RunModule, tmp_path: Path
) -> None:
    target = start_server("redis-7.0.15", certificate=issue(tmp_path))
    result = run_module(
        "aof_import",
        {
            "path": str(aof),
            "aof_base_size": aof.stat().st_size,
            "workers": 2,
            **SMALL,
            **target.login(),
        },
    )
    assert result["errors"] == 0
    assert_complete(target.client(), LISTS)


def test_what_an_older_target_does_not_know_is_adapted_and_counted_once(
    start_server: StartServer, tmp_path: Path
) -> None:
    (newer,) = corpus(server="redis", version="8.2.3", variant="base")
    outcomes = []
    for workers in (1, 3):
        target = start_server("redis-6.2.14")
        with open_aof(find_aof(newer.aof)) as opened:
            options = Options(
                workers=workers,
                batch_bytes=256,
                window_bytes=1024,
                drop=("functions", "hash_field_ttl"),
                stop_at_error=False,
            )
            outcome = import_aof(opened, Endpoint(host=target.host, port=target.port), options)
        outcomes.append(
            (outcome.adapted, outcome.dropped, outcome.commands, outcome.errors.count, target.client().dbsize())
        )
    assert outcomes[0] == outcomes[1]
    assert sum(outcomes[0][0].values()) > 1 and sum(outcomes[0][1].values()) > 1


def test_a_worker_that_is_killed_ends_it_and_the_next_run_goes_on(aof: Path, target: Server) -> None:
    process = ModuleProcess("aof_import")
    process.start(
        {
            "path": str(aof),
            "aof_base_size": aof.stat().st_size,
            "workers": 2,
            **SMALL,
            "rate_limit": 500_000,
            **target.login(),
        }
    )
    workers = wait_for_children(process.pid, 2)
    wait_until(lambda: target.client().dbsize() > 200)
    os.kill(workers[1], signal.SIGKILL)
    result = process.result()
    assert result is not None and result["failed"]
    assert "worker process of the import was ended by signal 9" in result["msg"]
    assert "fewer workers" in result["msg"]

    assert imported(aof, target.port, workers=1).resumed_from is not None
    assert_complete(target.client(), LISTS)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_the_import(how: signal.Signals, aof: Path, target: Server) -> None:
    process = ModuleProcess("aof_import")
    process.start(
        {
            "path": str(aof),
            "aof_base_size": aof.stat().st_size,
            "workers": 3,
            **SMALL,
            "rate_limit": 300_000,
            **target.login(),
        }
    )
    workers = wait_for_children(process.pid, 3)
    os.kill(process.pid, how)
    wait_until(lambda: all(process_state(pid) in (None, "Z") for pid in workers))


def wait_for_children(pid: int, count: int) -> list[int]:
    wait_until(lambda: len(children(pid)) == count)
    return children(pid)


def test_a_target_that_is_restarted_is_waited_for(aof: Path, start_server: StartServer) -> None:
    target = start_server("redis-7.0.15", {"appendonly": "yes", "appendfsync": "always"})
    down = threading.Event()

    def report(progress: Progress) -> None:
        if progress.position > progress.size // 4 and not down.is_set():
            down.set()
            target.kill()
            target.start()

    outcome = imported(aof, target.port, report=report, rate_limit=1_000_000)
    assert outcome.reconnects >= 1
    assert_complete(target.client(), LISTS)


def test_where_no_processor_is_idle_one_process_does_it(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    value = b"$1000\r\n" + b"x" * 1000 + b"\r\n"
    path.write_bytes(
        b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%d\r\n" % (len(str(key)), key) + value for key in range(100_000))
    )
    target = start_server("redis-7.0.15")
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=die_with_parent)
        for _processor in range(2 * (os.cpu_count() or 1))
    ]
    try:
        outcome = imported(path, target.port, workers=2, batch_bytes=64 * 1024, window_bytes=32 << 20)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert outcome.workers == 1
    assert target.client().dbsize() == 100_000
