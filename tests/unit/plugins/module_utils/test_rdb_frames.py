# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of an RDB, from its beginning and from every place where an import may go on."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Skipped
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part, open_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.preamble import Preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_frames import RdbFrames, RdbTarget
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import Batch, Cursor
from ansible_collections.redisops.tair.plugins.module_utils._import.plain import plain_batches
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus

Takes = t.Callable[[bytes, int], bool]
FILTERS: dict[str, Takes | None] = {
    "all": None,
    "every third": lambda key, _database: sum(key) % 3 == 0,
    "not the first of a database": lambda key, database: not (database and key < b"m"),
}


def batches(
    part: Part, start: int, database: int, target: RdbTarget, takes: Takes | None, block_bytes: int = 2048
) -> list[Batch]:
    frames = RdbFrames(
        part.fd,
        start,
        part.end,
        where=str(part.path),
        preamble=t.cast(Preamble, part.preamble),
        database=database,
        target=target,
        takes=takes,
        block_bytes=block_bytes,
    )
    cursor = Cursor(start, database)
    found = list(plain_batches(part, frames, cursor, careful_until=0, gather=lambda: False))
    assert cursor.position == part.end
    return found


def placed(found: t.Iterable[Batch]) -> list[tuple[int, Command]]:
    """Every command but SELECT, with the database that is selected when it is executed."""
    sent = []
    for batch in found:
        database = batch.database_before
        for command in t.cast(Block, batch.block).commands:
            if command[0] == b"SELECT":
                database = int(command[1])
            else:
                sent.append((database, command))
    return sent


@pytest.mark.parametrize("target", [RdbTarget(80), RdbTarget(15), RdbTarget(9), RdbTarget(0)], ids=str)
@pytest.mark.parametrize("takes", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("aof", corpus(variant="hybrid"), ids=str)
def test_from_every_place_where_a_key_begins_the_rest_is_the_same(
    aof: CorpusSet, takes: Takes | None, target: RdbTarget
) -> None:
    with open_aof(find_aof(aof.aof)) as opened:
        part = opened.parts[0]
        whole = batches(part, 0, 0, target, takes)
        keys = sum(t.cast(Preamble, part.preamble).contents.keys.values())
        assert keys > 150 and len(placed(whole)) > 30
        for number, batch in enumerate(whole):
            assert batch.start <= batch.end
            if batch.starts_key:
                again = batches(part, batch.start, batch.database_before, target, takes)
                assert placed(again) == placed(whole[number:])


@pytest.mark.parametrize("takes", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("aof", corpus(variant="hybrid"), ids=str)
def test_however_small_blocks_are_they_hold_the_same_commands(aof: CorpusSet, takes: Takes | None) -> None:
    with open_aof(find_aof(aof.aof)) as opened:
        part = opened.parts[0]
        for target in (RdbTarget(0), RdbTarget(9)):
            whole = placed(batches(part, 0, 0, target, takes, 1 << 30))
            for block_bytes in (1, 100, 700, 3000):
                assert placed(batches(part, 0, 0, target, takes, block_bytes)) == whole


def test_all_keys_of_an_rdb_are_given_once_and_in_one_place_each() -> None:
    (aof,) = corpus(server="redis", version="7.0.15", variant="hybrid")
    with open_aof(find_aof(aof.aof)) as opened:
        part = opened.parts[0]
        preamble = t.cast(Preamble, part.preamble)
        frames = list(
            RdbFrames(
                part.fd,
                0,
                part.end,
                where="x",
                preamble=preamble,
                database=0,
                target=RdbTarget(10),
                block_bytes=512,
            )
        )
        assert not any(isinstance(frame, Skipped) for frame in frames)
        blocks = [frame for frame in frames if isinstance(frame, Block)]
        commands = [command for block in blocks for command in block.commands]
        functions = sum(command[0] == b"FUNCTION" for command in commands)
        keys = sum(preamble.contents.keys.values())
        assert sum(block.of_aof for block in blocks) == keys + functions
        assert [block.end for block in blocks[:-1]] == [block.start for block in blocks[1:]]
        assert all(sum(block.sizes) == len(block.data) for block in blocks)
