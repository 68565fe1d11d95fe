# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._argspec import DROPPABLE
from ansible_collections.redisops.tair.plugins.module_utils._import.compat import ROWS

_BY_FORM = {row.form: row for row in ROWS}
_CASES: list[tuple[str, str, list[str] | None]] = [
    ("SET PXAT", "set k v pxat 5", ["set k v", "PEXPIREAT k 5"]),
    ("SET PXAT", "SET k v EXAT 5", ["SET k v", "EXPIREAT k 5"]),
    ("SET PXAT", "SET k v NX PXAT 5", None),
    ("SET PXAT", "SET k v KEEPTTL", None),
    ("PEXPIREAT NX", "PEXPIREAT k 5 gt", ["PEXPIREAT k 5"]),
    ("PEXPIREAT NX", "PEXPIREAT k 5", None),
    ("BITOP DIFF", "BITOP ONE d a b", ["BITOP XOR d a b"]),
    ("BITOP DIFF", "BITOP ONE d a b c", None),
    ("BITOP DIFF", "BITOP diff a a b", None),
    ("BITOP DIFF", "BITOP AND d a b", None),
    ("MSETEX", "MSETEX 2 a 1 b 2 NX PXAT 5", ["SET a 1 PXAT 5", "SET b 2 PXAT 5"]),
    ("MSETEX", "MSETEX 1 a 1 KEEPTTL", ["SET a 1 KEEPTTL"]),
    ("MSETEX", "MSETEX 1 a 1", ["SET a 1"]),
    ("MSETEX", "MSETEX 1 a 1 EX 5", None),
    ("SET IFEQ", "SET k v IFEQ old PXAT 5", ["SET k v PXAT 5"]),
    ("SET IFEQ", "SET k v", None),
    ("HGETDEL", "HGETDEL h FIELDS 2 a b", ["HDEL h a b"]),
    ("HGETEX", "HGETEX h PXAT 5 FIELDS 1 a", ["HPEXPIREAT h 5 FIELDS 1 a"]),
    ("HGETEX", "HGETEX h PERSIST FIELDS 1 a", ["HPERSIST h FIELDS 1 a"]),
    ("HGETEX", "HGETEX h FIELDS 1 a", None),
    ("XDELEX", "XDELEX s KEEPREF IDS 2 1-1 2-1", ["XDEL s 1-1 2-1"]),
    ("XDELEX", "XDELEX s IDS 1 1-1", ["XDEL s 1-1"]),
    ("XDELEX", "XDELEX s DELREF IDS 1 1-1", None),
    ("XACKDEL", "XACKDEL s g KEEPREF IDS 1 1-1", ["XACK s g 1-1", "XDEL s 1-1"]),
    ("GETEX", "GETEX k PXAT 5", ["PEXPIREAT k 5"]),
    ("GETEX", "GETEX k PERSIST", ["PERSIST k"]),
    ("GETEX", "GETEX k EX 5", None),
    ("GETDEL", "GETDEL k", ["DEL k"]),
    ("LMOVE", "LMOVE a b right left", ["RPOPLPUSH a b"]),
    ("LMOVE", "LMOVE a b LEFT LEFT", None),
    ("COPY", "COPY a b", None),
    (
        "XADD 0-0",
        "XADD s MAXLEN 0 0-0 x y",
        ["XGROUP CREATE s redisops.tair:none 0 MKSTREAM", "XGROUP DESTROY s redisops.tair:none"],
    ),
    ("XADD 0-0", "XADD s MAXLEN 0 0-1 x y", None),
    ("XADD 0-0", "XADD s MAXLEN = 0 0-0 x y", None),
    ("XSETID ENTRIESADDED", "XSETID s 1-1 ENTRIESADDED 3 MAXDELETEDID 1-0", ["XSETID s 1-1"]),
    ("XSETID ENTRIESADDED", "XSETID s 1-1 OTHER 3", None),
    ("XGROUP ENTRIESREAD", "XGROUP CREATE s g 1-1 MKSTREAM ENTRIESREAD 2", ["XGROUP CREATE s g 1-1 MKSTREAM"]),
    ("XGROUP ENTRIESREAD", "XGROUP SETID s g 1-1 ENTRIESREAD 2", ["XGROUP SETID s g 1-1"]),
    ("XGROUP ENTRIESREAD", "XGROUP DESTROY s g", None),
    ("FUNCTION", "FUNCTION LOAD code", None),
    ("HSETEX", "HSETEX h PXAT 5 FIELDS 2 a 1 b 2", ["HSET h a 1 b 2", "HPEXPIREAT h 5 FIELDS 2 a b"]),
    ("HSETEX", "HSETEX h KEEPTTL FIELDS 1 a 1", None),
    ("HSETEX", "HSETEX h PXAT 5 FIELDS 2 a 1", None),
    ("HPEXPIREAT", "HPEXPIREAT h 5 FIELDS 1 a", None),
    ("HPERSIST", "HPERSIST h FIELDS 1 a", None),
    ("PEXPIREMEMBERAT", "PEXPIREMEMBERAT s m 5", None),
    ("EXPIREMEMBERAT", "EXPIREMEMBERAT s m 5", None),
    ("EXPIREMEMBER", "EXPIREMEMBER s m 5", None),
    ("PERSIST", "PERSIST s m", None),
    ("XCFGSET", "XCFGSET s IDMP-DURATION 1", None),
    ("XIDMPRECORD", "XIDMPRECORD s p 1 1-1", None),
]


