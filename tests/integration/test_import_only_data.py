# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An AOF can only write data: anything else is refused before the first byte, without its arguments, and never sent."""

from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._aof.heads import Head, HeadScan
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._errors import ImportFailedError, TargetStateError
from ansible_collections.redisops.tair.plugins.module_utils._import import data_check
from ansible_collections.redisops.tair.plugins.module_utils._import.importer import import_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support.corpus import case
from ansible_collections.redisops.tair.tests.support.servers import BUILDS, Server

RunModule = t.Callable[..., t.Dict[str, t.Any]]
StartServer = t.Callable[..., Server]
StartCluster = t.Callable[..., t.List[Server]]

SECRET = "S3cretWord"
#: A command with the secret among its arguments, and how it is reported.
NOT_DATA = {
    f"ACL SETUSER evil on >{SECRET} ~* +@all": "ACL",
    f"CONFIG SET requirepass {SECRET}": "CONFIG",
    f"config set maxmemory-policy {SECRET}": "CONFIG",
    f"AUTH {SECRET}": "AUTH",
    f"HELLO 3 AUTH default {SECRET}": "HELLO",
    f"REPLICAOF {SECRET} 1": "REPLICAOF",
    f"SLAVEOF {SECRET} 1": "SLAVEOF",
    "SHUTDOWN NOSAVE": "SHUTDOWN",
    f"DEBUG SET-ACTIVE-EXPIRE {SECRET}": "DEBUG",
    f"MIGRATE 127.0.0.1 1 before 0 100 AUTH {SECRET}": "MIGRATE",
    f"MODULE LOAD /{SECRET}.so": "MODULE",
    f"CLIENT SETNAME {SECRET}": "CLIENT",
    "CLUSTER RESET HARD": "CLUSTER RESET",
    "SCRIPT KILL": "SCRIPT KILL",
    "FUNCTION KILL": "FUNCTION KILL",
    "DISCARD": "DISCARD",
    f"GET {SECRET}": "GET",
    f"EVAL_RO return'{SECRET}' 0": "EVAL_RO",
    "SELECT 007": "SELECT",
    f"{'X' * 80} {SECRET}": "X" * 64 + "... (65 bytes)",
}


def raw(*commands: str | list[bytes]) -> bytes:
    return b"".join(encode(one.encode().split() if isinstance(one, str) else one) for one in commands)


def write(path: Path, *commands: str | list[bytes]) -> Path:
    path.write_bytes(raw(*commands))
    return path


def to(server: Server, **options: t.Any) -> dict[str, t.Any]:
    return {"login_host": server.host, "login_port": server.port, **options}


def imported(path: Path, server: Server, **options: t.Any) -> Outcome:
    with open_aof(find_aof(path)) as aof:
        return import_aof(aof, Endpoint(host=server.host, port=server.port), Options(timeout=20.0, **options))


def keys_of(client: redis.Redis, database: int = 0) -> dict[bytes, bytes]:
    with redis.Redis(host="127.0.0.1", port=client.connection_pool.connection_kwargs["port"], db=database) as there:
        return {key: there.get(key) for key in there.scan_iter() if there.execute_command("TYPE", key) == b"string"}


# ----------------------------------------------------------------------------------------- what is no data


@pytest.mark.parametrize("build", [build.name for build in BUILDS])
def test_nothing_but_data_is_sent(build: str, start_server: StartServer, tmp_path: Path) -> None:
    target = start_server(build)
    client = target.client()
    settings = client.config_get("*")
    for number, (command, name) in enumerate(NOT_DATA.items()):
        aof = write(tmp_path / f"{number}.aof", "SELECT 0", "SET before 1", command, "SET after 1")
        with pytest.raises(TargetStateError) as refused:
            imported(aof, target, stop_at_error=bool(number % 2))
        told, offset = str(refused.value), len(raw("SELECT 0", "SET before 1"))
        assert refused.value.facts == {
            "not_data": [{"command": name, "count": 1, "file": str(aof), "offset": offset}]
        }, command
        assert f"{name} at byte {offset} of {aof}" in told and "Nothing was imported" in told, command
        assert SECRET not in told, command
        assert client.dbsize() == 0, command
    assert client.config_get("*") == settings
    assert client.ping() and client.info("replication")["role"] == "master"


