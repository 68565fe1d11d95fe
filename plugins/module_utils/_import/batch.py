# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What travels together: a stretch of the AOF as one request."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import parse_command
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import Request
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command


@dataclass
class Batch(Request):
    """Commands of the AOF from position ``start`` to ``end`` and how they are sent."""

    start: int = 0
    end: int = 0
    commands: int = 0
    """Commands of the AOF, however they travel; its own MULTI and EXEC count."""
    database_before: int = 0
    database: int = 0
    """Selected after it."""
    databases: t.Collection[int] | None = None
    """Of the source, those that its commands are in; None where that is the one selected after it."""
    named: t.Collection[int] = ()
    """Of the target, those that MOVE, COPY and SWAPDB write to beside them."""
    starts_key: bool = False
    """Plain only: whether a key begins at ``start``, so that the position can be a checkpoint."""
    gathered: int = 0
    """How many replies at the beginning answer an MSET; the others answer the commands that are no plain SET."""
    block: Block | None = None
    """What it is made of, where that can't be read from the file once more."""
    answers: list[int | None] | None = None
    """Which of the commands each reply answers; None for a command of ours. Not set where nothing was added."""


@dataclass
class Cursor:
    """Where the stream of commands is: what must be known of everything before."""

    position: int
    database: int
    key: bytes | None = None
    """Of the last command (plain only)."""


def selected_database(command: Command, current: int) -> int:
    return int(command[1]) if command[0].upper() == b"SELECT" and len(command) == 2 else current


def database_after(block: Block, current: int) -> int:
    """The source's database selected after a block that holds no SELECT but as its first command."""
    return block.database if block.database is not None else selected_database(block.commands[0], current)


def blocks_by_database(block: Block) -> t.Iterator[Block]:
    """The block in pieces that end before a SELECT."""
    cuts: list[int] = []
    if b"SELECT" in {name.upper() for name in block.names}:
        cuts = [at for at, command in enumerate(block.commands) if at and command[0].upper() == b"SELECT"]
    if not cuts:
        yield block
        return
    yield from block.pieces([0, *cuts, len(block.commands)])


def read_large(fd: int, large: LargeCommand) -> Block:
    """A large command as one that is held."""
    data = os.pread(fd, large.end - large.start, large.start)
    parsed = parse_command(data)
    if parsed is None:
        raise ValueError(large)  # it was whole when it was framed
    return Block(large.start, large.end, data, [parsed[0]], [len(data)])