@pytest.mark.parametrize(("form", "command", "expected"), _CASES)
def test_a_form_becomes_its_equivalent_or_none(form: str, command: str, expected: list[str] | None) -> None:
    rewritten = _BY_FORM[form].rewrite(command.encode().split())

    assert rewritten == (None if expected is None else [each.encode().split() for each in expected])


@pytest.mark.parametrize(
    ("form", "command", "expected"),
    [
        ("FUNCTION", "FUNCTION LOAD code", []),
        ("HPEXPIREAT", "HPEXPIREAT h 4000000000000 FIELDS 1 a", []),
        ("HPEXPIREAT", "HPEXPIREAT h 5 FIELDS 2 a b", ["HDEL h a b"]),
        ("HPERSIST", "HPERSIST h FIELDS 1 a", []),
        ("PEXPIREMEMBERAT", "PEXPIREMEMBERAT s m 5", []),
        ("PERSIST", "PERSIST s m", []),
        ("PERSIST", "PERSIST s", None),
        ("XIDMPRECORD", "XIDMPRECORD s p 1 1-1", []),
        ("HSETEX", "HSETEX h PXAT 4000000000000 FIELDS 2 a 1 b 2", ["HSET h a 1 b 2"]),
        ("HSETEX", "HSETEX h PXAT 5 FIELDS 2 a 1 b 2", ["HDEL h a b"]),
        ("HSETEX", "hsetex h keepttl fields 1 a 1", ["HSET h a 1"]),
        ("HSETEX", "HSETEX h FIELDS 1 a 1", ["HSET h a 1"]),
        ("HSETEX", "HSETEX h FNX FIELDS 1 a 1", None),
        ("HSETEX", "HSETEX h FIELDS 1 a 1 b", None),
        ("HSETEX", "HSETEX h PXAT 5 FIELDS 2 a 1", None),
    ],
)
def test_what_is_left_of_a_command_that_is_dropped_by_name(form: str, command: str, expected: list[str] | None) -> None:
    rest = _BY_FORM[form].rest(command.encode().split())

    assert rest == (None if expected is None else [each.encode().split() for each in expected])


def test_each_row_has_a_case() -> None:
    assert {form for form, _command, _expected in _CASES} == set(_BY_FORM)


