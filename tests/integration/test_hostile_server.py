# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module that talks to a server, with servers that answer anything: it ends soon, in one clear message, in little memory."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support.hostile_server import (
    ENDLESS,
    INFO,
    OTHERS,
    SENSELESS,
    HostileServer,
    bulk,
    just,
)
from ansible_collections.redisops.tair.tests.support.module_process import ModuleProcess
from ansible_collections.redisops.tair.tests.support.servers import Server

Result = t.Dict[str, t.Any]

_MOST_SECONDS = 15.0
_MOST_KB = 150_000
#: What must not be in a message: what Python says of its own.
_INTERNAL = re.compile(
    r"Traceback|(?<!No)(?:Type|Value|Key|Index|Attribute|Recursion|Unicode\w*)Error|object is not|not subscriptable|invalid literal"
    r"|unpack|has no attribute|codec can't|object has no|InvalidResponse"
)

#: The modules that talk to a server, and some of what they ask it on their way.
QUESTIONS = {
    "aof_info": ["INFO", "CONFIG", "CONFIG SET"],
    "redis_config": ["PING", "CONFIG", "CONFIG SET"],
    "redis_fence": ["CONFIG", "DEL", "ECHO"],
    "aof_rewrite": ["INFO", "BGREWRITEAOF"],
    "tair_info": ["INFO", "CLUSTER", "MODULE", "ACL", "SCAN"],
    "keyspace_compare": ["INFO", "TIME", "SCAN", "TYPE", "GETRANGE", "PEXPIRETIME", "FUNCTION"],
    "aof_import": ["INFO", "COMMAND", "HGETALL"],
    "aof_catch_up": ["INFO"],
}
#: Of these, what is asked by each way to read a reply there is.
ENDLESS_QUESTIONS = [
    ("aof_info", "INFO"),
    ("redis_config", "PING"),
    ("redis_fence", "DEL"),
    ("tair_info", "CLUSTER"),
    ("keyspace_compare", "SCAN"),
    ("keyspace_compare", "PEXPIRETIME"),
    ("aof_import", "EXEC"),
    ("aof_catch_up", "INFO"),
]


@pytest.fixture
def other_server(start_server: t.Callable[..., Server]) -> Server:
    """A real server for the other side of a comparison."""
    server = start_server("redis-7.0.15")
    server.client().set("key", "v")
    return server


def run(name: str, params: dict[str, t.Any], server: HostileServer) -> Result:
    """What the module returns, which may take neither long nor much memory."""
    process = ModuleProcess(name, timeout=60)
    peak = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            with contextlib.suppress(OSError, IndexError):
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
                peak[0] = max(peak[0], int(status.split("VmHWM:")[1].split()[0]))

    process.start({**params, "_ansible_check_mode": False, "_ansible_diff": True})
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = process.result()
    finally:
        done.set()
        watcher.join()
    assert time.monotonic() - server.reached < _MOST_SECONDS
    assert result is not None
    assert peak[0] < _MOST_KB, result
    return result


def options(module: str, server: HostileServer, directory: Path, request: pytest.FixtureRequest) -> dict[str, t.Any]:
    login = server.login()
    if module == "redis_config":
        return {**login, "settings": {"appendonly": False, "auto-aof-rewrite-percentage": 0}}
    if module == "aof_rewrite":
        return {**login, "timeout": 3}
    if module == "keyspace_compare":
        return {**login, "source": request.getfixturevalue("other_server").login()}
    if module in ("aof_import", "aof_catch_up"):
        path = directory / "appendonly.aof"
        path.write_bytes(encode([b"SELECT", b"0"]) + encode([b"SET", b"key", b"value"]))
        shared = {**login, "path": str(path), "timeout": 1}
        return shared if module == "aof_import" else {**shared, "source": login}
    return login


def check(result: Result, server: HostileServer) -> None:
    """Either the module could do without that answer, or it says in one message who has given it."""
    text = str(result)
    assert not _INTERNAL.search(str(result.get("msg", ""))), result["msg"]
    assert "\x1b" not in text.replace("\\x1b", "") or not result.get("failed")
    if result.get("failed"):
        assert str(server) in result["msg"], result["msg"]
        assert "preamble" not in result["msg"]


