# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where the base section of an AOF ends: the part that a rewrite wrote.

A base section is imported without transactions, because each key is there once with its commands together, and a ``SET`` only
begins a key. What is a base section is claimed by a file's name (``appendonly.aof.2.base.aof``) or by ``aof_base_size``. Neither
is proof: a history of commands may have been given such a name, and up to Redis 6.2, and on KeyDB, what clients write during a
rewrite is appended to the new file before INFO reports its size. So the content is checked, and the claim ends at the first
command that no rewrite writes there:

* In the first :data:`HEAD_BYTES`, completely (:func:`head_until`): every key once in its database with its commands together, a
  ``SET`` without options and only as the first command of a key, ``PEXPIREAT`` and the like only after commands of the same key,
  ``FUNCTION LOAD`` before all keys, databases in ascending order, no annotation after a command. A file that is not larger is
  proved.
* After that (:class:`WhileRewritten`), by the names of commands in the spelling of a rewrite, by the order of databases and by
  annotations. What servers write for clients begins with a ``SELECT`` whenever they start or have rewritten. Not detected is a
  key that comes back there, if no other name, ``SELECT`` or annotation is between.
"""

from __future__ import annotations

import operator
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import first_key
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import (
    Annotation,
    Block,
    Frame,
    Frames,
    LargeCommand,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: Bytes in which every command is checked. More would take longer at each start, and the check keeps the keys in memory.
HEAD_BYTES = 4 << 20
_BLOCK_BYTES = 32 * 1024

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


#: Of these, what a rewrite writes about a key that other commands have made before.
_FOLLOWERS = frozenset(
    (
        b"XSETID",
        b"XGROUP",
        b"XCLAIM",
        b"PEXPIREAT",
        b"HPEXPIREAT",
        b"EXPIREMEMBERAT",
        b"PEXPIREMEMBERAT",
    )
)
_XGROUP_FORMS = (b"CREATE", b"CREATECONSUMER")
_SECOND = operator.itemgetter(1)


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
            elif isinstance(frame, Annotation):
                self.stopped = frame.start >= HEAD_BYTES
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


def head_until(fd: int, size: int, *, where: str) -> int:
    """Return where in the first ``size`` bytes of a file the first command begins that no rewrite writes there.

    Only the first :data:`HEAD_BYTES` are checked; ``size`` if nothing was found in them. Damage ends the check without an error:
    it is reported when the commands are read.
    """
    head = _Head()
    try:
        for frame in Frames(fd, 0, min(size, HEAD_BYTES), where=where, block_bytes=_BLOCK_BYTES, in_detail=False):
            if isinstance(frame, Block):
                foreign = head.block(frame)
                if foreign is not None:
                    return foreign
            elif isinstance(frame, LargeCommand):
                # Its second argument may be the subcommand of XGROUP, which is never large.
                if head.is_foreign([frame.name, frame.key, b""]):
                    return frame.start
            elif isinstance(frame, Annotation) and head.has_commands:
                return frame.start
    except AofFormatError:
        pass
    return size


class _Head:
    """What the check of a head remembers: the keys of the database, and the key of the last command."""

    def __init__(self) -> None:
        self._database = -1
        self._keys: set[bytes] = set()
        self._key: bytes | None = None
        self.has_commands = False

    def block(self, block: Block) -> int | None:
        """Return the offset of the first foreign command; None if there is none."""
        self.has_commands = True
        if block.names == {b"SET"} and set(map(len, block.commands)) == {3}:
            fresh = set(map(_SECOND, block.commands))
            if len(fresh) == len(block.commands) and self._keys.isdisjoint(fresh):
                self._keys |= fresh
                self._key = block.commands[-1][1]
                return None
        for command, offset in zip(block.commands, block.offsets()):
            if self.is_foreign(command):
                return offset
        return None

    def is_foreign(self, command: Command) -> bool:
        """Return whether no rewrite writes the command after those before it."""
        self.has_commands = True
        name = command[0]
        if name == b"SET":
            return len(command) != 3 or not self._begins(command[1])
        if name == b"SELECT":
            before, self._keys, self._key = self._database, set(), None
            self._database = int(command[1]) if is_select(command) else -1
            return self._database <= before
        if name == b"FUNCTION":
            return self._database >= 0 or self._key is not None or len(command) != 3 or command[1] != b"LOAD"
        if not _written(name) or len(command) < 2:
            return True
        if name in _FOLLOWERS:
            if name == b"XGROUP":
                return len(command) < 3 or command[1] not in _XGROUP_FORMS or command[2] != self._key
            return command[1] != self._key or (name == b"PEXPIREAT" and len(command) != 3)
        key = command[1] if b"." not in name else first_key(command)
        return key is None or (key != self._key and not self._begins(key))

    def _begins(self, key: bytes) -> bool:
        """Return whether a key is met for the first time, and remember it."""
        if key in self._keys:
            return False
        self._keys.add(key)
        self._key = key
        return True


def is_select(command: Command) -> bool:
    """Whether it selects a database, as servers write that."""
    return command[0] == b"SELECT" and len(command) == 2 and command[1].isdigit() and len(command[1]) < 10


def _written(name: bytes) -> bool:
    return name in _WRITTEN or b"." in name