def test_only_what_holds_no_data_of_its_own_may_be_dropped() -> None:
    assert sorted({row.droppable for row in ROWS if row.droppable}) == list(DROPPABLE)


_PAST, _FUTURE = "1000", "4000000000000"
_STATE = "SET k old|RPUSH a 1 2 3|RPUSH b 4|HSET h a 0 z 9"


def _after(client: t.Any, commands: t.Iterable[t.Sequence[str | bytes]]) -> dict[str, t.Any]:
    """What the keys and their times are after the commands, from the same beginning."""
    client.flushall()
    for command in _STATE.split("|"):
        client.execute_command(*command.split())
    for given in commands:
        client.execute_command(*given)
    return {
        "strings": (client.get("k"), client.execute_command("PEXPIRETIME", "k")),
        "lists": (client.lrange("a", 0, -1), client.lrange("b", 0, -1)),
        "hash": (client.hgetall("h"), client.execute_command("HPEXPIRETIME", "h", "FIELDS", "2", "a", "z")),
    }


@pytest.mark.parametrize(
    ("form", "command"),
    [
        *[("SET PXAT", f"SET k v PXAT {at}") for at in (_PAST, _FUTURE)],
        *[("GETEX", f"GETEX k PXAT {at}") for at in (_PAST, _FUTURE)],
        ("GETDEL", "GETDEL k"),
        ("LMOVE", "LMOVE a b RIGHT LEFT"),
        ("LMOVE", "LMOVE a a RIGHT LEFT"),
        *[("HSETEX", f"HSETEX h PXAT {at} FIELDS 2 a 1 b 2") for at in (_PAST, _FUTURE)],
    ],
)
def test_the_equivalent_leaves_what_the_command_leaves(start_server: t.Any, form: str, command: str) -> None:
    client = start_server("redis-8.2.3").client()
    rewritten = _BY_FORM[form].rewrite(command.encode().split())
    assert rewritten is not None
    untouched = _after(client, [])

    as_written = _after(client, [command.split()])

    assert as_written != untouched
    assert _after(client, rewritten) == as_written


def test_an_older_server_takes_the_equivalents_for_streams(start_server: t.Any) -> None:
    client = start_server("redis-6.2.14").client()
    client.execute_command("XADD", "s", "1-1", "f", "v")

    for form, command in [
        ("XSETID ENTRIESADDED", "XSETID s 5-1 ENTRIESADDED 3 MAXDELETEDID 1-0"),
        ("XGROUP ENTRIESREAD", "XGROUP CREATE s g 1-1 ENTRIESREAD 1"),
    ]:
        for each in _BY_FORM[form].rewrite(command.encode().split()) or []:
            client.execute_command(*each)

    assert client.xinfo_stream("s")["last-generated-id"] == b"5-1"
    assert [group["last-delivered-id"] for group in client.xinfo_groups("s")] == [b"1-1"]


@pytest.mark.parametrize("operation", ["DIFF", "DIFF1", "ANDOR", "ONE"])
@pytest.mark.parametrize("operands", ["x y", "x y z", "y x z", "x gone", "gone x y"])
def test_newer_bit_operations_are_composed_of_older_ones(start_server: t.Any, operation: str, operands: str) -> None:
    if operation == "ONE" and len(operands.split()) > 2:
        return
    client = start_server("redis-8.2.3").client()
    for key, value in {"x": b"\xf0\x0f\xaa\xff", "y": b"\xcc\x33", "z": b"\x11\x22\x33\x44\x55"}.items():
        client.set(key, value)
    command = ["BITOP", operation, "as-written", *operands.split()]
    client.execute_command(*command)

    for each in (
        _BY_FORM["BITOP DIFF"].rewrite([word.encode() for word in ["BITOP", operation, "composed", *command[3:]]]) or []
    ):
        client.execute_command(*each)

    assert client.get("composed") == client.get("as-written")
