# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stretches of a rewritten part, each taken by itself, are the whole: for the files of every server, and whatever is in values."""

from __future__ import annotations

import contextlib
import random
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis.strategies as st
import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof import preamble, rewritten
from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import first_key
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frame, Frames, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part, open_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_frames import RdbFrames, RdbTarget
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import Cursor
from ansible_collections.redisops.tair.plugins.module_utils._import.looking import look_for
from ansible_collections.redisops.tair.plugins.module_utils._import.plain import plain_batches
from ansible_collections.redisops.tair.plugins.module_utils._import.stretches import (
    Chain,
    Look,
    Stretch,
    stretches_of_rdb,
)
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, encode
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from hypothesis import given, settings

Sent = t.List[t.Tuple[int, t.Union[Command, LargeCommand]]]


def frames_of(
    part: Part, start: int, end: int, database: int, target: RdbTarget, block_bytes: int
) -> t.Iterable[Frame]:
    offset, stop, where = part.offset_of(start), part.offset_of(end), str(part.path)
    if part.preamble is None:
        return Frames(part.fd, offset, stop, where=where, block_bytes=block_bytes)
    return RdbFrames(
        part.fd,
        offset,
        stop,
        where=where,
        preamble=part.preamble,
        database=database,
        target=target,
        block_bytes=block_bytes,
    )


def sent(frames: t.Iterable[Frame], database: int) -> Sent:
    """Every command but SELECT, with the database that is selected when it is executed."""
    found: Sent = []
    for frame in frames:
        if isinstance(frame, LargeCommand):
            found.append((database, frame))
        elif isinstance(frame, Block):
            for command in frame.commands:
                if command[0] == b"SELECT":
                    database = int(command[1])
                else:
                    found.append((database, command))
    return found


@contextlib.contextmanager
def rewritten_parts(aof: CorpusSet) -> t.Iterator[list[Part]]:
    """Those of a file that holds nothing but what a rewrite wrote: its size counts where its name does not tell."""
    base_size = sys.maxsize if aof.variant == "base" else 0
    with open_aof(find_aof(aof.aof), base_size=base_size) as opened:
        yield [part for part in opened.parts if part.rewritten and part.size]


LOOKERS = 3


@pytest.fixture(autouse=True)
def small_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The RDBs of the corpus are smaller than what is usually cut, and the files than what is checked when they are opened."""
    monkeypatch.setattr(preamble, "CUT_BYTES", 1)
    monkeypatch.setattr(rewritten, "HEAD_BYTES", 1)  # an annotation at the beginning is allowed


@dataclass
class Search:
    """A part's stretches, found by several at once whose answers come in any order."""

    part: Part
    start: int
    size: int
    highest: int = -1
    moment: int | None = None
    seed: int = 0
    proved: list[tuple[Stretch, list[Frame] | None]] = field(default_factory=list)
    guesses: int = 0
    """That turned out to be wrong."""
    why: str = ""

    def run(self) -> Search:
        rng = random.Random(self.seed)
        end = self.part.position + self.part.size
        chain = Chain(self.start, end, database=max(self.highest, 0), highest=self.highest, size=self.size)
        asked: list[Look] = []
        found: dict[int, tuple[int, list[Frame] | None]] = {}
        while chain.last is None:
            for who in range(LOOKERS):
                while chain.looks(who) < 2 and (look := chain.look(who)) is not None:
                    asked.append(look)
            todo = chain.next()
            if todo is None and chain.last is None:
                look = asked.pop(rng.randrange(len(asked)))
                sighting, frames = look_for(look, self.part, moment=self.moment, block_bytes=300)
                chain.take(sighting)
                if sighting.start is not None:
                    found[sighting.start] = sighting.end, frames
            elif todo is not None and isinstance(todo[1], Look):
                asked.append(todo[1])
                self.guesses += 1
            elif todo is not None:
                kept_end, frames = found.get(todo[1].start, (0, None))
                self.proved.append((todo[1], frames if kept_end == todo[1].end else None))
        self.why = chain.last.why
        return self


def stretches(part: Part, size: int) -> list[Stretch]:
    if part.preamble is not None:
        return list(stretches_of_rdb(part, part.position, 0, size))
    return [stretch for stretch, _frames in Search(part, part.position, size).run().proved]


@pytest.mark.parametrize("size", [1, 200, 3000, 1 << 30])
@pytest.mark.parametrize("aof", corpus(), ids=str)
def test_stretches_together_are_the_whole(aof: CorpusSet, size: int) -> None:
    with rewritten_parts(aof) as parts:
        for part in parts:
            start, end = part.position, part.position + part.size
            for target in [RdbTarget(0), RdbTarget(9)] if part.preamble else [RdbTarget()]:
                reached, database, pieces = start, 0, []
                assert size > 3000 or len(stretches(part, size)) > 1
                for stretch in stretches(part, size):
                    assert stretch.start == reached and stretch.database == database
                    some = frames_of(part, stretch.start, stretch.end, stretch.database, target, 1000)
                    pieces += sent(some, stretch.database)
                    reached, database = stretch.end, stretch.database_after
                assert reached == end
                assert pieces == sent(frames_of(part, start, end, 0, target, 1 << 20), 0)


