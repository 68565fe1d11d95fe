# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``aof_inspect`` on the files of real servers, and what it says of targets that are asked about them."""

from __future__ import annotations

import io
import json
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.servers import Build, Server

StartServer = t.Callable[..., Server]
Result = t.Dict[str, t.Any]
RunModule = t.Callable[..., Result]


def kinds(result: Result) -> dict[str, list[str]]:
    """What is refused, by kind."""
    found: dict[str, list[str]] = {}
    for refusal in result["incompatible"]:
        found.setdefault(refusal["kind"], []).append(refusal["what"])
    return found


def test_the_aof_of_a_running_server_is_told_as_the_server_would(
    any_build: Build, start_server: StartServer, run_module: RunModule
) -> None:
    server = start_server(any_build, {"appendonly": "yes", "aof-use-rdb-preamble": "no"})
    fill(server.host, server.port, keys=500)
    server.client().bgrewriteaof()
    server.wait_for_rewrite()
    base_size = server.client().info("persistence")["aof_base_size"]

    result = run_module("aof_inspect", {"path": str(server.aof_path()), "aof_base_size": base_size})

    assert not result["failed"] and not result["changed"]
    databases = {name[2:]: fields["keys"] for name, fields in server.client().info("keyspace").items()}
    assert result["rewritten_keys"] == databases
    assert result["databases"] == sorted(map(int, databases))
    assert result["size"] == result["read_bytes"] == server.client().info("persistence")["aof_current_size"]
    assert result["damage"] is None and result["has_preamble"] is False and result["truncated_bytes"] == 0
    assert result["incompatible"] is None and result["unchecked"] is None
    for name in ("strings", "lists", "sets", "hashes", "zsets", "streams"):
        assert result["types"][name]["commands"] > 0, name
    assert sum(of["bytes"] for of in result["types"].values()) == result["size"]


@pytest.mark.parametrize(("server", "version"), [("redis", "7.4.1"), ("keydb", "6.3.4")])
def test_hybrids_are_read_and_reported(server: str, version: str, run_module: RunModule) -> None:
    (aof,) = corpus(server=server, version=version, variant="hybrid")
    result = run_module("aof_inspect", {"path": str(aof.aof)})
    assert not result["failed"] and result["has_preamble"] is True and result["damage"] is None
    assert result["read_bytes"] == result["size"]
    preamble = result["preamble"]
    assert preamble["key_count"] == result["commands"]["RESTORE"] == sum(result["rewritten_keys"].values())
    assert result["keys"] == result["rewritten_keys"]
    assert preamble["bytes"] == result["rewritten_bytes"] and preamble["unbuildable"] == preamble["modules"] == []
    for name in ("strings", "lists", "sets", "hashes", "zsets", "streams"):
        assert result["types"][name]["commands"] > 0, name
    assert all(of["commands"] >= 0 and of["bytes"] >= 0 for of in result["types"].values())


def test_annotations_are_told_with_their_first_and_last_time(run_module: RunModule) -> None:
    for aof in corpus(variant="ts"):
        annotations = run_module("aof_inspect", {"path": str(aof.aof)})["annotations"]
        lines = b"".join(path.read_bytes() for path in sorted(aof.aof.glob("*.aof"))).split(b"\r\n")
        # Some values of the corpus look like annotations, of a time long ago.
        times = [int(line[4:]) for line in lines if line.startswith(b"#TS:") and int(line[4:]) > 1_790_000_000]
        assert annotations == {"count": len(times), "first": min(times), "last": max(times)}


def test_damage_is_a_result_with_its_place(tmp_path: Path, run_module: RunModule) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\nsecret\r\n*2\r\nsecret\r\n")
    result = run_module("aof_inspect", {"path": str(path)})
    assert not result["failed"]
    assert result["damage"] == {
        "file": str(path),
        "offset": 36,
        "expected": "'$' and the length of an argument",
        "key": None,
        "database": None,
        "count": 1,
        "found": "the bytes there are something else, and no command was found after them",
        "advice": f"Copy the file again. If the source is gone, keep a copy and cut the file: truncate -s 32 {path} "
        "(redis-check-aof --fix does the same). The commands before are complete, what followed is lost",
    }
    assert result["commands"] == {"SET": 1}
    assert "secret" not in json.dumps(result)


def test_a_path_without_an_aof_is_told_as_every_module_does(tmp_path: Path, run_module: RunModule) -> None:
    result = run_module("aof_inspect", {"path": str(tmp_path)})
    assert result["failed"] and "does not hold exactly one AOF" in result["msg"]


# ------------------------------------------------------------------------------------------------- with a target


@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-7.0.15", "redis-8.2.3", "valkey-9.1.2"])
@pytest.mark.parametrize("aof", corpus(variant="base+incr"), ids=str)
def test_a_target_refuses_what_was_foretold_and_nothing_else(
    aof: CorpusSet, build: str, start_server: StartServer, run_module: RunModule
) -> None:
    target = start_server(build)

    result = run_module("aof_inspect", {"path": str(aof.aof), **target.login()}, check=True)

    assert not result["failed"]
    scripts = sum(result["commands"].get(name, 0) for name in ("EVAL", "EVALSHA", "FCALL"))
    assert [f"scripts of {scripts} commands" in said for said in result["unchecked"]] == [True] * bool(scripts)
    assert target.client().info("keyspace") == {}
    foretold: dict[str, int] = {}
    for refusal in result["incompatible"]:
        for place in refusal["places"]:
            content = Path(place["file"]).read_bytes()[place["offset"] :]
            assert content.upper().split(b"\r\n")[2].decode() == place["command"] == refusal["what"].split()[0]
        assert len(refusal["places"]) == min(refusal["count"], 5)
        foretold.setdefault(refusal["what"].split()[0], 0)
    assert refused(aof, target) == set(foretold)


