# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import (
    MANIFEST_MAX_LINE,
    MANIFEST_MAX_SIZE,
    Segment,
    find_aof,
    has_preamble,
    parse_manifest,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import LayoutError
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, case, corpus

BASE = Segment("appendonly.aof.1.base.aof", "base", 1)
INCR = Segment("appendonly.aof.1.incr.aof", "incr", 1)


def parse(text: str) -> tuple[Segment, ...]:
    return parse_manifest(text.encode(), where="the manifest", manifest="a.manifest")


def line(name: str, kind: str = "b", seq: int = 1) -> str:
    return f"file {name} seq {seq} type {kind}\n"


def test_base_comes_first_and_incr_files_follow_by_sequence() -> None:
    assert parse(line("i1", "i", 1) + line("i2", "i", 2) + line("base", "b", 2)) == (
        Segment("base", "base", 2),
        Segment("i1", "incr", 1),
        Segment("i2", "incr", 2),
    )


def test_history_files_are_left_out() -> None:
    assert parse(line("old.base", "h", 1) + line("old.incr", "h", 9) + line("base", "b", 2)) == (
        Segment("base", "base", 2),
    )


def test_comments_blank_lines_and_windows_line_ends_are_skipped() -> None:
    text = "# written by hand\r\n\r\n" + line("appendonly.aof.1.base.aof").replace("\n", "\r\n") + "#\n\n"
    assert parse(text) == (BASE,)


def test_a_manifest_may_end_without_a_newline() -> None:
    assert parse(line("appendonly.aof.1.base.aof") + line("appendonly.aof.1.incr.aof", "i").rstrip()) == (BASE, INCR)


def test_an_aof_may_have_no_base() -> None:
    assert parse(line("appendonly.aof.1.incr.aof", "i")) == (INCR,)


def test_further_pairs_are_accepted_wherever_they_stand() -> None:
    assert parse("file appendonly.aof.1.incr.aof seq 1 type i startoffset 658\n") == (INCR,)
    assert parse("startoffset 658 type i seq 1 crc 0xab file appendonly.aof.1.incr.aof\n") == (INCR,)


def test_keys_are_read_in_any_case() -> None:
    assert parse("FILE appendonly.aof.1.base.aof Seq 1 TYPE b\n") == (BASE,)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('"two words.aof"', "two words.aof"),
        ("'two words.aof'", "two words.aof"),
        (r"'it\'s.aof'", "it's.aof"),
        (r'"say \"x\".aof"', 'say "x".aof'),
        (r'"back\\slash.aof"', r"back\slash.aof"),
        (r'"\x41\x5a.aof"', "AZ.aof"),
        (r'"\xe4\xb8\x96.aof"', "世.aof"),
        ("世.aof", "世.aof"),
        ('"#.aof"', "#.aof"),
        ("...aof", "...aof"),
    ],
)
def test_names_are_unquoted_as_the_server_does_it(written: str, name: str) -> None:
    assert parse(line(written)) == (Segment(name, "base", 1),)


def test_a_name_that_is_not_utf8_comes_back_as_the_same_bytes() -> None:
    (segment,) = parse_manifest(b'file "\\xff\\xfe.aof" seq 1 type b\n', where="", manifest="a.manifest")
    assert os.fsencode(segment.name) == b"\xff\xfe.aof"