@pytest.mark.parametrize("behaviour", ENDLESS)
@pytest.mark.parametrize(("module", "question"), ENDLESS_QUESTIONS)
def test_an_endless_reply_ends_the_module_soon(
    module: str, question: str, behaviour: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with HostileServer(question, ENDLESS[behaviour]) as server:
        result = run(module, options(module, server, tmp_path, request), server)
        check(result, server)
        assert question.encode() in [command[0] for command in server.received]
        assert result.get("failed"), result
        assert not result.get("changed")


@pytest.mark.parametrize(("module", "question"), [(name, each) for name, some in QUESTIONS.items() for each in some])
def test_a_reply_of_another_type_is_no_python_error(
    module: str, question: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    problems = []
    for name, behaviour in SENSELESS.items():
        with HostileServer(question, behaviour) as server:
            try:
                result = run(module, options(module, server, tmp_path, request), server)
                check(result, server)
            except AssertionError as exc:
                problems.append(f"{name}: {str(exc)[-1500:]}")
    assert not problems, "\n\n".join(problems)


@pytest.mark.parametrize("module", QUESTIONS)
@pytest.mark.parametrize("kind", OTHERS)
def test_a_server_of_another_kind_is_named(
    module: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    greeting, name = OTHERS[kind]
    with HostileServer(greeting=greeting) as server:
        result = run(module, options(module, server, tmp_path, request), server)
    assert result["failed"]
    assert name in result["msg"] and str(server) in result["msg"]
    assert "preamble" not in result["msg"]


@pytest.mark.parametrize(
    "line",
    [
        b"used_memory:abc",
        b"used_memory:-1",
        b"used_memory:nan",
        b"used_memory:1e999",
        b"maxmemory:99999999999999999999999",
        b"db0:keys=x",
        b"db0:",
        b"db0:5",
        b"db0:keys=-1",
        b"redis_version:7.0.\x1b[31m",
        b"redis_version:",
        b"redis_version:abc",
        b"redis_version:" + b"7" * 5000,
        b"aof_current_size:big",
        b"aof_rewrites:1.5.2",
        b"module:nothing",
        b"connected_slaves:many",
        b"slave0:ip=1.2.3.4,port=1,lag=never",
    ],
)
@pytest.mark.parametrize(
    "module", ["aof_info", "redis_fence", "aof_rewrite", "tair_info", "keyspace_compare", "aof_import"]
)
def test_a_field_of_info_that_makes_no_sense_is_told(
    module: str, line: bytes, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name = line.partition(b":")[0].decode()
    with HostileServer("INFO", just(bulk(INFO + line + b"\r\n"))) as server:
        result = run(module, options(module, server, tmp_path, request), server)
    assert result["failed"]
    assert name in result["msg"] and str(server) in result["msg"]
    assert not _INTERNAL.search(result["msg"]) and "\x1b" not in result["msg"] and len(result["msg"]) < 500


@pytest.mark.parametrize(
    "module", ["aof_info", "redis_fence", "aof_rewrite", "tair_info", "keyspace_compare", "aof_import"]
)
def test_a_sentinel_is_named(module: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    info = INFO.replace(b"redis_mode:standalone", b"redis_mode:sentinel")
    with HostileServer("INFO", just(bulk(info))) as server:
        result = run(module, options(module, server, tmp_path, request), server)
    assert result["failed"] and f"{server} is a sentinel" in result["msg"]


@pytest.mark.parametrize("module", ["keyspace_compare", "aof_info", "aof_import"])
@pytest.mark.parametrize("keys", [[], [b"key"]])
def test_a_scan_that_goes_round_ends(
    module: str, keys: list[bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    reply = b"*2\r\n" + bulk(b"17") + encode(keys)
    with HostileServer("SCAN", just(reply)) as server:
        result = run(module, options(module, server, tmp_path, request), server)
        check(result, server)
        if module == "keyspace_compare":
            assert result["failed"] and "SCAN" in result["msg"]
