# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The EXAMPLES of every module run as they stand, but for names of servers, directories and accounts."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.ansible_cli import Vars, local_host, run_playbook
from ansible_collections.redisops.tair.tests.support.documented import block
from ansible_collections.redisops.tair.tests.support.paths import CHECKOUT
from ansible_collections.redisops.tair.tests.support.servers import Server

#: tair_whitelist speaks to Alibaba Cloud; its own tests run it against a local endpoint.
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py") if path.stem != "tair_whitelist")
#: Modules whose examples go on where those of another one end.
BEFORE = {"preflight_table": "aof_preflight"}
#: Modules each of whose examples begins with an empty target.
EMPTY_TARGET = {"aof_import"}
OF_THE_TASK = {"become", "become_user"}


class Scene(t.NamedTuple):
    source: Server
    older: Server
    target: Server
    directory: Path

    def value(self, value: t.Any) -> t.Any:
        """The same in this scene."""
        if isinstance(value, dict):
            changed = {key: self.value(each) for key, each in value.items()}
            host = str(value.get("login_host", ""))
            if host.endswith(".aliyuncs.com"):
                changed.update(login_host=self.target.host, login_port=self.target.port)
            elif host:
                changed.update(login_host=self.source.host, login_port=self.source.port)
            return changed
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, str):
            for theirs, ours in (
                ("/var/lib/redis/appendonly.aof", self.older.aof_path()),
                ("/var/lib/redis", self.source.data),
                ("/srv/redis/data", self.source.data),
                ("/var/tmp/aof", self.directory / "copies"),
            ):
                value = value.replace(theirs, str(ours))
        return value

    def task(self, task: Vars) -> Vars:
        changed = {name: self.value(value) for name, value in task.items() if name not in OF_THE_TASK}
        for name, value in changed.items():
            if name == "redisops.tair.aof_info" and not value:
                changed[name] = {"login_port": self.source.port}
        return changed


@pytest.fixture
def scene(start_server: t.Callable[..., Server], tmp_path: Path) -> Scene:
    servers = [
        start_server(build, {"appendonly": "yes", "aof-use-rdb-preamble": "no"})
        for build in ("redis-7.0.15", "redis-6.2.14")
    ]
    for server in servers:
        server.client().mset({f"key:{number}": number for number in range(200)})
        server.client().rpush("list", *range(50))
        for database in (0, 3):
            server.client(db=database).set("session:1", "somebody")
        server.client().bgrewriteaof()
        server.wait_for_rewrite()
    target = start_server("redis-8.2.3")
    target.client(db=3).set("session:1", "somebody")
    return Scene(servers[0], servers[1], target, tmp_path)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_run(module: str, scene: Scene) -> None:
    empty = {"ansible.builtin.command": f"redis-cli -p {scene.target.port} flushall"}
    tasks = [scene.task(task) for name in (BEFORE.get(module), module) if name for task in block(name, "EXAMPLES")]
    if module in EMPTY_TARGET | {"aof_fetch", "aof_catch_up", "tair_info"}:
        tasks = [one for task in tasks for one in (empty, task)]
    variables = {
        "redis_password": "",
        "tair_password": "",
        "redis_config_command": "CONFIG",
        "fetched": {"dest": str(scene.source.aof_path())},
        "rewritten": {"aof_path": str(scene.source.aof_path()), "base_size": 0},
    }

    run = run_playbook([{"hosts": "redis", "gather_facts": False, "tasks": tasks}], {"redis1": local_host(**variables)})

    assert run.returncode == 0, run.output
    own = [event for event in run.events if event["action"] == f"redisops.tair.{module}"]
    assert own and all(event["outcome"] == "ok" for event in own)
