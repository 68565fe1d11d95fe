# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where the work of a rewrite ends.

Up to Redis 6.2, and on KeyDB, what clients write during a rewrite is appended to the new file before INFO tells its
size: ``aof_base_size`` may cover commands that are no work of the rewrite. They begin with a SELECT, as every
stretch does that a server writes for clients.
"""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frame, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: What rewrites write, of Redis 3.2 to 8.10, Valkey and KeyDB; and any module's command, which has a dot in its name.
_WRITTEN = frozenset(
    (
        b"SELECT",
        b"SET",
        b"RPUSH",
        b"SADD",
        b"ZADD",
        b"HMSET",
        b"HSET",
        b"HSETEX",
        b"XADD",
        b"XSETID",
        b"XGROUP",
        b"XCLAIM",
        b"XCFGSET",
        b"XIDMPRECORD",
        b"XNACK",
        b"ARMSET",
        b"ARSEEK",
        b"PEXPIREAT",
        b"HPEXPIREAT",
        b"EXPIREMEMBERAT",
        b"PEXPIREMEMBERAT",
        b"FUNCTION",
    )
)


class WhileRewritten:
    """Frames up to the first command that is no rewrite's; ``stopped`` tells whether there was one.

    A rewrite takes the databases in the order of their numbers, each once. ``database``: the highest one so far; -1 at the
    beginning.
    """

    def __init__(self, frames: t.Iterable[Frame], database: int) -> None:
        self._frames = frames
        self._database = database
        self.stopped = False

    def __iter__(self) -> t.Iterator[Frame]:
        for frame in self._frames:
            if isinstance(frame, LargeCommand):
                self.stopped = not _written(frame.name)
            elif isinstance(frame, Block) and (b"SELECT" in frame.names or not all(map(_written, frame.names))):
                end = next((at for at, command in enumerate(frame.commands) if self._is_foreign(command)), None)
                if end is not None:
                    self.stopped = True
                    if end:
                        yield frame.first(end)
            if self.stopped:
                return
            yield frame

    def _is_foreign(self, command: Command) -> bool:
        if is_select(command):
            before, self._database = self._database, int(command[1])
            return self._database <= before
        return not _written(command[0])


def is_select(command: Command) -> bool:
    """Whether it selects a database, as servers write that."""
    return command[0] == b"SELECT" and len(command) == 2 and command[1].isdigit()


def _written(name: bytes) -> bool:
    return name in _WRITTEN or b"." in name
