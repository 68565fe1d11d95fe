# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The two servers of a comparison: what each of them can tell, its clock, its databases, its keys."""

from __future__ import annotations

import random
import re
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._bounds import NAMES_REPLY, SMALL_REPLY, VALUE_REPLY
from ansible_collections.redisops.tair.plugins.module_utils._cluster import own_slots
from ansible_collections.redisops.tair.plugins.module_utils._cursor import Course, scan_reply
from ansible_collections.redisops.tair.plugins.module_utils._info import parse_info
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_PREFIX, KeyFilter
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect, speaking_to
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import server_facts
from ansible_collections.redisops.tair.plugins.module_utils._wire import Section, Wire, for_each, head, replies_in

Command = t.Sequence[bytes]

#: Keys looked at together. What a round trip costs is shared by so many.
BATCH = 1000

#: What PEXPIRETIME and PTTL say of a key that is not there, and of one without an expiry.
GONE = -2
NO_EXPIRY = -1

_TIME = head(1, b"TIME")
#: TYPE as what stands before and after the key.
TYPE = head(2, b"TYPE"), b""
#: A key that nobody has, to ask whether a command is known.
_NOBODYS_KEY = CHECKPOINT_PREFIX + b"nobody"


@dataclass(frozen=True)
class Volume:
    """What INFO says of a database."""

    keys: int
    field_expiries: bool
    """Whether fields of hashes may expire there; True also where the server does not tell."""


