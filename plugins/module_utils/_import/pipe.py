# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One pipelined connection: requests go out as fast as the server takes them, replies come back in order.

Knows the protocol's replies, nothing of what the requests mean.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
import typing as t
from collections import deque
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._bounds import SLOWEST, VALUE_REPLY, Unfinished
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.plugins.module_utils._resp import BadReply, Reply, reply_reader


@dataclass(frozen=True)
class FileRange:
    """Bytes of an open file, from ``start`` to ``end``: they are sent without being held."""

    fd: int
    start: int
    end: int
    name: str


Sendable = t.Union[bytes, FileRange]

#: hiredis is fastest when fed small pieces.
_RECEIVE_BYTES = 16 * 1024
#: For how long to wait for room to send before looking for replies.
_PATIENCE_MS = 5
#: Of a file, at a time. Read and sent again it is still in the processor's cache when the server copies it; pages sent
#: by sendfile are not, and cost the server, which is the bottleneck, half as much again.
_FILE_BYTES = 128 * 1024


class ConnectionLost(Exception):
    """The connection ended, stalled, or the peer stopped speaking the protocol; the text says which."""


@dataclass
class Request:
    """What to send and how many replies the server gives to it; the replies are gathered in ``replies``."""

    parts: t.Sequence[Sendable]
    size: int
    expected: int
    replies: list[Reply] = field(default_factory=list)
    routed: t.Sequence[t.Any] | None = None
    """The same in pieces for the nodes of a cluster; see :mod:`cluster_pipe`."""


R = t.TypeVar("R", bound=Request)


class Pipe(t.Generic[R]):
    """A connected, logged-in socket used as a pipeline.

    ``window``: at most so many bytes may wait for their replies; when they do, ``submit`` waits for the server.
    ``timeout``: seconds of waiting without a whole reply, or anything sent, after which the connection counts as lost; a
    large reply has one more for each :data:`SLOWEST` bytes.
    ``pace``: called with a number of bytes before they are sent; may sleep, to limit the rate.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        window: int,
        timeout: float,
        pace: t.Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._poll = select.poll()
        self._window = window
        self._timeout = timeout
        self._pace = pace
        self._reader = reply_reader()
        self._waiting: deque[R] = deque()
        self._done: deque[R] = deque()
        self._outstanding = 0  # bytes of the requests in _waiting
        self._unfinished = Unfinished(VALUE_REPLY)
        self._waited = 0.0
        """Seconds spent waiting since the last whole reply, or since something could be sent."""

    def submit(self, request: R) -> None:
        """Send a request; returns when its last byte is with the operating system. Raises :class:`ConnectionLost`."""
        self._waiting.append(request)
        self._outstanding += request.size
        for part in request.parts:
            if isinstance(part, FileRange):
                self._send_file(part)
            else:
                self._send_bytes(part)
        self._receive()
        while self._outstanding > self._window and len(self._waiting) > 1:
            self._wait(select.POLLIN)
            self._receive()

    @property
    def idle(self) -> bool:
        """Whether everything that was submitted is finished and has been taken."""
        return not self._waiting and not self._done

    def finished(self) -> t.Iterator[R]:
        """Requests all of whose replies are there, in order, each once. Does not wait."""
        while self._done:
            yield self._done.popleft()

    def wait(self) -> None:
        """Wait until ``finished`` has something to give, or nothing is under way. Raises :class:`ConnectionLost`."""
        while self._waiting and not self._done:
            self._receive()
            if self._waiting and not self._done:
                self._wait(select.POLLIN)

    def close(self) -> None:
        self._sock.close()

    def _send_bytes(self, data: bytes) -> None:
        view = memoryview(data)
        self._pace(len(view))
        while view:
            piece = view
            sent = self._try(lambda: self._sock.send(piece))  # noqa: B023
            if sent:
                self._waited = 0.0
                view = view[sent:]

    def _send_file(self, part: FileRange) -> None:
        offset = part.start
        while offset < part.end:
            data = os.pread(part.fd, min(_FILE_BYTES, part.end - offset), offset)
            if not data:
                raise AofFormatError(f"{part.name} became shorter while it was read", todo="Fetch the AOF again")
            self._send_bytes(data)
            offset += len(data)

    def _try(self, send: t.Callable[[], int]) -> int:
        """Bytes that could be sent; when there are none, waits until it is worth trying again."""
        try:
            return send()
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            # To wake up for every reply would slow the server down. But it may be waiting for us to take its replies.
            self._poll.register(self._sock, select.POLLOUT)
            if not self._poll.poll(_PATIENCE_MS) and self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self._receive()
            return 0
        except OSError as exc:
            raise ConnectionLost(f"sending failed: {exc.strerror or exc}") from exc

    def _receive(self) -> None:
        """Take whatever replies have arrived."""
        while True:
            try:
                data = self._sock.recv(_RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as exc:
                raise ConnectionLost(f"receiving failed: {exc.strerror or exc}") from exc
            if not data:
                raise ConnectionLost("the server closed the connection")
            self._assign(data)
            if len(data) < _RECEIVE_BYTES and not isinstance(self._sock, ssl.SSLSocket):
                return

    def _assign(self, data: bytes) -> None:
        """Give the replies in ``data`` to the requests that they answer."""
        try:
            self._unfinished.add(data, self._waiting[0].expected if self._waiting else 0, self._reader)
            self._reader.feed(data)
            while self._waiting:
                request = self._waiting[0]
                replies, expected, gets = request.replies, request.expected, self._reader.gets
                taken = len(replies)
                while len(replies) < expected:
                    reply = gets()
                    if reply is False:
                        if len(replies) > taken:
                            self._progress()
                        return
                    replies.append(reply)
                self._progress()
                self._waiting.popleft()
                self._outstanding -= request.size
                self._done.append(request)
            if self._reader.gets() is not False:
                raise BadReply("a reply came that nothing had asked for")
        except BadReply as exc:
            raise ConnectionLost(f"the server's answer is no Redis reply: {exc}") from exc

    def _progress(self) -> None:
        """Take note of a whole reply. Single bytes are no progress: a server could go on with these for ever."""
        self._unfinished.clear()
        self._waited = 0.0

    def _wait(self, events: int) -> int:
        """Wait until the socket is ready for one of ``events``; those it is ready for."""
        self._poll.register(self._sock, events)
        while True:
            left = self._timeout + self._unfinished.size / SLOWEST - self._waited
            if left <= 0:
                raise ConnectionLost(f"the server did not answer for {self._timeout:g} s")
            began = time.monotonic()
            ready = self._poll.poll(left * 1000)
            self._waited += time.monotonic() - began
            if ready:
                return ready[0][1] | (select.POLLIN if ready[0][1] & ~select.POLLOUT else 0)


def paced(rate: int) -> t.Callable[[int], None]:
    """For ``pace``: sleeps as needed to stay at ``rate`` bytes a second; 0 never sleeps."""
    due = time.monotonic()

    def pace(size: int) -> None:
        nonlocal due
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        due = max(due, now - 1.0) + size / rate

    return pace if rate else lambda _size: None
