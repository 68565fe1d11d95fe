# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that answers like a small Redis, but for what a test wants it to answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import parse_command
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode

#: What is written in reply to a command, piece by piece, for as long as the client reads.
Behaviour = t.Callable[[], t.Iterable[bytes]]

INFO = (
    b"# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:%s\r\n# Memory\r\nused_memory:1000000\r\n"
    b"maxmemory:0\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\nloading:0\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\n"
    b"aof_rewrite_scheduled:0\r\naof_last_bgrewrite_status:ok\r\naof_last_write_status:ok\r\naof_current_size:100\r\n"
    b"aof_base_size:100\r\naof_rewrites:1\r\naof_buffer_length:0\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
    b"# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n"
) % (b"a" * 40)
_CONFIG = {
    b"dir": b"/nonexistent",
    b"appendfilename": b"appendonly.aof",
    b"appenddirname": b"appendonlydir",
    b"aof-use-rdb-preamble": b"no",
    b"auto-aof-rewrite-percentage": b"100",
    b"appendonly": b"yes",
    b"databases": b"16",
    b"maxmemory": b"0",
    b"maxmemory-policy": b"noeviction",
    b"min-replicas-to-write": b"0",
    b"min-replicas-max-lag": b"10",
}


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


def _usual(command: list[bytes]) -> bytes:
    """What a Redis with one key would say, near enough."""
    name, args = command[0].upper(), command[1:]
    if name == b"PING":
        return bulk(args[0]) if args else b"+PONG\r\n"
    if name == b"ECHO":
        return bulk(args[0])
    if name == b"INFO":
        return bulk(INFO)
    if name == b"CONFIG" and args[0].upper() == b"GET":
        value = _CONFIG.get(args[1])
        return b"*0\r\n" if value is None else encode([args[1], value])
    if name == b"SCAN":
        return b"*2\r\n" + bulk(b"0") + encode([b"key"])
    if name == b"TIME":
        return encode([b"%d" % time.time(), b"0"])
    if name == b"COMMAND" and args[0].upper() == b"INFO":
        rows = [b"*6\r\n" + bulk(each) + b":-2\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n" for each in args[1:]]
        return b"*%d\r\n" % len(rows) + b"".join(rows)
    if name == b"BGREWRITEAOF":
        return b"+Background append only file rewriting started\r\n"
    if name in (b"AUTH", b"SELECT", b"CONFIG", b"FLUSHALL", b"SET", b"MULTI", b"CLIENT"):
        return b"+OK\r\n"
    if name in (b"DBSIZE", b"STRLEN", b"PEXPIRETIME", b"PTTL"):
        return b":1\r\n"
    if name in (b"EXISTS", b"DEL", b"HSET", b"HDEL"):
        return b":0\r\n"
    if name == b"TYPE":
        return b"+string\r\n"
    if name == b"GETRANGE":
        return bulk(b"v")
    if name == b"EXEC":
        return b"*1\r\n*0\r\n"
    if name in (b"HGETALL", b"FUNCTION"):
        return b"*0\r\n"
    return b"-ERR unknown command\r\n"


class HostileServer:
    """Answers the command ``name`` by ``behaviour``, and others as usual. ``greeting``: sent as soon as a client has connected."""

    host = "127.0.0.1"

    def __init__(self, name: str = "", behaviour: Behaviour = list, *, greeting: bytes = b"") -> None:
        self._name = name.encode()
        self._behaviour = behaviour
        self._greeting = greeting
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self.received: list[list[bytes]] = []
        self.reached = 0.0
        """When the first client came, by ``time.monotonic``."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> HostileServer:
        return self

    def __exit__(self, *exc: object) -> None:
        for each in (self._listener, *self._clients):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def login(self) -> dict[str, t.Any]:
        return {"login_host": self.host, "login_port": self.port, "connect_timeout": 0.25}

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                self._clients.append(client)
                self.reached = self.reached or time.monotonic()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        buffer = b""
        with contextlib.suppress(OSError):
            client.sendall(self._greeting)
            while data := client.recv(65536):
                buffer += data
                while (parsed := parse_command(buffer)) is not None:
                    command, end = parsed
                    buffer = buffer[end:]
                    self.received.append(command)
                    if command[0].upper() == self._name or b" ".join(command[:2]).upper() == self._name:
                        for piece in self._behaviour():
                            client.sendall(piece)
                    else:
                        client.sendall(_usual(command))
        client.close()


def endless(start: bytes, more: bytes) -> Behaviour:
    """A reply that begins and goes on without an end."""

    def behave() -> t.Iterator[bytes]:
        yield start
        while True:
            yield more * (65536 // len(more))

    return behave


def dripping(start: bytes) -> Behaviour:
    """A byte at a time, each soon enough for a timeout that starts again with it."""

    def behave() -> t.Iterator[bytes]:
        yield start
        while True:
            time.sleep(0.1)
            yield b"x"

    return behave


def just(reply: bytes) -> Behaviour:
    return lambda: [reply]


#: Replies without an end, or that claim to have one where nobody gets to.
ENDLESS: dict[str, Behaviour] = {
    "string": endless(b"$999999999999\r\n", b"x"),
    "line": endless(b"+", b"x"),
    "error": endless(b"-ERR ", b"x"),
    "integer": endless(b":", b"9"),
    "array": endless(b"*2147483647\r\n", b":1\r\n"),
    "push": endless(b">2147483647\r\n", b":1\r\n"),
    "nesting": endless(b"", b"*1\r\n"),
    "crooked nesting": endless(b"", b"*2\r\n:1\r\n"),
    "dripping line": dripping(b"+"),
    "dripping string": dripping(b"$1000000\r\n"),
    "silence": list,
}
#: Replies of the wrong type or form.
SENSELESS: dict[str, Behaviour] = {
    "integer": just(b":5\r\n"),
    "negative integer": just(b":-5\r\n"),
    "OK": just(b"+OK\r\n"),
    "nil": just(b"$-1\r\n"),
    "empty array": just(b"*0\r\n"),
    "odd array": just(b"*1\r\n$1\r\nx\r\n"),
    "nested array": just(b"*2\r\n*1\r\n:1\r\n*1\r\n*1\r\n$-1\r\n"),
    "numbers": just(b"*3\r\n:1\r\n:2\r\n:3\r\n"),
    "negative length": just(b"$-5\r\n"),
    "negative count": just(b"*-5\r\n"),
    "no UTF-8": just(bulk(b"\xff\xfe\x00\x1b[31m\r\n\xff:\xff")),
    "text": just(bulk(b"nothing to see here")),
    "two replies": just(b"+OK\r\n+OK\r\n"),
    "error with escapes": just(b"-ERR \x1b[31m\x07 \xff\xfe\r\n"),
    "garbage": just(bytes(range(256))),
}
#: What servers of other kinds say.
OTHERS: dict[str, tuple[bytes, str]] = {
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "web server"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH server"),
    "memcached": (b"ERROR\r\nERROR\r\nERROR\r\n", "memcached"),
    "MySQL": (b"J\x00\x00\x00\x0a8.0.36\x00" + bytes(70), "MySQL"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46", "tls=true"),
    "SMTP": (b"220 mail.example ESMTP\r\n", "mail"),
    "PostgreSQL": (b"E\x00\x00\x00\x85SFATAL\x00", "PostgreSQL"),
    "garbage": (bytes(range(1, 255)) + b"\r\n", "not a Redis server"),
}
