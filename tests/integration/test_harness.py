# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The harness itself: what it takes for the truth about servers and data is the truth."""

from __future__ import annotations

import os
import shutil
import signal
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.module_process import ModuleProcess
from ansible_collections.redisops.tair.tests.support.paths import link_collection
from ansible_collections.redisops.tair.tests.support.processes import descendants, process_state
from ansible_collections.redisops.tair.tests.support.servers import BUILDS, Build, Server
from ansible_collections.redisops.tair.tests.support.waiting import wait_until

StartServer = t.Callable[..., Server]

LOADABLE = [one for one in corpus() if f"{one.server}-{one.version}" in {build.name for build in BUILDS}]


@pytest.mark.parametrize("aof", LOADABLE, ids=str)
def test_a_server_of_the_same_version_loads_a_corpus_set_as_expected(aof: CorpusSet) -> None:
    server = Server(
        next(build for build in BUILDS if build.name == f"{aof.server}-{aof.version}"), {"appendonly": "yes"}
    )
    copy = shutil.copytree if aof.aof.is_dir() else shutil.copy
    copy(aof.aof, server.data / aof.aof.name)
    with server:
        differences = snapshot.diff(aof.expected, snapshot.snapshot(server.host, server.port))
    assert differences == []


def test_a_server_has_the_version_of_its_build(any_build: Build, start_server: StartServer) -> None:
    info = start_server(any_build).client().info("server")
    told = info["valkey_version"] if any_build.flavor == "valkey" else info["redis_version"]
    assert told == any_build.version


def test_a_restarted_server_has_its_aof_its_port_and_its_password(any_build: Build, start_server: StartServer) -> None:
    server = start_server(any_build, {"appendonly": "yes", "appendfsync": "always"}, password="secret word")
    port = server.port
    server.client(db=3).set("key", "value")
    server.restart({"maxmemory-policy": "noeviction"})
    assert server.port == port
    assert server.client(db=3).get("key") == b"value"
    server.kill()
    assert not server.running
    server.start()
    assert server.client(db=3).get("key") == b"value"
    assert server.aof_path().exists()


def test_nothing_is_left_of_a_server_that_was_closed(start_server: StartServer) -> None:
    server = start_server("redis-6.2.14")
    server.close()
    assert not server.directory.exists()
    with pytest.raises(snapshot.socket.error):
        snapshot.Conn(server.host, server.port)


def test_the_same_seed_gives_the_same_data(start_server: StartServer) -> None:
    one, other, third = (start_server("redis-6.2.14") for _server in range(3))
    assert fill(one.host, one.port, keys=3000, seed=7) == fill(other.host, other.port, keys=3000, seed=7)
    fill(third.host, third.port, keys=3000, seed=8)
    day = 24 * 3600 * 1000  # expiries and delivery times follow the clock
    first = snapshot.snapshot(one.host, one.port)
    assert snapshot.diff(first, snapshot.snapshot(other.host, other.port), ttl_tolerance_ms=day) == []
    assert snapshot.diff(first, snapshot.snapshot(third.host, third.port), ttl_tolerance_ms=day)


def test_sample_data_has_every_type_and_as_many_keys_as_asked_for(any_build: Build, start_server: StartServer) -> None:
    server = start_server(any_build)
    counts = fill(server.host, server.port, keys=3000, expiring=10)
    data = snapshot.snapshot(server.host, server.port)
    assert sum(counts.values()) >= 3000
    assert set(counts) == {0, 1, 5}
    for keys in data["dbs"].values():
        assert {entry["type"] for entry in keys.values()} == {"string", "list", "set", "hash", "zset", "stream"}
        assert any(entry["pexpireat"] for entry in keys.values())
    assert bool(data["functions"]) == (any_build.layout == "multi")
    has_field_ttls = any("field_ttls" in entry for keys in data["dbs"].values() for entry in keys.values())
    assert has_field_ttls == (any_build.name in ("redis-8.2.3", "valkey-9.1.2"))


def test_a_module_runs_in_a_process_of_its_own_that_ends_when_it_takes_too_long(start_server: StartServer) -> None:
    server = start_server("redis-7.0.15")
    arguments = {"login_host": server.host, "login_port": server.port, "settings": {"maxmemory": "1gb"}}
    hanging, working = ModuleProcess("redis_config", timeout=1), ModuleProcess("redis_config")

    os.kill(server.pid, signal.SIGSTOP)
    hanging.start(arguments)
    working.start(arguments)
    assert process_state(hanging.pid) and process_state(working.pid) and hanging.pid != working.pid != os.getpid()
    assert hanging.result() is None
    wait_until(lambda: process_state(hanging.pid) is None)
    os.kill(server.pid, signal.SIGCONT)

    result = working.result()
    assert result is not None and result["changed"] is True
    assert server.client().config_get("maxmemory") == {"maxmemory": str(1 << 30)}


def test_a_module_has_the_environment_that_it_is_given_python_s_own_too(
    run_module: t.Callable[..., dict[str, t.Any]], start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("redis-7.0.15", password="of the environment")
    arguments = {"login_host": server.host, "login_port": server.port, "settings": {}}
    (tmp_path / "redis.py").write_text("raise ImportError('not here')\n")
    given = {"REDISOPS_LOGIN_PASSWORD": "of the environment"}

    assert not run_module("redis_config", arguments, env=given)["failed"]
    assert "wants a password" in run_module("redis_config", arguments)["msg"]
    path = f"{tmp_path}:{link_collection()}"
    assert "(redis)" in run_module("redis_config", arguments, env={**given, "PYTHONPATH": path})["msg"]


def test_modules_run_after_something_has_killed_the_process_that_they_come_from(
    run_module: t.Callable[..., dict[str, t.Any]],
) -> None:
    arguments = {"login_host": "127.0.0.1", "login_port": 1, "settings": {}}
    before = run_module("redis_config", arguments)
    [nursery] = [
        pid for pid in descendants(os.getpid()) if b"module_nursery" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(nursery, signal.SIGKILL)
    wait_until(lambda: process_state(nursery) == "Z")

    after = run_module("redis_config", arguments)

    assert before["failed"] and "nothing listens there" in before["msg"] and after["msg"] == before["msg"]