@pytest.mark.parametrize("aof", corpus(), ids=str)
def test_no_key_is_in_two_stretches(aof: CorpusSet) -> None:
    with rewritten_parts(aof) as parts:
        for part in parts:
            seen: set[tuple[int, bytes | None]] = set()
            for stretch in stretches(part, 500):
                some = list(frames_of(part, stretch.start, stretch.end, stretch.database, RdbTarget(), 1000))
                cursor = Cursor(stretch.start, stretch.database)
                batches = list(plain_batches(part, some, cursor, careful_until=0, gather=lambda: False))
                assert (cursor.position, cursor.database) == (stretch.end, stretch.database_after)
                assert all(batch.start >= stretch.start and batch.end <= stretch.end for batch in batches)
                keys = {
                    (database, command.key if isinstance(command, LargeCommand) else first_key(command))
                    for database, command in sent(some, stretch.database)
                } - {(0, None)}
                assert not keys & seen
                seen |= keys


@contextlib.contextmanager
def part_of(path: Path, content: bytes) -> t.Iterator[Part]:
    path.write_bytes(content)
    with open_aof(find_aof(path), base_size=len(content)) as opened:
        yield opened.parts[0]


#: What values may hold to mislead who looks for a command.
MISLEADING = st.sampled_from(
    [
        b"x" * 150,
        b"\r\n*3\r\n$3\r\nSET\r\n$4\r\nevil\r\n$1\r\nx\r\n",
        b"\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n",
        b"\r\n*1\r\n$4\r\nEXEC\r\n",
        b"\r\n*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n",
        b"\r\n*9999999\r\n$5\r\n",
        b"\r\n*1\r\n$9999\r\n",
        b"\r\n*3\r\n$-5\r\n\x00\xff",
        b"\r\n#TS:1\r\n*1\r\n$3\r\n",
    ]
)
KEYS = st.tuples(st.integers(1, 6), st.lists(MISLEADING, min_size=1, max_size=3))


@settings(max_examples=300, deadline=None)
@given(
    keys=st.lists(KEYS, min_size=1, max_size=25),
    size=st.integers(1, 700),
    seed=st.integers(0, 1000),
    selects=st.sets(st.integers(1, 24), max_size=3),
)
def test_nothing_in_a_value_is_taken_for_a_command(
    keys: list[tuple[int, list[bytes]]],
    size: int,
    seed: int,
    selects: set[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content, database = [encode((b"SELECT", b"0"))], 0
    for number, (pushes, values) in enumerate(keys):
        if number in selects:
            database += 1
            content.append(encode((b"SELECT", b"%d" % database)))
        content += [encode((b"RPUSH", b"key%d" % number, *values))] * pushes
    with part_of(tmp_path_factory.mktemp("aof") / "appendonly.aof", b"".join(content)) as part:
        search = Search(part, part.position, size, seed=seed).run()
        whole = sent(frames_of(part, 0, part.size, 0, RdbTarget(), 1 << 20), 0)
        pieces: Sent = []
        for stretch, frames in search.proved:
            from_file = frames_of(part, stretch.start, stretch.end, stretch.database, RdbTarget(), 1000)
            commands = sent(from_file, stretch.database)
            assert frames is None or sent(frames, stretch.database) == commands
            pieces += commands
        assert pieces == whole and search.why == "file"


def test_a_wrong_guess_is_looked_for_again(tmp_path: Path) -> None:
    value = b"\r\n*3\r\n$3\r\nSET\r\n$4\r\nevil\r\n$1\r\nx\r\n" * 20
    content = b"".join(encode((b"SET", b"key%d" % number, value)) for number in range(20))
    with part_of(tmp_path / "appendonly.aof", content) as part:
        search = Search(part, part.position, 1000).run()
    assert search.guesses > 1
    assert [stretch.end for stretch, _frames in search.proved][-1] == len(content)


def test_a_key_that_does_not_end_is_not_held(tmp_path: Path) -> None:
    push = encode((b"RPUSH", b"long", b"x" * 100))
    content = push * 1000 + encode((b"SET", b"key", b"value"))
    with part_of(tmp_path / "appendonly.aof", content) as part:
        search = Search(part, part.position, 1000).run()
    assert [stretch.end for stretch, _frames in search.proved] == [len(push) * 1000, len(content)]
    assert search.proved[0][1] is None


@pytest.mark.parametrize("size", [100, 1000, 100_000])
@pytest.mark.parametrize(
    ("foreign", "why"),
    [
        (encode((b"INCR", b"counter")), "clients"),
        (encode((b"SELECT", b"0")) + encode((b"SET", b"key", b"of a client")), "clients"),
        (b"#TS:2000\r\n" + encode((b"SET", b"late", b"x")), "until"),
        (b"damage", "file"),
    ],
    ids=["command", "database", "time", "damage"],
)
def test_it_ends_where_the_rewrite_or_the_time_does(size: int, foreign: bytes, why: str, tmp_path: Path) -> None:
    keys = [encode((b"SET", b"key%d" % number, b"x" * 50)) for number in range(40)]
    before = encode((b"SELECT", b"0")) + b"".join(keys)
    with part_of(tmp_path / "appendonly.aof", before + foreign + b"".join(keys)) as part:
        for seed in range(5):
            search = Search(part, part.position, size, moment=1000, seed=seed).run()
            assert (search.why, search.proved[-1][0].end) == (why, len(before))
