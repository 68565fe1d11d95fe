# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of RDBs that real servers wrote, damage done to them, and a server that is given one and made to use it."""

from __future__ import annotations

import random
import struct
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof, has_preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_extents import SINGLE
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import Restorer
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_sanity import Sanity
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import server_rdb_version
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import Window
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import corpus
from ansible_collections.redisops.tair.tests.support.servers import Server

Command = t.Sequence[t.Any]

#: Values that a smaller one takes longer to find a fault in.
_LONGEST = 4096
_MOST_MEMBERS = 6
#: No command after it may take longer: a server that loops does not answer.
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Value:
    """A value of an RDB of ``version``, without compression."""

    type: int
    raw: bytes
    version: int

    def fault(self) -> str | None:
        """What the check says of it."""
        sanity = Sanity(self.version)
        fault = sanity.fault(Window.of(self.raw, where="a value"), self.type)
        if self.type in SINGLE:
            short = sanity.fault_in(self.raw, 0, len(self.raw), self.type) if _ends(self.raw) else "its end"
            assert (short is None) == (fault is None), (self, fault, short)
        return fault


def _ends(raw: bytes) -> bool:
    """Whether the value is one string that ends where it should, as the walk has seen it."""
    try:
        window = Window.of(raw, where="a value")
        window.skip_string("a string")
    except Exception:
        return False
    return window.offset == len(raw)


def written_length(length: int) -> bytes:
    if length < 64:
        return bytes([length])
    return struct.pack(">H", 0x4000 | length) if length < 1 << 14 else b"\x80" + struct.pack(">I", length)


def uncompressed(raw: bytes) -> bytes:
    """A value that is one string, as ``rdbcompression no`` writes it."""
    if raw[0] != 0xC3:
        return raw
    window = Window.of(raw, where="a value")
    value = window.string("a value")
    return written_length(len(value)) + value


def values_of_corpus() -> list[Value]:
    """Every value of the corpus' RDBs that is not too long."""
    found = []
    for aof in corpus(variant="hybrid"):
        files = find_aof(aof.aof)
        for path in map(files.path, files.segments):
            content = path.read_bytes()
            if not has_preamble(content[:9]):
                continue
            with path.open("rb") as file:
                rdb = Rdb(file.fileno(), 0, len(content), where=str(path), verify=False)
                for record in rdb:
                    if isinstance(record, Entry) and record.end - record.start <= _LONGEST:
                        raw = content[record.start : record.end]
                        found.append(
                            Value(record.type, uncompressed(raw) if record.type in SINGLE else raw, rdb.version)
                        )
    return found


