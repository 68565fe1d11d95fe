# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where keys stand in commands, as a real server says (``COMMAND GETKEYS``), and what that decides."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import first_key, has_one_key, key_positions
from ansible_collections.redisops.tair.tests.support.servers import Server, build

COMMANDS = [
    "SET a v",
    "set a v",
    "HSET a f v",
    "XADD a * f v",
    "PEXPIREAT a 1",
    "DEL a",
    "DEL a b c",
    "UNLINK a b",
    "MSET a 1 b 2 c 3",
    "MSETNX a 1 b 2",
    "PFMERGE a b c",
    "SINTERSTORE a b c",
    "SDIFFSTORE a b",
    "RENAME a b",
    "RPOPLPUSH a b",
    "LMOVE a b LEFT RIGHT",
    "SMOVE a b m",
    "COPY a b DB 2 REPLACE",
    "GEOSEARCHSTORE a b FROMMEMBER m BYRADIUS 1 km ASC",
    "ZRANGESTORE a b 0 -1",
    "BITOP AND a b c",
    "BITOP NOT a b",
    "XGROUP CREATE a g 0",
    "XGROUP DESTROY a g",
    "ZUNIONSTORE a 2 b c WEIGHTS 1 2",
    "ZINTERSTORE a 1 b AGGREGATE MAX",
    "ZDIFFSTORE a 3 b c d",
    "EVAL s 2 a b x y",
    "EVALSHA s 1 a x",
    "FCALL f 2 a b x",
    "SORT a BY w STORE b",
    "SORT a BY store LIMIT 0 1",
    "SORT a LIMIT 0 1 STORE b GET store ALPHA",
    "GEORADIUS a 0 0 1 km STORE b",
    "GEORADIUS a 0 0 1 km STORE b STOREDIST c",
    "GEORADIUSBYMEMBER a STORE 1 km COUNT 5 STORE b",
    "GEORADIUSBYMEMBER a m 1 km STOREDIST b",
]


@pytest.fixture(scope="module")
def client() -> t.Iterator[t.Any]:
    with Server(build("redis-8.2.3")) as server:
        yield server.client()


@pytest.mark.parametrize("command", COMMANDS)
def test_keys_stand_where_the_server_says(command: str, client: t.Any) -> None:
    words = command.encode().split()
    keys = [words[at] for at in key_positions(words)]
    assert [key.decode() for key in keys] == client.command_getkeys(*words)
    assert first_key(words) == keys[0]
    assert has_one_key(words[0].upper()) <= (len(keys) == 1)


@pytest.mark.parametrize(
    "command", ["SELECT 1", "FLUSHALL", "EVAL s 0 x", "FCALL f 0", "FUNCTION LOAD code", "SCRIPT LOAD s"]
)
def test_some_commands_have_none(command: str) -> None:
    words = command.encode().split()
    assert list(key_positions(words)) == [] and first_key(words) is None
    assert not has_one_key(words[0])


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("JSON.MSET a $ 1 b $ 2", "a b"),
        ("TS.MADD a 1 2 b 3 4", "a b"),
        ("MSETEX 2 a 1 b 2 EX 10", "a b"),
        ("BF.ADD a item", "a"),
        ("ZUNIONSTORE a no-number b", "a"),
    ],
)
def test_what_that_server_does_not_know_has_its_keys_too(command: str, keys: str) -> None:
    words = command.encode().split()
    assert [words[at] for at in key_positions(words)] == keys.encode().split()


@pytest.mark.parametrize("command", ["ZUNIONSTORE a x b", "EVAL s", "EVAL s 9 a", "RENAME a", "XGROUP CREATE", "SET"])
def test_a_command_that_is_not_whole_gives_no_position_behind_its_end(command: str) -> None:
    """As it may stand in a damaged file."""
    words = command.encode().split()
    assert all(0 < at < len(words) for at in key_positions(words))