EXPECTED = "'file NAME seq N type b|i|h' was expected"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no base and no incr file is named"),
        ("# nothing but a comment\n", "no base and no incr file is named"),
        (line("old", "h"), "no base and no incr file is named"),
        (line("a") + line("b", "b", 2), "2 base files are named"),
        (line("a", "i", 2) + line("b", "i", 1), "not in the order of their sequence numbers"),
        (line("a", "i", 1) + line("b", "i", 1), "not in the order of their sequence numbers"),
        ("file a seq 1\n", f"line 1: {EXPECTED}"),
        (line("a") + "file b seq 2 type i startoffset\n", f"line 2: {EXPECTED}"),
        ("file a seq one type b\n", f"line 1: {EXPECTED}"),
        ("name a seq 1 type b\n", f"line 1: {EXPECTED}"),
        ("REDIS0011 and so on\n", f"line 1: {EXPECTED}"),
        (line("a", "x"), "line 1: the type 'x' is unknown"),
        (line("a", "base"), "line 1: the type 'base' is unknown"),
        (line("../a"), "line 1: a plain file name was expected, but '../a' contains a slash"),
        (line("/etc/passwd"), "line 1: a plain file name was expected, but '/etc/passwd' contains a slash"),
        (line("old/a", "h"), "line 1: a plain file name was expected, but 'old/a' contains a slash"),
        (line(".."), "line 1: a plain file name was expected, but '..' is a directory"),
        (line('""'), "line 1: a plain file name was expected, but '' is empty"),
        (line(r'"a\x00b"'), r"'a\x00b' contains a control character"),
        (line(r'"\x1b]0;title\a"'), r"'\x1b]0;title\x07' contains a control character"),
        (line('"new\\nline"'), r"'new\nline' contains a control character"),
        (line(".aof_fetch"), "'.aof_fetch' ends in .aof_fetch or .part"),
        (line("a.PART", "h"), "'a.PART' ends in .aof_fetch or .part"),
        (line("a") + line("a", "i"), "the name 'a' is used twice"),
        (line("a") + line("A", "i"), "the name 'A' is used twice"),
        (line("a.manifest"), "the name 'a.manifest' is used twice"),
        (line("a", "b", 10**18), f"line 1: {EXPECTED}"),
        (line("a").replace("1", "\u0661"), f"line 1: {EXPECTED}"),
        (line("a").replace("1", "1_0"), f"line 1: {EXPECTED}"),
        (line('"a'), "line 1: a quote is not closed"),
        (line("'a"), "line 1: a quote is not closed"),
        (line('"a"b'), "line 1: a quote is not closed"),
        ("\n\n" + line("a" * MANIFEST_MAX_LINE), f"line 3: the line is longer than the {MANIFEST_MAX_LINE} bytes"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(LayoutError, match=re.escape(complaint)) as error:
        parse(text)
    assert str(error.value).startswith("the manifest")


def test_a_line_as_long_as_a_server_writes_is_accepted() -> None:
    name = "a" * (MANIFEST_MAX_LINE - len("file  seq 1 type b"))
    assert parse(line(name)) == (Segment(name, "base", 1),)


@pytest.mark.parametrize("magic", [b"REDIS0006", b"REDIS0013", b"VALKEY080"])
def test_an_rdb_at_the_start_is_a_preamble(magic: bytes) -> None:
    assert has_preamble(magic + b"\xfa\x09redis-ver")


@pytest.mark.parametrize(
    "start", [b"", b"REDIS", b"REDISabc1", b"*3\r\n$3\r\nSET\r\n", b"*2\r\n$9\r\nREDIS0011\r\n", b" REDIS0011"]
)
def test_anything_else_at_the_start_is_no_preamble(start: bytes) -> None:
    assert not has_preamble(start)


def test_only_a_base_with_its_sequence_in_its_name_is_known_to_be_rewritten() -> None:
    assert BASE.is_rewritten
    assert not INCR.is_rewritten
    assert not Segment("appendonly.aof", "base", 1).is_rewritten  # the single file of an upgraded server
    assert not Segment("appendonly.aof.1.base.aof", "base", 2).is_rewritten
    assert not Segment("appendonly.aof.1.base.rdb", "base", 1).is_rewritten
    assert not Segment("appendonly.aof", "single").is_rewritten


@pytest.mark.parametrize("aof", corpus(), ids=str)
def test_every_aof_that_a_server_wrote_is_read_in_its_order(aof: CorpusSet) -> None:
    found = find_aof(aof.aof)
    in_order = sorted(aof.meta["file_details"], key=lambda file: (file["role"] == "incr", file["path"]))
    assert [found.path(segment).relative_to(aof.directory).as_posix() for segment in found.segments] == [
        file["path"] for file in in_order
    ]
    assert [segment.kind for segment in found.segments] == [file["role"] for file in in_order]
    assert found.layout == ("multi" if aof.aof.is_dir() else "single")
    with found.path(found.segments[0]).open("rb") as first:
        assert has_preamble(first.read(9)) == aof.meta["has_preamble"]


@pytest.mark.parametrize("variant", ["base", "base+incr"])
@pytest.mark.parametrize("server", ["redis-6.2.14", "valkey-9.1.2"])
def test_the_directory_and_the_file_in_it_name_the_same_aof(server: str, variant: str) -> None:
    name, version = server.split("-")
    (aof,) = corpus(server=name, version=version, variant=variant)
    if aof.aof.is_dir():
        assert find_aof(aof.aof) == find_aof(aof.aof / "appendonly.aof.manifest")
    else:
        assert find_aof(aof.directory) == find_aof(aof.aof)


@pytest.fixture
def multi(tmp_path: Path) -> Path:
    """A copy of an AOF in several files, to be damaged."""
    (aof,) = corpus(server="redis", version="7.0.15", variant="multi-incr")
    return Path(shutil.copytree(aof.aof, tmp_path / "appendonlydir"))


def test_a_file_that_the_manifest_names_and_that_is_missing_is_named(multi: Path) -> None:
    (multi / "appendonly.aof.3.incr.aof").unlink()
    with pytest.raises(LayoutError, match=r"There is no .*/appendonly\.aof\.3\.incr\.aof\. Check the path"):
        find_aof(multi)


def test_files_that_the_manifest_does_not_name_are_no_part_of_the_aof(multi: Path) -> None:
    before = find_aof(multi)
    (multi / "appendonly.aof.1.base.aof").write_bytes(b"*1\r\n$8\r\nFLUSHALL\r\n")
    (multi / "temp-rewriteaof-1.aof").touch()
    assert find_aof(multi) == before


def test_a_directory_with_two_aofs_is_ambiguous(multi: Path) -> None:
    shutil.copy(multi / "appendonly.aof.manifest", multi / "other.aof.manifest")
    with pytest.raises(LayoutError, match=r"but appendonly\.aof\.manifest, other\.aof\.manifest\. Name the AOF file"):
        find_aof(multi)
    assert find_aof(multi / "other.aof.manifest").manifest == "other.aof.manifest"


def test_a_directory_without_an_aof_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").touch()
    with pytest.raises(LayoutError, match=r"but no manifest and no \.aof file"):
        find_aof(tmp_path)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"There is no .*/appendonly\.aof\. Check the path"):
        find_aof(tmp_path / "appendonly.aof")


