# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members that expire on KeyDB (EXPIREMEMBER): found on a source, and imported from a hybrid AOF.

No package provides a KeyDB server. The files are written byte by byte as its ``rdbSaveKeyValuePair`` (``rdb.cpp``) and
``rewriteAppendOnlyFileRio`` (``aof.cpp``) write them, and a proxy gives a Redis server the replies of KeyDB (``ttlGenericCommand``).
"""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, encode
from ansible_collections.redisops.tair.tests.support.answering_proxy import Disguise
from ansible_collections.redisops.tair.tests.support.migration import Migration, message
from ansible_collections.redisops.tair.tests.support.servers import Server

StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., t.Dict[str, t.Any]]

LATER, PAST = 4_000_000_000_000, 1_000_000_000_000
Members = t.Mapping[t.Tuple[bytes, bytes], int]
"""When a member of a key expires."""


def string(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def aux(name: bytes, value: bytes) -> bytes:
    return b"\xfa" + string(name) + string(value)


def expiring(member: bytes, when: int) -> bytes:
    return aux(b"keydb-subexpire-key", member) + aux(b"keydb-subexpire-when", b"%d" % when)


def hybrid(path: Path, *, hashes: bool = True, sets: bool = True, later: t.Sequence[str] = ()) -> Path:
    """A hybrid AOF of KeyDB; ``later``: commands that clients have sent since."""
    records = [b"REDIS0009", aux(b"redis-ver", b"6.3.4"), b"\xfe\x00", b"\x00" + string(b"string") + string(b"value")]
    if hashes:
        fields = b"".join(map(string, (b"kept", b"1", b"expiring", b"2", b"expired", b"3")))
        records += [
            b"\x04" + string(b"hash") + b"\x03" + fields,
            expiring(b"expiring", LATER),
            expiring(b"expired", PAST),
        ]
    if sets:
        members = b"".join(map(string, (b"kept", b"expiring", b"expired")))
        records += [
            b"\x02" + string(b"set") + b"\x03" + members,
            expiring(b"expiring", LATER),
            expiring(b"expired", PAST),
        ]
    records += [b"\x02" + string(b"last") + b"\x01" + string(b"member"), b"\xff" + bytes(8)]
    commands = [encode([word.encode() for word in command.split()]) for command in ("SELECT 0", *later)]
    file = path / "appendonly.aof"
    file.write_bytes(b"".join(records + commands))
    return file


def test_without_a_choice_nothing_of_a_hybrid_is_imported(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    for build, names in (("redis-7.0.15", ["hash_field_ttl", "member_ttl"]), ("redis-8.2.3", ["member_ttl"])):
        target = start_server(build)
        ask = {"path": str(hybrid(tmp_path)), **target.login()}
        for number, name in enumerate(names):
            refused = run_module("aof_import", {**ask, "drop": names[:number]})
            assert refused["failed"] and f"drop={name}" in refused["msg"] and "Nothing was imported" in refused["msg"]
            key = "'hash'" if name == "hash_field_ttl" else "'set'"
            assert f"{key} of database 0" in refused["msg"] and "(EXPIREMEMBER)" in refused["msg"]
            assert target.client().dbsize() == 0
        left_out = run_module("aof_import", {**ask, "exclude_keys": ["hash", "set"]})
        assert not left_out["failed"], left_out["msg"]
        assert target.client().get("string") == b"value"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-8.2.3", "valkey-9.1.2"])
def test_hybrid_arrives_with_the_expiries_that_the_target_can_hold(
    build: str, workers: int, start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server(build)
    later = [
        "PEXPIREMEMBERAT last member 4000000000000",
        "PERSIST set expiring",
        "EXPIREMEMBER last member 9",
        "SET k v",
    ]
    ask = {"path": str(hybrid(tmp_path, later=later)), **target.login(), "workers": workers}

    result = run_module("aof_import", {**ask, "drop": ["hash_field_ttl", "member_ttl"]})

    assert not result["failed"], result["msg"]
    client = target.client()
    assert client.hgetall("hash") == {b"kept": b"1", b"expiring": b"2"}
    assert client.smembers("set") == {b"kept", b"expiring"} and client.smembers("last") == {b"member"}
    assert client.get("string") == b"value" and client.get("k") == b"v"
    older = build == "redis-6.2.14"
    assert result["dropped"] == {"member_ttl": 4, **({"hash_field_ttl": 2} if older else {})}
    if not older:
        told = client.execute_command("HPEXPIRETIME", "hash", "FIELDS", 2, "kept", "expiring")
        assert told == [-1, LATER]


def test_hash_alone_needs_no_choice_where_its_fields_can_expire(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server("redis-8.2.3")

    result = run_module("aof_import", {"path": str(hybrid(tmp_path, sets=False)), **target.login()})

    assert not result["failed"] and result["errors"] == 0, result["msg"]
    assert target.client().execute_command("HPEXPIRETIME", "hash", "FIELDS", 1, "expiring") == [LATER]


def test_broken_command_of_a_rewrite_without_preamble_is_named(
    start_server: StartServer, tmp_path: Path, run_module: RunModule
) -> None:
    target = start_server("redis-7.0.15")
    broken = b"*4\r\n$12\r\nPEXPIREMEMBERAT\r\n$3\r\nset\r\nmember$13\r\n4000000000000\r\n"
    whole = [encode([b"SELECT", b"0"]), encode([b"SADD", b"set", b"member"])]
    file = tmp_path / "appendonly.aof"
    file.write_bytes(b"".join([*whole, broken, encode([b"SET", b"next", b"1"])]))

    result = run_module("aof_import", {"path": str(file), **target.login()})

    assert result["failed"] and "KeyDB wrote a broken command for a member that expires" in result["msg"]
    assert "CONFIG SET aof-use-rdb-preamble yes" in result["msg"]


# ------------------------------------------------------------------------------------------------------- on a source


class KeyDb(Disguise):
    """A Redis server that replies as KeyDB where ``members`` expire. It counts their keys among those that expire."""

    def __init__(self, server: Server, members: Members) -> None:
        keys = {key for key, _member in members}
        version = {b"redis_version:6.2.14": b"redis_version:6.3.4\r\nmvcc_depth:0"}
        super().__init__(server, {**version, b",expires=0,": b",expires=%d," % len(keys)})
        self._members = members
        self.asked = 0

    def __enter__(self) -> KeyDb:
        super().__enter__()
        return self

    def reply(self, pending: int, command: Command) -> bytes | None:
        if command[0].upper() != b"PTTL" or len(command) != 3:
            return super().reply(pending, command)
        self.asked += 1
        when = self._members.get((command[1], command[2]))
        return b":%d\r\n" % (-1 if when is None else max(when - time.time() * 1000, 0))


@pytest.fixture
def source(start_server: StartServer) -> Server:
    server = start_server("redis-6.2.14")
    client = server.client()
    client.mset({f"key:{number}": 1 for number in range(3000)})
    for number in range(120):
        client.hset(f"hash:{number}", mapping={"a": 1, "b": 2})
        client.sadd(f"set:{number}", *range(3))
        client.zadd(f"zset:{number}", {"m": 1})
    client.sadd("large", *range(5000))
    return server


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({(b"hash:77", b"b"): LATER}, [("hash", "hash:77", "HPEXPIREAT key 1 FIELDS 1 field")]),
        ({(b"large", b"4999"): LATER}, [("set", "large", "PEXPIREMEMBERAT key member 1")]),
        (
            {(b"zset:3", b"m"): LATER, (b"set:119", b"2"): LATER},
            [("set", "set:119", "PEXPIREMEMBERAT key member 1"), ("zset", "zset:3", "PEXPIREMEMBERAT key member 1")],
        ),
    ],
    ids=["hash", "member of a large set", "set and sorted set"],
)
def test_keys_with_members_that_expire_are_found(
    members: Members, expected: list[tuple[str, str, str]], source: Server, run_module: RunModule
) -> None:
    with KeyDb(source, members) as keydb:
        info = run_module("aof_info", {**source.login(), "login_port": keydb.port})

    assert info["flavor"] == "keydb" and info["layout"] == "single"
    found = info["expiring_members"]
    assert found == [{"type": kind, "database": 0, "key": key} for kind, key, _command in expected]
    assert set(info["rewrite_writes"]) == {command for _kind, _key, command in expected}


def test_no_key_is_searched_where_none_expires_and_other_servers_are_not_asked(
    source: Server, run_module: RunModule
) -> None:
    with KeyDb(source, {}) as keydb:
        info = run_module("aof_info", {**source.login(), "login_port": keydb.port})
        assert (info["flavor"], info["expiring_members"], keydb.asked) == ("keydb", [], 0)
    source.client().expire("key:1", 1000)
    assert run_module("aof_info", source.login())["expiring_members"] == []
    with KeyDb(source, {}) as keydb:
        info = run_module("aof_info", {**source.login(), "login_port": keydb.port})
        assert info["expiring_members"] == [] and keydb.asked > 5000, "a key that expires as a whole is none of them"


def test_what_may_not_be_searched_is_not_known(source: Server, run_module: RunModule) -> None:
    source.client().expire("key:1", 1000)
    source.client().execute_command("ACL", "SETUSER", "blind", "on", "nopass", "~*", "+@all", "-scan")
    with KeyDb(source, {}) as keydb:
        login = {**source.login(), "login_port": keydb.port, "login_user": "blind", "login_password": "any"}
        info = run_module("aof_info", login)

    assert not info["failed"] and info["expiring_members"] is None and info["rewrite_writes"] == []


def test_role_takes_a_hybrid_of_keydb_and_names_the_choices(make_migration: t.Callable[..., Migration]) -> None:
    migration = make_migration("redis-6.2.14", "redis-7.0.15", keys=10)
    source = migration.source
    source.client().sadd("set", "member", "other")
    with KeyDb(source, {(b"set", b"member"): LATER}) as keydb:
        plain = message(
            migration.run(
                aof_migrate_source_port=keydb.port, aof_migrate_format="plain", aof_migrate_drop=["member_ttl"]
            )
        )
        refused = message(migration.run(aof_migrate_source_port=keydb.port))
        run = migration.run(aof_migrate_source_port=keydb.port, aof_migrate_drop=["member_ttl"])

    assert "KeyDB writes broken commands" in plain and "set in database 0 (set)" in plain
    assert 'aof_migrate_drop=["member_ttl"]' in refused.replace("'", '"') and "PEXPIREMEMBERAT" in refused
    assert run.returncode == 0, run.output
    assert migration.report["rewrite"]["format"] == "hybrid" and migration.report["compare"]["equal"] is True
    findings = {finding["id"]: finding["what"] for finding in migration.report["preflight"]["findings"]}
    assert "KeyDB writes broken commands for members that expire" in findings["source.hybrid"]
