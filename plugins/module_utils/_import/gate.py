# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What of an AOF is sent at all: data, into databases that the target has.

The precheck has settled every name that the file can hold before the first byte is sent. Here each block is verified once more,
by its distinct names: so nothing else is sent, whatever the precheck may have missed.
"""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.data_commands import (
    CONTAINERS,
    SLOT_MIGRATION,
    kind_of,
    shown_name,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Annotation, Block, Frame, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import read_large
from ansible_collections.redisops.tair.plugins.module_utils._import.scripts import Scripts, script_of, script_of_large
from ansible_collections.redisops.tair.plugins.module_utils._import.selection import PartlySelected, Selection
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_PREFIX, KeyFilter, printable
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: A large EVALSHA is held to be sent as EVAL; one that is larger is sent as it is.
_MOST_HELD = 64 << 20
#: What is examined command by command.
_EXAMINED = frozenset((*CONTAINERS, b"SELECT", b"EVAL", b"EVALSHA", b"TRIMSLOTS"))

#: The name under which commands on keys of this collection are counted.
OWN_KEYS = "own_keys"
_OTHER_KEYS = Selection(KeyFilter(exclude=[CHECKPOINT_PREFIX.decode() + "*"]))

_MOST_DATABASES = 1 << 16


class NotData(Exception):
    """A command that must not be sent; ``name`` for people, ``position`` in the AOF."""

    def __init__(self, name: str, position: int) -> None:
        super().__init__(name, position)
        self.name = name
        self.position = position


class Gate:
    """Lets data pass.

    ``names``: as written, those that are data by themselves. ``require_database``: called with each database of the source
    that is selected; raises where the target lacks it. ``count``: called with a name and a position for what is left out.
    ``own_keys``: the file may hold keys of this collection, which an import into the source has left there. They are left out.
    """

    def __init__(
        self,
        names: t.Iterable[bytes] = (),
        *,
        require_database: t.Callable[[int], None] = lambda _database: None,
        count: t.Callable[[str, int], None] = lambda _name, _position: None,
        own_keys: bool = False,
    ) -> None:
        self._names = frozenset(name for name in names if name.upper() not in _EXAMINED)
        self._known = {name.upper() for name in self._names}
        self._required: set[bytes] = set()
        self._require = require_database
        self._count = count
        self._own_keys = own_keys
        self.scripts = Scripts()

    def may_hold(self, name: bytes) -> bool:
        """Whether the precheck has found a name (in capitals), in a command or in a value that looks like one."""
        return name in self._known

    def passed(self, part: Part, frames: t.Iterable[Frame]) -> t.Iterator[Frame]:
        """The frames of a part without what is no data of its own. Raises :class:`NotData`."""
        for frame in frames:
            if isinstance(frame, Block):
                others: Frame = frame
                if self._own_keys and CHECKPOINT_PREFIX in frame.data:
                    others = self._without_own_keys(part, frame)
                if isinstance(others, Block) and not others.names <= self._names:
                    others = self._examined(part, others)
                yield others
            elif isinstance(frame, LargeCommand) and frame.key.startswith(CHECKPOINT_PREFIX):
                self._count(OWN_KEYS, part.position_of(frame.start))
                yield Annotation(frame.start, frame.end, b"")
            elif isinstance(frame, LargeCommand) and frame.name not in self._names:
                yield self._examined_large(part, frame)
            else:
                yield frame

    def _without_own_keys(self, part: Part, block: Block) -> Block | Annotation:
        """The block without what is done to keys of this collection; other keys of the same command stay."""
        offsets = list(block.offsets())
        changed: dict[int, Command | None] = {}
        for at, command in enumerate(block.commands):
            if any(CHECKPOINT_PREFIX in argument for argument in command[1:]):
                try:
                    sent = _OTHER_KEYS.of(command, 0)
                except PartlySelected:
                    sent = None
                if sent != command:
                    changed[at] = sent
                    self._count(OWN_KEYS, part.position_of(offsets[at]))
        return _replaced(block, changed, offsets)

    def _examined(self, part: Part, block: Block) -> Frame:
        odd = {name: name.upper() for name in block.names - self._names}
        found = [(at, command) for at, command in enumerate(block.commands) if command[0] in odd]
        offsets = list(block.offsets())
        changed: dict[int, Command | None] = {}
        scripts = [text for _at, command in found if (text := script_of(command)) is not None]
        if scripts:
            self.scripts.learn(scripts)
        for at, command in found:
            position = part.position_of(offsets[at])
            sent = self._sent(odd[command[0]], command, position)
            if sent is not command:
                changed[at] = sent
        return _replaced(block, changed, offsets)

    def _sent(self, name: bytes, command: Command, position: int) -> Command | None:
        """What is sent for a command: itself, its equivalent, or nothing."""
        if name == b"SELECT":
            self._select(command, position)
            return command
        if name == b"EVALSHA":
            return self.scripts.expanded(command)
        argument = command[1] if len(command) > 1 else b""
        kind = kind_of(name, argument)
        if kind == "slot_migration":
            self._count(SLOT_MIGRATION, position)
            return None
        if kind != "data" or name not in _EXAMINED:
            raise NotData(printable(shown_name(name, argument)), position)
        return command

    def _select(self, command: Command, position: int) -> None:
        number = command[1] if len(command) == 2 else b""
        if number not in self._required:
            database = database_of(number)
            if database is None:
                # A server refuses it, and what follows would be written to the database that was selected before.
                raise NotData("SELECT without the number of a database", position)
            self._require(database)
            if len(self._required) < _MOST_DATABASES:
                self._required.add(number)

    def _examined_large(self, part: Part, large: LargeCommand) -> Frame:
        name, position = large.name.upper(), part.position_of(large.start)
        if name == b"EVAL":
            text = script_of_large(part.fd, large)
            if text is not None:
                self.scripts.learn([text])
            return large
        if name == b"EVALSHA":
            if self.scripts.knows(large.key) and large.end - large.start <= _MOST_HELD:
                block = read_large(part.fd, large)
                command = self.scripts.expanded(block.commands[0])
                return Block.of(large.start, large.end, [command], [large.start], None)
            return large
        if self._sent(name, [large.name, large.key], position) is None:
            return Annotation(large.start, large.end, b"")
        return large


def _replaced(block: Block, changed: dict[int, Command | None], offsets: t.Sequence[int]) -> Block | Annotation:
    """Return a block with other commands, or none, in place of those of the numbers in ``changed``."""
    if not changed:
        return block
    left = [(changed.get(at, command), offsets[at]) for at, command in enumerate(block.commands)]
    commands = [command for command, _offset in left if command is not None]
    if not commands:
        return Annotation(block.start, block.end, b"")
    places = [offset for command, offset in left if command is not None]
    return Block.of(block.start, block.end, commands, places, block.database)


def database_of(number: bytes) -> int | None:
    """Return the number that SELECT takes; None for what it refuses, such as leading zeros."""
    return int(number) if number.isdigit() and len(number) < 10 and number == b"%d" % int(number) else None
