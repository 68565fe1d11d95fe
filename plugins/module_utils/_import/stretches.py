# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A rewritten part in stretches that can be imported one beside the other.

Every key stands once there, its commands together: a stretch that begins where a key begins needs nothing of the one before
it but to know which database is selected.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frame, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.preamble import Preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Entry
from ansible_collections.redisops.tair.plugins.module_utils._import.plain import keys_at_ends


@dataclass(frozen=True)
class Stretch:
    """From position ``start`` to ``end``; ``database``: of the source, selected at its start, and ``database_after`` at its end."""

    start: int
    end: int
    database: int
    database_after: int


def stretches(part: Part, frames: t.Iterable[Frame], start: int, database: int, size: int) -> t.Iterator[Stretch]:
    """What is left of a part from position ``start`` on in stretches of ``size`` bytes; a larger key makes one that is larger.

    ``frames``: all of these commands, as they stand in the file. They are not looked at where the part is an RDB: no value
    of that is read here.
    """
    cuts = _cuts_of_rdb(part, start, database) if part.preamble is not None else _cuts(part, frames, database)
    begin, selected = start, database
    end, after = start, database
    for end, after, may_end in cuts:
        if may_end and end - begin >= size:
            yield Stretch(begin, end, selected, after)
            begin, selected = end, after
    if end > begin:
        yield Stretch(begin, end, selected, after)


def _cuts(part: Part, frames: t.Iterable[Frame], database: int) -> t.Iterator[tuple[int, int, bool]]:
    """Positions, the database that is selected there, and whether a key begins there."""
    end, key = None, None
    for frame in frames:
        if isinstance(frame, (Block, LargeCommand)):
            first, last = keys_at_ends(frame)
            if end is not None:
                yield end, database, first is None or first != key
            key = last
            if isinstance(frame, Block) and b"SELECT" in frame.names:
                database = [int(command[1]) for command in frame.commands if command[0] == b"SELECT"][-1]
        end = part.position_of(frame.end)
    if end is not None:
        yield end, database, True


def _cuts_of_rdb(part: Part, start: int, database: int) -> t.Iterator[tuple[int, int, bool]]:
    reached = part.offset_of(start)
    rdb = t.cast(Preamble, part.preamble).walk(reached, database)
    for record in rdb:
        if isinstance(record, Entry):
            yield part.position_of(reached), database, True
            reached, database = record.end, record.database
        elif rdb.database == database:
            reached = rdb.reached  # behind the number of another database no walk can begin
    yield part.position + part.size, database, True
