# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import tempfile
import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Annotation, Block, Frames, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import encoded_size, parse_command
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, encode
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from hypothesis import given, settings
from hypothesis import strategies as st

# Values made of what the format itself is made of, so that boundaries are looked for inside of them.
PIECES = [
    b"\r\n",
    b"*",
    b"$",
    b"#",
    b"\r\n*1\r\n$4\r\nPING\r\n",
    b"\r\n#TS:1\r\n",
    b"3",
    b"\n",
    b"\r",
    b"a",
    b":1\r\n",
    b"\0",
    b"\xff",
]
values = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join),
    st.integers(0, 5000).map(lambda size: b"x" * size),
)
commands = st.lists(values, min_size=1, max_size=6)
annotation_lines = st.integers(0, 2**33).map(lambda when: b"#TS:%d\r\n" % when)
items = st.lists(st.one_of(commands, commands, commands, annotation_lines), max_size=25)
block_sizes = st.sampled_from([16, 33, 64, 200, 1000, 65536])
large_sizes = st.sampled_from([64, 1000, 256 * 1024])
framers = pytest.mark.parametrize("use_hiredis", [True, False], ids=["hiredis", "plain"])


class Read:
    """What Frames gave: pieces in order as (start, end, raw bytes), commands, annotations, and the error that ended it."""

    def __init__(self, content: bytes, *, damaged: bool = False, **options: t.Any) -> None:
        self.commands: list[Command] = []
        self.annotations: list[bytes] = []
        self.error: AofFormatError | None = None
        position = 0
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            frames = Frames(file.fileno(), 0, len(content), where="test.aof", **options)
            try:
                for frame in frames:
                    assert frame.start == position, "no byte is skipped or given twice"
                    position = frame.end
                    raw = content[frame.start : frame.end]
                    if isinstance(frame, Block):
                        assert frame.data == raw
                        assert frame.sizes == [len(encode(command)) for command in frame.commands]
                        assert damaged or b"".join(map(encode, frame.commands)) == raw
                        self.commands += frame.commands
                    elif isinstance(frame, LargeCommand):
                        parsed = parse_command(raw)
                        assert parsed is not None and parsed[1] == len(raw)
                        assert parsed[0][0] == frame.name and len(parsed[0]) == frame.args
                        self.commands.append(parsed[0])
                    else:
                        assert isinstance(frame, Annotation)  # nothing was asked to be skipped
                        self.annotations.append(frame.text)
            except AofFormatError as exc:
                self.error = exc
            self.complete = frames.complete
        assert self.complete == position


def write(items: list[Command | bytes]) -> bytes:
    return b"".join(item if isinstance(item, bytes) else encode(item) for item in items)


@framers
@given(items=items, block_bytes=block_sizes, large_bytes=large_sizes)
@settings(deadline=None)
def test_every_command_and_annotation_comes_back_whatever_the_values_hold(
    use_hiredis: bool, items: list[Command | bytes], block_bytes: int, large_bytes: int
) -> None:
    content = write(items)
    read = Read(content, block_bytes=block_bytes, large_bytes=large_bytes, use_hiredis=use_hiredis)
    assert read.error is None
    assert read.commands == [item for item in items if isinstance(item, list)]
    assert read.annotations == [item[:-2] for item in items if isinstance(item, bytes)]
    assert read.complete == len(content)


@framers
@given(items=items.filter(bool), cut=st.floats(0, 1), block_bytes=block_sizes, large_bytes=large_sizes)
@settings(deadline=None)
def test_a_file_cut_anywhere_gives_its_whole_commands_and_nothing_of_the_last(
    use_hiredis: bool, items: list[Command | bytes], cut: float, block_bytes: int, large_bytes: int
) -> None:
    content = write(items)
    cut_at = int(cut * len(content))
    whole, complete = 0, 0
    for item in items:
        size = len(write([item]))
        if complete + size > cut_at:
            break
        complete, whole = complete + size, whole + 1
    read = Read(content[:cut_at], block_bytes=block_bytes, large_bytes=large_bytes, use_hiredis=use_hiredis)
    assert read.error is None
    assert read.complete == complete
    assert read.commands == [item for item in items[:whole] if isinstance(item, list)]


@given(
    items=items.filter(bool),
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=4),
    insert=st.booleans(),
    block_bytes=block_sizes,
    large_bytes=large_sizes,
)
@settings(deadline=None, max_examples=300)
def test_both_framers_find_the_same_damage_at_the_same_byte(
    items: list[Command | bytes], place: float, junk: bytes, insert: bool, block_bytes: int, large_bytes: int
) -> None:
    content = write(items)
    at = int(place * len(content))
    damaged = content[:at] + junk + content[at if insert else at + len(junk) :]
    fast = Read(damaged, damaged=True, block_bytes=block_bytes, large_bytes=large_bytes, use_hiredis=True)
    exact = Read(damaged, damaged=True, block_bytes=block_bytes, large_bytes=large_bytes, use_hiredis=False)
    assert fast.commands == exact.commands
    assert fast.complete == exact.complete
    assert (fast.error is None) == (exact.error is None)
    if fast.error is not None and exact.error is not None:
        assert fast.error.facts["offset"] == exact.error.facts["offset"] >= exact.complete