def values_of(server: Server) -> list[Value]:
    """Small values of every kind that a server has, by its DUMP."""
    client = server.client()
    conn = snapshot.Conn(server.host, server.port)
    version = tuple(map(int, server.build.version.split(".")[:2]))
    conn.call("CONFIG", "SET", "rdbcompression", "no")
    long, numbers = b"x" * 70, [0, 1, 12, 13, 127, 128, -1, -4096, 5000, 70_000, 1 << 30, -(1 << 40)]
    texts = [b"", b"a", b"bc", long, b"y" * 200]
    commands: list[Command] = [("SET", "string", "value"), ("SET", "number", 12345), ("SET", "long", long * 4)]
    for name, some in (("numbers", numbers), ("texts", texts), ("both", [*numbers, *texts]), ("one", [b"a"])):
        commands += [
            ("RPUSH", f"list:{name}", *some),
            ("SADD", f"set:{name}", *some),
            ("HSET", f"hash:{name}", *(part for one in some for part in (one, b"v%d" % len(str(one))))),
            ("HSET", f"hash:same:{name}", *(part for one in some for part in (one, one))),
            ("ZADD", f"zset:{name}", *(part for at, one in enumerate(some) for part in (at / 2 - 1, one))),
        ]
    commands += [
        ("RPUSH", "list:nodes", *(b"%d" % number * 30 for number in range(150))),
        ("SADD", "set:wide", *range(1 << 33, (1 << 33) + 20)),
        ("SADD", "set:small", *range(40)),
        ("SADD", "set:table", *(b"m%d" % number for number in range(40)), b"z" * 300),
        ("HSET", "hash:table", *(part for number in range(30) for part in (b"f%d" % number, b"v" * 70))),
        ("ZADD", "zset:table", *(part for number in range(20) for part in (number / 3, b"m%d" % number)), 7, b"z" * 70),
        ("ZADD", "zset:scores", "inf", "a", "-inf", "b", "1e300", "c", "0.1", "d", "-0", "e", "17", "f"),
    ]
    for number in range(12):
        commands.append(("XADD", "stream", f"{1000 + number}-{number % 3}", "field", number, "other", f"v{number}"))
        commands.append(("XADD", "stream:odd", f"{1000 + number}-{number}", *("f", "v") * (1 + number % 3)))
    commands += [
        ("XDEL", "stream", "1003-0", "1004-1"),
        ("XGROUP", "CREATE", "stream", "group", "0"),
        ("XGROUP", "CREATE", "stream", "second", "$"),
        ("XREADGROUP", "GROUP", "group", "alice", "COUNT", "3", "STREAMS", "stream", ">"),
        ("XREADGROUP", "GROUP", "group", "bob", "COUNT", "3", "STREAMS", "stream", ">"),
        ("XACK", "stream", "group", "1001-1"),
        ("XGROUP", "CREATE", "stream:empty", "group", "$", "MKSTREAM"),
    ]
    if server.build.flavor == "redis" and version >= (7, 4) or version >= (9, 0):
        for name in ("both", "table"):
            commands += [
                ("HSET", f"hash:expiring:{name}", *(part for number in range(12) for part in (f"f{number}", number))),
                ("HPEXPIREAT", f"hash:expiring:{name}", 4_102_444_800_000, "FIELDS", 2, "f1", "f3"),
                ("HPEXPIREAT", f"hash:expiring:{name}", 4_102_444_900_000, "FIELDS", 1, "f5"),
            ]
        commands.append(("HSET", "hash:expiring:table", "long", long))
    for command, reply in zip(commands, conn.pipeline(commands)):
        assert not isinstance(reply, snapshot.ReplyError), (command, reply)
    found = []
    for key in sorted(client.keys()):
        payload = t.cast(bytes, client.dump(key))
        found.append(Value(payload[0], payload[1:-10], int.from_bytes(payload[-10:-8], "little")))
    conn.close()
    return found


def damaged(rng: random.Random, value: Value) -> Value:
    """The value with one to three faults, most of them where bytes have a meaning."""
    inner = value.type in SINGLE and rng.random() < 0.95
    data = bytearray(value.raw)
    start = 0
    if inner and data[0] < 0xC0:
        start = 1 if data[0] < 0x40 else 2 if data[0] < 0x80 else 5
        data = data[start:]
    if not data:
        return value
    for _time in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(data))
        kind = rng.randrange(8)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice(
                (0, 1, 2, 3, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xDF, 0xE0, 0xF0, 0xF1, 0xF4, 0xFE, 0xFF)
            )
        elif kind == 2:
            data[at] = (data[at] + rng.choice((1, -1, 2, -2))) % 256
        elif kind == 3:
            size = rng.choice((1, 2, 3, 8))
            del data[at : at + size]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 5)))
        elif kind == 5:
            other = rng.randrange(len(data))
            size = rng.choice((1, 2, 4, 9, 16, 25))
            data[at : at + size] = data[other : other + size]
        elif kind == 6:
            other = rng.randrange(len(data))
            size = rng.choice((2, 3, 9, 20))
            data[at:at] = data[other : other + size]
        else:
            data[at : at + 1] = bytes([rng.randrange(256)])
        if not data:
            data = bytearray(b"\x00")
    body = bytes(data)
    if start:
        if rng.random() < 0.9:
            body = _told(value.type, body, rng)
        body = written_length(len(body)) + body
    return Value(value.type, body, value.version)