# ------------------------------------------------------------------------------------------- data directories

STALE = case("stale-single-file-beside-appenddir") / "data"


def test_an_old_single_file_next_to_a_newer_directory_is_refused_with_both_named() -> None:
    with pytest.raises(LayoutError) as error:
        find_aof(STALE)
    assert "appendonlydir/appendonly.aof.manifest, appendonly.aof" in str(error.value)
    assert (
        f"Give the path of the AOF that the server wrote last, such as {STALE}/appendonlydir/appendonly.aof.manifest"
        in str(error.value)
    )
    assert find_aof(STALE / "appendonlydir").segments == (BASE,)
    assert find_aof(STALE / "appendonly.aof").layout == "single"


def test_a_data_directory_stands_for_the_one_aof_below_it(multi: Path) -> None:
    (multi.parent / "dump.rdb").touch()
    (multi.parent / "temp-rewriteaof-bg-4711.aof").touch()
    (multi / "temp-appendonly.aof.manifest").touch()
    assert find_aof(multi.parent) == find_aof(multi)


def test_files_without_their_manifest_are_no_aof(multi: Path) -> None:
    (multi / "appendonly.aof.manifest").unlink()
    with pytest.raises(LayoutError, match=r"not the manifest that gives their order\. Copy the manifest"):
        find_aof(multi)
    for path in multi.glob("*.incr.aof"):
        path.unlink()
    with pytest.raises(LayoutError, match="not the manifest"):
        find_aof(multi)


def test_a_dump_in_the_directory_is_named_as_what_could_be_imported(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").touch()
    with pytest.raises(LayoutError, match=f"give its path: {tmp_path}/dump.rdb"):
        find_aof(tmp_path)


def test_an_upgrade_that_was_interrupted_is_explained(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonly.aof").touch()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text(line("appendonly.aof"))
    with pytest.raises(LayoutError, match="an upgrade to Redis 7 was interrupted"):
        find_aof(tmp_path / "appendonlydir")


@pytest.mark.parametrize("name", ["appendonly.aof", "appendonly.aof.manifest"])
def test_a_named_pipe_is_refused_instead_of_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(LayoutError, match=f"{name} is a named pipe, and an AOF is a regular file"):
            find_aof(path)


def test_devices_sockets_and_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="/dev/zero is a device"):
        find_aof(Path("/dev/zero"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "a.aof"))
        with pytest.raises(LayoutError, match=r"a\.aof is a socket"):
            find_aof(tmp_path)
    (tmp_path / "b.aof").mkdir()
    (tmp_path / "b.manifest").write_text(line("b.aof"))
    with pytest.raises(LayoutError, match=r"b\.aof is a directory"):
        find_aof(tmp_path)


def test_an_endless_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.manifest").write_text("#\n" * MANIFEST_MAX_SIZE)
    with pytest.raises(LayoutError, match="so it is no manifest of an AOF"):
        find_aof(tmp_path)
