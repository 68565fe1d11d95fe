# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sample data of every core type, in several databases, with and without expiry; the same data for the same seed.

    fill("127.0.0.1", 6379, keys=200_000)          # a few seconds

Most keys are what applications keep (sessions, users, carts, time lines); :func:`_odd_keys` are those that break
importers: bytes that look like the protocol, keys with blanks and newlines, streams without entries, infinite scores.
"""

from __future__ import annotations

import random
import time
import typing as t

from ansible_collections.redisops.tair.tests.support import snapshot

Argument = t.Union[bytes, str, int, float]
Command = t.Tuple[Argument, ...]

DATABASES = (0, 1, 5)
_SHARES = (0.7, 0.2, 0.1)
_PIPELINE = 1000
_HOUR = 3_600_000  # milliseconds
#: Values that look like the protocol, like annotations or like an RDB, and bytes that are no text.
TRICKY = (
    b"",
    b"\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"*1\r\n$8\r\nFLUSHALL\r\n",
    b"#TS:1700000000\r\n",
    b"\r\n#TS:1\r\n*1\r\n$4\r\nEXEC\r\n",
    b"$-1\r\n",
    b"REDIS0011\xfa\x00",
    b"line one\nline two\r\nline three\n",
    bytes(range(256)),
    "Grüße, 世界, 🐘".encode(),
    b" blanks  and \t tabs ",
    b"quotes \" ' \\ \\x00 \x00",
)


def fill(
    host: str,
    port: int,
    *,
    keys: int = 200_000,
    seed: int = 1,
    username: str | None = None,
    password: str | None = None,
    expiring: int = 0,
) -> dict[int, int]:
    """Write the data to an empty server and tell how many keys there are in each database.

    ``keys``: how many at least, over all databases. ``expiring``: so many more that live for 2 to 20 seconds only; they
    are not counted. Raises :class:`snapshot.ReplyError` when the server refuses a command.
    """
    with snapshot.Conn(host, port, password, username) as conn:
        known = _Known(conn)
        rng = random.Random(seed)
        now = int(time.time() * 1000)
        counts: dict[int, int] = {}
        if known("FUNCTION"):
            _send(conn, [("FUNCTION", "LOAD", _LIBRARY)])
        for database, share in zip(DATABASES, _SHARES):
            conn.call("SELECT", database)
            _send(conn, _odd_keys(rng, now, known))
            missing = max(0, round(keys * share) - conn.call("DBSIZE"))
            _send(conn, _application_keys(rng, now, missing))
            counts[database] = conn.call("DBSIZE")
            _send(conn, _expiring_keys(rng, now, round(expiring * share)))
        return counts


class _Known:
    """Whether a server knows a command."""

    def __init__(self, conn: snapshot.Conn) -> None:
        self._conn = conn

    def __call__(self, command: str) -> bool:
        return bool(self._conn.call("COMMAND", "INFO", command)[0])


def _send(conn: snapshot.Conn, commands: t.Iterable[Command]) -> None:
    batch: list[Command] = []
    for command in commands:
        batch.append(command)
        if len(batch) == _PIPELINE:
            _flush(conn, batch)
            batch = []
    _flush(conn, batch)


def _flush(conn: snapshot.Conn, batch: list[Command]) -> None:
    for command, reply in zip(batch, conn.pipeline(batch)):
        if isinstance(reply, snapshot.ReplyError):
            raise snapshot.ReplyError(f"{command[:2]}: {reply}")


# ------------------------------------------------------------------------------------- what applications keep


def _application_keys(rng: random.Random, now: int, count: int) -> t.Iterator[Command]:
    kinds = (_page, _session, _counter, _user, _cart, _timeline, _tags, _ranking, _events, _visitors, _days, _places)
    weights = (40, 20, 12, 12, 3, 4, 3, 3, 1, 0.6, 0.7, 0.7)
    for number, kind in enumerate(rng.choices(kinds, weights, k=count)):
        yield from kind(rng, number, now)


def _page(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    yield "SET", f"cache:page:{number}", _text(rng, 20, 200)


def _session(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    key = f"session:{number}:{rng.getrandbits(64):016x}"
    yield "SET", key, rng.randbytes(rng.randrange(16, 64))
    if number % 2:
        yield "EXPIREAT", key, (now + rng.randrange(_HOUR, 720 * _HOUR)) // 1000
    else:
        yield "PEXPIREAT", key, now + rng.randrange(_HOUR, 720 * _HOUR)


def _counter(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    yield "INCRBY", f"counter:{number}", rng.randrange(-(2**40), 2**62)


def _user(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    pairs: list[Argument] = ["name", _text(rng, 5, 20), "visits", number, "score", rng.random()]
    for extra in range(rng.choice((0, 0, 0, 3, 12))):
        pairs += [f"field{extra}", _text(rng, 1, 40)]
    yield "HMSET", f"user:{number}", *pairs


def _cart(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    key = f"cart:{number}"
    yield "HMSET", key, *(x for _each in range(rng.randrange(1, 6)) for x in (f"item:{rng.randrange(10**6)}", 1))
    yield "PEXPIREAT", key, now + rng.randrange(_HOUR, 48 * _HOUR)


def _timeline(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    yield "RPUSH", f"timeline:{number}", *(_text(rng, 5, 60) for _each in range(rng.choice((1, 5, 20, 150))))


def _tags(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    size = rng.choice((1, 4, 30, 200))
    if number % 2:
        yield "SADD", f"friends:{number}", *(rng.randrange(10**6) for _each in range(size))
    else:
        yield "SADD", f"tags:{number}", *(f"tag-{rng.randrange(10**6)}" for _each in range(size))


def _ranking(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    members = (
        x for _each in range(rng.choice((1, 10, 40, 200))) for x in (rng.uniform(-1e6, 1e6), f"m{rng.randrange(10**6)}")
    )
    yield "ZADD", f"ranking:{number}", *members


def _events(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    key = f"events:{number}"
    for entry in range(1, rng.randrange(2, 8)):
        yield "XADD", key, f"{1_700_000_000_000 + number}-{entry}", "kind", "click", "value", entry
    yield "XGROUP", "CREATE", key, "workers", "0"
    yield "XREADGROUP", "GROUP", "workers", f"worker-{number % 3}", "COUNT", 2, "STREAMS", key, ">"
    yield "XACK", key, "workers", f"{1_700_000_000_000 + number}-1"


def _visitors(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    yield "PFADD", f"visitors:{number}", *(rng.getrandbits(32) for _each in range(rng.choice((1, 50, 2000))))


def _days(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    for bit in rng.sample(range(4000), 3):
        yield "SETBIT", f"active:{number}", bit, 1


def _places(rng: random.Random, number: int, now: int) -> t.Iterator[Command]:
    points = (x for p in range(4) for x in (rng.uniform(-179, 179), rng.uniform(-85, 85), f"place-{p}"))
    yield "GEOADD", f"places:{number}", *points


def _expiring_keys(rng: random.Random, now: int, count: int) -> t.Iterator[Command]:
    for number in range(count):
        yield "SET", f"short-lived:{number}", "x", "PX", rng.randrange(2_000, 20_000)


def _text(rng: random.Random, least: int, most: int) -> str:
    return _PROSE[(start := rng.randrange(4000)) : start + rng.randrange(least, most)]


_WORDS = ("the", "key", "of", "a", "value", "in", "some", "list", "or", "set", "with", "more", "text", "than", "that")
_PROSE = " ".join(random.Random(0).choices(_WORDS, k=1200))


# ------------------------------------------------------------------------------------------ what breaks importers

_LIBRARY = """#!lua name=sample
redis.register_function('sample_get', function(keys, args) return redis.call('GET', keys[1]) end)
redis.register_function{function_name='sample_ping', callback=function() return 'PONG' end, flags={'no-writes'}}
"""


def _odd_keys(rng: random.Random, now: int, known: _Known) -> t.Iterator[Command]:
    for number, tricky in enumerate(TRICKY):
        yield "SET", f"odd:string:{number}", tricky
        yield "SET", b"odd:key:" + tricky, number
        yield "RPUSH", f"odd:list:{number}", tricky, b"between", tricky
        yield "SADD", "odd:set", tricky
        yield "HSET", "odd:hash", tricky, tricky
        yield "ZADD", "odd:zset", number - 5.5, tricky
        yield "XADD", "odd:stream", f"1-{number + 1}", tricky or b"empty", tricky
    yield from _odd_sizes(rng)
    yield from _odd_numbers()
    yield from _odd_streams()
    yield from _odd_expiries(now)
    if known("HPEXPIREAT"):
        yield "HSET", "odd:field-ttl", "gone-in-a-month", "1", "stays", "2", "gone-in-a-week", "3"
        yield "HPEXPIREAT", "odd:field-ttl", now + 720 * _HOUR, "FIELDS", 1, "gone-in-a-month"
        yield "HPEXPIREAT", "odd:field-ttl", now + 168 * _HOUR, "FIELDS", 1, "gone-in-a-week"


def _odd_sizes(rng: random.Random) -> t.Iterator[Command]:
    """Single values larger than any buffer, and collections on both sides of a rewrite's 64 items a command."""
    yield "SET", "odd:large:string", rng.randbytes(1 << 20)
    yield "SET", "odd:large:key:" + "k" * 4000, "long key"
    for size in (1, 63, 64, 65, 128, 129, 2000):
        members = [f"member-{number}" for number in range(size)]
        yield "RPUSH", f"odd:size:list:{size}", *members
        yield "SADD", f"odd:size:set:{size}", *members
        yield "SADD", f"odd:size:intset:{size}", *range(size)
        yield "HMSET", f"odd:size:hash:{size}", *(x for member in members for x in (member, member))
        yield (
            "ZADD",
            f"odd:size:zset:{size}",
            *(x for number, member in enumerate(members) for x in (number / 3, member)),
        )


