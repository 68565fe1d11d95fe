# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``aof_rewrite`` on real servers: that it proves what it says, and every way in which a rewrite ends badly."""

from __future__ import annotations

import os
import resource
import signal
import time
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.accounts import python_without_privileges
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host
from ansible_collections.redisops.tair.tests.support.processes import (
    descendants,
    has_signal_waiting,
    process_state,
)
from ansible_collections.redisops.tair.tests.support.servers import Build, Server
from ansible_collections.redisops.tair.tests.support.waiting import wait_until

StartServer = t.Callable[..., Server]
Result = t.Dict[str, t.Any]
RunModule = t.Callable[..., Result]

PLAIN = {"appendonly": "yes", "aof-use-rdb-preamble": "no", "auto-aof-rewrite-percentage": 0}


def fill(server: Server, keys: int = 300_000) -> None:
    """Enough keys for a rewrite that can be caught while it runs, which newer servers make slow when they are asked."""
    client = server.client()
    for first in range(0, keys, 10_000):
        client.mset({f"key:{number}": "x" * 20 for number in range(first, first + 10_000)})
    client.config_set("rdb-key-save-delay", -50)  # a pause after every 50 keys: 6.2 has none in an AOF's rewrite


def freeze_rewrite(server: Server) -> int:
    """Catch the process that writes the new base, and stop it. Its id."""
    wait_until(lambda: descendants(server.pid))
    child = descendants(server.pid)[0]
    os.kill(child, signal.SIGSTOP)
    wait_until(lambda: process_state(child) in ("T", "Z", None))
    assert process_state(child) == "T", "the rewrite had ended before it was stopped"
    return child


@pytest.fixture
def in_background(run_module: RunModule) -> t.Iterator[t.Callable[..., Future[Result]]]:
    """``in_background(params)``: run ``aof_rewrite`` while the test goes on."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda params: pool.submit(run_module, "aof_rewrite", params)


@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_it_proves_a_new_plain_base_with_aof_on_and_off(
    appendonly: str, any_build: Build, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(any_build, {**PLAIN, "appendonly": appendonly})
    server.client().set("key", "a value to be found")
    first = run_module("aof_rewrite", server.login())

    second = run_module("aof_rewrite", server.login())

    assert not second["failed"] and second["changed"]
    assert second["format"] == "plain"
    assert second["proof"] == ("inode" if any_build.layout == "single" else "manifest")
    base = Path(second["files"][0]["path"])
    assert b"a value to be found" in base.read_bytes()
    assert second["size"] == sum(file["size"] for file in second["files"])
    if any_build.layout == "multi":
        assert second["files"][0]["seq"] > first["files"][0]["seq"]
        assert second["base_size"] == base.stat().st_size
    assert second["elapsed"] > 0
    assert second["aof_path"] == run_module("aof_info", server.login())["aof_path"]


def test_a_rewrite_right_after_appendonly_yes_is_not_taken_for_ours(
    any_build: Build, start_server: StartServer, run_module: RunModule
) -> None:
    """The server's own rewrite began with the preamble on: only a second one is plain."""
    server = start_server(any_build, {"aof-use-rdb-preamble": "yes"})
    fill(server)
    server.client().config_set("appendonly", "yes")
    server.client().config_set("aof-use-rdb-preamble", "no")
    assert server.client().info("persistence")["aof_rewrite_in_progress"]

    result = run_module("aof_rewrite", server.login())

    assert not result["failed"], result
    assert result["format"] == "plain"
    assert Path(result["files"][0]["path"]).read_bytes()[:1] == b"*"


def rewrites_of(server: Server) -> int:
    """How many have ended well, by its log: no field of INFO tells that of Redis 6.2."""
    return server.log.count("Background AOF rewrite terminated with success")


def begun_beside(server: Server, in_background: t.Callable[..., Future[Result]]) -> Future[Result]:
    """The module, when it has looked at the rewrite that is running, and at the files: as soon as it looks once more.

    It asks INFO at first what server that is, then for each look.
    """
    with server.client().monitor() as commands:
        future = in_background(server.login())
        names = (command["command"].split(" ")[0].upper() for command in commands.listen())
        for _question in range(3):
            assert "INFO" in names
    return future


