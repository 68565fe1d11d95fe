# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Commands that were not read but made, from the values of an RDB, so that their bytes need not be cut out again."""

from __future__ import annotations

from functools import cached_property

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: What a SET without options begins with.
SET = b"*3\r\n$3\r\nSET\r\n"


def is_plain_set(command: Command) -> bool:
    """Whether it is a SET without options, which may travel in an MSET. Who writes AOFs writes names in capitals."""
    return len(command) == 3 and command[0] == b"SET"


class MadeBlock(Block):
    """``pairs``: of each SET without options what stands behind its name: key and value. ``others``: all bytes of each other command."""

    def __init__(
        self,
        start: int,
        end: int,
        commands: list[Command],
        places: list[int],
        database: int,
        pairs: list[bytes],
        others: list[bytes],
    ) -> None:
        self.start = start
        self.end = end
        self.commands = commands
        self.places = places
        self.database = database
        self.pairs = pairs
        self.others = others

    @cached_property
    def raws(self) -> list[bytes]:
        pairs, others = iter(self.pairs), iter(self.others)
        return [SET + next(pairs, b"") if is_plain_set(command) else next(others, b"") for command in self.commands]

    @cached_property
    def data(self) -> bytes:  # type: ignore[override]
        return b"".join(self.raws)

    @cached_property
    def sizes(self) -> list[int]:  # type: ignore[override]
        return list(map(len, self.raws))
