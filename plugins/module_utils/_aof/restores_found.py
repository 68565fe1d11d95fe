# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which RESTOREs are among the commands of an AOF, and which of their payloads are damaged?"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.places import Place, Places
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_payloads import (
    RESTORES,
    Payload,
    payload_in,
    payload_of,
)


@dataclass
class RestoresOfKind:
    """RESTOREs whose payloads hold the same kind of value. ``longest``: one of the longest payloads, without its bytes."""

    kind: str
    longest: Payload
    places: Places = field(default_factory=Places)


@dataclass(frozen=True)
class DamagedPayload:
    """A RESTORE at ``offset`` whose payload is not what was expected."""

    offset: int
    expected: str
    database: int
    key: bytes


class RestoresFound:
    """What an inspection finds of RESTOREs. ``kinds``: by type and RDB version."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[int, int], RestoresOfKind] = {}

    @property
    def count(self) -> int:
        """The number of RESTOREs that are not damaged."""
        return sum(found.places.count for found in self.kinds.values())

    def of_block(self, file: str, block: Block, database: int) -> t.Iterator[DamagedPayload]:
        """Count the RESTOREs of a block, and yield the damaged ones. ``database``: selected before it."""
        names = {name.upper() for name in block.names}
        if names.isdisjoint(RESTORES):
            return
        for command, place, size in zip(block.commands, block.offsets(), block.sizes):
            name = command[0].upper()
            if name == b"SELECT" and len(command) == 2 and command[1].isdigit():
                database = int(command[1])
            elif name in RESTORES and len(command) > 1:
                at = Place(file, place, database, name, command[1], size)
                yield from self._take(payload_of(command), at)

    def large(self, file: str, fd: int, command: LargeCommand, database: int) -> t.Iterator[DamagedPayload]:
        """Count a large command if it is a RESTORE, and yield it if it is damaged."""
        name = command.name.upper()
        if name in RESTORES:
            at = Place(file, command.start, database, name, command.key, command.end - command.start)
            yield from self._take(payload_in(fd, command), at)

    def _take(self, payload: Payload | None, at: Place) -> t.Iterator[DamagedPayload]:
        fault = "a payload" if payload is None else payload.fault()
        if payload is None or fault is not None:
            yield DamagedPayload(at.offset, f"{fault} (in a RESTORE)", at.database, at.key or b"")
            return
        mark = payload.type, payload.version
        found = self.kinds.get(mark)
        if found is None or payload.end - payload.start > found.longest.end - found.longest.start:
            longest = dataclasses.replace(payload, held=b"", fd=-1)
            if found is None:
                found = self.kinds[mark] = RestoresOfKind(payload.kind, longest)
            found.longest = longest
        found.places.count += 1
        found.places.note(lambda: at)
