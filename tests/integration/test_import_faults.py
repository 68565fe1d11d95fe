# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exactly once: the importer killed, its connection cut, the target restarted, each at many places of base and incr.

The data is such that any command lost or run twice shows: lists and counters, in several databases, in transactions.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.module_utils._import.importer import import_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_KEY
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support import dataset, snapshot
from ansible_collections.redisops.tair.tests.support.module_process import ModuleProcess
from ansible_collections.redisops.tair.tests.support.proxy import Proxy
from ansible_collections.redisops.tair.tests.support.servers import Server, build

# Small, so that many checkpoints and transactions are under way: what takes gigabytes in a real migration.
OPTIONS: dict[str, t.Any] = {"batch_bytes": 4096, "window_bytes": 64 * 1024}
PLACES = 15  # for each of the five sources


@dataclass(frozen=True)
class Source:
    """An AOF with a base and incr commands, and what it holds."""

    aof: Path
    base_size: int
    size: int
    expected: dict[str, t.Any]
    workers: int

    def options(self) -> dict[str, t.Any]:
        return {"path": str(self.aof), "aof_base_size": self.base_size, "workers": self.workers, **OPTIONS}


def write_after_rewrite(server: Server, rng: random.Random) -> None:
    """Commands whose number and order matter, in the forms that a server logs."""
    client = server.client()
    for number in range(6000):
        if number % 500 == 0:
            client = server.client(db=rng.choice((0, 0, 0, 3)))
        key = f"late:{rng.randrange(40)}"
        choice = rng.random()
        if choice < 0.4:
            client.rpush(f"{key}:list", f"{number}", "x" * rng.randrange(60))
        elif choice < 0.7:
            client.incr(f"{key}:counter")
        elif choice < 0.75:
            client.append(f"{key}:text", f"{number},")
        elif choice < 0.8:
            client.lpop(f"{key}:list")
        elif choice < 0.85:
            client.rename(f"{key}:counter", f"{key}:was") if client.exists(f"{key}:counter") else None
        elif choice < 0.9:
            client.xadd(f"{key}:stream", {"n": number})
        else:
            with client.pipeline(transaction=True) as pipe:
                pipe.incrby(f"{key}:counter", 7)
                pipe.rpush(f"{key}:list", "in multi", number)
                pipe.execute()
    client.set("last", b"\r\n*1\r\n#TS:1\r\n" * 100)
    client.rpush("large", "y" * 700_000, "z")


@pytest.fixture(
    scope="module",
    params=[
        ("redis-6.2.14", "no", 1),
        ("redis-7.0.15", "no", 1),
        ("redis-6.2.14", "yes", 1),
        ("redis-6.2.14", "no", 3),
        ("redis-7.0.15", "yes", 3),
    ],
    ids=["single", "multi", "hybrid", "single by workers", "hybrid by workers"],
)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Source]:
    program, preamble, workers = request.param
    with Server(build(program), {"appendonly": "yes", "aof-use-rdb-preamble": preamble}) as server:
        dataset.fill(server.host, server.port, keys=4000)
        client = server.client()
        client.rpush("huge", *[f"{n}" for n in range(60_000)])  # one key of hundreds of commands, larger than a zone
        client.bgrewriteaof()
        server.wait_for_rewrite()
        base_size = client.info("persistence")["aof_base_size"]
        write_after_rewrite(server, random.Random(4))
        expected = snapshot.snapshot(server.host, server.port)
        client.config_set("auto-aof-rewrite-percentage", 0)
        size = client.info("persistence")["aof_current_size"]
        base_size = base_size if server.build.layout == "single" else 0
        yield Source(server.aof_path(), base_size, size, expected, workers)


@pytest.fixture(scope="module")
def target() -> t.Iterator[Server]:
    # Always-fsync: what it has acknowledged is there after a kill -9.
    with Server(build("redis-7.0.15"), {"appendonly": "yes", "appendfsync": "always"}) as server:
        yield server


@pytest.fixture(autouse=True)
def empty(target: Server) -> None:
    target.client().flushall()
    target.client().function_flush()


def places(source: Source, seed: int, count: int = PLACES) -> list[int]:
    """Byte counts to fail at, spread over the whole import and beyond what it takes to say so."""
    rng = random.Random(seed)
    return sorted(int(source.size * (n + rng.random()) / count * 1.02) for n in range(count))


def import_here(source: Source, port: int, **more: t.Any) -> t.Any:
    options = Options(**{**OPTIONS, "workers": source.workers, "timeout": 20.0, **more})
    with open_aof(find_aof(source.aof), base_size=source.base_size) as aof:
        return import_aof(aof, Endpoint(host="127.0.0.1", port=port), options)


