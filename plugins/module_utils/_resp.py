# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The protocol (RESP2): commands as bytes, and replies from the bytes of a connection to Python values.

hiredis reads the replies where it is installed; the plain reader gives the same values without it.
"""

from __future__ import annotations

import typing as t

try:
    import hiredis
except ImportError:
    hiredis = None  # type: ignore[assignment]


#: A command: its name and its arguments, as raw bytes.
Command = t.List[bytes]


def encode(command: t.Iterable[bytes]) -> bytes:
    """A command as the protocol and the AOF write it."""
    args = list(command)
    return b"*%d\r\n" % len(args) + b"".join([b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args])


class ErrorReply(Exception):
    """An error reply; its text without the leading ``-``. Returned as a value, also inside arrays, never raised."""

    def __str__(self) -> str:
        text = self.args[0]
        return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


class BadReply(Exception):
    """The bytes are no reply: the peer does not speak the protocol."""


#: bytes for simple and bulk strings, int, None, ErrorReply, and lists of these.
Reply = t.Any


class ReplyReader(t.Protocol):
    """What hiredis's reader and ours have in common."""

    def feed(self, data: bytes) -> None:
        """Take bytes as they came, wherever they are cut."""

    def gets(self) -> Reply:
        """The next whole reply; False where it is not whole yet."""


def reply_reader() -> ReplyReader:
    """The fastest reader there is."""
    if hiredis is None:
        return PlainReader()
    return t.cast(ReplyReader, hiredis.Reader(protocolError=BadReply, replyError=ErrorReply))


class PlainReader:
    """A reply reader in plain Python, for where hiredis is not installed."""

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer[self._position :] + data
        self._position = 0

    def gets(self) -> Reply:
        parsed = self._parse(self._position)
        if parsed is None:
            return False
        reply, self._position = parsed
        return reply

    def _parse(self, position: int) -> tuple[Reply, int] | None:
        line_end = self._buffer.find(b"\r\n", position)
        if line_end < 0:
            return None
        kind, line = self._buffer[position : position + 1], self._buffer[position + 1 : line_end]
        position = line_end + 2
        if kind == b"+":
            return line, position
        if kind == b"-":
            return ErrorReply(line), position
        if kind not in (b":", b"$", b"*") or not line.lstrip(b"-").isdigit():
            raise BadReply(f"{kind + line[:30]!r} is no reply of a Redis server")
        number = int(line)
        if kind == b":":
            return number, position
        if number < 0:
            return (None, position)
        if kind == b"$":
            end = position + number
            return (self._buffer[position:end], end + 2) if end + 2 <= len(self._buffer) else None
        items: list[Reply] = []
        while len(items) < number:
            parsed = self._parse(position)
            if parsed is None:
                return None
            items.append(parsed[0])
            position = parsed[1]
        return items, position
