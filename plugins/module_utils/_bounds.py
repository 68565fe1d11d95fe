# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Replies from a socket, each within bounds of size and of time.

A server is trusted with nothing here: it may send a line that never ends, a byte every few seconds, or more than any
answer has. A timeout on the socket alone starts again with each byte.
"""

from __future__ import annotations

import socket
import time

from ansible_collections.redisops.tair.plugins.module_utils._resp import (
    BadReply,
    PlainReader,
    Reply,
    ReplyReader,
    reply_reader,
)

#: Bytes of a reply that describes a server (INFO, CONFIG GET, ...).
SMALL_REPLY = 1 << 20
#: Bytes of a reply with many entries (CLIENT LIST, CLUSTER SLOTS, ...).
LARGE_REPLY = 8 << 20
#: Bytes of a reply with names of keys, a thousand at a time, or with the code of functions.
NAMES_REPLY = 32 << 20
#: Bytes of a reply with values: a string has 512 MB at most.
VALUE_REPLY = 600 << 20
#: Bytes a second that a reply may not fall below once its timeout has passed.
SLOWEST = 64 * 1024

#: The readers are fastest when fed small pieces.
_RECEIVE_BYTES = 16 * 1024
#: What is not parsed comes in larger ones.
_SECTION_BYTES = 256 * 1024
#: Lines of a reply that is not complete, beside those for which a reply is due.
_MOST_LINES = 4_000_000
#: Bytes that a reader holds without having parsed them, in the midst of a long string.
_LONG_STRING = 128 * 1024


class Closed(OSError):
    """The server closed the connection."""

    def __init__(self) -> None:
        super().__init__("the server closed it")


class Unfinished:
    """What of a reply has come before it is complete. ``limit``: bytes that it may have."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._lines = 0

    def add(self, data: bytes, expected: int, reader: ReplyReader) -> None:
        """Count a piece that ``reader`` is about to get. ``expected``: replies that are due.

        Raises :class:`BadReply` when it is too much.
        """
        self.size += len(data)
        if self.size > self._limit:
            raise BadReply(f"a reply has more than {self._limit:,} bytes")
        # Elements of arrays take many times the memory that their bytes do. The lines of a long string are none.
        if self.size > len(data) and reader.buffered() < _LONG_STRING:
            self._lines += data.count(b"\r\n")
            if self._lines > _MOST_LINES + 4 * expected:
                raise BadReply("a reply has too many elements")

    def clear(self) -> None:
        """Begin with the next reply."""
        self.size = self._lines = 0


class ReplyStream:
    """The replies that come from a socket.

    ``timeout``: seconds that a reply may take to come, with one second more for each :data:`SLOWEST` bytes that have;
    None for no limit. ``limit``: bytes of one reply. ``fast``: for many replies or large ones.

    Its methods raise :class:`BadReply`, and :class:`OSError`, as ``socket.timeout`` when the time is up.
    """

    def __init__(self, sock: socket.socket, *, timeout: float | None, limit: int, fast: bool = False) -> None:
        self._socket = sock
        self.timeout = timeout
        self._limit = limit
        self._reader: ReplyReader = reply_reader() if fast else PlainReader()
        self._rest = b""
        self.first = b""
        """The beginning of what came first, to see what a server is that does not speak the protocol."""

    def receive(self, count: int, limit: int | None = None) -> list[Reply]:
        """Return the next ``count`` replies; errors are among them as :class:`ErrorReply`. ``limit``: bytes of each."""
        replies: list[Reply] = []
        unfinished, since, known = Unfinished(limit or self._limit), time.monotonic(), 0
        gets, append = self._reader.gets, replies.append
        while count:
            reply = gets()
            if reply is not False:
                append(reply)
                count -= 1
                continue
            if len(replies) > known:
                unfinished.clear()
                since, known = time.monotonic(), len(replies)
            data, self._rest = self._rest or self._more(_RECEIVE_BYTES, since, unfinished.size), b""
            unfinished.add(data, count, self._reader)
            self._reader.feed(data)
            gets = self._reader.gets
        return replies

    def nothing_more(self) -> None:
        """Raise :class:`BadReply` if there is a reply that nothing has asked for."""
        if self._reader.gets() is not False:
            raise BadReply("a reply came that nothing had asked for")

    def until(self, mark: bytes, limit: int | None = None) -> bytes:
        """Return the bytes before ``mark``. ``limit``: how many there may be."""
        limit = limit or self._limit
        overlap = len(mark) - 1
        pieces, tail, data = [], b"", self._rest
        size, since = 0, time.monotonic()
        while True:
            end = (tail + data).find(mark) - len(tail)  # a mark may come in two pieces
            if end >= -len(tail):
                break
            pieces.append(data)
            size += len(data)
            if size > limit:
                raise BadReply(f"replies have more than {limit:,} bytes")
            tail = (tail + data)[-overlap:]
            data = self._more(_SECTION_BYTES, since, size)
        self._rest = data[end + len(mark) :]
        raw = b"".join(pieces) + data[: max(0, end)]
        return raw[:end] if end < 0 else raw

    def _more(self, most: int, since: float, size: int) -> bytes:
        """Return what comes next of something that has been waited for ``since`` then, and of which ``size`` bytes are there."""
        if self.timeout is not None:
            left = since + self.timeout + size / SLOWEST - time.monotonic()
            if left <= 0:
                raise socket.timeout("timed out")
            self._socket.settimeout(left)
        else:
            self._socket.settimeout(None)
        data = self._socket.recv(most)
        if not data:
            raise Closed
        self.first = self.first or data[:64]
        return data