def assert_equal(source: Source, target: Server) -> None:
    assert snapshot.diff(source.expected, snapshot.snapshot(target.host, target.port)) == []


def test_an_import_killed_anywhere_is_finished_by_the_next_one_exactly(source: Source, target: Server) -> None:
    resumed = 0
    for number, place in enumerate(places(source, seed=1)):
        target.client().flushall()
        target.client().function_flush()
        process = ModuleProcess("aof_import")
        with Proxy(target.port, fault_at=place, on_fault=process.kill) as proxy:
            process.start({**source.options(), "login_host": "127.0.0.1", "login_port": proxy.port})
            process.result()
        outcome = import_here(source, target.port, workers=1 + number % source.workers)
        resumed += outcome.resumed_from is not None
        assert_equal(source, target)
    assert resumed >= PLACES * 0.8, "most of the kills must have hit an import under way"


@pytest.mark.parametrize("share", [0.3, 0.8, 0.97])
def test_what_a_killed_import_still_had_on_the_way_is_not_executed_after_all(
    share: float, source: Source, target: Server
) -> None:
    process = ModuleProcess("aof_import")
    large = {"batch_bytes": 1 << 20, "window_bytes": 4 << 20}
    with Proxy(target.port, fault_at=int(source.size * share), on_fault=process.kill, hold=True) as proxy:
        process.start({**source.options(), **large, "login_host": "127.0.0.1", "login_port": proxy.port})
        assert process.result() is None
        late = threading.Timer(1.0, proxy.release)
        late.start()
        import_here(source, target.port, rate_limit=source.size // 3)
        late.join()
        time.sleep(1.0)  # for what is released to be refused or, if it is not, executed
    assert proxy.held > 0
    assert_equal(source, target)


def test_an_import_killed_again_and_again_still_comes_out_exact(source: Source, target: Server) -> None:
    for place in (30_000, 60_000, 100_000, 150_000, 150_000, 200_000, 250_000, 300_000):
        process = ModuleProcess("aof_import")
        with Proxy(target.port, fault_at=place, on_fault=process.kill) as proxy:
            process.start({**source.options(), "login_host": "127.0.0.1", "login_port": proxy.port})
            assert process.result() is None
    import_here(source, target.port)
    assert_equal(source, target)


def test_an_import_whose_connection_is_cut_anywhere_goes_on_by_itself(source: Source, target: Server) -> None:
    reconnects = 0
    for place in places(source, seed=2):
        target.client().flushall()
        target.client().function_flush()
        with Proxy(target.port, fault_at=place) as proxy:
            reconnects += import_here(source, proxy.port).reconnects
        assert_equal(source, target)
    assert reconnects >= PLACES * 0.8


def test_an_import_lives_through_restarts_of_the_target(source: Source, target: Server) -> None:
    for place in places(source, seed=3, count=5):
        target.client().flushall()
        target.client().function_flush()
        down = threading.Event()

        def fault(down: threading.Event = down) -> None:
            target.kill()
            down.set()

        with Proxy(target.port, fault_at=min(place, source.size), on_fault=fault) as proxy:
            process = ModuleProcess("aof_import")
            process.start({**source.options(), "login_host": "127.0.0.1", "login_port": proxy.port})
            assert down.wait(60)
            target.start()
            result = process.result()
        assert result is not None and result.get("reconnects", 0) >= 1, result
        assert_equal(source, target)


def test_a_connection_cut_amid_the_removal_of_the_checkpoint_leaves_none_that_is_older(
    target: Server, tmp_path: Path
) -> None:
    """A record stands in every database that was written to; it is that of database 0 that tells of the end."""
    aof = tmp_path / "appendonly.aof"
    pushes = [[encode([b"SELECT", b"%d" % db]), encode([b"RPUSH", b"list", b"element"])] for db in (3, 2, 1, 0)]
    aof.write_bytes(b"".join(command for push in pushes for command in push))
    small = Source(aof, 0, aof.stat().st_size, {}, 1)
    endings = []
    for keep in (True, False):
        import_here(small, target.port, batch_bytes=1, keep_checkpoint=True)
        with Proxy(target.port) as proxy:
            import_here(small, proxy.port, keep_checkpoint=keep)
            endings.append(proxy.sent)

    for place in range(endings[0], endings[1], 20):
        target.client().flushall()
        import_here(small, target.port, batch_bytes=1, keep_checkpoint=True)
        with Proxy(target.port, fault_at=place) as proxy, contextlib.suppress(ConnectError):
            import_here(small, proxy.port)
        if any(target.client(db=db).exists(CHECKPOINT_KEY) for db in range(4)):
            import_here(small, target.port)
        assert [target.client(db=db).llen("list") for db in range(4)] == [1, 1, 1, 1], place
