# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Many commands and their replies over one connection, at a tenth of what redis-py's pipelines cost per command.

redis-py connects and logs in; from then on this speaks RESP2 on its socket.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._bounds import (
    LARGE_REPLY,
    NAMES_REPLY,
    SMALL_REPLY,
    ReplyStream,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, NoRedisError, ReplyError
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect, connected_socket
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain, next_step
from ansible_collections.redisops.tair.plugins.module_utils._resp import (
    BadReply,
    ErrorReply,
    Reply,
    encode,
    reply_reader,
)

#: The readers are fastest when fed small pieces.
_PARSED_BYTES = 16 * 1024
#: Bytes of a reply that is a number.
_LONGEST_NUMBER = 24

#: Commands whose replies hold no value, however large the data are.
_WITHOUT_VALUES = frozenset(
    (
        b"CONFIG",
        b"DBSIZE",
        b"DEL",
        b"EXISTS",
        b"INFO",
        b"MEMORY",
        b"PEXPIRETIME",
        b"PING",
        b"PTTL",
        b"READONLY",
        b"SELECT",
        b"TIME",
        b"TYPE",
    )
)

_WITH_NAMES = frozenset((b"FUNCTION", b"RANDOMKEY", b"SCAN"))

#: Replies as the server wrote them, where it answers marks; else as values.
Section = t.Union[bytes, t.List[Reply]]


def bulk(arg: bytes) -> bytes:
    """One argument as the protocol writes it."""
    return b"$%d\r\n%b\r\n" % (len(arg), arg)


def head(count: int, *args: bytes) -> bytes:
    """The beginning of a command that has ``count`` arguments altogether, its name counted too."""
    return b"*%d\r\n" % count + b"".join(map(bulk, args))


def for_each(keys: t.Sequence[bytes], before: bytes, after: bytes) -> bytes:
    """A command for each of the keys, which :func:`bulk` has encoded, with what stands before and after the key."""
    return before + (after + before).join(keys) + after if keys else b""


def replies_in(section: Section, count: int) -> list[Reply]:
    """The ``count`` replies of a section, errors among them."""
    if isinstance(section, list):
        return section
    if section.startswith(b":") and len(section) < _LONGEST_NUMBER * count:
        with contextlib.suppress(ValueError):  # something else among the numbers
            return _counted([int(number) for number in section[1:].split(b"\r\n:")], count)
    reader = reply_reader()
    replies: list[Reply] = []
    for start in range(0, len(section), _PARSED_BYTES):
        reader.feed(section[start : start + _PARSED_BYTES])
        reply = reader.gets()
        while reply is not False:
            replies.append(reply)
            reply = reader.gets()
    return _counted(replies, count)


def _counted(replies: list[Reply], count: int) -> list[Reply]:
    if len(replies) != count:
        raise BadReply(f"{len(replies)} replies to {count} commands")
    return replies


class Wire:
    """One connection. What is sent is answered in order; the caller keeps count of the replies that are due.

    *Sections* are for replies that need not be parsed where another server's bytes are the same: a mark is sent after
    the commands, and read up to. While a section is due nothing may be read in any other way. ``sections``: whether
    they are wanted at all.

    A request that is sent while replies are due should stay below some 64 KB: nobody reads while it is being sent.
    All methods raise :class:`ConnectError` when the connection breaks or a reply takes longer than ``timeout`` seconds, or is larger than ``limit``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout: float | None = None,
        limit: int = LARGE_REPLY,
        sections: bool = False,
        allow_misconf: bool = False,
    ) -> None:
        """``timeout``: seconds for a reply, see :meth:`Endpoint.reply_timeout`. ``limit``: bytes of a reply."""
        self.endpoint = endpoint
        self._client = connect(endpoint, timeout=timeout, allow_misconf=allow_misconf)  # keeps the socket open
        self._socket = connected_socket(self._client)
        self.database = 0
        self._timeout = self._client.timeout
        self._stream = ReplyStream(self._socket, timeout=self._timeout, limit=limit, fast=limit > LARGE_REPLY)
        token = secrets.token_hex(16).encode()  # no value holds it: nobody has seen it yet
        self._mark = bulk(token)
        self.mark = b""
        """To be sent after the commands of a section. Empty where PING is not answered with what it is given."""
        if sections and self.exchange([(b"PING", token)])[0] == token:
            self.mark = head(2, b"PING") + self._mark

    def close(self) -> None:
        self._client.close()

    def send(self, request: bytes) -> None:
        """Send encoded commands."""
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(request)
        except OSError as exc:
            raise self._broken(exc) from exc

    def receive(self, count: int, limit: int | None = None) -> list[Reply]:
        """The next ``count`` replies; errors are among them as :class:`ErrorReply`. ``limit``: bytes of each."""
        try:
            return self._stream.receive(count, limit)
        except (OSError, BadReply) as exc:
            raise self._broken(exc) from exc

    def section(self, count: int, limit: int | None = None) -> Section:
        """The next ``count`` replies, which a mark follows. ``limit``: bytes that they may have."""
        if not self.mark:
            return self.receive(count, limit)
        try:
            return self._stream.until(self._mark, limit)
        except (OSError, BadReply) as exc:
            raise self._broken(exc) from exc

    def exchange(self, commands: t.Iterable[t.Iterable[bytes]]) -> list[Reply]:
        """Send commands and return their replies, errors among them."""
        names, encoded = set(), []
        for command in map(list, commands):
            names.add(command[0])
            encoded.append(encode(command))
        self.send(b"".join(encoded))
        limit = SMALL_REPLY if names <= _WITHOUT_VALUES else NAMES_REPLY if names <= _WITH_NAMES else None
        return self.receive(len(encoded), limit)

    def call(self, *command: bytes) -> Reply:
        """Send one command and return its reply. Raises :class:`ReplyError` for an error."""
        return self.checked(self.exchange([command])[0], command[0])

    def checked(self, reply: Reply, command: bytes) -> Reply:
        """The reply to a command. Raises :class:`ReplyError` if it is an error."""
        if isinstance(reply, ErrorReply):
            raise self.refused(command.decode(), reply)
        return reply

    def supports(self, *command: bytes) -> bool:
        """Whether a command that changes nothing is answered without an error."""
        return not isinstance(self.exchange([command])[0], ErrorReply)

    def select(self, database: int) -> None:
        """Choose the database of the commands to come. Raises :class:`ReplyError` where there is none of this number."""
        if database != self.database:
            self.call(b"SELECT", b"%d" % database)
            self.database = database

    def refused(self, command: str, reply: ErrorReply) -> ReplyError:
        """The error of a command as an exception for the person at the terminal."""
        text = str(reply)
        return ReplyError(f"{self.endpoint} answered {explain(text)} to {command}", todo=next_step(text))

    def senseless(self, command: bytes, reply: Reply) -> ReplyError:
        """The error for a reply that is none to its command, as of another type."""
        return ReplyError(
            f"{self.endpoint} answered {repr(reply)[:60]} to {command.decode()}, which makes no sense",
            todo="Check that this is a Redis server and nothing else, and look at its log",
        )

    def _broken(self, exc: OSError | BadReply) -> ConnectError:
        if isinstance(exc, socket.timeout):
            what = f"{self.endpoint} has not answered for {self._timeout:g} s"
        elif isinstance(exc, BadReply):
            what = f"{self.endpoint} does not answer as a Redis server does: {exc}"
        else:
            what = f"The connection to {self.endpoint} broke: {getattr(exc, 'strerror', None) or exc}"
        kind = NoRedisError if isinstance(exc, (BadReply, socket.timeout)) else ConnectError
        return kind(what, todo="Look at the server's log and at the network between, then run again")