def test_a_rewrite_that_appendonly_yes_began_serves_as_well_as_another(
    any_build: Build, start_server: StartServer, in_background: t.Callable[..., Future[Result]]
) -> None:
    server = start_server(any_build, {**PLAIN, "appendonly": "no"})
    fill(server)
    server.client().config_set("appendonly", "yes")
    child = freeze_rewrite(server)
    server.client().set("set while it was running", 1)

    future = begun_beside(server, in_background)
    os.kill(child, signal.SIGCONT)
    result = future.result()

    assert not result["failed"], result
    assert (rewrites_of(server), result["format"]) == (1, "plain")
    assert result["proof"] == ("inode" if any_build.layout == "single" else "manifest")
    assert b"set while it was running" in b"".join(Path(file["path"]).read_bytes() for file in result["files"])
    if any_build.layout == "single":
        assert result["base_size"] is None
    else:
        assert result["base_size"] == Path(result["files"][0]["path"]).stat().st_size


def test_a_snapshot_that_was_begun_before_is_followed_by_one_of_now(
    any_build: Build, start_server: StartServer, in_background: t.Callable[..., Future[Result]]
) -> None:
    """With AOF off nothing is written behind it."""
    server = start_server(any_build, {**PLAIN, "appendonly": "no"})
    fill(server)
    server.client().bgrewriteaof()
    child = freeze_rewrite(server)
    server.client().set("set while it was running", 1)

    future = begun_beside(server, in_background)
    os.kill(child, signal.SIGCONT)
    result = future.result()

    assert not result["failed"], result
    assert rewrites_of(server) == 2
    assert b"set while it was running" in Path(result["files"][0]["path"]).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_a_running_rewrite_that_comes_to_nothing_is_followed_by_ours(
    number: signal.Signals, any_build: Build, start_server: StartServer, in_background: t.Callable[..., Future[Result]]
) -> None:
    server = start_server(any_build, PLAIN)
    fill(server)
    server.client().bgrewriteaof()
    child = freeze_rewrite(server)

    future = begun_beside(server, in_background)
    os.kill(child, number)
    os.kill(child, signal.SIGCONT)
    result = future.result()

    assert not result["failed"], result
    assert (rewrites_of(server), result["format"]) == (1, "plain")


def test_a_rewrite_that_is_only_scheduled_is_ours(
    any_build: Build, start_server: StartServer, in_background: t.Callable[..., Future[Result]]
) -> None:
    server = start_server(any_build, PLAIN)
    fill(server)
    server.client().bgsave()
    snapshot = descendants(server.pid)[0]
    os.kill(snapshot, signal.SIGSTOP)

    future = in_background(server.login())
    while not server.client().info("persistence")["aof_rewrite_scheduled"]:
        assert not future.done()
        time.sleep(0.02)
    server.client().set("set while it is only scheduled", 1)
    os.kill(snapshot, signal.SIGCONT)

    result = future.result()
    assert not result["failed"], result
    assert b"set while it is only scheduled" in Path(result["files"][0]["path"]).read_bytes()


