# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The protocol (RESP2): commands as bytes, and replies from the bytes of a connection to Python values.

hiredis reads the replies where it is installed; the plain reader gives the same values without it.
"""

from __future__ import annotations

import re
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


#: A transaction may be as long. More answers nothing that is ever asked, and is memory before the first element has come.
MOST_ELEMENTS = 9_999_999
#: Arrays within arrays, at most. ``COMMAND DOCS`` and ``XINFO STREAM ... FULL`` nest six deep; hiredis allows seven or nine.
_DEEPEST = 9
#: Digits of a number: Redis's have 64 bits.
_MOST_DIGITS = 20
#: A line that no end has come for is no line of a server; the longest ones are errors that repeat arguments.
_LONGEST_LINE = 1 << 20


class ReplyReader(t.Protocol):
    """What hiredis's reader and ours have in common."""

    def feed(self, data: bytes) -> None:
        """Take bytes as they came, wherever they are cut. Raises :class:`BadReply`."""

    @property
    def gets(self) -> t.Callable[[], Reply]:
        """What returns the next whole reply, or False where it is not whole yet; to be read again after :meth:`feed`.

        It raises :class:`BadReply`.
        """

    def buffered(self) -> int:
        """Return how many bytes are held that are not parsed."""


def reply_reader() -> ReplyReader:
    """Return the fastest reader there is. How many bytes a reply may have its caller decides."""
    if hiredis is None or not hasattr(hiredis.Reader, "len"):
        return PlainReader()
    return _GuardedReader()