def refused(aof: CorpusSet, target: Server) -> set[str]:
    """Names of the commands of which a server refuses some because it does not know them, or their form."""
    found: set[str] = set()
    files = sorted(aof.aof.glob("*.aof"), key=lambda path: ".incr." in path.name) if aof.aof.is_dir() else [aof.aof]
    with snapshot.Conn(target.host, target.port) as connection:
        for path in files:
            commands = [args for args in arguments(path.read_bytes()) if args[0].upper() not in (b"MULTI", b"EXEC")]
            for args, reply in zip(commands, connection.pipeline(commands)):
                if isinstance(reply, snapshot.ReplyError) and re.search(ABOUT_FORM, str(reply), re.IGNORECASE):
                    found.add(args[0].decode().upper())
    return found


ABOUT_FORM = (
    r"unknown (sub)?command|syntax error|wrong number of arguments|unsupported option|unrecognized|Invalid stream ID"
)


def arguments(content: bytes) -> t.Iterator[list[bytes]]:
    """The commands of a whole AOF without annotations."""
    file = io.BytesIO(content)
    while line := file.readline():
        yield [file.read(int(file.readline()[1:]) + 2)[:-2] for _arg in range(int(line[1:]))]


def test_every_kind_of_refusal_has_its_count_and_places(
    tmp_path: Path, start_server: StartServer, run_module: RunModule
) -> None:
    path = tmp_path / "appendonly.aof"
    commands = [
        "SET a 1",
        "SELECT 20",
        "SET b 1",
        "SET c 1",
        "SELECT 0",
        *["JSON.SET d $ 1"] * 7,
        "HPEXPIREAT h 1 FIELDS 1 f",
    ]
    path.write_bytes(b"".join(snapshot.Conn.pack(command.split()) for command in commands))
    target = start_server(
        "redis-7.0.15", {"user": ["default on nopass ~* &* +@all", "importer on >word ~* &* +@all -set"]}
    )

    login = {**target.login(), "login_user": "importer", "login_password": "word"}
    result = run_module("aof_inspect", {"path": str(path), **login})

    found = {(refusal["kind"], refusal["what"]): refusal for refusal in result["incompatible"]}
    assert set(found) == {("command", "JSON.SET"), ("command", "HPEXPIREAT"), ("database", "20"), ("permission", "SET")}
    json_set = found["command", "JSON.SET"]
    assert (json_set["count"], len(json_set["places"])) == (7, 5)
    assert json_set["places"][0] == {
        "file": str(path),
        "offset": path.read_bytes().index(b"JSON") - 8,
        "database": 0,
        "command": "JSON.SET",
        "key": "d",
        "bytes": len(snapshot.Conn.pack(b"JSON.SET d $ 1".split())),
    }
    assert "no module" in json_set["reason"]
    database = found["database", "20"]
    assert (database["count"], database["reason"]) == (2, "it has 16 databases")
    assert [place["command"] for place in database["places"]] == ["SELECT"]
    assert found["permission", "SET"]["count"] == 3 and "'set'" in found["permission", "SET"]["reason"]


def test_what_an_older_target_or_a_closed_one_does_not_tell_is_called_unchecked(
    start_server: StartServer, run_module: RunModule
) -> None:
    (aof,) = corpus(server="redis", version="7.0.15", variant="base+incr")
    for build in ("redis-6.2.14", "redis-7.0.15"):
        for denied, unchecked in (("-command", 2), ("-acl", 1), ("-command -acl", 2)):
            rules = ["default on nopass ~* &* +@all", f"closed on >word ~* &* +@all {denied}"]
            target = start_server(build, {"user": rules})
            login = {**target.login(), "login_user": "closed", "login_password": "word"}
            result = run_module("aof_inspect", {"path": str(aof.aof), **login})
            assert not result["failed"]
            assert len(result["unchecked"]) == unchecked, result["unchecked"]
            # Their versions still tell what they lack.
            assert ("XSETID ENTRIESADDED" in kinds(result).get("syntax", [])) == (build == "redis-6.2.14")


def test_the_target_may_come_from_the_environment_and_none_from_a_default(
    start_server: StartServer, run_module: RunModule
) -> None:
    (aof,) = corpus(server="redis", version="7.0.15", variant="base")
    target = start_server("redis-6.2.14")
    assert run_module("aof_inspect", {"path": str(aof.aof), "login_port": target.port})["incompatible"] is None
    env = {"REDISOPS_LOGIN_HOST": target.host, "REDISOPS_LOGIN_PORT": str(target.port)}
    assert "FUNCTION" in kinds(run_module("aof_inspect", {"path": str(aof.aof)}, env=env))["command"]


def test_a_renamed_command_is_refused(tmp_path: Path, start_server: StartServer, run_module: RunModule) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(b"*1\r\n$8\r\nFLUSHALL\r\n")
    target = start_server("valkey-8.1.8", {"rename-command": 'FLUSHALL ""'})
    result = run_module("aof_inspect", {"path": str(path), **target.login()})
    assert kinds(result) == {"command": ["FLUSHALL"]}


def test_a_target_that_is_not_there_fails_with_the_reason(start_server: StartServer, run_module: RunModule) -> None:
    target = start_server("redis-7.0.15")
    target.stop()
    (aof,) = corpus(server="redis", version="7.0.15", variant="base")
    result = run_module("aof_inspect", {"path": str(aof.aof), **target.login()})
    assert result["failed"] and "refuses the connection" in result["msg"]