def test_a_hybrid_base_is_refused_unless_it_is_expected(
    any_build: Build, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(any_build, {**PLAIN, "aof-use-rdb-preamble": "yes"})
    server.client().set("key", 1)
    rewrites = server.client().info("persistence").get("aof_rewrites")

    refused = run_module("aof_rewrite", server.login())

    assert refused["failed"] and "aof-use-rdb-preamble is 'yes'" in refused["msg"]
    assert "No rewrite was started" in refused["msg"]
    assert server.client().info("persistence").get("aof_rewrites") == rewrites
    assert run_module("aof_rewrite", {**server.login(), "expect": "any"})["format"] == "hybrid"


def test_a_base_that_turns_out_hybrid_is_a_failure(
    start_server: StartServer, in_background: t.Callable[..., Future[Result]]
) -> None:
    """Somebody turns the preamble on between our look and the fork: here while a BGSAVE holds the rewrite up."""
    server = start_server("redis-7.0.15", PLAIN)
    fill(server)
    server.client().bgsave()
    snapshot = descendants(server.pid)[0]
    os.kill(snapshot, signal.SIGSTOP)
    future = in_background(server.login())
    while not server.client().info("persistence")["aof_rewrite_scheduled"]:
        time.sleep(0.02)
    server.client().config_set("aof-use-rdb-preamble", "yes")
    os.kill(snapshot, signal.SIGCONT)

    result = future.result()

    assert result["failed"] and "starts with an RDB" in result["msg"]
    assert "Set aof-use-rdb-preamble to 'no'" in result["msg"]


def test_a_killed_rewrite_is_a_failure_though_the_server_calls_it_ok(
    any_build: Build, start_server: StartServer, in_background: t.Callable[..., Future[Result]]
) -> None:
    server = start_server(any_build, PLAIN)
    fill(server)

    future = in_background(server.login())
    child = freeze_rewrite(server)
    os.kill(child, signal.SIGUSR1)
    os.kill(child, signal.SIGCONT)

    result = future.result()
    assert result["failed"] and "ended without a new base" in result["msg"]
    assert server.client().info("persistence")["aof_last_bgrewrite_status"] == "ok"


def test_a_rewrite_whose_process_dies_is_a_failure(
    any_build: Build, start_server: StartServer, in_background: t.Callable[..., Future[Result]]
) -> None:
    server = start_server(any_build, PLAIN)
    fill(server)

    future = in_background(server.login())
    os.kill(freeze_rewrite(server), signal.SIGKILL)

    assert "aof_last_bgrewrite_status:err" in future.result()["msg"]


def test_a_type_that_has_no_commands_is_named_as_the_reason(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-8.2.3", PLAIN)
    server.client().execute_command("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")

    result = run_module("aof_rewrite", server.login())

    assert result["failed"] and "loaded: vectorset" in result["msg"]


def test_a_first_rewrite_that_fails_again_and_again_is_not_waited_for(
    start_server: StartServer, run_module: RunModule
) -> None:
    """After 'appendonly yes' the server starts the next attempt by itself, so it is never seen at rest."""
    server = start_server("redis-8.2.3", {"aof-use-rdb-preamble": "no"})
    server.client().execute_command("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")
    server.client().config_set("appendonly", "yes")

    result = run_module("aof_rewrite", {**server.login(), "timeout": 20})

    assert result["failed"] and "aof_last_bgrewrite_status:err" in result["msg"]


def test_appendonly_switched_off_meanwhile_is_told(
    any_build: Build, start_server: StartServer, in_background: t.Callable[..., Future[Result]]
) -> None:
    server = start_server(any_build, PLAIN)
    fill(server)

    future = in_background(server.login())
    child = freeze_rewrite(server)
    with ThreadPoolExecutor(1) as pool:  # the server waits for the process that it ends
        switched = pool.submit(server.client().config_set, "appendonly", "no")
        wait_until(lambda: has_signal_waiting(child))
        os.kill(child, signal.SIGCONT)
        switched.result()

    assert "appendonly was set to 'no'" in future.result()["msg"]


def test_a_restart_meanwhile_is_told(start_server: StartServer, in_background: t.Callable[..., Future[Result]]) -> None:
    server = start_server("redis-7.0.15", PLAIN)
    fill(server)

    future = in_background(server.login())
    child = freeze_rewrite(server)
    server.kill()
    os.kill(child, signal.SIGKILL)

    result = future.result()
    assert result["failed"] and f"{server}" in result["msg"]


def test_the_time_limit_ends_the_wait_and_says_that_the_rewrite_goes_on(
    any_build: Build, start_server: StartServer, in_background: t.Callable[..., Future[Result]]
) -> None:
    server = start_server(any_build, PLAIN)
    fill(server)

    future = in_background({**server.login(), "timeout": 2})
    child = freeze_rewrite(server)

    assert "has not ended within 2 s" in future.result()["msg"]
    assert server.client().info("persistence")["aof_rewrite_in_progress"]
    os.kill(child, signal.SIGCONT)


@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-7.0.15", "valkey-9.1.2"])
def test_a_full_disk_is_a_failure(build: str, start_server: StartServer, run_module: RunModule) -> None:
    """A file size limit stands for the disk: the server's writes fail in the same way."""
    server = start_server(build, PLAIN)
    fill(server, 20_000)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))

    result = run_module("aof_rewrite", server.login())

    assert result["failed"] and "disk is full" in result["msg"], result
    assert f"bytes free in {server.data}" in result["msg"]


