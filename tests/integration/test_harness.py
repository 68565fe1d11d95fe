# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The harness itself: what it takes for the truth about servers and data is the truth."""

from __future__ import annotations

import shutil
import typing as t

import pytest
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.servers import BUILDS, Build, Server

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
