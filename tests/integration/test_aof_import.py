# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module aof_import: what it takes, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.certs import issue
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.proxy import Proxy
from ansible_collections.redisops.tair.tests.support.servers import BUILDS, Build, Server

StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., dict[str, t.Any]]
CHECKPOINT = b"redisops.tair:checkpoint:imports"


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def takes(build: Build, aof: CorpusSet) -> bool:
    """Whether the server knows all that the set's server writes: its own line, or the Redis that both descend from."""
    source, target = version_of(aof.version)[:2], version_of(build.version)[:2]
    if aof.server == "keydb":
        return True  # KeyDB 6.3 writes what Redis 6.2 knows
    if build.flavor == aof.server:
        return source <= target
    return aof.server == "redis" and source <= (7, 2)  # Valkey is Redis 7.2 and what came after


MATRIX = [
    pytest.param(build, aof, id=f"{aof} into {build.name}")
    for build in BUILDS
    for aof in corpus()
    if takes(build, aof) and not aof.meta["has_preamble"]
]


@pytest.fixture(scope="module")
def targets() -> t.Iterator[dict[str, Server]]:
    started: dict[str, Server] = {}
    yield started
    for server in started.values():
        server.close()


@pytest.mark.parametrize(("build", "aof"), MATRIX)
def test_a_real_aof_arrives_as_the_data_that_its_server_had(
    build: Build, aof: CorpusSet, targets: dict[str, Server], run_module: RunModule
) -> None:
    if build.name not in targets:
        targets[build.name] = Server(build)
        targets[build.name].start()
    target = targets[build.name]
    target.client().flushall()
    if version_of(build.version) >= (7,):
        target.client().function_flush()

    result = run_module(
        "aof_import",
        {
            **target.login(),
            "path": str(aof.aof),
            "aof_base_size": aof.meta["bytes"] if aof.variant == "base" else 0,
        },
    )

    assert not result["failed"], result
    assert result["summary"] == f"errors: 0, replies: {result['replies']}"
    if "truncated" not in aof.variant:
        assert result["replies"] == aof.meta["commands"]
        assert result["truncated_bytes"] == 0
        assert result["bytes"] == result["position"] == result["size"]
    else:
        assert result["truncated_bytes"] > 0
    expected = aof.expected
    if str(aof) == "redis-3.2.13/truncated-multi":
        expected = snapshot.load(str(aof.directory / "expected.multi-dropped.json"), None)  # 3.2 applies an open MULTI
    differences = snapshot.diff(expected, snapshot.snapshot(target.host, target.port))
    if aof.version.startswith("5.0") and aof.variant != "no-rewrite":
        # A stream that never had an entry: Redis 5.0 cannot load what its own rewrite wrote for it.
        assert result["adapted"] == {"XADD 0-0": 1}
        assert [(one["what"], b"xmk" in snapshot.unb64(one["key"])) for one in differences] == [("key extra", True)]
    else:
        assert differences == []
    assert not any(target.client(db=db).exists(CHECKPOINT) for db in result["databases"])


@pytest.fixture
def target(start_server: StartServer) -> Server:
    return start_server("redis-7.0.15")


def single(tmp_path: Path, *commands: tuple[t.Any, ...], raw: bytes = b"") -> Path:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(b"".join(encode([str(arg).encode() for arg in command]) for command in commands) + raw)
    return path


