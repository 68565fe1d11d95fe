# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How is a key of the source copied to the target once more, over what is there?

A small value travels as its DUMP. What is big, and what the target does not take so (it is older, or of another flavor),
is built anew from commands beside the key, in bounded memory, and takes its place at the end.
"""

from __future__ import annotations

from ansible_collections.redisops.tair.plugins.module_utils._compare.closer import GUESSED_ELEMENT, LENGTHS, PIECE_BYTES
from ansible_collections.redisops.tair.plugins.module_utils._compare.functions import Libraries
from ansible_collections.redisops.tair.plugins.module_utils._compare.pair import Pair
from ansible_collections.redisops.tair.plugins.module_utils._compare.rebuild import commands_for
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import GONE
from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_PREFIX, printable
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply

#: A key that is being built. No comparison and no scan of ours sees it.
_BESIDE = CHECKPOINT_PREFIX + b"repair"
#: How a target says that it can't read a payload, or has no RESTORE.
_CAN_NOT_RESTORE = ("ERR DUMP payload version", "ERR Bad data format", "ERR unknown command")


class Repair:
    """Copies keys of the databases that are selected on both sides. Its methods raise :class:`TairError`."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self.copied = 0

    def copy(self, key: bytes) -> None:
        """Copy a key with its expiry. Nothing happens where the source does not have it any more."""
        source = self._pair.source
        now, told, kind = source.wire.exchange([*source.expiry_commands(key), (b"TYPE", key)])
        expiry = source.expiry(now, source.wire.checked(told, b"PEXPIRETIME"))
        if expiry == GONE or self._pair.expired(expiry):
            return
        if not self._restored(key, kind, expiry):
            self._rebuilt(key, kind, expiry)
        self.copied += 1

    def load(self, name: bytes, libraries: Libraries) -> None:
        """Copy a function library. Nothing happens on a target that knows no functions."""
        command = (b"FUNCTION", b"LOAD", b"REPLACE", libraries[name][1])
        reply = self._pair.target.wire.exchange([command])[0]
        if not isinstance(reply, ErrorReply):
            self.copied += 1
        elif not str(reply).startswith("ERR unknown command"):
            raise self._refused(name, b"FUNCTION LOAD", reply)

    def _restored(self, key: bytes, kind: bytes, expiry: int) -> bool:
        """Whether the target has taken the value as its DUMP."""
        source = self._pair.source.wire
        if kind in LENGTHS and self._size(key, kind) > PIECE_BYTES:
            return False
        payload = source.call(b"DUMP", key)
        if payload is None:
            return True  # it has just expired
        left = b"%d" % max(1, round(expiry - self._pair.target.now())) if expiry >= 0 else b"0"
        reply = self._pair.target.wire.exchange([(b"RESTORE", key, left, payload, b"REPLACE")])[0]
        if isinstance(reply, ErrorReply):
            if kind in LENGTHS and str(reply).startswith(_CAN_NOT_RESTORE):
                return False
            raise self._refused(key, b"RESTORE", reply)
        self._expire(key, key, expiry)  # to the millisecond
        return True

    def _rebuilt(self, key: bytes, kind: bytes, expiry: int) -> None:
        size, length = self._size(key, kind), int(self._pair.source.wire.call(LENGTHS[kind], key))
        piece = max(1, min(5000, PIECE_BYTES * length // max(size, 1)))
        self._write(key, b"DEL", _BESIDE)
        try:
            for command in commands_for(self._pair, key, kind, _BESIDE, piece):
                self._write(key, *command)
        except ReplyError:
            self._pair.target.wire.exchange([(b"DEL", _BESIDE)])
            raise
        self._expire(key, _BESIDE, expiry)
        if self._pair.target.wire.call(b"EXISTS", _BESIDE):  # else the source's has expired meanwhile
            self._write(key, b"RENAME", _BESIDE, key)

    def _size(self, key: bytes, kind: bytes) -> int:
        """Bytes of a value, about."""
        wire = self._pair.source.wire
        if self._pair.source.tells_memory:
            return wire.call(b"MEMORY", b"USAGE", key) or 0
        return int(wire.call(LENGTHS[kind], key)) * (1 if kind == b"string" else GUESSED_ELEMENT)

    def _expire(self, key: bytes, name: bytes, expiry: int) -> None:
        if expiry >= 0:
            self._write(key, b"PEXPIREAT", name, b"%d" % expiry)

    def _write(self, key: bytes, *command: bytes) -> None:
        reply = self._pair.target.wire.exchange([command])[0]
        if isinstance(reply, ErrorReply):
            raise self._refused(key, command[0], reply)

    def _refused(self, key: bytes, command: bytes, reply: ErrorReply) -> ReplyError:
        refused = self._pair.target.wire.refused(f"{command.decode()}, the copy of {printable(key)}", reply)
        return ReplyError(
            refused.what,
            changed=f"{self.copied} keys had been copied to {self._pair.target} before",
            todo=refused.todo,
        )
