# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What files that are no AOF are said to be. Advice that is a command is followed, and what it leaves is read."""

from __future__ import annotations

import codecs
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.damage import next_command
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Frames
from ansible_collections.redisops.tair.plugins.module_utils._aof.inspect import Inspection, inspect
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support.corpus import case, corpus
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

LAST = encode([b"SET", b"k19", b"secret19"])
GOOD = encode([b"SELECT", b"0"]) + b"".join(encode([b"SET", b"k%d" % n, b"secret%d" % n]) for n in range(20))


def inspected(path: Path) -> Inspection:
    with open_aof(find_aof(path), even_damaged=True) as aof:
        return inspect(aof)


def told(path: Path) -> tuple[int, str, str]:
    """Offset, what is there, advice. What the module that imports raises is the same."""
    damage = inspected(path).damage
    assert damage is not None
    with pytest.raises(AofFormatError) as error, open_aof(find_aof(path), even_damaged=False) as aof:
        if inspect(aof).damage is not None:
            part = aof.parts[-1]
            list(Frames(part.fd, part.start, part.end, where=str(path)))
    assert damage.found in str(error.value) and damage.advice in str(error.value)
    assert "secret" not in str(error.value)
    return damage.offset, damage.found, damage.advice


def sets(path: Path) -> int:
    inspection = inspected(path)
    assert inspection.damage is None, inspection.damage
    return inspection.tally.by_name().get(b"SET", (0, 0))[0]


def follow(advice: str, directory: Path) -> None:
    """Run the command in an advice."""
    found = re.search(
        r"(?:: |^)((?:truncate|gzip|zstd|lz4|xz|bzip2|unzip|\{ head|head|tail) .*?)(?: \(|\. |, and|, \w+ the|$)",
        advice,
    )
    assert found is not None, advice
    subprocess.run(found[1], shell=True, check=True, cwd=directory)


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(f"there is no {name} here")
    return found


@pytest.mark.parametrize(
    ("name", "offset", "words"),
    [
        ("gzipped", 0, "compressed with gzip"),
        ("inline", 0, "lines of text, as inline commands"),
        ("lf-only", 0, "lines end in LF instead of CR LF"),
        ("nul-tail", 623, "from byte 623 to the end of the file (4096 bytes) there are only zero bytes"),
    ],
)
def test_files_of_bug_reports_are_named_for_what_they_are(name: str, offset: int, words: str) -> None:
    found = told(case("nul-gzip-lf-messages") / f"{name}.aof")
    assert (found[0], words in found[1]) == (offset, True), found


@pytest.mark.parametrize("packer", ["gzip", "zstd", "lz4", "xz", "bzip2"])
def test_a_packed_file_can_be_unpacked_as_advised(packer: str, tmp_path: Path) -> None:
    path = tmp_path / "it's packed.aof"
    path.write_bytes(subprocess.run([program(packer), "-c"], input=GOOD, stdout=subprocess.PIPE, check=True).stdout)
    _offset, found, advice = told(path)
    assert f"compressed with {packer}" in found
    follow(advice, tmp_path)
    assert sets(tmp_path / "unpacked.aof") == 20


def check_aof(path: Path) -> tuple[bool, int]:
    """What redis-check-aof finds: whether the file is valid, and up to where."""
    said = subprocess.run([program("redis-check-aof"), str(path)], capture_output=True, text=True, check=False).stdout
    match = re.search(r"ok_up_to=(\d+)", said)
    assert match is not None, said
    return "is valid" in said, int(match[1])


@pytest.mark.parametrize("cut", [0, 3, 12, 30, 34, 37])
def test_zero_bytes_to_the_end_are_cut_off_where_redis_check_aof_does(cut: int, tmp_path: Path) -> None:
    """Blocks that were never written begin anywhere in a command, in its value too."""
    path = tmp_path / "appendonly.aof"
    path.write_bytes(GOOD[: len(GOOD) - cut] + bytes(5000))
    _offset, found, advice = told(path)
    assert f"from byte {len(GOOD) - cut} to the end of the file ({5000} bytes) there are only zero bytes" in found
    valid, ok_up_to = check_aof(path)
    assert not valid and f"truncate -s {ok_up_to} " in advice
    follow(advice, tmp_path)
    assert path.stat().st_size == ok_up_to and check_aof(path)[0]
    assert sets(path) == 20 - (cut > 0) - (cut > len(LAST))
    assert inspected(path).truncated_bytes == 0