class Side:
    """One of the two servers, or a proxy that stands for many. Keys are read over ``wire``; scans have a connection of their own and run ahead of it.

    Raises :class:`ConnectError` and :class:`ReplyError`, as all its methods do.
    """

    def __init__(self, endpoint: Endpoint, *, proxied: bool = False) -> None:
        self.endpoint = endpoint
        client = connect(endpoint)
        self.facts = server_facts(client, endpoint)
        client.close()
        self.is_node = self.facts.mode == "cluster" and not proxied
        """Whether it is asked as a node of a cluster, which only answers for its own keys."""
        self._wires: list[Wire] = []
        self.wire = self.connect()
        self._scanner = self.connect()
        self.slots: frozenset[int] | None = None
        """Those whose keys it holds, where it is a node of a cluster."""
        if self.is_node:
            self.slots = own_slots(self.wire)
        self.can_scan = not proxied or self._scans_as_one()
        """Whether all its keys can be asked for."""
        self.tells_expiry = self.wire.supports(b"PEXPIRETIME", _NOBODYS_KEY)
        """7.0 and newer; older servers only tell the time left."""
        self.tells_memory = self.wire.supports(b"MEMORY", b"USAGE", _NOBODYS_KEY)
        self.tells_members = self.wire.supports(b"SMISMEMBER", _NOBODYS_KEY, b"m")
        self.has_field_expiry = self.wire.supports(b"HPEXPIRETIME", _NOBODYS_KEY, b"FIELDS", b"1", b"f")
        self.checkpoints: dict[int, int] = {}
        """Our own keys in the databases that were scanned. No scan returns them."""
        self._clock_ahead = self._clock() - time.time() * 1000
        self._expiry_head = head(2, b"PEXPIRETIME" if self.tells_expiry else b"PTTL")

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *exc: object) -> None:
        for wire in self._wires:
            wire.close()

    def __str__(self) -> str:
        return str(self.endpoint)

    def _scans_as_one(self) -> bool:
        """Envoy gives the answers of all servers together, and there is no going on with that."""
        told = self.wire.exchange([(b"SCAN", b"0", b"COUNT", b"1")])[0]
        return isinstance(told, list) and len(told) == 2

    def _clock(self) -> float:
        told = self.wire.call(b"TIME")
        try:
            return milliseconds(told)
        except (TypeError, ValueError):
            raise self.wire.senseless(b"TIME", told) from None

    @property
    def build(self) -> tuple[str, ...]:
        """Two servers with the same build write the same DUMP for the same value in the same encoding."""
        return (self.facts.flavor, *self.facts.version.split(".")[:2])

    def now(self) -> float:
        """This server's clock: milliseconds of Unix time."""
        return time.time() * 1000 + self._clock_ahead

    def connect(self) -> Wire:
        """One more connection, closed together with the others."""
        self._wires.append(Wire(self.endpoint, limit=VALUE_REPLY, sections=True))
        if self.is_node and self.facts.role == "slave":
            self._wires[-1].call(b"READONLY")  # else it sends us to its master
        return self._wires[-1]

    def volumes(self) -> dict[int, Volume]:
        """The databases that hold keys."""
        volumes = {}
        reply = self.wire.call(b"INFO", b"keyspace")
        if not isinstance(reply, bytes):
            raise self.wire.senseless(b"INFO", reply)
        with speaking_to(self.endpoint, "reading INFO"):
            info = parse_info(reply)
        for name, told in info.items():
            if re.fullmatch("db[0-9]{1,9}", name):
                # Redis 7.4 calls it the one, Valkey 9 the other.
                hashes = told.get("subexpiry", told.get("keys_with_volatile_items"))
                volumes[int(name[2:])] = Volume(told["keys"], self.has_field_expiry and hashes != 0)
        return volumes

    def size(self, database: int) -> int:
        """Keys in a database, expired ones that were not looked at since included."""
        self.wire.select(database)
        told = self.wire.exchange([(b"DBSIZE",)])[0]
        if isinstance(told, int):
            if told < 0:
                raise self.wire.senseless(b"DBSIZE", told)
            return told
        volume = self.volumes().get(database)  # a proxy that knows no DBSIZE
        return volume.keys if volume else 0

    def scan(self, database: int, wanted: KeyFilter) -> t.Iterator[list[bytes]]:
        """The keys of a database in batches of about :data:`BATCH`. A key may come twice (SCAN says so)."""
        self._scanner.select(database)
        cursor, ours, course = b"0", 0, Course(self.endpoint)
        self._send_scan(cursor)
        while True:
            reply = self._scanner.checked(self._scanner.receive(1, NAMES_REPLY)[0], b"SCAN")
            ((cursor, scanned),) = scan_reply(self._scanner, reply)[:1]
            course.step(cursor, len(scanned))
            if cursor != b"0":
                self._send_scan(cursor)  # the server is busy with it while the caller is with these keys
            keys = scanned
            if CHECKPOINT_PREFIX in b"".join(scanned):
                keys = [key for key in scanned if not key.startswith(CHECKPOINT_PREFIX)]
                ours += len(scanned) - len(keys)
            if not wanted.takes_all:
                keys = [key for key in keys if wanted.takes(key)]
            if keys:
                yield keys
            if cursor == b"0":
                self.checkpoints[database] = ours
                return

    def _send_scan(self, cursor: bytes) -> None:
        self._scanner.send(encode((b"SCAN", cursor, b"COUNT", b"%d" % BATCH)))

    def sample(self, database: int, count: int, wanted: KeyFilter) -> t.Iterator[list[bytes]]:
        """``count`` different keys of a database, chosen at random; all of them where there are no more."""
        size = self.size(database)
        if size <= count:
            yield from self.scan(database, wanted)
            return
        chosen: dict[bytes, None] = {}
        if wanted.takes_all and count <= size // 2:
            chosen = self._drawn(database, count, wanted)
        if not chosen:
            chosen = dict.fromkeys(draw(self.scan(database, wanted), count))
        yield from batches(list(chosen))

    def _drawn(self, database: int, count: int, wanted: KeyFilter) -> dict[bytes, None]:
        """Keys by RANDOMKEY; none where the server (a proxy) has no such command."""
        self.wire.select(database)
        chosen: dict[bytes, None] = {}
        for _round in range(10 * count):  # some keys come again; at half of all keys, every third time
            drawn = self.wire.exchange([(b"RANDOMKEY",)] * min(BATCH, count - len(chosen)))
            if not all(isinstance(key, bytes) for key in drawn):
                return {}
            chosen.update(dict.fromkeys(filter(wanted.takes, drawn)))
            if len(chosen) == count:
                break
        return chosen

    def send_looks(self, keys: t.Sequence[bytes], before: bytes, after: bytes) -> None:
        """Send a command for each key, as :func:`for_each` writes it, and ask for the expiry of each."""
        mark, now = self.wire.mark, b"" if self.tells_expiry else _TIME
        self.wire.send(for_each(keys, before, after) + mark + now + for_each(keys, self._expiry_head, b"") + mark)

    def receive_looks(self, count: int, limit: int | None = None) -> tuple[Section, Section]:
        """What was sent for ``count`` keys is answered by these: the replies to the command, and the expiries.

        ``limit``: bytes that the replies to the command may have.
        """
        values = self.wire.section(count, limit)
        return values, self.wire.section(count if self.tells_expiry else count + 1, short_replies(count))

    def expiries(self, section: Section, count: int) -> list[int]:
        """The expiries of ``count`` keys: a Unix time in milliseconds, :data:`GONE` or :data:`NO_EXPIRY`.

        Servers before 7.0 tell the time left, which is exact to the milliseconds that the request takes.
        """
        replies = replies_in(section, count if self.tells_expiry else count + 1)
        start = 0.0 if self.tells_expiry else milliseconds(replies.pop(0))
        for expiry in replies:
            if not isinstance(expiry, int):
                self.wire.checked(expiry, command := b"PEXPIRETIME" if self.tells_expiry else b"PTTL")
                raise self.wire.senseless(command, expiry)
        return replies if self.tells_expiry else [round(start + left) if left >= 0 else left for left in replies]

    def expiry_commands(self, key: bytes) -> tuple[Command, Command]:
        """The same for one key, as commands; :meth:`expiry` reads their replies."""
        return (b"TIME",), (b"PEXPIRETIME" if self.tells_expiry else b"PTTL", key)

    def expiry(self, now: list[bytes], told: int) -> int:
        return told if told < 0 or self.tells_expiry else round(milliseconds(now) + told)


def short_replies(count: int) -> int:
    """Bytes that replies with a number or a word each may have."""
    return SMALL_REPLY + 128 * count


def batches(keys: t.Sequence[bytes]) -> t.Iterator[list[bytes]]:
    """A list of keys in batches of :data:`BATCH`."""
    for start in range(0, len(keys), BATCH):
        yield list(keys[start : start + BATCH])


def draw(scanned: t.Iterable[list[bytes]], count: int) -> list[bytes]:
    """``count`` keys, each with the same chance, in one pass (Vitter's algorithm R)."""
    chosen: list[bytes] = []
    seen = 0
    for keys in scanned:
        for key in keys:
            seen += 1
            if len(chosen) < count:
                chosen.append(key)
            elif (place := random.randrange(seen)) < count:
                chosen[place] = key
    return chosen


def milliseconds(time_reply: list[bytes]) -> float:
    """The reply to TIME as milliseconds of Unix time."""
    seconds, microseconds = time_reply
    return int(seconds) * 1000 + int(microseconds) % 1_000_000 / 1000  # Envoy tells all of them, seconds included
