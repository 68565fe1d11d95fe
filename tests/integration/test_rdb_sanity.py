# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No value that the check accepts crashes a server, and none that a server accepts is refused.

The fuzz test damages values of real servers at random, restores what the check accepts, and reads it and writes in it. It
runs for 10 seconds; ``FUZZ_SECONDS=600 pytest tests/integration/test_rdb_sanity.py`` for longer. A failure names the value.
"""

from __future__ import annotations

import os
import random
import struct
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import crc64
from ansible_collections.redisops.tair.tests.support.restored_values import (
    Crashed,
    User,
    Value,
    damaged,
    values_of,
    values_of_corpus,
    written_length,
)
from ansible_collections.redisops.tair.tests.support.servers import BUILDS, Build, Server
from ansible_collections.redisops.tair.tests.support.waiting import wait_until

StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., dict[str, t.Any]]

SECONDS = float(os.environ.get("FUZZ_SECONDS", "10"))
#: A hash of one field whose value ends far beyond the listpack.
_BODY = b"\x81f\x02" + b"\xf0\xff\xff\xff\x7fvalue\x0a"
CRASHING_LISTPACK = struct.pack("<IH", 7 + len(_BODY), 2) + _BODY + b"\xff"
CRASHING = written_length(len(CRASHING_LISTPACK)) + CRASHING_LISTPACK


def settings(build: Build, sanitize: str = "no") -> dict[str, str]:
    newer = {"enable-debug-command": "yes"} if build.layout == "multi" else {}
    return {"save": "", "sanitize-dump-payload": sanitize, **newer}


@pytest.fixture(scope="module")
def values() -> dict[int, list[Value]]:
    """Values of every kind of every server, by their type and version."""
    found: dict[int, list[Value]] = {}
    everything = values_of_corpus()
    for build in BUILDS:
        with Server(build, {"save": ""}) as server:
            everything += values_of(server)
    for value in everything:
        found.setdefault(value.type << 8 | (value.version >= 80), []).append(value)
    return found


def test_value_that_the_check_accepts_crashes_no_server(
    any_build: Build, values: dict[int, list[Value]], start_server: StartServer
) -> None:
    user = User(start_server(any_build, settings(any_build)))
    kinds = [kind for some in values.values() if (kind := [value for value in some if user.takes(value) is not None])]
    rng, accepted = random.Random(22), 0
    end = time.monotonic() + SECONDS / len(BUILDS)

    while time.monotonic() < end or accepted < 200:
        value = damaged(rng, rng.choice(rng.choice(kinds)))
        if value.fault() is None:
            accepted += 1
            user.use(value)

    assert user.used > 100


def test_value_that_a_strict_server_accepts_is_accepted(
    any_build: Build, values: dict[int, list[Value]], start_server: StartServer
) -> None:
    user = User(start_server(any_build, settings(any_build, "yes")))
    everything = [value for some in values.values() for value in some]

    assert [value for value in everything if value.fault() is not None] == []
    given = [value for value in everything if user.takes(value) is not None]
    assert len(given) > 1000 and user.refusals(given) == []


def test_damaged_value_that_is_refused_would_crash_a_server(start_server: StartServer) -> None:
    """The check is what keeps a server alive: this one takes the value and ends."""
    server = start_server("redis-7.0.15", settings(BUILDS[0]) | {"enable-debug-command": "no"})
    value = Value(16, CRASHING, 10)

    assert value.fault()
    with pytest.raises(Crashed):
        User(server).use(value)
    wait_until(lambda: not server.running)


def rdb_of(value: bytes) -> bytes:
    """A dump of three keys without a checksum."""
    keys = b"\x00\x01a\x05first" + b"\x10\x09user:{42}" + value + b"\x00\x01z\x04last"
    return b"REDIS0010\xfe\x00" + keys + b"\xff" + bytes(8)


@pytest.fixture
def damaged_dump(tmp_path: Path) -> Path:
    path = tmp_path / "dump.rdb"
    path.write_bytes(rdb_of(CRASHING))
    return path


def test_damaged_value_is_refused_before_the_first_byte(
    damaged_dump: Path, start_server: StartServer, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")

    for check in (True, False):
        result = run_module("aof_import", {**target.login(), "path": str(damaged_dump)}, check=check)

        assert result["failed"]
        for part in (
            str(damaged_dump),
            "the hash 'user:{42}' of database 0 at byte 31",
            "end of a listpack",
            "exclude_keys",
        ):
            assert part in result["msg"]
        assert f"Nothing was imported into {target.host}:{target.port}" in result["msg"]
        assert result["damaged_keys"] == ["user:{42}"] and result["offset"] == 31
        assert "value\n" not in result["msg"]
    assert target.client().dbsize() == 0 and b"restore" not in str(target.client().info("commandstats")).encode()


def test_damaged_value_behind_a_valid_checksum_is_refused_if_that_is_checked(
    damaged_dump: Path, start_server: StartServer, run_module: RunModule
) -> None:
    """As of a server whose clients restored a damaged value, or of somebody who wants the target to crash."""
    content = damaged_dump.read_bytes()[:-8]
    damaged_dump.write_bytes(content + crc64(content).to_bytes(8, "little"))
    target = start_server("redis-7.0.15")

    inspected = run_module("aof_inspect", {"path": str(damaged_dump), "check_values": "always"})
    result = run_module("aof_import", {**target.login(), "path": str(damaged_dump), "check_values": "always"})

    assert inspected["damage"]["key"] == "user:{42}"
    assert result["failed"] and "user:{42}" in result["msg"] and target.client().dbsize() == 0


def test_damaged_value_is_left_out_by_the_name_of_its_key(
    damaged_dump: Path, start_server: StartServer, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")

    result = run_module("aof_import", {**target.login(), "path": str(damaged_dump), "exclude_keys": ["user:*"]})

    assert not result["failed"], result["msg"]
    assert sorted(target.client().keys()) == [b"a", b"z"]


def test_damaged_value_is_reported_by_an_inspection(damaged_dump: Path, run_module: RunModule) -> None:
    result = run_module("aof_inspect", {"path": str(damaged_dump)})

    assert not result["failed"] and result["preamble"]["key_count"] == 3
    assert (
        result["damage"].items()
        >= {
            "file": str(damaged_dump),
            "offset": 31,
            "expected": "the end of a listpack (in a hash)",
            "key": "user:{42}",
            "database": 0,
            "count": 1,
        }.items()
    )
