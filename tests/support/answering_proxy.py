# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that understands commands and answers some of them itself, before a real server sees them."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t
from collections import deque

from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import parse_command
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.proxy import Proxy
from ansible_collections.redisops.tair.tests.support.servers import Server

_REFUSAL = b"-ERR request refused, too many pending request\r\n"


class AnsweringProxy(Proxy):
    """``answer``: given how many commands of this connection are unanswered, and the next one; the reply, or None to forward it."""

    def __init__(self, port: int, answer: t.Callable[[int, Command], bytes | None]) -> None:
        super().__init__(port)
        self._answer = answer

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self.host, self._target)
        answers: deque[bytes | None] = deque()  # of each unanswered command; None if the server has it

        def send_answers() -> None:
            while answers and answers[0] is not None:
                writer.write(answers.popleft() or b"")

        async def requests() -> None:
            buffer = b""
            while data := await reader.read(4096):
                buffer += data
                while (parsed := parse_command(buffer)) is not None:
                    command, end = parsed
                    answers.append(self._answer(len(answers), command))
                    if answers[-1] is None:
                        server_writer.write(buffer[:end])
                    buffer = buffer[end:]
                send_answers()
                await server_writer.drain()

        async def replies() -> None:
            buffer = b""
            while data := await server_reader.read(4096):
                buffer += data
                while (end := reply_end(buffer, 0)) is not None:
                    answers.popleft()
                    writer.write(buffer[:end])
                    buffer = buffer[end:]
                    send_answers()
                await writer.drain()

        with contextlib.suppress(asyncio.CancelledError, OSError):
            await asyncio.wait(
                [asyncio.ensure_future(requests()), asyncio.ensure_future(replies())],
                return_when=asyncio.FIRST_COMPLETED,
            )
        writer.transport.abort()
        server_writer.transport.abort()


class Disguise(AnsweringProxy):
    """A server whose INFO has other bytes, each of ``instead`` for those that it has."""

    def __init__(self, server: Server, instead: t.Mapping[bytes, bytes]) -> None:
        super().__init__(server.port, self.reply)
        self._server = server
        self._instead = instead

    def reply(self, _pending: int, command: Command) -> bytes | None:
        if command[0].upper() != b"INFO":
            return None
        with snapshot.Conn(self._server.host, self._server.port, self._server.password or None) as connection:
            text: bytes = connection.call("INFO", *command[1:])
        for told, instead in self._instead.items():
            text = text.replace(told, instead)
        return b"$%d\r\n%b\r\n" % (len(text), text)


class RefusingProxy(AnsweringProxy):
    """Refuse commands in Tair's words. ``refuses`` is given what ``answer`` is. ``refused`` counts."""

    def __init__(self, port: int, refuses: t.Callable[[int, Command], bool]) -> None:
        super().__init__(port, self._refusal)
        self._refuses = refuses
        self.refused = 0

    def __enter__(self) -> RefusingProxy:
        super().__enter__()
        return self

    def _refusal(self, pending: int, command: Command) -> bytes | None:
        if not self._refuses(pending, command):
            return None
        self.refused += 1
        return _REFUSAL


def reply_end(buffer: bytes, position: int) -> int | None:
    """Where the reply at ``position`` ends; None where it is not whole."""
    line_end = buffer.find(b"\r\n", position)
    if line_end < 0:
        return None
    kind, after = buffer[position : position + 1], line_end + 2
    if kind not in (b"$", b"*"):
        return after
    number = int(buffer[position + 1 : line_end])
    if kind == b"$":
        end = after + number + 2 if number >= 0 else after
        return end if end <= len(buffer) else None
    for _item in range(number):
        found = reply_end(buffer, after)
        if found is None:
            return None
        after = found
    return after
