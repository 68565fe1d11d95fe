# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The Lua scripts of an AOF, so that a call by digest works on every server that it may reach.

Redis up to 4.0 logs a script once, as EVAL, and then calls it as EVALSHA. A node of a cluster, a server behind a filter that
left the EVAL out, and a server that has restarted do not know the digest. So EVALSHA is sent as EVAL, whose text needs no
memory of the server. The script is loaded on every server as well, for the clients that call it later.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import ARRAY, BULK, MAX_HEADER, read_header
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: Bytes of one script, and of all together. What is more is only loaded on the servers.
_LONGEST = 1 << 20
_MOST_BYTES = 64 << 20
_READ_BYTES = 1 << 20
_MARGIN = 128
#: Where the text of a script may begin. A value that looks like one does no harm: the digest of a text is its own.
_TEXT = re.compile(
    rb"\$(?:4\r\n[Ee][Vv][Aa][Ll]|6\r\n[Ss][Cc][Rr][Ii][Pp][Tt]\r\n\$4\r\n[Ll][Oo][Aa][Dd])\r\n\$([0-9]{1,9})\r\n"
)


class Scripts:
    """The scripts met so far. ``load``: called with the texts that were not loaded before; None: nothing is loaded."""

    def __init__(self) -> None:
        self.load: t.Callable[[t.Sequence[bytes]], None] | None = None
        self._texts: dict[bytes, bytes] = {}
        self._bytes = 0
        self._loaded: set[bytes] = set()

    def learn(self, texts: t.Iterable[bytes]) -> None:
        """Keep scripts, and load those that have not been loaded."""
        new: dict[bytes, bytes] = {}
        for text in texts:
            digest = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
            if digest not in self._texts and len(text) <= _LONGEST and self._bytes + len(text) <= _MOST_BYTES:
                self._texts[digest] = text
                self._bytes += len(text)
            if self.load is not None and digest not in self._loaded:
                new[digest] = text
        if new and self.load is not None:
            self.load(list(new.values()))
            self._loaded.update(new)

    def expanded(self, command: Command) -> Command:
        """Return an EVALSHA as the EVAL of its script; the command itself where the script is not known."""
        text = self._texts.get(command[1].lower()) if len(command) > 2 else None
        return command if text is None else [b"EVAL", text, *command[2:]]

    def knows(self, digest: bytes) -> bool:
        return digest.lower() in self._texts

    def learn_from(self, fd: int, start: int, end: int) -> None:
        """Keep all scripts that a file holds between two offsets."""
        offset, tail = start, b""
        while offset < end:
            data = os.pread(fd, min(_READ_BYTES, end - offset), offset)
            if not data:
                return
            before = offset - len(tail)
            offset += len(data)
            data = tail + data
            for found in _TEXT.finditer(data):
                length, at = int(found[1]), before + found.end()
                if length <= _LONGEST and at + length <= end:
                    self.learn([os.pread(fd, length, at)])
            tail = data[-_MARGIN:]


def script_of(command: Command) -> bytes | None:
    """Return the text of the script that an EVAL or a SCRIPT LOAD holds."""
    name = command[0].upper()
    if name == b"EVAL" and len(command) > 1:
        return command[1]
    if name == b"SCRIPT" and len(command) == 3 and command[1].upper() == b"LOAD":
        return command[2]
    return None


def script_of_large(fd: int, command: LargeCommand) -> bytes | None:
    """Return the text of the script of a large EVAL; None where it is too long to be held."""
    position, kind = command.start, ARRAY
    for _header in range(3):  # of the array, the name and the script
        header = read_header(os.pread(fd, MAX_HEADER, position), 0, kind, "")
        if header is None:
            return None
        length, size = header
        position += size if kind == ARRAY else size + length + 2
        kind = BULK
    return os.pread(fd, length, position - length - 2) if length <= _LONGEST else None
