# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is accepted as the base section of an AOF: all that servers wrote, and no history of commands under its name."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof import rewritten
from ansible_collections.redisops.tair.plugins.module_utils._aof.inspect import Inspection, inspect
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus

Written = t.Union[str, bytes, t.List[bytes]]
NEVER = "4102444800000"


def raw(commands: t.Sequence[Written]) -> bytes:
    return b"".join(
        command
        if isinstance(command, bytes)
        else encode(command if isinstance(command, list) else command.encode().split())
        for command in commands
    )


def base_of(directory: Path, content: bytes) -> Path:
    """An AOF whose base file has this content under the name that a rewrite gives."""
    (directory / "a.aof.1.base.aof").write_bytes(content)
    (directory / "a.aof.manifest").write_text("file a.aof.1.base.aof seq 1 type b\n")
    return directory


def rewritten_bytes(path: Path, base_size: int = 0) -> int:
    """Asserts that what is opened and what is inspected agree."""
    with open_aof(find_aof(path), base_size=base_size) as aof:
        inspection: Inspection = inspect(aof)
        if inspection.rdb is None:
            assert inspection.rewritten_bytes == aof.rewritten_size
        return inspection.rewritten_bytes


@pytest.mark.parametrize("aof", corpus(), ids=str)
def test_every_base_that_a_server_wrote_is_accepted_as_a_whole(aof: CorpusSet) -> None:
    details = aof.meta["file_details"]
    bases = [detail for detail in details if detail["role"] == "base" and detail["path"].endswith(".base.aof")]
    if bases:
        assert rewritten_bytes(aof.aof) == (aof.directory / bases[0]["path"]).stat().st_size
    elif aof.variant == "base" and not aof.meta["has_preamble"]:
        size = sum((aof.directory / detail["path"]).stat().st_size for detail in details)
        assert rewritten_bytes(aof.aof, base_size=size) == size


#: What a rewrite may have written, and the first command that it can't have written after that.
HISTORIES: dict[str, tuple[list[Written], Written]] = {
    "a string is set again": (["SELECT 0", "SET a 1", "SET b 1"], "SET a 2"),
    "a string is set again at once": (["SELECT 0", "SET a 1"], "SET a 2"),
    "a string is set again after its lifetime": (["SELECT 0", "SET a 1", f"PEXPIREAT a {NEVER}"], "SET a 2"),
    "a lifetime of a key before": (["SELECT 0", "SET a 1", "SET b 1"], f"PEXPIREAT a {NEVER}"),
    "a lifetime of an unknown key": (["SELECT 0"], f"PEXPIREAT a {NEVER}"),
    "a lifetime with an option": (["SELECT 0", "SET a 1"], f"PEXPIREAT a {NEVER} NX"),
    "an option of SET": (["SELECT 0", "SET a 1"], f"SET b 1 PXAT {NEVER}"),
    "a list grows": (["SELECT 0", "RPUSH l a", "RPUSH m b"], "RPUSH l c"),
    "a stream grows": (["SELECT 0", "XADD s 1-1 f v", "SET a 1"], "XADD s 1-2 f v"),
    "a group of a stream before": (["SELECT 0", "XADD s 1-1 f v", "SET a 1"], "XGROUP CREATE s g 0"),
    "a group is removed": (["SELECT 0", "XADD s 1-1 f v", "XGROUP CREATE s g 0"], "XGROUP DESTROY s g"),
    "a counter": (["SELECT 0", "SET a 1"], "INCR a"),
    "small letters": (["SELECT 0", "SET a 1"], "set b 1"),
    "a deletion": (["SELECT 0", "SET a 1"], "DEL a"),
    "a transaction": (["SELECT 0", "SET a 1"], "MULTI"),
    "a database again": (["SELECT 0", "SET a 1", "SELECT 1", "SET a 1"], "SELECT 0"),
    "a function after a key": (["SELECT 0", "SET a 1"], "FUNCTION LOAD code"),
    "a function is replaced": ([], "FUNCTION LOAD REPLACE code"),
    "a time after a command": (["SELECT 0", "SET a 1"], b"#TS:1700000000\r\n"),
    "a large list grows": (
        ["SELECT 0", b"*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$600000\r\n" + b"x" * 600_000 + b"\r\n", "SET a 1"],
        "RPUSH l c",
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_under_the_name_of_a_base_ends_at_its_first_command(name: str, tmp_path: Path) -> None:
    before, foreign = HISTORIES[name]
    content = raw(before)
    path = base_of(tmp_path, content + raw([foreign, "SET late 1"]))
    assert rewritten_bytes(path) == len(content)
    single = tmp_path / "single.aof"
    single.write_bytes((tmp_path / "a.aof.1.base.aof").read_bytes())
    assert rewritten_bytes(single, base_size=single.stat().st_size) == len(content)


def test_the_same_key_in_two_databases_is_no_history(tmp_path: Path) -> None:
    content = raw(
        [
            b"#TS:1700000000\r\n",
            "FUNCTION LOAD code",
            "SELECT 0",
            "SET a 1",
            "SELECT 3",
            "SET a 1",
            "RPUSH l a",
            "RPUSH l b",
        ]
    )
    assert rewritten_bytes(base_of(tmp_path, content)) == len(content)


def test_only_the_head_is_checked_for_keys_that_come_back_and_the_rest_by_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewritten, "HEAD_BYTES", 1000)
    keys = raw(["SELECT 0", *(f"SET key:{number} {number}" for number in range(100))])
    assert len(keys) > 1000
    again = raw(["SET key:1 2"])
    assert rewritten_bytes(base_of(tmp_path, keys + again)) == len(keys + again)
    for foreign in ("INCR key:1", "SELECT 0", b"#TS:1700000000\r\n"):
        with open_aof(find_aof(base_of(tmp_path, keys + raw([foreign])))) as aof:
            assert inspect(aof).rewritten_bytes == len(keys)


def test_damage_in_the_head_is_reported_when_it_is_read(tmp_path: Path) -> None:
    content = raw(["SELECT 0", "SET a 1"])
    with open_aof(find_aof(base_of(tmp_path, content + b"garbage"))) as aof:
        damage = inspect(aof).damage
    assert damage is not None and damage.offset == len(content)
