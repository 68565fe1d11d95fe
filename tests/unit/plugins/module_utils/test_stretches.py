# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stretches of a rewritten part, each taken by itself, are the whole: for the files of every server."""

from __future__ import annotations

import contextlib
import sys
import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import first_key
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frame, Frames, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part, open_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_frames import RdbFrames, RdbTarget
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import Cursor
from ansible_collections.redisops.tair.plugins.module_utils._import.plain import plain_batches
from ansible_collections.redisops.tair.plugins.module_utils._import.stretches import stretches
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus

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


@pytest.mark.parametrize("size", [1, 200, 3000, 1 << 30])
@pytest.mark.parametrize("aof", corpus(), ids=str)
def test_stretches_together_are_the_whole(aof: CorpusSet, size: int) -> None:
    with rewritten_parts(aof) as parts:
        for part in parts:
            start, end = part.position, part.position + part.size
            for target in [RdbTarget(0), RdbTarget(9)] if part.preamble else [RdbTarget()]:
                reached, database, pieces = start, 0, []
                for stretch in stretches(part, frames_of(part, start, end, 0, target, 300), start, 0, size):
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
            parsed = frames_of(part, part.position, part.position + part.size, 0, RdbTarget(), 300)
            seen: set[tuple[int, bytes | None]] = set()
            for stretch in stretches(part, parsed, part.position, 0, 500):
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