def _odd_numbers() -> t.Iterator[Command]:
    for number in (0, -1, 2**63 - 1, -(2**63)):
        yield "SET", f"odd:integer:{number}", number
    yield "SET", "odd:integer:leading-zeros", "007"
    yield "SET", "odd:float", "0.1"
    yield "INCRBYFLOAT", "odd:float", "0.2"
    scores = ("inf", "-inf", "0", "1e300", "5e-324", "3.0000000000000004", "-1.7976931348623157e308")
    yield "ZADD", "odd:scores", *(x for number, score in enumerate(scores) for x in (score, f"m{number}"))
    yield "SETBIT", "odd:bitmap", 100_000, 1
    yield "PFADD", "odd:hyperloglog:empty"


def _odd_streams() -> t.Iterator[Command]:
    """Groups, consumers, pending entries; streams whose entries are all gone; identifiers at their limit."""
    key = "odd:stream:groups"
    for entry in range(1, 11):
        yield "XADD", key, f"100-{entry}", "n", entry
    yield "XGROUP", "CREATE", key, "half-read", "0"
    yield "XREADGROUP", "GROUP", "half-read", "alice", "COUNT", 3, "STREAMS", key, ">"
    yield "XREADGROUP", "GROUP", "half-read", "bob", "COUNT", 2, "STREAMS", key, ">"
    yield "XACK", key, "half-read", "100-2"
    yield "XGROUP", "CREATE", key, "at-the-end", "$"
    yield "XDEL", key, "100-9"
    yield "XADD", "odd:stream:emptied", "5-1", "f", "v"
    yield "XDEL", "odd:stream:emptied", "5-1"
    yield "XGROUP", "CREATE", "odd:stream:emptied", "group", "0"
    yield "XADD", "odd:stream:trimmed", "MAXLEN", 2, "1-1", "f", "v"
    for entry in range(2, 6):
        yield "XADD", "odd:stream:trimmed", "MAXLEN", 2, f"1-{entry}", "f", "v"
    yield "XGROUP", "CREATE", "odd:stream:never-written", "group", "$", "MKSTREAM"
    yield "XADD", "odd:stream:last-id", "18446744073709551615-1", "f", "v"


def _odd_expiries(now: int) -> t.Iterator[Command]:
    kinds: tuple[tuple[str, Command], ...] = (
        ("SET", ("v",)),
        ("RPUSH", ("a", "b")),
        ("SADD", ("a",)),
        ("HSET", ("f", "v")),
        ("ZADD", (1, "a")),
        ("XADD", ("1-1", "f", "v")),
        ("PFADD", ("a",)),
    )
    for number, (command, rest) in enumerate(kinds):
        yield command, f"odd:expiry:{command}", *rest
        yield "PEXPIREAT", f"odd:expiry:{command}", now + 24 * _HOUR + number
    yield "SET", "odd:expiry:far", "v"
    yield "PEXPIREAT", "odd:expiry:far", now + 100 * 365 * 24 * _HOUR
    yield "SET", "odd:expiry:persisted", "v", "EX", 1000
    yield "PERSIST", "odd:expiry:persisted"
