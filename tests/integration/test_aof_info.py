# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``aof_info`` on real servers, before and after a rewrite, and where it may see less than everything."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.accounts import python_without_privileges
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host
from ansible_collections.redisops.tair.tests.support.servers import Build, Server

StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., t.Dict[str, t.Any]]


def test_it_tells_what_the_server_is_and_that_there_is_no_aof_yet(
    any_build: Build, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(any_build)
    server.client(db=3).mset({"a": 1, "b": 2})

    info = run_module("aof_info", server.login())

    assert not info["failed"] and not info["changed"]
    assert (info["flavor"], info["version"], info["layout"]) == (any_build.flavor, any_build.version, any_build.layout)
    assert info["dir"] == str(server.data) and info["dir_free"] > 0
    assert info["readable"] is True and info["files"] == [] and info["size"] is None
    assert info["appendonly"] is False and info["preamble"] == "yes"
    assert info["keyspace"] == {"3": 2}
    assert info["role"] == "master"
    assert info["config_allowed"] is True and info["config_set_allowed"] is True
    assert 0 < info["used_memory_dataset"] < info["used_memory"]


def test_it_names_the_files_in_reading_order_with_their_sizes(
    any_build: Build, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(any_build, {"appendonly": "yes", "aof-use-rdb-preamble": "no"})
    server.client().set("in the base", 1)
    server.client().bgrewriteaof()
    server.wait_for_rewrite()
    server.client().set("after the base", 1)

    info = run_module("aof_info", server.login())

    paths = [file["path"] for file in info["files"]]
    assert [file["kind"] for file in info["files"]] == (
        ["single"] if any_build.layout == "single" else ["base", "incr"]
    )
    assert [file["size"] for file in info["files"]] == [os.path.getsize(path) for path in paths]
    assert info["size"] == sum(map(os.path.getsize, paths)) == server.client().info("persistence")["aof_current_size"]
    assert info["aof_path"] == str(
        server.aof_path() if any_build.layout == "single" else server.aof_path() / "appendonly.aof.manifest"
    )
    assert info["appendonly"] is True and info["preamble"] == "no"


@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-7.0.15"])
def test_it_goes_by_info_where_the_files_belong_to_somebody_else(
    build: str,
    start_server: StartServer,
    make_account: t.Callable[..., str],
    run_playbook: t.Callable[..., PlaybookRun],
    tmp_path: Path,
) -> None:
    server = start_server(build, {"appendonly": "yes"}, unix_user=make_account("redis"))
    server.client().set("key", "value")
    play = {"hosts": "redis", "gather_facts": False, "tasks": [{"redisops.tair.aof_info": server.login()}]}
    source = local_host(ansible_python_interpreter=str(python_without_privileges(tmp_path)))

    info = run_playbook([play], {"source": source}).result("aof_info")

    assert info["readable"] is False
    assert info["size"] == server.client().info("persistence")["aof_current_size"]
    assert info["aof_path"].startswith(str(server.data))


@pytest.mark.parametrize(
    "config",
    [{"rename-command": 'CONFIG ""'}, {"user": ["default on nopass ~* &* +@all -config"]}],
    ids=["renamed", "forbidden"],
)
@pytest.mark.parametrize("build", ["redis-6.2.14", "valkey-8.1.8"])
def test_without_config_it_tells_what_info_tells(
    build: str, config: dict[str, t.Any], start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(build, {"appendonly": "yes", **config})

    info = run_module("aof_info", server.login())

    assert not info["failed"] and info["config_allowed"] is False and info["config_set_allowed"] is False
    assert (info["dir"], info["aof_path"], info["files"], info["preamble"]) == (None, None, [], None)
    assert info["appendonly"] is True
    assert info["size"] == server.client().info("persistence")["aof_current_size"]


def test_it_tells_where_config_may_be_read_and_not_set(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server(
        "redis-7.0.15", {"user": ["default on nopass ~* &* +@all", "reader on nopass ~* +@all -config|set"]}
    )
    before = server.client().config_get("*")

    info = run_module("aof_info", {**server.login(), "login_user": "reader", "login_password": "any"})

    assert info["config_allowed"] is True and info["config_set_allowed"] is False
    assert run_module("aof_info", server.login())["config_set_allowed"] is True
    assert server.client().config_get("*") == before


def test_it_tells_of_a_failed_rewrite_and_of_modules(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-8.2.3", {"aof-use-rdb-preamble": "no"})
    server.client().execute_command("VADD", "vectors", "VALUES", 3, 1, 2, 3, "element")
    server.client().bgrewriteaof()
    server.wait_for_rewrite()

    info = run_module("aof_info", server.login())

    assert info["last_rewrite_ok"] is False
    assert info["modules"] == ["vectorset"]


def test_valkeys_scripting_engine_is_not_called_a_module(start_server: StartServer, run_module: RunModule) -> None:
    assert run_module("aof_info", start_server("valkey-9.1.2").login())["modules"] == []


def test_it_fails_with_the_reason_when_the_server_is_not_there(
    start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server("redis-7.0.15")
    server.stop()

    info = run_module("aof_info", server.login())

    assert info["failed"]
    assert f"{server} refuses the connection" in info["msg"] and "Nothing was changed" in info["msg"]
