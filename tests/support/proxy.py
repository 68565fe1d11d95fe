# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A TCP proxy between a client and a real server: for a long line, and for faults at an exact byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import typing as t

_CHUNK = 64 * 1024


class Proxy:
    """Forwards connections to ``port`` on loopback; its own port is ``Proxy.port``.

    ``delay``: seconds that every byte takes in each direction. ``fault_at``: once so many bytes have gone to the
    server, over all connections, ``on_fault`` is called (in the proxy's thread), the connection is cut, and every
    later one is forwarded without faults. ``hold``: it is not cut; what the client has sent besides arrives when
    ``release`` is called, be the client gone by then, as on a long line.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        port: int,
        *,
        delay: float = 0.0,
        fault_at: int | None = None,
        on_fault: t.Callable[[], None] = lambda: None,
        hold: bool = False,
    ) -> None:
        self.port = 0
        self.sent = 0
        self._target = port
        self._delay = delay
        self._fault_at = fault_at
        self._on_fault = on_fault
        self._hold = hold
        self._released = asyncio.Event()
        self.held = 0
        """Bytes that arrived when they were released."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def fault_happened(self) -> bool:
        return self._fault_at is None

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self._released.set)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, self.host, 0, limit=1 << 22))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(self._loop), return_exceptions=True))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(self.host, self._target, limit=1 << 22)
        except OSError:
            writer.transport.abort()
            return
        both = (writer, up_writer)
        with contextlib.suppress(asyncio.CancelledError):  # the proxy ends
            await asyncio.gather(
                self._forward(reader, up_writer, both, count=True), self._forward(up_reader, writer, both, count=False)
            )

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        *,
        count: bool,
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if count and self._fault_at is not None and self.sent + len(data) >= self._fault_at:
                    cut = self._fault_at - self.sent
                    self._fault_at = None  # before anything is waited for: other connections are to go on
                    kept = data[cut:]
                    writer.write(data[:cut])
                    await writer.drain()
                    self._on_fault()
                    if self._hold:
                        await self._deliver_late(kept, reader, writer)
                    break
                if count:
                    self.sent += len(data)
                if self._delay:
                    self._loop.call_later(self._delay, _write, writer, data)
                else:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._hold and not count and not self._released.is_set():
            return  # the other direction has something yet
        for each in both:
            # A process that was forked meanwhile holds the socket, too: closing it here would not end the connection.
            with contextlib.suppress(OSError):
                each.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            each.transport.abort()

    async def _deliver_late(self, kept: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            kept += await reader.read()
        await self._released.wait()
        self.held = len(kept)
        writer.write(kept)
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.write_eof()
            await asyncio.sleep(0.5)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.transport.is_closing():
        writer.write(data)