def test_a_second_import_with_a_kept_checkpoint_sends_only_what_was_appended(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(tmp_path, ("SELECT", 2), ("RPUSH", "list", "a"), ("INCR", "counter"))
    params = {**target.login(), "path": str(path), "checkpoint": "keep"}
    first = run_module("aof_import", params)
    again = run_module("aof_import", params)
    with path.open("ab") as file:
        file.write(encode([b"RPUSH", b"list", b"b"]) + encode([b"INCR", b"counter"]))
    appended = run_module("aof_import", params)
    done = run_module("aof_import", {**params, "checkpoint": "remove"})

    assert (first["changed"], first["replies"], first["resumed_from"]) == (True, 3, None)
    assert (again["changed"], again["commands"], again["replies"], again["bytes"]) == (False, 0, 3, 0)
    assert (appended["changed"], appended["commands"], appended["replies"]) == (True, 2, 5)
    assert appended["resumed_from"] == first["position"]
    assert done["commands"] == 0
    client = target.client(db=2)
    assert client.lrange("list", 0, -1) == [b"a", b"b"]
    assert client.get("counter") == b"2"
    assert sorted(client.keys()) == [b"counter", b"list"]


def test_a_target_with_keys_is_refused_untouched_unless_told_otherwise(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(tmp_path, ("SET", "new", "1"))
    params = {**target.login(), "path": str(path)}
    target.client(db=5).set("theirs", "1")

    refused = run_module("aof_import", params)
    assert refused["failed"] and "is not empty: it holds 1 keys" in refused["msg"]
    assert f"Nothing was changed on 127.0.0.1:{target.port}" in refused["msg"]
    assert refused["keys_in_target"] == 1
    assert target.client().dbsize() == 0

    assert not run_module("aof_import", {**params, "if_not_empty": "append"})["failed"]
    assert target.client(db=5).get("theirs") == b"1" and target.client().get("new") == b"1"

    flushed = run_module("aof_import", {**params, "if_not_empty": "flush"})
    assert flushed["changed"]
    assert target.client(db=5).dbsize() == 0 and target.client().get("new") == b"1"


def test_the_checkpoint_of_another_aof_does_not_let_this_one_in(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    other = single(tmp_path, ("SET", "a", "1"), ("SET", "b", "1"))
    run_module("aof_import", {**target.login(), "path": str(other), "checkpoint": "keep"})
    path = single(tmp_path, ("SET", "a", "2"), ("SET", "b", "1"))
    refused = run_module("aof_import", {**target.login(), "path": str(path)})
    assert refused["failed"] and "by an unfinished import of another AOF" in refused["msg"]
    assert target.client().get("a") == b"1"


def test_check_mode_tells_what_would_happen_and_changes_nothing(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    params = {**target.login(), "path": str(single(tmp_path, ("SET", "a", "1"))), "checkpoint": "keep"}
    assert run_module("aof_import", params, check=True)["changed"] is True
    assert target.client().dbsize() == 0
    run_module("aof_import", params)
    assert run_module("aof_import", params, check=True)["changed"] is False
    target.client().delete(CHECKPOINT)
    assert run_module("aof_import", params, check=True)["failed"]
    assert run_module("aof_import", {**params, "if_not_empty": "flush"}, check=True)["changed"] is True
    assert target.client().get("a") == b"1"


def test_an_error_is_told_with_file_offset_database_command_and_key_but_no_value(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(
        tmp_path,
        ("SELECT", 3),
        ("SET", "a", "secret-1"),
        ("MULTI",),
        ("LPUSH", "a", "secret-2"),
        ("SET", "b", "1"),
        ("EXEC",),
        ("NOSUCH", "c", "secret-3"),
        ("SET", "d", "1"),
    )
    content = path.read_bytes()
    params = {**target.login(), "path": str(path), "on_error": "continue"}
    result = run_module("aof_import", params)
    assert (result["failed"], result["errors"], result["replies"]) == (False, 2, 8)
    assert result["summary"] == "errors: 2, replies: 8"
    by_command = {sample["command"]: sample for sample in result["error_samples"]}
    push, unknown = by_command["LPUSH"], by_command["NOSUCH"]
    assert (push["database"], push["key"], push["offset"]) == (3, "a", content.index(b"*3\r\n$5\r\nLPUSH"))
    assert push["reply"].startswith("WRONGTYPE")
    # Which argument of an unknown command is a key, and which a value, is not known.
    assert (unknown["database"], unknown["key"], unknown["offset"]) == (3, "", content.index(b"*3\r\n$6\r\nNOSUCH"))
    assert "secret" not in str(result)
    client = target.client(db=3)
    assert (client.get("a"), client.get("b"), client.get("d")) == (b"secret-1", b"1", b"1")


def test_with_on_error_fail_nothing_after_the_refused_transaction_is_applied_and_a_rerun_does_not_hide_it(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(tmp_path, ("SET", "a", "1"), ("LPUSH", "a", "1"), *[("SET", f"k{n}", "x" * 1000) for n in range(200)])
    params = {**target.login(), "path": str(path), "batch_bytes": 1000}
    failed = run_module("aof_import", params)
    assert failed["failed"] and failed["errors"] == 1 and failed["changed"]
    assert "LPUSH of key 'a' in database 0" in failed["msg"] and "WRONGTYPE" in failed["msg"]
    applied = target.client().dbsize()
    assert applied < 120
    again = run_module("aof_import", params)
    assert again["failed"] and "met 1 errors in its first" in again["msg"]
    assert target.client().dbsize() == applied
    went_on = run_module("aof_import", {**params, "on_error": "continue"})
    assert (went_on["failed"], went_on["errors"], went_on["replies"]) == (False, 1, 202)
    assert target.client().dbsize() == 201


def test_max_errors_ends_an_import_that_goes_wrong_all_over(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(tmp_path, ("SET", "a", "1"), *[("LPUSH", "a", n) for n in range(50)])
    failed = run_module("aof_import", {**target.login(), "path": str(path), "on_error": "continue", "max_errors": 10})
    assert failed["failed"] and "refused more than 10 commands" in failed["msg"]


@pytest.mark.parametrize("base", [False, True], ids=["transactions", "plain"])
def test_commands_that_the_target_does_not_know_are_left_out_and_the_others_keep_their_order(
    target: Server, run_module: RunModule, tmp_path: Path, base: bool
) -> None:
    commands: list[tuple[t.Any, ...]] = []
    for number in range(300):
        commands += [("RPUSH", f"list{number // 100}", number), ("NOSUCH", "key", number)]
    path = single(tmp_path, *commands)
    result = run_module(
        "aof_import",
        {
            **target.login(),
            "path": str(path),
            "on_error": "continue",
            "batch_bytes": 500,
            "aof_base_size": path.stat().st_size if base else 0,
        },
    )
    assert (result["failed"], result["errors"], result["replies"]) == (False, 300, 600), result
    for part in range(3):
        assert target.client().lrange(f"list{part}", 0, -1) == [b"%d" % n for n in range(part * 100, part * 100 + 100)]


def test_a_user_who_may_set_but_not_mset_gets_all_keys_across(
    start_server: StartServer, run_module: RunModule, tmp_path: Path
) -> None:
    target = start_server("redis-7.0.15", {"user": ["mover on >secret ~* +@all -mset"]})
    path = single(tmp_path, *[("SET", f"k{n}", n) for n in range(1000)], ("PEXPIREAT", "k999", 4102444800000))
    result = run_module(
        "aof_import",
        {
            **target.login(),
            "login_user": "mover",
            "login_password": "secret",
            "path": str(path),
            "aof_base_size": path.stat().st_size,
        },
    )
    assert (result["failed"], result["errors"], result["replies"]) == (False, 0, 1001), result
    assert target.client().dbsize() == 1000
    assert target.client().pexpiretime("k999") == 4102444800000


def test_a_key_that_the_account_may_not_write_is_named(
    start_server: StartServer, run_module: RunModule, tmp_path: Path
) -> None:
    target = start_server("redis-7.0.15", {"user": ["mover on >secret ~k* ~redisops* +@all"]})
    path = single(tmp_path, *[("SET", f"k{n}", n) for n in range(100)], ("SET", "other", "1"), ("SET", "k100", "1"))
    params = {
        **target.login(),
        "login_user": "mover",
        "login_password": "secret",
        "path": str(path),
        "aof_base_size": path.stat().st_size,
    }
    failed = run_module("aof_import", params)
    assert failed["failed"] and [sample["key"] for sample in failed["error_samples"]] == ["other"]
    result = run_module("aof_import", {**params, "on_error": "continue"})
    assert (result["errors"], result["replies"]) == (1, 102)
    assert target.client().dbsize() == 101


@pytest.mark.parametrize("base", [False, True], ids=["transactions", "plain"])
def test_a_full_target_stops_the_import_cleanly_and_it_goes_on_when_there_is_room(
    start_server: StartServer, run_module: RunModule, tmp_path: Path, base: bool
) -> None:
    target = start_server("redis-7.0.15", {"maxmemory": "6mb", "maxmemory-policy": "noeviction"})
    commands = [("RPUSH", f"list{n // 10}", "x" * 2000) for n in range(5000)]
    path = single(tmp_path, *commands)
    params = {**target.login(), "path": str(path), "aof_base_size": path.stat().st_size if base else 0}
    failed = run_module("aof_import", params)
    assert failed["failed"] and "OOM" in failed["msg"] and "larger instance class" in failed["msg"]
    target.client().config_set("maxmemory", "0")
    result = run_module("aof_import", params)
    assert (result["failed"], result["errors"], result["replies"]) == (False, 0, 5000), result
    assert result["resumed_from"] is not None
    client = target.client()
    assert client.dbsize() == 500
    assert {client.llen(f"list{n}") for n in range(500)} == {10}


def test_a_target_that_would_evict_is_refused_and_can_be_accepted_by_name(
    start_server: StartServer, run_module: RunModule, tmp_path: Path
) -> None:
    target = start_server("redis-7.0.15", {"maxmemory": "3mb", "maxmemory-policy": "allkeys-lru"})
    path = single(tmp_path, *[("SET", f"k{n}", "x" * 2000) for n in range(5000)])
    params = {**target.login(), "path": str(path), "aof_base_size": path.stat().st_size}
    refused = run_module("aof_import", params)
    assert refused["failed"] and "would evict keys" in refused["msg"] and "allkeys-lru" in refused["msg"]
    assert target.client().dbsize() == 0
    accepted = run_module("aof_import", {**params, "allow_eviction": True})
    assert not accepted["failed"] and accepted["evicted_keys"] > 0


def test_keys_evicted_against_expectation_fail_the_import(
    start_server: StartServer, run_module: RunModule, tmp_path: Path
) -> None:
    # Small in the file, large in memory: each list node costs the server more than its command.
    target = start_server("redis-7.0.15", {"maxmemory": "5mb", "maxmemory-policy": "allkeys-lru"})
    path = single(tmp_path, *[("SETRANGE", f"k{n}", 2000, "x") for n in range(5000)])
    failed = run_module("aof_import", {**target.login(), "path": str(path)})
    assert failed["failed"] and "evicted" in failed["msg"] and failed["evicted_keys"] > 0

    # What was evicted before an import is not held against it.
    target.client().config_set("maxmemory", 0)
    again = run_module("aof_import", {**target.login(), "path": str(path), "if_not_empty": "flush", "resume": False})
    assert (again["failed"], again["evicted_keys"]) == (False, 0), again
    assert target.client().dbsize() == 5000


def test_an_error_in_the_last_command_of_a_base_is_not_hidden_from_the_next_run(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(tmp_path, ("SET", "a", 1), ("RPUSH", "a", "x"))
    with Proxy(target.port, delay=0.05) as slow:  # the reply comes when everything has been sent
        params = {
            "login_host": slow.host,
            "login_port": slow.port,
            "path": str(path),
            "aof_base_size": path.stat().st_size,
        }
        failed = [run_module("aof_import", params) for _run in range(2)]

    assert all(each["failed"] and "RPUSH" in each["msg"] for each in failed), failed[1]


def test_a_checkpoint_in_any_database_makes_no_target_count_as_full(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    first = single(tmp_path, ("SELECT", 3), ("SET", "a", 1), ("DEL", "a"))
    kept = run_module("aof_import", {**target.login(), "path": str(first), "checkpoint": "keep"})
    assert not kept["failed"] and target.client(db=3).keys() == [CHECKPOINT]
    second = single(tmp_path, ("SET", "another", 1))

    result = run_module("aof_import", {**target.login(), "path": str(second)})

    assert not result["failed"] and target.client().keys() == [b"another"], result


def test_an_import_that_fails_again_tells_how_far_the_target_is(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(tmp_path, ("SET", "a", 1), ("SET", "b", 2), ("NOSUCH", "c"), ("SET", "d", 4))
    reached = f"holds everything before byte {path.read_bytes().index(b'*2')} of {path}"

    failed = [run_module("aof_import", {**target.login(), "path": str(path), "batch_bytes": 1}) for _run in range(2)]

    assert all(each["failed"] and reached in each["msg"] for each in failed), [each["msg"] for each in failed]
    assert sorted(target.client().keys("[a-z]")) == [b"a", b"b"]


def test_values_too_large_to_hold_arrive_whole_in_base_and_transactions(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    big = bytes(range(256)) * 40_000  # 10 MB with everything that the format is made of
    commands = [encode([b"SET", b"big", big]), encode([b"RPUSH", b"list", b"a", big, b"c"])]
    base = encode([b"SELECT", b"1"]) + b"".join(commands) + encode([b"SET", b"small", b"1"])
    many = encode([b"RPUSH", b"many", *[b"%d" % n for n in range(200_000)]])
    path = tmp_path / "appendonly.aof"
    path.write_bytes(base + encode([b"MULTI"]) + encode([b"APPEND", b"big", big]) + many + encode([b"EXEC"]))
    result = run_module("aof_import", {**target.login(), "path": str(path), "aof_base_size": len(base)})
    assert (result["failed"], result["replies"]) == (False, 8), result
    client = target.client(db=1)
    assert client.get("big") == big + big
    assert client.lrange("list", 0, -1) == [b"a", big, b"c"]
    assert client.llen("many") == 200_000
    assert client.get("small") == b"1"


def test_annotations_are_skipped_and_until_stops_at_one(target: Server, run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(
        b"#TS:100\r\n"
        + encode([b"SET", b"a", b"\r\n#TS:999\r\n"])
        + b"#TS:200\r\n#something new\r\n"
        + encode([b"SET", b"b", b"1"])
        + b"#TS:300\r\n"
        + encode([b"SET", b"c", b"1"])
    )
    params = {**target.login(), "path": str(path)}
    result = run_module("aof_import", {**params, "until": 250, "checkpoint": "keep"})
    assert (result["failed"], result["replies"], result["truncated_bytes"]) == (False, 2, 0), result
    assert sorted(target.client().keys("?")) == [b"a", b"b"]
    assert target.client().get("a") == b"\r\n#TS:999\r\n"
    rest = run_module("aof_import", params)
    assert (rest["commands"], rest["replies"]) == (1, 3)
    assert sorted(target.client().keys()) == [b"a", b"b", b"c"]


def test_damage_stops_the_import_at_its_byte_and_nothing_after_it_is_sent(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    good = encode([b"SET", b"a", b"1"])
    path = single(tmp_path, ("SET", "a", "1"), raw=b"garbage\r\n" + encode([b"SET", b"b", b"1"]))
    failed = run_module("aof_import", {**target.login(), "path": str(path)})
    assert failed["failed"] and f"is damaged at byte {len(good)}" in failed["msg"]
    assert failed["offset"] == len(good)
    assert target.client().exists("b") == 0


def test_a_file_cut_off_before_others_follow_is_an_error(target: Server, run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "a.aof.1.base.aof").write_bytes(encode([b"SET", b"a", b"1"])[:-3])
    (tmp_path / "a.aof.1.incr.aof").write_bytes(encode([b"SET", b"b", b"1"]))
    (tmp_path / "a.aof.manifest").write_text("file a.aof.1.base.aof seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n")
    failed = run_module("aof_import", {**target.login(), "path": str(tmp_path)})
    assert failed["failed"] and "is cut off at byte 0, and more of the AOF follows it" in failed["msg"]
    assert target.client().exists("b") == 0


def test_an_empty_aof_is_imported_as_nothing(target: Server, run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.touch()
    result = run_module("aof_import", {**target.login(), "path": str(path)})
    assert (result["failed"], result["changed"], result["replies"]) == (False, False, 0), result


def test_bad_paths_are_told(target: Server, run_module: RunModule, tmp_path: Path) -> None:
    missing = run_module("aof_import", {**target.login(), "path": str(tmp_path / "nothing.aof")})
    assert missing["failed"] and f"There is no {tmp_path / 'nothing.aof'}" in missing["msg"]
    empty = run_module("aof_import", {**target.login(), "path": str(tmp_path)})
    assert empty["failed"] and "does not hold exactly one AOF" in empty["msg"]


def test_a_replica_and_a_wrong_password_are_refused(
    start_server: StartServer, run_module: RunModule, tmp_path: Path
) -> None:
    primary = start_server("redis-7.0.15", password="secret")
    replica = start_server(
        "redis-7.0.15", {"replicaof": f"127.0.0.1 {primary.port}", "masterauth": "secret"}, password="secret"
    )
    path = single(tmp_path, ("SET", "a", "1"))
    refused = run_module("aof_import", {**replica.login(), "path": str(path)})
    assert refused["failed"] and "is a replica" in refused["msg"]
    wrong = run_module("aof_import", {**primary.login(), "login_password": "wrong-one", "path": str(path)})
    assert wrong["failed"] and "the user or the password is wrong" in wrong["msg"] and "wrong-one" not in str(wrong)


def test_it_works_over_tls(start_server: StartServer, run_module: RunModule, tmp_path: Path) -> None:
    builds = [build for build in BUILDS if build.tls]
    target = start_server(builds[0], certificate=issue(tmp_path))
    path = single(tmp_path, *[("RPUSH", f"k{n // 100}", "x" * 500) for n in range(20_000)])
    for base in (0, path.stat().st_size):
        result = run_module(
            "aof_import", {**target.login(), "path": str(path), "aof_base_size": base, "if_not_empty": "flush"}
        )
        assert (result["failed"], result["replies"]) == (False, 20_000), result
        assert target.client().dbsize() == 200
        assert {target.client().llen(f"k{n}") for n in range(0, 200, 17)} == {100}


def test_a_rate_limit_is_kept(target: Server, run_module: RunModule, tmp_path: Path) -> None:
    path = single(tmp_path, *[("SET", f"k{n}", "x" * 1000) for n in range(1500)])
    result = run_module("aof_import", {**target.login(), "path": str(path), "rate_limit": 1_000_000})
    assert result["elapsed"] > 0.4 * path.stat().st_size / 1_000_000


@pytest.mark.parametrize("base", [False, True], ids=["transactions", "plain"])
def test_databases_and_keys_can_be_chosen_and_moved(
    target: Server, run_module: RunModule, tmp_path: Path, base: bool
) -> None:
    commands: list[tuple[t.Any, ...]] = []
    for database in (0, 1, 2):
        commands.append(("SELECT", database))
        for number in range(500):
            commands += [
                ("SET", f"user:{number}", number),
                ("RPUSH", f"queue:{number}", "a", "b"),
                ("SET", f"tmp:{number}", "x"),
            ]
    path = single(tmp_path, *commands)
    result = run_module(
        "aof_import",
        {
            **target.login(),
            "path": str(path),
            "aof_base_size": path.stat().st_size if base else 0,
            "databases": [0, 2],
            "database_map": {"2": 7},
            "include_keys": ["user:*", "queue:?", "tmp:*"],
            "exclude_keys": ["tmp:*"],
            "batch_bytes": 3000,
        },
    )
    assert (result["failed"], result["errors"], result["databases"]) == (False, 0, [0, 7]), result
    assert result["position"] == result["size"]
    for database in (0, 7):
        client = target.client(db=database)
        assert client.dbsize() == 510
        assert client.lrange("queue:3", 0, -1) == [b"a", b"b"]
    assert target.client(db=1).dbsize() == target.client(db=2).dbsize() == 0


def test_a_command_with_selected_and_other_keys_is_divided_where_that_means_the_same_and_an_error_elsewhere(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(
        tmp_path,
        ("MSET", "a:1", "1", "b:1", "1", "a:2", "2"),
        ("SET", "a:3", "3"),
        ("DEL", "b:1", "a:2"),
        ("RENAME", "b:1", "a:9"),
        ("RENAME", "a:3", "a:4"),
        ("RENAME", "b:2", "b:3"),
    )
    params = {**target.login(), "path": str(path), "include_keys": ["a:*"]}
    failed = run_module("aof_import", params)
    assert failed["failed"] and "RENAME of key 'b:1'" in failed["msg"], failed
    assert "some of its keys are selected and others are not" in failed["msg"]
    result = run_module("aof_import", {**params, "on_error": "continue", "if_not_empty": "flush", "resume": False})
    assert (result["failed"], result["errors"]) == (False, 1), result
    assert sorted(target.client().keys()) == [b"a:1", b"a:4"]


def test_a_flushall_in_the_aof_does_not_take_what_others_have_in_the_target(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(tmp_path, ("SET", "a", "1"), ("FLUSHALL",), ("SET", "b", "1"))
    target.client(db=4).set("theirs", "1")
    failed = run_module("aof_import", {**target.login(), "path": str(path), "if_not_empty": "append"})
    assert failed["failed"] and "FLUSHALL" in failed["msg"] and "empties all databases" in failed["msg"]
    assert target.client(db=4).get("theirs") == b"1"
    alone = run_module("aof_import", {**target.login(), "path": str(path), "if_not_empty": "flush", "resume": False})
    assert not alone["failed"]
    assert target.client().keys() == [b"b"]
    assert target.client(db=4).dbsize() == 0


def test_commands_that_name_a_second_database_follow_the_map(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    path = single(
        tmp_path,
        ("SELECT", 0),
        ("MSET", "moved", 1, "copied", 2, "doubled", 3, "emptied", 4),
        ("MOVE", "moved", 3),
        ("COPY", "copied", "copy", "DB", 3),
        ("COPY", "doubled", "double", "REPLACE"),
        ("SELECT", 2),
        ("SET", "gone", 5),
        ("FLUSHDB",),
    )
    only = {"databases": [0, 2, 3], "database_map": {"0": 5, "3": 6, "2": 9}}
    result = run_module("aof_import", {**target.login(), "path": str(path), **only})
    assert (result["failed"], result["errors"]) == (False, 0), result
    assert sorted(target.client(db=5).keys()) == [b"copied", b"double", b"doubled", b"emptied"]
    assert sorted(target.client(db=6).keys()) == [b"copy", b"moved"]
    assert target.client(db=9).keys() == target.client(db=3).keys() == target.client().keys() == []


@pytest.mark.parametrize(
    ("command", "options", "why"),
    [
        (("MOVE", "a", 3), {"databases": [0]}, "it moves a key to database 3, which is not selected"),
        (("COPY", "a", "b", "DB", 3), {"databases": [0]}, "it moves a key to database 3, which is not selected"),
        (("SWAPDB", 0, 1), {"database_map": {"0": 4}}, "it changes whole databases"),
        (("FLUSHDB",), {"include_keys": ["a*"]}, "it changes whole databases"),
        (("FLUSHDB",), {"database_map": {"1": 0}}, "it changes whole databases"),
    ],
)
def test_what_would_change_more_than_is_selected_is_an_error_of_its_place(
    command: tuple[t.Any, ...],
    options: dict[str, t.Any],
    why: str,
    target: Server,
    run_module: RunModule,
    tmp_path: Path,
) -> None:
    path = single(tmp_path, ("SELECT", 0), ("SET", "a", 1), command, ("SET", "after", 2))

    failed = run_module("aof_import", {**target.login(), "path": str(path), **options})

    assert failed["failed"] and why in failed["msg"], failed
    (sample,) = failed["error_samples"]
    assert (sample["command"], sample["offset"]) == (
        command[0],
        path.read_bytes().index(encode([str(arg).encode() for arg in command])),
    )


def test_each_file_begins_in_database_0_as_it_does_for_a_server(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    (tmp_path / "a.aof.1.base.aof").write_bytes(encode([b"SELECT", b"3"]) + encode([b"SET", b"a", b"1"]))
    (tmp_path / "a.aof.1.incr.aof").write_bytes(encode([b"SET", b"b", b"1"]) + encode([b"SELECT", b"5"]))
    (tmp_path / "a.aof.2.incr.aof").write_bytes(encode([b"SET", b"c", b"1"]))
    (tmp_path / "a.aof.manifest").write_text(
        "file a.aof.1.base.aof seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\nfile a.aof.2.incr.aof seq 2 type i\n"
    )
    result = run_module("aof_import", {**target.login(), "path": str(tmp_path)})
    assert not result["failed"], result
    assert target.client(db=3).keys() == [b"a"]
    assert sorted(target.client().keys()) == [b"b", b"c"]


def test_commands_written_during_the_rewrite_keep_their_order_though_the_base_size_covers_them(
    target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    base = [("SELECT", 0), ("SET", "a", "1"), ("RPUSH", "l", "a"), ("SET", "n", "5"), ("SELECT", 2), ("SET", "b", "1")]
    during = [
        ("SELECT", 0),
        ("DEL", "a"),
        ("SET", "a", "2"),
        ("INCR", "n"),
        ("SET", "n", "7"),
        ("INCR", "n"),
        ("RPUSH", "l", "b"),
    ]
    path = single(tmp_path, *base, *during)
    params = {**target.login(), "path": str(path), "aof_base_size": path.stat().st_size, "checkpoint": "keep"}
    result = run_module("aof_import", params)
    assert (result["failed"], result["errors"], result["replies"]) == (False, 0, 13), result
    client = target.client()
    assert (client.get("a"), client.get("n"), client.lrange("l", 0, -1)) == (b"2", b"8", [b"a", b"b"])
    with path.open("ab") as file:
        file.write(encode([b"RPUSH", b"l", b"c"]))
    more = run_module("aof_import", {**params, "aof_base_size": params["aof_base_size"]})
    assert (more["failed"], more["commands"]) == (False, 1), more
    assert client.lrange("l", 0, -1) == [b"a", b"b", b"c"]


def test_a_history_under_the_name_of_a_base_is_imported_in_transactions(
    start_server: StartServer, target: Server, run_module: RunModule, tmp_path: Path
) -> None:
    """A copy of an old single file, with a manifest that calls it a base: plain, ``b`` would keep its lifetime."""
    never = "4102444800000"
    base = [("SELECT", 0), ("SET", "a", "1"), ("RPUSH", "l", "a")]
    history = [
        ("SET", "b", "1"),
        ("PEXPIREAT", "b", never),
        ("RPUSH", "m", "b"),
        ("SET", "b", "2"),
        ("RPUSH", "l", "c"),
        ("INCR", "n"),
        ("APPEND", "a", "1"),
        ("DEL", "m"),
        ("RPUSH", "l", "d"),
    ]
    multi = tmp_path / "data" / "appendonlydir"
    multi.mkdir(parents=True)
    whole = single(tmp_path, *base, *history)
    whole.rename(multi / "appendonly.aof.1.base.aof")
    (multi / "appendonly.aof.manifest").write_text("file appendonly.aof.1.base.aof seq 1 type b\n")
    rewritten = len(single(tmp_path, *base, *history[:3]).read_bytes())
    (tmp_path / "appendonly.aof").unlink()

    result = run_module("aof_import", {**target.login(), "path": str(multi), "checkpoint": "keep"})
    inspected = run_module("aof_inspect", {"path": str(multi)})

    assert (result["failed"], result["errors"]) == (False, 0), result
    assert inspected["rewritten_bytes"] == rewritten
    (record,) = target.client().hvals(CHECKPOINT)
    assert json.loads(record)["rewritten"] == rewritten
    target.client().delete(CHECKPOINT)
    loaded = start_server("redis-7.0.15", {"appendonly": "yes"}, directory=tmp_path)
    assert snapshot.diff(snapshot.snapshot(loaded.host, loaded.port), snapshot.snapshot(target.host, target.port)) == []
    assert target.client().pttl("b") == -1
