# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules on a host whose Python has no redis library: it is brought along, and goes again."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.accounts import python_without_redis
from ansible_collections.redisops.tair.tests.support.ansible_cli import run_playbook
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

Vars = t.Dict[str, t.Any]


def play(server: Server, *tasks: Vars) -> Vars:
    return {
        "hosts": "redis",
        "gather_facts": False,
        "module_defaults": {"group/redisops.tair.tair": server.login()},
        "tasks": list(tasks),
    }


@pytest.mark.parametrize("pipelining", [False, True])
def test_nothing_but_python_is_needed_on_the_host(
    pipelining: bool,
    start_server: t.Callable[..., Server],
    start_sshd: t.Callable[..., Sshd],
    make_account: t.Callable[..., str],
) -> None:
    server = start_server("redis-7.0.15", {"aof-use-rdb-preamble": "no"}, unix_user=make_account("redis"))
    other = start_server("redis-7.0.15")
    for one in (server, other):
        one.client().set("key", "value")
    account = make_account("deploy", sudo="(ALL) NOPASSWD: ALL")
    sshd = start_sshd(user=account)
    host = {
        **sshd.inventory_vars(),
        "ansible_python_interpreter": str(python_without_redis(sshd.directory / "python")),
        "ansible_pipelining": pipelining,
    }
    tasks: list[Vars] = [
        {"redisops.tair.redis_config": {"settings": {"appendonly": True}}, "environment": {"PYTHONPATH": "/nowhere"}},
        {"redisops.tair.aof_rewrite": {}, "become": True},
        {"redisops.tair.aof_info": {}, "become": True},
        {"redisops.tair.tair_info": {}},
        {"redisops.tair.keyspace_compare": {"source": other.login()}, "delegate_to": "source"},
    ]

    run = run_playbook([play(server, *tasks)], {"source": host})

    assert run.returncode == 0, run.output
    assert run.result("redis_config")["settings"] == {"appendonly": "yes"}
    assert run.result("aof_rewrite")["proof"] == "manifest" and run.result("aof_info")["readable"]
    assert run.result("tair_info")["keyspace"] == {"0": 1} and run.result("keyspace_compare")["compared"] == 1
    assert list(Path("/home", account, ".ansible", "tmp").iterdir()) == []


def test_on_the_control_node_a_module_needs_no_host_at_all(start_server: t.Callable[..., Server]) -> None:
    server, other = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    nowhere = {"ansible_host": "192.0.2.1", "ansible_python_interpreter": "/nowhere/python", "ansible_become": True}
    tasks: list[Vars] = [
        {"redisops.tair.redis_config": {"via": "control_node", "settings": {"appendonly": True}}},
        {"redisops.tair.aof_info": {"via": "control_node"}},
        {"redisops.tair.keyspace_compare": {"source": other.login(), "source_via": "control_node"}},
    ]

    run = run_playbook([play(server, *tasks)], {"source": nowhere})

    assert run.returncode == 0, run.output
    assert run.result("redis_config")["changed"] and run.result("aof_info")["appendonly"]
    assert run.result("aof_info")["aof_path"].startswith(str(server.data)) and not run.result("aof_info")["readable"]
    assert run.result("keyspace_compare")["equal"]