@framers
@given(
    content=st.lists(
        st.sampled_from([*PIECES, b"*2\r\n", b"$1\r\n", b"*0\r\n", b"$-1\r\n", b"+OK\r\n", b"PING\r\n"]), max_size=20
    ).map(b"".join)
)
@settings(deadline=None, max_examples=300)
def test_no_bytes_hang_or_crash_the_reader(use_hiredis: bool, content: bytes) -> None:
    read = Read(content, damaged=True, block_bytes=16, use_hiredis=use_hiredis)
    assert read.complete <= len(content)


@framers
@pytest.mark.parametrize(
    ("content", "offset", "expected"),
    [
        (b"PING\r\n", 0, "'*' and a number of arguments"),
        (b"*1\r\n$4\r\nPING\r\nPING\r\n*1\r\n$4\r\nPING\r\n", 14, "'*' and a number of arguments"),
        (b"*2\r\n$3\r\nGET\r\n*1\r\n$1\r\na\r\n", 13, "'$' and the length of an argument"),
        (b"*2\r\n$3\r\nGET\r\n:1\r\n", 13, "'$' and the length of an argument"),
        (b"*2\r\n$3\r\nGET\r\n$-1\r\n*1\r\n$1\r\na\r\n", 13, "'$' and the length of an argument"),
        (b"*2\r\n$3\r\nGET\r\n$2\r\na\r\n*1\r\n$4\r\nPING\r\n", 19, "CR LF after an argument"),
        (b"*0\r\n*1\r\n$4\r\nPING\r\n", 0, "a command with at least one argument"),
        (b"*1\r\n#TS:1\r\n$4\r\nPING\r\n", 4, "'$' and the length of an argument"),
        (b"#" + b"x" * 2000, 0, "an annotation line of at most 1024 bytes"),
        (b"*99999999999999999999\r\n", 0, "'*' and a number of arguments"),
    ],
)
def test_damage_is_told_with_its_offset_and_what_was_expected(
    use_hiredis: bool, content: bytes, offset: int, expected: str
) -> None:
    read = Read(content, damaged=True, use_hiredis=use_hiredis)
    assert read.error is not None
    assert read.error.facts["offset"] == offset
    assert expected in str(read.error)
    assert f"at byte {offset}" in str(read.error)
    assert read.complete <= offset


@framers
@pytest.mark.parametrize("aof", corpus(), ids=str)
def test_the_frames_of_a_real_aof_are_its_commands(use_hiredis: bool, aof: CorpusSet) -> None:
    for detail in aof.meta["file_details"]:
        if detail["role"] == "history" or detail["rdb_bytes"] or "commands" not in detail:
            continue
        path = aof.directory / detail["path"]
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            frames = Frames(file.fileno(), 0, size, where=str(path), block_bytes=4096, use_hiredis=use_hiredis)
            found = list(frames)
        blocks = [frame for frame in found if isinstance(frame, Block)]
        large = [frame for frame in found if isinstance(frame, LargeCommand)]
        assert sum(len(block.commands) for block in blocks) + len(large) == detail["commands"]
        assert sum(isinstance(frame, Annotation) for frame in found) == detail["annotations"]
        assert size - frames.complete == detail["incomplete_tail_bytes"]


@framers
def test_damage_early_in_a_large_file_is_told_without_reading_the_rest(use_hiredis: bool) -> None:
    many = encode([b"SET", b"key", b"value"]) * 100_000
    damaged = many[:100_000] + b"*4094967296\r\n" + many[100_000:]
    reads: list[int] = []

    class Counting(Frames):
        def _read(self, offset: int, size: int) -> bytes:
            reads.append(offset + size)
            return super()._read(offset, size)

    with tempfile.TemporaryFile() as file:
        file.write(damaged)
        file.flush()
        with pytest.raises(AofFormatError, match="is damaged at byte"):
            list(Counting(file.fileno(), 0, len(damaged), where="test.aof", use_hiredis=use_hiredis))
    assert max(reads) < 1_000_000


@framers
@pytest.mark.parametrize("reply", [b"%1\r\n*1\r\n:1\r\n:1\r\n", b"~1\r\n*1\r\n:1\r\n", b",x\r\n", b"(1x\r\n"], ids=repr)
def test_other_replies_than_commands_are_damage_of_any_kind(use_hiredis: bool, reply: bytes) -> None:
    good = encode([b"SET", b"a", b"1"])
    read = Read(good + reply + good, damaged=True, use_hiredis=use_hiredis)
    assert read.commands == [[b"SET", b"a", b"1"]]
    assert read.error is not None and read.error.facts["offset"] == len(good)


@framers
def test_values_that_look_like_announcements_of_many_arguments_are_values(use_hiredis: bool) -> None:
    items: list[Command | bytes] = [
        [b"SET", b"a", b"\r\n*999999\r\n"],
        b"#TS:1\r\n",
        [b"RPUSH", b"many", *[b"x"] * 150_000],
        b"#TS:2\r\n",
        [b"SET", b"b", b"*123456789"],
    ] * 3
    read = Read(write(items), use_hiredis=use_hiredis)
    assert read.error is None
    assert read.commands == [item for item in items if isinstance(item, list)]
    assert len(read.annotations) == 6


@given(command=commands)
def test_the_encoded_size_is_the_length_of_the_encoding(command: Command) -> None:
    assert encoded_size(command) == len(encode(command))
