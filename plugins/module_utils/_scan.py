# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which keys of a type, or with members that expire, does a server hold? The search takes a bounded time.

Types are searched with ``SCAN ... TYPE`` (Redis 6.0 and newer).
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, ErrorReply, Reply
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

_AT_ONCE = 1000
#: Keys whose members are asked for together.
_KEYS_TOGETHER = 50
#: Types whose members can expire on KeyDB, how their members are listed, and how many elements of a reply are one member.
_MEMBERS = {"hash": (b"HSCAN", 2), "set": (b"SSCAN", 1), "zset": (b"ZSCAN", 2)}
#: What XADD remembers where nothing was configured: seconds, and identifiers of a producer.
_DEFAULT_PRODUCERS = (100, 100)


class Unfinished(Exception):
    """The time was too short, or the server refused a command."""


@dataclass(frozen=True)
class FoundKey:
    """The first key that was found of its type."""

    type: str
    database: int
    key: str


class Scan:
    """Search the databases of a server until ``end``, a time of :func:`time.monotonic`.

    Every search raises :class:`Unfinished`, and :class:`ConnectError`.
    """

    def __init__(self, wire: Wire, databases: t.Sequence[int], end: float) -> None:
        self._wire = wire
        self._databases = databases
        self._end = end

    def knows(self, names: t.Sequence[bytes]) -> set[bytes]:
        """Return those of the commands that the server has."""
        (reply,) = self._wire.exchange([(b"COMMAND", b"INFO", *names)])
        if not isinstance(reply, list) or len(reply) != len(names):
            return set()
        return {name for name, row in zip(names, reply) if row}

    def first(self, kind: str) -> FoundKey | None:
        """Return a key of a type, as TYPE names it."""
        for database, keys in self._pages(kind):
            return _found(kind, database, keys[0])
        return None

    def expiring_member(self, kind: str) -> FoundKey | None:
        """Return a key of KeyDB with a member that expires: ``PTTL key member`` tells it (``ttlGenericCommand``)."""
        command, each = _MEMBERS[kind]
        for database, keys in self._pages(kind):
            for start in range(0, len(keys), _KEYS_TOGETHER):
                cursors = dict.fromkeys(keys[start : start + _KEYS_TOGETHER], b"0")
                while cursors:
                    asked = list(cursors)
                    pages = self._ask(
                        database, [(command, key, cursors[key], b"COUNT", b"%d" % _AT_ONCE) for key in asked]
                    )
                    members = [(key, member) for key, page in zip(asked, pages) for member in _page(page)[1][::each]]
                    left = self._ask(database, [(b"PTTL", key, member) for key, member in members])
                    for (key, _member), milliseconds in zip(members, left):
                        if isinstance(milliseconds, ErrorReply):
                            raise Unfinished
                        if isinstance(milliseconds, int) and milliseconds >= 0:
                            return _found(kind, database, key)
                    told = {key: _page(page)[0] for key, page in zip(asked, pages)}
                    cursors = {key: cursor for key, cursor in told.items() if cursor != b"0"}
        return None

    def stream_writes(self) -> list[str]:
        """Return examples of what Redis 8.6 and newer write for streams and older versions lack, stopping where all are found."""
        found: set[str] = set()
        for database, keys in self._pages("stream"):
            streams = self._ask(database, [(b"XINFO", b"STREAM", key) for key in keys])
            groups = self._ask(database, [(b"XINFO", b"GROUPS", key) for key in keys])
            pending: list[Command] = []
            for key, stream, of_key in zip(keys, streams, groups):
                facts = _fields(stream)
                configured = (facts.get(b"idmp-duration", 100), facts.get(b"idmp-maxsize", 100))
                if configured != _DEFAULT_PRODUCERS:
                    found.add("XCFGSET key IDMP-DURATION 1 IDMP-MAXSIZE 1")
                if facts.get(b"iids-tracked"):
                    found.add("XIDMPRECORD key producer 1 1-1")
                for group in of_key if isinstance(of_key, list) else []:
                    named = _fields(group)
                    if named.get(b"pending") and isinstance(named.get(b"name"), bytes):
                        pending.append([b"XPENDING", key, named[b"name"]])
            for summary in self._ask(database, pending):
                if isinstance(summary, list) and _given_back(summary):
                    found.add("XNACK key group FAIL IDS 1 1-1 RETRYCOUNT 1 FORCE")
            if len(found) == 3:
                break
        return sorted(found)

    def _pages(self, kind: str) -> t.Iterator[tuple[int, list[bytes]]]:
        """Give the keys of a type, and their database."""
        for database in self._databases:
            cursor = b"0"
            while True:
                scan = (b"SCAN", cursor, b"COUNT", b"%d" % _AT_ONCE, b"TYPE", kind.encode())
                cursor, keys = _page(self._ask(database, [scan])[0])
                if keys:
                    yield database, keys
                if cursor == b"0":
                    break

    def _ask(self, database: int, commands: t.Sequence[t.Sequence[bytes]]) -> list[Reply]:
        if time.monotonic() > self._end:
            raise Unfinished
        return self._wire.exchange([(b"SELECT", b"%d" % database), *commands])[1:]


def _page(reply: Reply) -> tuple[bytes, list[bytes]]:
    if not isinstance(reply, list) or len(reply) != 2:
        raise Unfinished
    cursor, keys = reply
    if not isinstance(cursor, bytes) or not isinstance(keys, list) or set(map(type, keys)) - {bytes}:
        raise Unfinished
    return cursor, keys


def _fields(reply: Reply) -> dict[t.Any, t.Any]:
    if not isinstance(reply, list) or set(map(type, reply[::2])) - {bytes}:
        return {}
    return dict(zip(reply[::2], reply[1::2]))


def _given_back(summary: list[t.Any]) -> bool:
    """Whether a group has pending entries of no consumer: those that XNACK has given back."""
    try:
        total, _first, _last, consumers = summary
        return bool(total > sum(int(count) for _name, count in consumers or ()))
    except (TypeError, ValueError):
        raise Unfinished from None


def _found(kind: str, database: int, key: bytes) -> FoundKey:
    return FoundKey(kind, database, key.decode("utf-8", "backslashreplace"))
