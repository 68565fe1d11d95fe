# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Receiving SSH packets in bulk.

paramiko reads each packet by two system calls, copies its bytes seven times, and moves the whole rest of a channel's
buffer at every read: three quarters of a copy's time. Here the socket is emptied at one go, AES-GCM packets are
deciphered where they lie, and the data of the channels that ask for it go to their reader as they are. Everything
else, every other cipher included, stays paramiko's.
"""

from __future__ import annotations

import socket
import struct
import threading
import typing as t
from collections import deque

try:
    from paramiko.buffered_pipe import PipeTimeout
    from paramiko.message import Message
    from paramiko.packet import NeedRekeyException, Packetizer
    from paramiko.ssh_exception import SSHException
except ImportError:  # _ssh.require_paramiko() says so before anything here is used
    Packetizer = object  # type: ignore[assignment, misc]

if t.TYPE_CHECKING:
    from paramiko import Channel

_BUFFER = 1 << 19  # bytes read from the socket at once
_LARGEST_PACKET = 1 << 18  # OpenSSH's own limit
_TAG = 16  # bytes of AES-GCM's tag
_CHANNEL_DATA = 94  # RFC 4254
#: Bytes after which OpenSSH, too, changes the key of a cipher with blocks of 16 bytes. paramiko does so every 512 MB, and
#: locks itself up when the channel is closed meanwhile.
_REKEY = 1 << 36


class Pipe:
    """Takes the place of a channel's ``in_buffer``: chunks are kept as they come, and joined when they are read.

    ``most``: bytes that may be kept. paramiko does not enforce the window that it has granted.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._chunks: deque[bytes | memoryview] = deque()
        self._length = 0
        self._closed = False

    def __len__(self) -> int:
        return self._length

    def feed(self, data: bytes) -> None:
        self.feed_all([data])

    def feed_all(self, chunks: t.Sequence[bytes | memoryview]) -> None:
        with self._changed:
            self._chunks += chunks
            self._length += sum(map(len, chunks))
            self._changed.notify()
            if self._length > self._most:
                raise SSHException(f"The host sent more than the {self._most} bytes that it may send ahead")

    def read(self, nbytes: int, timeout: float | None = None) -> bytes:
        """What is there, ``nbytes`` at most; nothing at the end. Raises ``PipeTimeout``."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._chunks or self._closed, timeout):
                raise PipeTimeout
            taken: list[bytes | memoryview] = []
            wanted = nbytes
            while self._chunks and wanted:
                chunk = self._chunks.popleft()
                if len(chunk) > wanted:
                    self._chunks.appendleft(memoryview(chunk)[wanted:])
                    chunk = memoryview(chunk)[:wanted]
                taken.append(chunk)
                wanted -= len(chunk)
            self._length -= nbytes - wanted
        return b"".join(taken)

    def empty(self) -> bytes:
        return self.read(self._length) if self._length else b""

    def read_ready(self) -> bool:
        return self._length > 0

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class BulkPacketizer(Packetizer):
    """paramiko's, with a buffer of its own before it. Only the thread of the transport may call it."""

    REKEY_BYTES = _REKEY

    def __init__(self, sock: t.Any) -> None:
        super().__init__(sock)
        self._sock = sock
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # what has been read from the socket, and not been used
        self._pipes: dict[int, Pipe] = {}
        self._pending: dict[Pipe, list[bytes | memoryview]] = {}
        self._gcm: t.Any = None
        self._nonce = (b"", 0)
        self._sequence = 0
        self._received = 0
        self._told_to_rekey = False

    def take_over(self, channel: Channel) -> None:
        """Let the data of a channel, of which none have come yet, go to its reader in bulk."""
        pipe = Pipe(channel.in_window_size + _LARGEST_PACKET)
        channel.in_buffer = pipe  # type: ignore[assignment]
        self._pipes[channel.get_id()] = pipe

    def let_go(self, channel: Channel) -> None:
        self._pipes.pop(channel.get_id(), None)

    def set_inbound_cipher(self, block_engine: t.Any, *args: t.Any, **kwargs: t.Any) -> None:
        super().set_inbound_cipher(block_engine, *args, **kwargs)
        self._gcm = block_engine if kwargs.get("aead") else None
        if self._gcm is not None:
            nonce = kwargs["iv_in"]
            self._nonce = (nonce[:4], int.from_bytes(nonce[4:], "big"))
        self._received = 0
        self._told_to_rekey = False

    def reset_seqno_in(self) -> None:
        super().reset_seqno_in()
        self._sequence = 0

    def readline(self, timeout: float) -> str:
        """A line of the greeting; what has come after it is the first packets."""
        seen = bytes(self._view[self._start : self._end])
        while b"\n" not in seen:
            seen += self._read_timeout(timeout)  # type: ignore[attr-defined]
        line, _newline, rest = seen.partition(b"\n")
        self._start, self._end = 0, len(rest)
        self._view[: self._end] = rest
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        parts = []
        while n:
            step = min(n, _LARGEST_PACKET)
            self._fill(step, check_rekey=check_rekey)
            parts.append(bytes(self._view[self._start : self._start + step]))
            self._start += step
            n -= step
        return b"".join(parts)

    def read_message(self) -> tuple[int, Message]:
        """The next message that is not data of a channel that was taken over."""
        if self._gcm is None:
            return super().read_message()
        while True:
            if self.need_rekey() and not self._told_to_rekey:
                self._told_to_rekey = True
                raise NeedRekeyException
            payload = self._next_payload()
            pipe = self._pipes.get(int.from_bytes(payload[1:5], "big")) if payload[0] == _CHANNEL_DATA else None
            if pipe is None:
                self._hand_over()
                message = Message(bytes(payload[1:]))
                message.seqno = self._sequence
                return payload[0], message
            self._pending.setdefault(pipe, []).append(payload[9 : 9 + int.from_bytes(payload[5:9], "big")])

    def _next_payload(self) -> memoryview:
        """A packet, deciphered (RFC 5647)."""
        self._fill(4, check_rekey=True)
        start = self._start
        length: int = struct.unpack_from(">I", self._buffer, start)[0]
        if not 0 < length <= _LARGEST_PACKET:
            raise SSHException(f"A packet of {length} bytes: this is no SSH any more")
        self._fill(4 + length + _TAG)
        start = self._start
        body = start + 4
        fixed, counter = self._nonce
        plain = self._gcm.decrypt(
            fixed + counter.to_bytes(8, "big"), self._view[body : body + length + _TAG], self._view[start:body]
        )
        self._nonce = (fixed, (counter + 1) % (1 << 64))
        self._start = body + length + _TAG
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._received += 4 + length + _TAG
        if self._received >= self.REKEY_BYTES and not self.need_rekey():
            self._trigger_rekey()  # type: ignore[attr-defined]
        return memoryview(plain)[1 : length - plain[0]]

    def _hand_over(self) -> None:
        for pipe, chunks in self._pending.items():
            pipe.feed_all(chunks)
        self._pending.clear()

    def _fill(self, count: int, *, check_rekey: bool = False) -> None:
        """Have ``count`` bytes in the buffer. ``check_rekey``: at the border of a packet, where keys may be changed."""
        while self._end - self._start < count:
            if self._pending:
                self._hand_over()  # before waiting
            if self._start and self._start + max(count, _LARGEST_PACKET) > _BUFFER:
                rest = self._end - self._start
                self._view[:rest] = bytes(self._view[self._start : self._end])
                self._start, self._end = 0, rest
            if self.handshake_timed_out():
                raise EOFError
            try:
                self._receive()
            except TimeoutError:
                if self.closed:
                    raise EOFError from None
                if check_rekey and self._start == self._end and self.need_rekey():
                    raise NeedRekeyException from None
                self._check_keepalive()  # type: ignore[attr-defined]
            except OSError:
                if self.closed:
                    raise EOFError from None
                raise

    def _receive(self) -> None:
        if isinstance(self._sock, socket.socket):
            count = self._sock.recv_into(self._view[self._end :])
        else:  # a channel of a jump host
            data = self._sock.recv(_BUFFER - self._end)
            count = len(data)
            self._view[self._end : self._end + count] = data
        if not count:
            raise EOFError
        self._end += count