@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-7.0.15"])
def test_where_the_files_can_not_be_read_the_proof_is_info(
    build: str,
    start_server: StartServer,
    make_account: t.Callable[..., str],
    run_playbook: t.Callable[..., PlaybookRun],
    tmp_path: Path,
) -> None:
    server = start_server(build, PLAIN, unix_user=make_account("redis"))
    server.client().set("key", "value")
    play = {"hosts": "redis", "gather_facts": False, "tasks": [{"redisops.tair.aof_rewrite": server.login()}]}
    source = local_host(ansible_python_interpreter=str(python_without_privileges(tmp_path)))

    result = run_playbook([play], {"source": source}).result("aof_rewrite")

    assert result["proof"] == "info" and result["format"] is None
    assert result["size"] == server.client().info("persistence")["aof_current_size"]


def test_where_config_is_forbidden_the_proof_is_info(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15", {**PLAIN, "rename-command": 'CONFIG ""'})

    result = run_module("aof_rewrite", server.login())

    assert (result["proof"], result["aof_path"], result["files"]) == ("info", None, [])


def test_renamed_commands_are_called_by_their_names(
    any_build: Build, start_server: StartServer, run_module: RunModule
) -> None:
    names = {"CONFIG": "b840fc02", "BGREWRITEAOF": "c951ad13"}
    server = start_server(any_build, {**PLAIN, "rename-command": [f"{name} {new}" for name, new in names.items()]})

    result = run_module("aof_rewrite", {**server.login(), "renamed_commands": names})
    refused = run_module("aof_rewrite", {**server.login(), "renamed_commands": {"CONFIG": "b840fc02"}})

    assert result["proof"] in ("manifest", "inode") and result["format"] == "plain"
    assert refused["failed"] and "No rewrite was started" in refused["msg"] and "renamed_commands" in refused["msg"]
    assert not any(new in f"{result}{refused}" for new in names.values())


@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-7.0.15"])
def test_the_files_of_a_server_in_a_container_are_found_where_the_host_has_them(
    build: str, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(build, PLAIN, container="/mnt")

    told = run_module("aof_rewrite", server.login())
    result = run_module("aof_rewrite", {**server.login(), "data_dir": str(server.data)})

    assert told["failed"] and "there is no AOF at /mnt/" in told["msg"] and "data_dir" in told["msg"]
    assert result["proof"] in ("manifest", "inode")
    assert Path(result["aof_path"]).is_relative_to(server.data) and Path(result["aof_path"]).exists()


@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-7.0.15"])
def test_from_the_control_node_only_info_proves_it_even_if_a_file_of_that_name_is_there(
    build: str, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(build, PLAIN)

    result = run_module("aof_rewrite", {**server.login(), "via": "control_node"})

    assert (result["proof"], result["format"]) == ("info", None)
    assert result["size"] == server.client().info("persistence")["aof_current_size"]
    assert Path(result["aof_path"]).exists()


def test_the_base_of_a_single_file_has_a_size_only_when_nothing_was_written_meanwhile(
    start_server: StartServer, in_background: t.Callable[..., Future[Result]], run_module: RunModule
) -> None:
    server = start_server("redis-6.2.14", PLAIN)
    fill(server)

    quiet = run_module("aof_rewrite", server.login())
    future = in_background(server.login())
    child = freeze_rewrite(server)
    server.client().rpush("a list", "pushed during the rewrite")
    os.kill(child, signal.SIGCONT)
    busy = future.result()

    assert quiet["base_size"] == quiet["size"]
    assert busy["base_size"] is None and not busy["failed"]
    assert b"pushed during the rewrite" in Path(busy["aof_path"]).read_bytes()[-200:]


def test_a_server_that_refuses_is_quoted(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-7.0.15", {**PLAIN, "user": ["default on nopass ~* &* +@all -bgrewriteaof"]})

    result = run_module("aof_rewrite", server.login())

    assert result["failed"] and "has no permissions to run the 'bgrewriteaof' command" in result["msg"]
    assert "No rewrite was started" in result["msg"]


def test_check_mode_says_that_it_would_rewrite_and_does_not(
    any_build: Build, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(any_build, {"aof-use-rdb-preamble": "yes"})
    server.client().set("key", "value")

    result = run_module("aof_rewrite", server.login(), check=True)

    assert result["changed"] and not result["failed"]
    assert (result["files"], result["proof"], result["format"]) == ([], None, None)
    assert not server.aof_path().exists()