def test_a_value_that_ends_in_zero_bytes_before_damage_is_no_value(tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(GOOD + b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nab" + bytes(5000))
    inspection = inspected(path)
    assert inspection.tally.by_name()[b"SET"][0] == 20
    assert inspection.damage is not None and inspection.damage.expected == "CR LF after an argument"
    assert check_aof(path)[1] == len(GOOD)


@pytest.mark.parametrize(
    "middle",
    [
        bytes(3000),
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$200\r\nab",
        b"connection closed\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9999\r\nab" + bytes(100),
    ],
    ids=["zeros", "torn", "text", "torn and zeros"],
)
def test_damage_in_the_middle_can_be_cut_out_as_advised(middle: bytes, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(GOOD + middle + GOOD * 300)
    _offset, found, advice = told(path)
    assert "the next whole command begins at byte" in found
    follow(advice, tmp_path)
    assert sets(tmp_path / "repaired.aof") > 20 * 280  # a length that was cut off covers what follows
    assert (tmp_path / "repaired.aof").read_bytes().startswith(GOOD + b"*")


def test_what_a_login_printed_before_the_file_can_be_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(b"Welcome to db1!\n" + GOOD)
    offset, found, advice = told(path)
    assert offset == 0 and "the next whole command begins at byte 16" in found
    follow(advice, tmp_path)
    assert (tmp_path / "repaired.aof").read_bytes() == GOOD


def dump() -> bytes:
    (aof,) = corpus(server="redis", version="7.0.15", variant="hybrid")
    base: Path = next(aof.aof.glob("*.base.rdb"))
    return base.read_bytes()


def test_an_rdb_after_commands_is_a_file_that_was_joined(tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(GOOD + dump())
    offset, found, advice = told(path)
    assert offset == len(GOOD) and "an RDB begins there: two files were joined" in found
    follow(advice, tmp_path)
    assert sets(tmp_path / "first.aof") == 20
    subprocess.run(advice[advice.index("tail") : advice.index(", and import")], shell=True, check=True, cwd=tmp_path)
    assert (tmp_path / "second.rdb").read_bytes() == dump()


NUMBERS: t.List[t.Tuple[str, bytes, str]] = [
    ("CR CR LF", GOOD.replace(b"\r\n", b"\r\r\n"), "lines end in CR CR LF"),
    ("CR", GOOD.replace(b"\r\n", b"\r"), "lines end in CR instead of CR LF"),
    ("LF later", GOOD + GOOD.replace(b"\r\n", b"\n"), "lines end in LF instead of CR LF"),
    ("byte order mark", codecs.BOM_UTF8 + GOOD, "UTF-8 byte order mark"),
    ("UTF-16", codecs.BOM_UTF16_LE + GOOD.decode().encode("utf-16-le"), "text in UTF-16"),
    ("manifest", b"file a.1.base.aof seq 1 type b\n", "is the manifest of an AOF"),
    ("manifest later", GOOD + b"file a.1.base.aof seq 1 type b\n", "a manifest begins there"),
    ("JSON", b'{"a": "secret"}\n', "text, such as JSON"),
    ("HTML", b"<html><body>secret</body></html>\n", "text, such as HTML"),
    ("replies", b'1) "secret"\n2) "b"\n', "replies of a server"),
    ("raw replies", b"+OK\r\n:1\r\n$6\r\nsecret\r\n", "replies of a server"),
    ("MONITOR", b'OK\n1339518083.107412 [0 127.0.0.1:60866] "keys" "secret"\n', "output of MONITOR"),
    ("tar", b"a.aof".ljust(257, b"\0") + b"ustar\x0000" + bytes(247) + GOOD, "a tar archive"),
    ("zip", b"PK\x03\x04" + bytes(200), "compressed with zip"),
    ("encrypted", b"Salted__" + bytes(range(200)), "encrypted"),
    ("zeros", bytes(10_000), "only zero bytes: nothing was ever written"),
    ("noise", bytes(range(128, 256)) * 100, "no command was found after them"),
    ("dragonfly", b"REDIS0009\xfa\x09redis-ver\x0adf-v1.25.1\xc9" + bytes(range(200)), "snapshot of Dragonfly"),
    ("torn RDB", dump()[:-20], "the file ends there"),
]


@pytest.mark.parametrize(("content", "words"), [pytest.param(*case[1:], id=case[0]) for case in NUMBERS])
def test_what_a_file_is_instead_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(content)
    _offset, found, advice = told(path)
    assert words in found and advice


def test_the_next_command_is_none_that_a_value_mentions(tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof"
    mention = b"\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\nand no more"
    path.write_bytes(b"x" * 100 + mention + b"x" * 3_000_000 + GOOD)
    with path.open("rb") as file:
        assert next_command(file.fileno(), path.stat().st_size, 0) == path.stat().st_size - len(GOOD)
