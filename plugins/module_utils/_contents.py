# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a source's keys mean for the rewrite of its AOF: those that no rewrite can write, and commands that it will write.

Types are looked for with ``SCAN ... TYPE`` (Redis 6.0 and newer), for a bounded time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

#: Modules whose types have no AOF rewrite, by the module's name in lower case. Valkey's JSON has one.
_UNREWRITABLE = {"vectorset": "vectorset", "rejson": "ReJSON-RL"}
#: Seconds for all types and databases together.
_SECONDS = 3.0
_AT_ONCE = b"1000"


@dataclass(frozen=True)
class Unrewritable:
    """A key that makes every rewrite fail, the first that was found of its type."""

    type: str
    database: int
    key: str


@dataclass(frozen=True)
class Contents:
    """``unrewritable``: None where that was not found out (too many keys for the time, or SCAN is refused)."""

    unrewritable: tuple[Unrewritable, ...] | None
    rewrite_writes: tuple[str, ...]
    """Examples of commands that came to Redis after 5.0, and that a rewrite writes now."""


def look_at_contents(endpoint: Endpoint, facts: ServerFacts, modules: t.Iterable[str]) -> Contents:
    """Ask a source. Raises :class:`ConnectError`."""
    suspects = sorted({_UNREWRITABLE[name.lower()] for name in modules if name.lower() in _UNREWRITABLE})
    suspects = [] if facts.flavor == "valkey" else suspects
    version = LooseVersion(facts.redis_version)
    writes = _told_by_info(facts)
    has_stream_forms = facts.flavor != "keydb" and version >= LooseVersion("7.0")
    if not facts.keyspace or not (suspects or has_stream_forms):
        return Contents((), tuple(writes))
    wire = Wire(endpoint, allow_misconf=True)
    try:
        scan = _Scan(wire, sorted(facts.keyspace), time.monotonic() + _SECONDS)
        found = [scan.first(type_name) for type_name in suspects]
        if has_stream_forms and scan.first("stream") is not None:
            writes.append("XSETID key 1-1 ENTRIESADDED 1 MAXDELETEDID 0-0")
    finally:
        wire.close()
    unrewritable = tuple(one for one in found if one)
    return Contents(unrewritable if unrewritable or not scan.incomplete & set(suspects) else None, tuple(writes))


def _told_by_info(facts: ServerFacts) -> list[str]:
    """What INFO tells for certain: functions (7.0), and hashes with fields that expire (Redis 7.4, Valkey 9.0)."""
    writes = []
    if facts.info.get("number_of_functions"):
        writes.append("FUNCTION LOAD code")
    databases = [facts.info[f"db{number}"] for number in facts.keyspace]
    if any(database.get("subexpiry") for database in databases):
        writes.append("HPEXPIREAT key 1 FIELDS 1 field")
    if any(database.get("keys_with_volatile_items") for database in databases):
        writes.append("HSETEX key PXAT 1 FIELDS 1 field value")
    return writes


class _Scan:
    """Looks for a key of a type. ``incomplete``: the types for which time was too short, or that the server refused."""

    def __init__(self, wire: Wire, databases: t.Sequence[int], end: float) -> None:
        self._wire = wire
        self._databases = databases
        self._end = end
        self.incomplete: set[str] = set()

    def first(self, type_name: str) -> Unrewritable | None:
        for database in self._databases:
            cursor = b"0"
            while True:
                select = (b"SELECT", b"%d" % database)
                command = (b"SCAN", cursor, b"COUNT", _AT_ONCE, b"TYPE", type_name.encode())
                reply = self._wire.exchange([select, command])[1]
                if isinstance(reply, ErrorReply) or not isinstance(reply, list):
                    self.incomplete.add(type_name)
                    return None
                cursor, keys = reply
                if keys:
                    return Unrewritable(type_name, database, keys[0].decode("utf-8", "backslashreplace"))
                if cursor == b"0":
                    break
                if time.monotonic() > self._end:
                    self.incomplete.add(type_name)
                    return None
        return None
