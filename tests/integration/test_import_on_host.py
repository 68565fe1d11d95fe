# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``aof_import`` on the source's own host, on the files of a running server, straight into the target."""

from __future__ import annotations

import os
import signal
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.accounts import python_without_redis
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, run_playbook
from ansible_collections.redisops.tair.tests.support.processes import descendants
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

Vars = t.Dict[str, t.Any]
StartServer = t.Callable[..., Server]

KEYS = 2000
SLOWLY = {"rate_limit": 250_000, "batch_bytes": 16384}  # 2 MB take eight seconds
AOF = {"appendonly": "yes", "aof-use-rdb-preamble": "no"}


def fill(source: Server) -> None:
    """Keys, and a list that comes out wrong where a command is lost or runs twice."""
    pipeline = source.client().pipeline(transaction=False)
    for number in range(KEYS):
        pipeline.set(f"key:{number}", "x" * 900)
    for number in range(100):
        pipeline.rpush("list", str(number))
    pipeline.execute()


def is_whole(target: Server) -> bool:
    client = target.client()
    return client.dbsize() == KEYS + 1 and client.lrange("list", 0, -1) == [b"%d" % number for number in range(100)]


def wait_for_keys(target: Server) -> None:
    end = time.monotonic() + 60
    while not target.client().dbsize():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("build", "config"),
    [
        ("redis-6.2.14", {}),
        ("redis-7.0.15", {}),
        pytest.param("redis-7.0.15", {"aof-disable-auto-gc": "yes"}, id="redis-7.0.15 which keeps old files"),
    ],
)
def test_a_rewrite_during_the_import_is_a_failure_that_tells_what_the_target_holds(
    build: str, config: Vars, start_server: StartServer, run_module: t.Callable[..., Vars]
) -> None:
    source, target = start_server(build, {**AOF, **config}), start_server("redis-8.2.3")
    fill(source)

    with ThreadPoolExecutor(1) as pool:
        arguments = {**target.login(), "path": str(source.aof_path()), **SLOWLY}
        future = pool.submit(run_module, "aof_import", arguments)
        wait_for_keys(target)
        source.client().bgrewriteaof()
        source.wait_for_rewrite()
        result = future.result()

    assert result["failed"] and "was rewritten while it was imported" in result["msg"]
    assert f"{target} holds the AOF as it was before" in result["msg"] and "if_not_empty=flush" in result["msg"]
    assert result["errors"] == 0 and result["replies"] > 0
    assert is_whole(target)


def test_what_is_written_meanwhile_is_no_rewrite(start_server: StartServer, run_module: t.Callable[..., Vars]) -> None:
    source, target = start_server("redis-7.0.15", AOF), start_server("redis-8.2.3")
    fill(source)

    with ThreadPoolExecutor(1) as pool:
        arguments = {**target.login(), "path": str(source.aof_path()), **SLOWLY}
        future = pool.submit(run_module, "aof_import", arguments)
        wait_for_keys(target)
        source.client().set("late", "1")
        result = future.result()

    assert not result["failed"], result["msg"]
    assert is_whole(target)


def running(sshd: Sshd, program: str) -> list[int]:
    """The processes of this name that serve connections."""
    return [pid for pid in descendants(sshd.pid) if Path(f"/proc/{pid}/exe").resolve().name.startswith(program)]


@pytest.mark.parametrize(
    ("build", "killed", "pipelining"),
    [("redis-6.2.14", "python", False), ("redis-7.0.15", "sshd", False), ("redis-7.0.15", "sshd", True)],
)
def test_an_import_whose_process_or_connection_was_killed_goes_on_where_it_was(
    build: str,
    killed: str,
    pipelining: bool,
    start_server: StartServer,
    start_sshd: t.Callable[..., Sshd],
    make_account: t.Callable[..., str],
) -> None:
    """Files of another account, read through sudo; a Python without redis. With pipelining SSH gives it no terminal."""
    source = start_server(build, AOF, unix_user=make_account("redis"))
    target = start_server("redis-8.2.3", password="s3cret")
    fill(source)
    sshd = start_sshd(user=make_account("deploy", sudo="(ALL) NOPASSWD: ALL"))
    python = python_without_redis(sshd.directory / "python")
    host = {
        **sshd.inventory_vars(),
        "ansible_python_interpreter": str(python),
        "ansible_pipelining": pipelining,
        "redisops_tair_progress": False,
    }

    def run(**options: t.Any) -> PlaybookRun:
        arguments = {**target.login(), "path": str(source.aof_path()), **options}
        tasks = [{"redisops.tair.aof_import": arguments, "become": True}]
        return run_playbook([{"hosts": "redis", "gather_facts": False, "tasks": tasks}], {"source": host})

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, **SLOWLY)
        wait_for_keys(target)
        modules = running(sshd, "python")
        for pid in running(sshd, killed):
            os.kill(pid, signal.SIGKILL)
        first = future.result()
    end = time.monotonic() + 3  # the import itself takes eight
    while any(Path(f"/proc/{pid}/fd/0").exists() for pid in modules):  # a zombie has no files
        assert time.monotonic() < end, "the module goes on without anybody"
        time.sleep(0.02)
    second = run()

    assert first.returncode in (2, 4) and modules, first.output
    assert second.returncode == 0, second.output
    assert second.result("aof_import")["resumed_from"] > 0
    assert is_whole(target)
    assert "s3cret" not in first.output + second.output
