# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Many commands and their replies over one connection, at a tenth of what redis-py's pipelines cost per command.

redis-py connects and logs in; from then on this speaks RESP2 on its socket.
"""

from __future__ import annotations

import socket
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, ReplyError
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
_RECEIVE_BYTES = 16 * 1024


class Closed(OSError):
    """The server closed the connection."""

    def __init__(self) -> None:
        super().__init__("the server closed it")


def bulk(arg: bytes) -> bytes:
    """One argument as the protocol writes it."""
    return b"$%d\r\n%b\r\n" % (len(arg), arg)


def head(count: int, *args: bytes) -> bytes:
    """The beginning of a command that has ``count`` arguments altogether, its name counted too."""
    return b"*%d\r\n" % count + b"".join(map(bulk, args))


class Wire:
    """One connection. What is sent is answered in order; the caller keeps count of the replies that are due.

    A request that is sent while replies are due should stay below some 64 KB: nobody reads while it is being sent.
    All methods raise :class:`ConnectError` when the connection breaks or a reply takes longer than ``timeout`` seconds.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float = 60.0, allow_misconf: bool = False) -> None:
        self.endpoint = endpoint
        self._client = connect(endpoint, timeout=timeout, allow_misconf=allow_misconf)  # keeps the socket open
        self._socket = connected_socket(self._client)
        self.database = 0
        self._reader = reply_reader()

    def close(self) -> None:
        self._client.close()

    def send(self, request: bytes) -> None:
        """Send encoded commands."""
        try:
            self._socket.sendall(request)
        except OSError as exc:
            raise self._broken(exc) from exc

    def receive(self, count: int) -> list[Reply]:
        """The next ``count`` replies; errors are among them as :class:`ErrorReply`."""
        replies: list[Reply] = []
        gets, feed, receive, append = self._reader.gets, self._reader.feed, self._socket.recv, replies.append
        try:
            while count:
                reply = gets()
                if reply is False:
                    data = receive(_RECEIVE_BYTES)
                    if not data:
                        raise Closed
                    feed(data)
                else:
                    append(reply)
                    count -= 1
        except (OSError, BadReply) as exc:
            raise self._broken(exc) from exc
        return replies

    def exchange(self, commands: t.Iterable[t.Iterable[bytes]]) -> list[Reply]:
        """Send commands and return their replies, errors among them."""
        encoded = [encode(command) for command in commands]
        self.send(b"".join(encoded))
        return self.receive(len(encoded))

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

    def _broken(self, exc: OSError | BadReply) -> ConnectError:
        if isinstance(exc, socket.timeout):
            what = f"{self.endpoint} has not answered for {self._socket.gettimeout():g} s"
        else:
            what = f"The connection to {self.endpoint} broke: {getattr(exc, 'strerror', None) or exc}"
        return ConnectError(what, todo="Look at the server's log and at the network between, then run again")