def _told(rdb_type: int, body: bytes, rng: random.Random) -> bytes:
    """The same with a header that tells its length, so that damage is not found by that alone."""
    if rdb_type in (rdb_types.HASH_ZIPMAP, rdb_types.SET_INTSET) or len(body) < 8:
        return body
    told = struct.pack("<I", len(body)) + body[4:]
    if rdb_type in (rdb_types.HASH_LISTPACK, rdb_types.ZSET_LISTPACK, rdb_types.SET_LISTPACK) and rng.random() < 0.3:
        told = told[:4] + b"\xff\xff" + told[6:]
    return told


class Crashed(AssertionError):
    """The server ended, or does not answer."""


class User:
    """A server that is given values and made to use them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        major, minor = map(int, server.build.version.split(".")[:2])
        self.accepted = server_rdb_version(server.build.flavor, (major, minor))
        self._conn = snapshot.Conn(server.host, server.port, timeout=_TIMEOUT)
        self.refused = self.used = 0

    def restarted(self) -> None:
        """Begin again with the server after a crash."""
        self._conn.close()
        self.server.stop()
        self.server.start()
        self._conn = snapshot.Conn(self.server.host, self.server.port, timeout=_TIMEOUT)

    def takes(self, value: Value) -> Command | None:
        """The command that gives it the value; None where it has no such type."""
        try:
            made = Restorer(value.version, self.accepted).command(b"k", None, value.type, value.raw)
        except KeyError:
            return None
        return made and made[0]

    def use(self, value: Value) -> bool:
        """Give it the value, read it and write in it. Whether it took it. Raises :class:`Crashed`."""
        command = self.takes(value)
        if command is None:
            return False
        try:
            taken, kind, *_read = self._send([command, ("TYPE", "k")])
            if isinstance(taken, snapshot.ReplyError):
                self.refused += 1
                return False
            self.used += 1
            for command_list in _USES.get(kind.decode(), ()):
                replies = self._send(
                    [("OBJECT", "ENCODING", "k"), ("MEMORY", "USAGE", "k", "SAMPLES", "0"), *command_list(self)]
                )
                del replies
            self._send(
                [("DEBUG", "DIGEST-VALUE", "k"), ("DUMP", "k"), ("RENAME", "k", "other"), ("DEL", "k", "other", "copy")]
            )
            if self._send([("PING",)]) != [b"PONG"]:
                raise Crashed(value)
        except (OSError, ValueError, IndexError) as exc:
            raise Crashed(f"{self.server.build.name}: {value}: {exc!r}") from exc
        return True

    def refusals(self, values: t.Sequence[Value]) -> list[tuple[Value, str]]:
        """Give it values that it has the types of; those that it refuses, and how."""
        replies = self._send([t.cast(Command, self.takes(value)) for value in values])
        return [(value, str(reply)) for value, reply in zip(values, replies) if isinstance(reply, snapshot.ReplyError)]

    def _send(self, batch: t.Sequence[Command]) -> list[t.Any]:
        replies: list[t.Any] = self._conn.pipeline(batch)
        return replies

    def _some(self, *command: t.Any) -> list[bytes]:
        (reply,) = self._send([command])
        if not isinstance(reply, list):
            return []
        return [one for one in reply if isinstance(one, bytes)]

    # Each gives commands of one kind; those of the next one see what the ones before have done.

    def use_hash(self) -> list[Command]:
        fields = self._some("HKEYS", "k")
        some = fields[:_MOST_MEMBERS]
        return [
            *(("HGETALL", "k"), ("HLEN", "k"), ("HSCAN", "k", 0, "COUNT", 1000), ("HVALS", "k"), ("HGET", "k", "none")),
            *(("HGET", "k", field) for field in some),
            *(("HRANDFIELD", "k", 5, "WITHVALUES"), ("HRANDFIELD", "k", -5)),
            *(("HPTTL", "k", "FIELDS", 1, field) for field in some),
            *(("HPEXPIREAT", "k", 4_102_444_700_000, "FIELDS", 1, field) for field in some[:1]),
            *(("HPERSIST", "k", "FIELDS", 1, field) for field in some[1:2]),
            *(("HSET", "k", field, "new value") for field in some[::2]),
            *(("HINCRBY", "k", field, 1) for field in some[:2]),
            *(("HDEL", "k", field) for field in some[1::2]),
            ("COPY", "k", "copy"),
            ("DUMP", "k"),
            ("HSET", "k", "long", "x" * 5000),
            ("HGETALL", "k"),
            *(("HDEL", "k", field) for field in some),
            ("HSCAN", "k", 0, "COUNT", 1000),
        ]

    def use_list(self) -> list[Command]:
        elements = self._some("LRANGE", "k", 0, -1)
        some = elements[:_MOST_MEMBERS]
        return [
            *(("LRANGE", "k", 0, -1), ("LRANGE", "k", -3, -1), ("LLEN", "k"), ("LINDEX", "k", -1), ("LINDEX", "k", 1)),
            *(("LPOS", "k", element) for element in some),
            *(("LINSERT", "k", "BEFORE", element, "new") for element in some[:2]),
            *(("LSET", "k", 0, "x" * 100), ("LSET", "k", -1, "12"), ("LREM", "k", -1, some[-1] if some else "")),
            *(("LPUSH", "k", "1", "a"), ("RPUSH", "k", "2", "b"), ("COPY", "k", "copy"), ("DUMP", "k")),
            *(
                ("LPOP", "k"),
                ("RPOP", "k"),
                ("RPOPLPUSH", "k", "k"),
                ("LSET", "k", 0, "y" * 9000),
                ("LRANGE", "k", 0, -1),
            ),
            *(("LTRIM", "k", 1, -2), ("LRANGE", "k", 0, -1), *[("RPOP", "k")] * 8, *[("LPOP", "k")] * 8),
        ]

    def use_set(self) -> list[Command]:
        some = self._some("SMEMBERS", "k")[:_MOST_MEMBERS]
        return [
            *(
                ("SMEMBERS", "k"),
                ("SCARD", "k"),
                ("SSCAN", "k", 0, "COUNT", 1000),
                ("SRANDMEMBER", "k", 5),
                ("SISMEMBER", "k", "0"),
            ),
            *(("SISMEMBER", "k", member) for member in some),
            *(("SRANDMEMBER", "k", -5), ("SINTER", "k", "k"), ("SUNIONSTORE", "copy", "k", "k"), ("DUMP", "k")),
            *(("SADD", "k", 77), ("SADD", "k", 1 << 50), *(("SREM", "k", member) for member in some[::2])),
            *(("SADD", "k", "text"), ("SMEMBERS", "k"), ("SADD", "k", "x" * 5000), ("SMEMBERS", "k"), ("SPOP", "k", 2)),
        ]

    def use_zset(self) -> list[Command]:
        some = self._some("ZRANGE", "k", 0, -1)[:_MOST_MEMBERS]
        return [
            *(("ZRANGE", "k", 0, -1, "WITHSCORES"), ("ZREVRANGE", "k", 0, -1, "WITHSCORES"), ("ZCARD", "k")),
            *(("ZRANGEBYSCORE", "k", "-inf", "+inf"), ("ZRANGEBYSCORE", "k", 1, 3), ("ZREVRANGEBYSCORE", "k", 3, 1)),
            *(
                ("ZCOUNT", "k", 1, 2),
                ("ZRANGEBYLEX", "k", "-", "+"),
                ("ZLEXCOUNT", "k", "[a", "(z"),
                ("ZRANDMEMBER", "k", 5),
            ),
            *(("ZSCORE", "k", member) for member in some),
            *(("ZRANK", "k", member) for member in some),
            *(("ZREVRANK", "k", member) for member in some),
            *(("ZSCAN", "k", 0, "COUNT", 1000), ("COPY", "k", "copy"), ("DUMP", "k"), ("ZUNIONSTORE", "copy", 1, "k")),
            *(("ZINCRBY", "k", 1, member) for member in some[:2]),
            *(
                ("ZADD", "k", 2, "new"),
                *(("ZREM", "k", member) for member in some[1::2]),
                ("ZPOPMIN", "k"),
                ("ZPOPMAX", "k"),
            ),
            *(("ZADD", "k", 1, "x" * 5000), ("ZRANGE", "k", 0, -1, "WITHSCORES"), ("ZRANK", "k", "new")),
            *(("ZREMRANGEBYRANK", "k", 0, 1), ("ZREMRANGEBYSCORE", "k", 0, 1), ("ZRANGE", "k", 0, -1, "WITHSCORES")),
        ]

    def use_stream(self) -> list[Command]:
        (entries,) = self._send([("XRANGE", "k", "-", "+")])
        ids = [entry[0] for entry in entries if isinstance(entry, list)] if isinstance(entries, list) else []
        some = [*ids[:3], *ids[-3:]]
        return [
            *(
                ("XREVRANGE", "k", "+", "-"),
                ("XLEN", "k"),
                ("XINFO", "STREAM", "k"),
                ("XINFO", "STREAM", "k", "FULL", "COUNT", 0),
            ),
            *(
                ("XINFO", "GROUPS", "k"),
                ("XINFO", "CONSUMERS", "k", "group"),
                ("XPENDING", "k", "group", "-", "+", 100),
            ),
            *(("XRANGE", "k", one, one) for one in some),
            *(("XREAD", "COUNT", 5, "STREAMS", "k", one) for one in some),
            ("XREADGROUP", "GROUP", "group", "alice", "COUNT", 2, "STREAMS", "k", "0"),
            ("XREADGROUP", "GROUP", "group", "carol", "COUNT", 2, "STREAMS", "k", ">"),
            *(("XCLAIM", "k", "group", "carol", 0, one) for one in some),
            *(("XAUTOCLAIM", "k", "group", "carol", 0, "-"), ("COPY", "k", "copy"), ("DUMP", "k")),
            *(("XADD", "k", "*", "field", "1", "other", "2"), ("XADD", "k", "*", "new", "1")),
            *(("XDEL", "k", one) for one in some[::2]),
            *(("XACK", "k", "group", one) for one in some),
            *(("XTRIM", "k", "MAXLEN", 5), ("XREVRANGE", "k", "+", "-"), ("XTRIM", "k", "MAXLEN", "~", 1)),
            *(("XGROUP", "DELCONSUMER", "k", "group", "alice"), ("XGROUP", "DELCONSUMER", "k", "group", "bob")),
            *(("XINFO", "STREAM", "k", "FULL"), ("XTRIM", "k", "MAXLEN", 0), ("XGROUP", "DESTROY", "k", "group")),
            *(("XADD", "k", "*", "a", "b"), ("XRANGE", "k", "-", "+"), ("XINFO", "STREAM", "k", "FULL")),
        ]

    def use_string(self) -> list[Command]:
        return [
            ("GET", "k"),
            ("STRLEN", "k"),
            ("APPEND", "k", "x"),
            ("GETRANGE", "k", 0, -1),
            ("SETRANGE", "k", 3, "y"),
        ]


_USES: dict[str, tuple[t.Callable[[User], list[Command]], ...]] = {
    "hash": (User.use_hash, User.use_hash),
    "list": (User.use_list,),
    "set": (User.use_set, User.use_set),
    "zset": (User.use_zset, User.use_zset),
    "stream": (User.use_stream,),
    "string": (User.use_string,),
}