@pytest.mark.parametrize("where", ["multi", "base", "lower"])
def test_what_is_no_data_is_found_wherever_it_is(
    where: str, start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    secret = f"CONFIG SET requirepass {SECRET}"
    if where == "base":
        directory = tmp_path / "appendonlydir"
        directory.mkdir()
        write(directory / "a.aof.1.base.aof", "SELECT 0", *[f"SET k:{n} v" for n in range(9000)], secret, "SET b 1")
        (directory / "a.aof.manifest").write_text("file a.aof.1.base.aof seq 1 type b\n")
        path = directory
    elif where == "multi":
        path = write(tmp_path / "a.aof", "SELECT 0", "MULTI", "SET a 1", secret, "EXEC")
    else:
        path = write(tmp_path / "a.aof", "SELECT 0", "SET a 1", secret.lower(), secret.lower())
    result = run_module("aof_import", to(target, path=str(path), workers=2))
    assert [(one["command"], one["count"]) for one in result["not_data"]] == [("CONFIG", 1 + (where == "lower"))]
    assert target.client().dbsize() == 0


def test_the_case_of_a_file_that_begins_with_auth(start_server: StartServer, run_module: RunModule) -> None:
    target, aof = start_server("redis-7.0.15"), case("auth-in-file")
    result = run_module("aof_import", to(target, path=str(aof)))
    assert result["not_data"] == [
        {"command": "AUTH", "count": 1, "file": str(aof / "appendonly.aof"), "offset": 0},
    ]
    inspected = run_module("aof_inspect", {"path": str(aof)})
    assert inspected["not_data"] == result["not_data"]
    assert "S3cretPw" not in json.dumps([result, inspected])
    assert inspected["rewritten_keys"] == {} and [one["prefix"] for one in inspected["prefixes"]] == [""]
    told = run_module("aof_inspect", {**to(target, path=str(aof)), "aof_base_size": 1 << 20})
    assert "S3cretPw" not in json.dumps(told) and told["rewritten_keys"] == {}


def test_inspect_lists_every_command_that_is_no_data(tmp_path: Path, run_module: RunModule) -> None:
    aof = write(
        tmp_path / "a.aof", "SET a 1", *NOT_DATA, "SCRIPT LOAD x", "SCRIPT FLUSH", "XGROUP CREATE s g $ MKSTREAM"
    )
    found = run_module("aof_inspect", {"path": str(aof)})
    known = {name for name in NOT_DATA.values() if name != "SELECT" and not name.startswith("XXX")}
    assert {one["command"] for one in found["not_data"]} == known
    assert SECRET not in json.dumps(found)


def test_a_refused_aof_leaves_a_target_as_it_was_that_was_to_be_flushed(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    target.client().set("mine", "1")
    aof = write(tmp_path / "a.aof", "SET a 1", "CONFIG SET maxclients 5")
    run_module("aof_import", to(target, path=str(aof), if_not_empty="flush"))
    assert keys_of(target.client()) == {b"mine": b"1"}


def test_values_that_look_like_commands_are_data(start_server: StartServer, tmp_path: Path) -> None:
    target = start_server("redis-7.0.15")
    value = raw("SET a 1", f"CONFIG SET requirepass {SECRET}", "SELECT 4000", "CLUSTER SYNCSLOTS FINISH")
    aof = write(tmp_path / "a.aof", "SELECT 0", [b"SET", b"k", value], [b"RPUSH", b"l", value * 5000], "SET last 1")
    outcome = imported(aof, target)
    assert outcome.errors.count == 0 and not outcome.dropped and target.client().get("k") == value
    assert target.client().lindex("l", 0) == value * 5000


@pytest.mark.parametrize("odd", [(), ("CONFIG SET maxclients 5",)], ids=["data", "not data"])
def test_more_names_in_values_than_anybody_counts(
    odd: tuple[str, ...], start_server: StartServer, tmp_path: Path
) -> None:
    target = start_server("redis-7.0.15")
    values = [[b"SET", b"k:%d" % number, raw(f"WORD{number} x")] for number in range(3000)]
    aof = write(tmp_path / "a.aof", "SELECT 0", *values, *odd, "SET last 1")
    if odd:
        with pytest.raises(TargetStateError, match="CONFIG at byte"):
            imported(aof, target)
        assert target.client().dbsize() == 0
    else:
        assert imported(aof, target).errors.count == 0
        assert target.client().dbsize() == 3001


def test_a_command_that_the_precheck_has_missed_is_not_sent(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = start_server("redis-7.0.15")

    class Blind(HeadScan):
        def __iter__(self) -> t.Iterator[Head]:
            return (head for head in super().__iter__() if head.name != b"CONFIG")

    monkeypatch.setattr(data_check, "HeadScan", Blind)
    aof = write(tmp_path / "a.aof", "SET a 1", "CONFIG SET maxclients 5", "SET b 1")
    with pytest.raises(ImportFailedError, match="CONFIG at byte 27 of .* is no data"):
        imported(aof, target)
    assert target.client().config_get("maxclients") != {"maxclients": "5"} and target.client().dbsize() == 0


def test_a_target_that_does_not_tell_its_commands_is_sent_those_that_are_known(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    target.client().execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-command")
    login = {"login_user": "app", "login_password": "pw"}
    aof = write(tmp_path / "a.aof", "SELECT 0", "SET a 1", "HSET h f 1", "PFADD p 1", "PFCOUNT p")
    assert run_module("aof_import", to(target, path=str(aof), **login))["errors"] == 0
    target.client().flushall()
    aof = write(tmp_path / "b.aof", "SELECT 0", "SET a 1", "MYMOD.WRITE k v")
    result = run_module("aof_import", to(target, path=str(aof), **login))
    assert result["not_data"][0]["command"] == "MYMOD.WRITE" and "does not answer COMMAND INFO" in result["msg"]
    assert target.client().dbsize() == 0


def test_a_known_command_of_a_module_that_the_target_lacks_is_an_error_as_before(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    aof = write(tmp_path / "a.aof", "SELECT 0", "JSON.SET doc $ 1")
    result = run_module("aof_import", to(target, path=str(aof)))
    assert result["error_samples"][0]["key"] == "doc" and "unknown command" in result["error_samples"][0]["reply"]


# ----------------------------------------------------------------------------------------- slot migrations


@pytest.mark.parametrize("options", [{}, {"include_keys": ["*"]}, {"exclude_keys": ["SYNCSLOTS"]}], ids=repr)
def test_records_of_a_slot_migration_are_left_out_and_counted(
    options: dict[str, t.Any], start_server: StartServer, run_module: RunModule
) -> None:
    target = start_server("valkey-9.1.2")
    aof = str(case("valkey9-slot-migration"))
    result = run_module("aof_import", to(target, path=aof, **options))
    assert result["dropped"] == {"slot_migration": 2} and result["errors"] == 0
    assert target.client().dbsize() == 144
    inspected = run_module("aof_inspect", to(target, path=aof))
    assert inspected["slot_migrations"] == 2 and inspected["not_data"] == inspected["incompatible"] == []
    assert "SYNCSLOTS" not in json.dumps(inspected["prefixes"])


def test_records_of_a_slot_migration_are_not_sent_to_a_cluster(
    start_cluster: StartCluster, tmp_path: Path, run_module: RunModule
) -> None:
    nodes = start_cluster("redis-7.0.15")
    result = run_module("aof_import", to(nodes[0], path=str(case("valkey9-slot-migration"))))
    assert result["dropped"] == {"slot_migration": 2} and result["errors"] == 0
    assert sum(node.client().dbsize() for node in nodes) == 144


def test_a_file_with_nothing_else_between_two_keys(start_server: StartServer, tmp_path: Path) -> None:
    target = start_server("redis-7.0.15")
    aof = write(tmp_path / "a.aof", "SET a 1", *["TRIMSLOTS RANGES 1 0 100"] * 9000, "SET b 1")
    outcome = imported(aof, target, batch_bytes=4096)
    assert outcome.dropped == {"slot_migration": 9000} and outcome.commands == 2
    assert keys_of(target.client()) == {b"a": b"1", b"b": b"1"}


# ------------------------------------------------------------------------------------------------ databases


@pytest.mark.parametrize("form", ["single", "multi"])
@pytest.mark.parametrize("on_error", ["fail", "continue"])
def test_a_database_that_the_target_lacks_is_refused_before_anything_is_sent(
    form: str, on_error: str, start_server: StartServer, run_module: RunModule
) -> None:
    target, aof = start_server("redis-7.0.15", {"databases": "16"}), case("select-beyond-databases") / form
    for check in (True, False):
        result = run_module("aof_import", to(target, path=str(aof), on_error=on_error), check=check)
        assert "no such database" in result["msg"] and "Nothing was imported" in result["msg"]
    assert target.client().info("keyspace") == {}
    result = run_module("aof_import", to(target, path=str(aof), on_error=on_error, database_map={20: 3}))
    assert result["errors"] == 0 and result["databases"] == [0, 3]
    assert keys_of(target.client(), 3) == {b"k": b"twenty", b"k20": b"v20"} or b"k20" in keys_of(target.client(), 3)
    target.client().flushall()
    result = run_module("aof_import", to(target, path=str(aof), on_error=on_error, databases=[0]))
    assert result["errors"] == 0 and b"k20" not in keys_of(target.client())


@pytest.mark.parametrize("base", [False, True], ids=["transactions", "plain"])
@pytest.mark.parametrize("stop", [True, False], ids=["fail", "continue"])
def test_a_database_that_the_precheck_has_missed_stops_the_import(
    base: bool, stop: bool, start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = start_server("redis-7.0.15", {"databases": "16"})

    class Blind(HeadScan):
        def __iter__(self) -> t.Iterator[Head]:
            return (head for head in super().__iter__() if head.argument != b"20")

    monkeypatch.setattr(data_check, "HeadScan", Blind)
    aof = write(tmp_path / "a.aof", "SELECT 0", "SET k zero", "SELECT 20", "SET k twenty", "SET k20 v")
    for _run in range(2):
        with (
            open_aof(find_aof(aof), base_size=aof.stat().st_size if base else 0) as opened,
            pytest.raises(ImportFailedError, match="no database 20"),
        ):
            import_aof(opened, Endpoint(host=target.host, port=target.port), Options(stop_at_error=stop))
        assert keys_of(target.client()).items() <= {(b"k", b"zero")}


def test_a_key_that_is_moved_to_a_database_that_the_target_lacks(start_server: StartServer, tmp_path: Path) -> None:
    target = start_server("redis-7.0.15", {"databases": "16"})
    for command in ("MOVE k 20", "COPY k j DB 20", "SWAPDB 0 20"):
        aof = write(tmp_path / "a.aof", "SELECT 0", "SET k v", command)
        with pytest.raises(TargetStateError, match="no such database"):
            imported(aof, target)
        assert target.client().dbsize() == 0


def test_all_databases_that_are_written_to_are_named(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    commands = [
        "SELECT 0",
        "SET a 1",
        "MULTI",
        "SELECT 3",
        "SET b 1",
        "EXEC",
        "SELECT 7",
        "SELECT 5",
        "SET c 1",
        "MOVE c 9",
    ]
    aof = write(tmp_path / "a.aof", *commands)
    result = run_module("aof_import", to(target, path=str(aof), checkpoint="keep"))
    assert result["databases"] == [0, 3, 5, 9]
    write(aof, *commands, "SELECT 11", "SET d 1")
    result = run_module("aof_import", to(target, path=str(aof)))
    assert result["resumed_from"] and result["databases"] == [0, 3, 5, 9, 11]


# --------------------------------------------------------------------------------------------- transactions


NESTED = ["SELECT 0", "SET a 1", "MULTI", "RPUSH l 1", "MULTI", "RPUSH l 2", "EXEC", "RPUSH l 3", "EXEC", "SET b 1"]


def test_a_multi_inside_of_a_transaction_is_passed_over_as_by_a_server(
    start_server: StartServer, start_cluster: StartCluster, tmp_path: Path, run_module: RunModule
) -> None:
    """What a server makes of the file when it loads it is what counts."""
    target, nodes = start_server("redis-7.0.15"), start_cluster("redis-7.0.15")
    aof = write(tmp_path / "appendonly.aof", *NESTED)
    loading = start_server("redis-6.2.14", {"appendonly": "yes", "auto-aof-rewrite-percentage": "0"})
    loading.stop()
    (loading.data / "appendonly.aof").write_bytes(aof.read_bytes())
    loading.start()
    loaded = loading.client()
    expected = loaded.lrange("l", 0, -1)
    assert expected == [b"1", b"2", b"3"]
    inspected = run_module("aof_inspect", {"path": str(aof)})
    assert inspected["damage"] is None and inspected["open_transaction"] is None and inspected["truncated_bytes"] == 0
    for server in (target, nodes[0]):
        result = run_module("aof_import", to(server, path=str(aof)))
        assert result["errors"] == 0 and result["truncated_bytes"] == 0 and result["replies"] == len(NESTED)
    assert target.client().lrange("l", 0, -1) == expected
    everywhere = redis.RedisCluster(host=nodes[0].host, port=nodes[0].port)
    assert everywhere.lrange("l", 0, -1) == expected


def test_an_open_transaction_ends_the_aof_where_it_begins_whatever_it_holds(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    aof = write(tmp_path / "a.aof", "SET a 1", "MULTI", "SET b 1", "MULTI", "SET c 1")
    open_bytes = len(raw("MULTI", "SET b 1", "MULTI", "SET c 1"))
    assert run_module("aof_import", to(target, path=str(aof)))["truncated_bytes"] == open_bytes
    assert keys_of(target.client()) == {b"a": b"1"}
    assert run_module("aof_inspect", {"path": str(aof)})["truncated_bytes"] == open_bytes


# -------------------------------------------------------------------------------------------------- scripts


def test_a_script_reaches_every_master(start_cluster: StartCluster, run_module: RunModule) -> None:
    nodes = start_cluster("redis-7.0.15")
    result = run_module("aof_import", to(nodes[0], path=str(case("evalsha-into-cluster"))))
    assert result["errors"] == 0 and result["replies"] == 12
    assert sum(node.client().dbsize() for node in nodes) == 11
    text = (case("evalsha-into-cluster") / "appendonly.aof").read_bytes().split(b"\r\n")[9]
    digest = hashlib.sha1(text).hexdigest()
    assert [node.client().script_exists(digest) for node in nodes] == [[True]] * len(nodes)


@pytest.mark.parametrize("wanted", ["key*", "none"])
def test_a_script_whose_first_call_is_left_out_is_known_to_the_others(
    wanted: str, start_server: StartServer, run_module: RunModule
) -> None:
    target, aof = start_server("redis-7.0.15"), case("evalsha-into-cluster")
    result = run_module("aof_import", to(target, path=str(aof), include_keys=[wanted]))
    assert result["errors"] == 0 and target.client().dbsize() == (10 if wanted == "key*" else 0)


SCRIPT = b"return redis.call('INCR', KEYS[1])"


@pytest.mark.parametrize("topology", ["standalone", "cluster"])
def test_an_import_that_resumes_behind_a_script_knows_it(
    topology: str, start_server: StartServer, start_cluster: StartCluster, tmp_path: Path
) -> None:
    """As a target that has restarted, or a master that has failed over, does not."""
    nodes = start_cluster("redis-7.0.15") if topology == "cluster" else [start_server("redis-7.0.15")]
    digest = hashlib.sha1(SCRIPT).hexdigest().encode()
    first: list[str | list[bytes]] = ["SELECT 0", [b"eval", SCRIPT, b"1", b"k:0"]]
    calls: list[str | list[bytes]] = [
        [b"evalsha", digest, b"1", b"k:%d" % (n % 40), b"x" * 300_000 * (n == 7)] for n in range(400)
    ]
    aof = write(tmp_path / "a.aof", *first, *calls[:3])
    imported(aof, nodes[0], keep_checkpoint=True)
    for node in nodes:
        node.client().script_flush()
    write(aof, *first, *calls)
    outcome = imported(aof, nodes[0])
    assert outcome.resumed_from and outcome.errors.count == 0 and outcome.commands == 402
    counters = {key: int(node.client().get(key) or 0) for node in nodes for key in node.client().scan_iter("k:*")}
    assert counters == {b"k:%d" % number: 10 + (number == 0) for number in range(40)}


@pytest.mark.parametrize("base", [False, True], ids=["transactions", "plain"])
def test_keys_of_the_collection_in_an_aof_are_left_out(base: bool, start_server: StartServer, tmp_path: Path) -> None:
    target = start_server("redis-7.0.15")
    own = "redisops.tair:checkpoint:imports"
    commands = ["SELECT 0", "SET a 1", f"HSET {own} name record", f"SET b {own}", f"HSET {own} other record", "SET c 3"]
    if not base:
        commands += [f"DEL {own} a", f"RENAME {own} d", f"MSET {own}2 x e 5"]
    aof = write(tmp_path / "a.aof", *commands)
    with open_aof(find_aof(aof), base_size=aof.stat().st_size if base else 0) as opened:
        outcome = import_aof(opened, Endpoint(host=target.host, port=target.port), Options(timeout=20.0))
    expected = {b"b": own.encode(), b"c": b"3", **({b"a": b"1"} if base else {b"e": b"5"})}
    assert keys_of(target.client()) == expected and target.client().dbsize() == len(expected)
    assert outcome.dropped == {"own_keys": 2 if base else 5}
    assert outcome.errors.count == 0


def test_keys_of_the_collection_in_an_rdb_are_left_out(start_server: StartServer, tmp_path: Path) -> None:
    source, target = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    source.client().set("a", "1")
    source.client().hset("redisops.tair:checkpoint:imports", "name", "record")
    source.client().save()
    dump = tmp_path / "dump.rdb"
    dump.write_bytes((source.data / "dump.rdb").read_bytes())
    assert imported(dump, target).errors.count == 0
    assert target.client().keys() == [b"a"]