class _GuardedReader:
    """hiredis, kept from replies that make it reserve memory for what has not come.

    It makes a list of as many elements as a header claims: ``*2147483647`` takes 16 GB and half a minute. RESP3's pushes,
    sets and maps likewise, and nobody has asked for these. So a header with a large count is looked for in what comes;
    in the middle of a value the same bytes are data.
    """

    def __init__(self) -> None:
        self._reader = hiredis.Reader(protocolError=BadReply, replyError=ErrorReply)
        self.gets: t.Callable[[], Reply] = self._reader.gets
        self._held = b""
        self._without_end: list[bytes] = []
        self._without_end_size = 0
        self._after_cr = False
        self._ready: list[Reply] = []

    def buffered(self) -> int:
        return int(self._reader.len()) + self._without_end_size

    def feed(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        after_cr, self._after_cr = self._after_cr, data.endswith(b"\r")
        if self._reader.len() > _LONG:
            # hiredis looks at all of a line again for each piece. No string or line is complete before an end has come.
            if b"\r\n" not in data and not (after_cr and data.startswith(b"\n")):
                self._without_end.append(data)
                self._without_end_size += len(data)
                return
            data = b"".join([*self._without_end, data])
            self._without_end, self._without_end_size = [], 0
        for kind, large, cut in _COUNTED:
            if kind in data and (large.search(data) or cut.search(data, max(0, len(data) - _LONGEST_COUNT))):
                self._feed_carefully(data)
                return
        self._reader.feed(data)

    def _feed_carefully(self, data: bytes) -> None:
        """Feed up to each header that is large, or that may become so with what comes next, and see whether it is one."""
        start = 0
        for match in _LARGE_OR_CUT.finditer(data):
            if match.end() == len(data) and len(match.group()) <= _LONGEST_COUNT:
                self._feed_and_take(data[start : match.start()])
                self._held = data[match.start() :]
                return
            self._feed_and_take(data[start : match.start()])
            start = match.start()
            if not self._reader.has_data():  # all before it is complete: so this begins an element
                raise BadReply(f"a reply claims to have {data[match.start() + 1 : match.end()][:20].decode()} elements")
        self._feed_and_take(data[start:])

    def _feed_and_take(self, data: bytes) -> None:
        """Parse what was fed: only then it is known whether some of it is left."""
        if not data:
            return
        self._reader.feed(data)
        reply = self._reader.gets()
        while reply is not False:
            self._ready.append(reply)
            reply = self._reader.gets()
        self.gets = self._take if self._ready else self._reader.gets

    def _take(self) -> Reply:
        if self._ready:
            return self._ready.pop(0)
        self.gets = self._reader.gets
        return self.gets()


#: Of each kind of reply that has a count: its first byte, a large count, and one that is cut off where the data ends.
_COUNTED = tuple(
    (kind, re.compile(re.escape(kind) + rb"[0-9]{8}"), re.compile(re.escape(kind) + rb"[0-9]{0,7}\Z"))
    for kind in (b"*", b">", b"~", b"%", b"|")
)
_LARGE_OR_CUT = re.compile(rb"[*>~%|](?:[0-9]{8,}|[0-9]{0,7}\Z)")
_LONGEST_COUNT = 8
#: Bytes of a reply that is not complete above which it matters how often they are looked at.
_LONG = 64 * 1024


class PlainReader:
    """A reply reader in plain Python, for where hiredis is not installed, and for what is read seldom."""

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._more: list[bytes] = []
        """Pieces that follow the buffer, joined with it when a string is complete."""
        self._more_size = 0
        self._bulk = -1
        """Length of the string whose header was read; -1 for none."""
        self._open: list[tuple[list[Reply], int]] = []
        """Arrays that are not complete: what they hold, and how many elements they claim."""

    def feed(self, data: bytes) -> None:
        if self._bulk >= 0:
            self._more.append(data)
            self._more_size += len(data)
            return
        self._buffer = self._buffer[self._position :] + data
        self._position = 0

    def buffered(self) -> int:
        return len(self._buffer) - self._position + self._more_size

    def gets(self) -> Reply:
        if self._bulk < 0 and not self._open:
            # Most replies are such a line.
            buffer, start = self._buffer, self._position
            end = buffer.find(b"\r\n", start)
            if end >= 0:
                kind = buffer[start]
                line = buffer[start + 1 : end]
                if kind == _PLUS or (kind == _COLON and line.isdigit() and len(line) < _MOST_DIGITS):
                    self._position = end + 2
                    return line if kind == _PLUS else int(line)
        return self._any()

    def _any(self) -> Reply:
        while True:
            element = self._element()
            if element is _INCOMPLETE:
                return False
            if isinstance(element, _Array):
                if element.claimed > MOST_ELEMENTS:
                    raise BadReply(f"a reply claims to have {element.claimed} elements")
                if len(self._open) == _DEEPEST:
                    raise BadReply("a reply has too many arrays within arrays")
                self._open.append(([], element.claimed))
                if element.claimed:
                    continue
                element = self._open.pop()[0]
            while self._open:
                items, count = self._open[-1]
                items.append(element)
                if len(items) < count:
                    break
                element = self._open.pop()[0]
            else:
                return element

    def _element(self) -> Reply:
        """The next string, number or error, or the head of an array."""
        if self._bulk >= 0:
            return self._rest_of_bulk()
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\r\n", start)
        if end < 0:
            if len(buffer) - start > _LONGEST_LINE:
                raise BadReply("a line of a reply does not end")
            return _INCOMPLETE
        kind, line = buffer[start : start + 1], buffer[start + 1 : end]
        self._position = end + 2
        if kind == b"+":
            return line
        if kind == b"-":
            return ErrorReply(line)
        if kind not in (b":", b"$", b"*") or not _NUMBER.fullmatch(line):
            raise BadReply(f"{kind + line[:30]!r} is no reply of a Redis server")
        number = int(line)
        if kind == b":":
            return number
        if number < -1:
            raise BadReply(f"a reply has a length of {number}")
        if number < 0:
            return None
        if kind == b"*":
            return _Array(number)
        self._bulk = number
        return self._rest_of_bulk()

    def _rest_of_bulk(self) -> Reply:
        if self.buffered() < self._bulk + 2:
            return _INCOMPLETE
        if self._more:
            self._buffer = b"".join([self._buffer[self._position :], *self._more])
            self._position = self._more_size = 0
            self._more = []
        end = self._position + self._bulk
        value = self._buffer[self._position : end]
        if self._buffer[end : end + 2] != b"\r\n":
            raise BadReply("a string of a reply is longer than it claims")
        self._bulk = -1
        self._position = end + 2
        return value


class _Array(t.NamedTuple):
    claimed: int


_PLUS, _COLON = b"+:"
_INCOMPLETE = object()
_NUMBER = re.compile(rb"-?[0-9]{1,%d}" % _MOST_DIGITS)
