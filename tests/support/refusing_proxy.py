# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that understands commands and refuses some of them, in Tair's words, before a real server sees them."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t
from collections import deque

from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import parse_command
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command
from ansible_collections.redisops.tair.tests.support.proxy import Proxy

_REFUSAL = b"-ERR request refused, too many pending request\r\n"


class RefusingProxy(Proxy):
    """``refuses``: told how many commands of this connection are unanswered, and the next one. ``refused`` counts."""

    def __init__(self, port: int, refuses: t.Callable[[int, Command], bool]) -> None:
        super().__init__(port)
        self._refuses = refuses
        self.refused = 0

    def __enter__(self) -> RefusingProxy:
        super().__enter__()
        return self

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self.host, self._target)
        forwarded: deque[bool] = deque()  # of each unanswered command, whether the server has it

        def answer_refused() -> None:
            while forwarded and not forwarded[0]:
                forwarded.popleft()
                writer.write(_REFUSAL)

        async def requests() -> None:
            buffer = b""
            while data := await reader.read(4096):
                buffer += data
                while (parsed := parse_command(buffer)) is not None:
                    command, end = parsed
                    forwarded.append(not self._refuses(len(forwarded), command))
                    if forwarded[-1]:
                        server_writer.write(buffer[:end])
                    else:
                        self.refused += 1
                    buffer = buffer[end:]
                answer_refused()
                await server_writer.drain()

        async def replies() -> None:
            buffer = b""
            while data := await server_reader.read(4096):
                buffer += data
                while (end := reply_end(buffer, 0)) is not None:
                    forwarded.popleft()
                    writer.write(buffer[:end])
                    buffer = buffer[end:]
                    answer_refused()
                await writer.drain()

        with contextlib.suppress(asyncio.CancelledError, OSError):
            await asyncio.wait(
                [asyncio.ensure_future(requests()), asyncio.ensure_future(replies())],
                return_when=asyncio.FIRST_COMPLETED,
            )
        writer.transport.abort()
        server_writer.transport.abort()


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
