# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What do a source's keys mean for the rewrite of its AOF? Which of them can no rewrite write, and which commands will it write?"""

from __future__ import annotations

import time
import typing as t
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._scan import FoundKey, Scan, Unfinished
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

#: Modules whose types have no AOF rewrite, by the module's name in lower case. Valkey's JSON has one.
_UNREWRITABLE = {"vectorset": "vectorset", "rejson": "ReJSON-RL"}
#: Seconds for all types and databases together.
_SECONDS = 3.0
_ARRAY_WRITES = "ARMSET key 0 value"
#: What a rewrite writes for streams of 7.0 and newer.
_STREAM_COUNTERS = "XSETID key 1-1 ENTRIESADDED 1 MAXDELETEDID 0-0"
#: What it writes for members that expire on KeyDB, by the type of the key. An import gives hashes the command of Redis 7.4.
_MEMBER_WRITES = {
    "hash": "HPEXPIREAT key 1 FIELDS 1 field",
    "set": "PEXPIREMEMBERAT key member 1",
    "zset": "PEXPIREMEMBERAT key member 1",
}


@dataclass(frozen=True)
class Contents:
    """What the keys of a source mean for its rewrite."""

    unrewritable: tuple[FoundKey, ...] | None
    """Keys that make every rewrite fail; None where that is not known, because the time was too short or SCAN is refused."""
    expiring_members: tuple[FoundKey, ...] | None
    """Keys of KeyDB with members that expire, for which its rewrite writes broken commands; None where that is not known."""
    rewrite_writes: tuple[str, ...]
    """Examples of commands that came to Redis after 5.0, and that a rewrite writes now."""
    rewrite_may_write: tuple[str, ...] = ()
    """The same of commands for which the search did not end."""


def search_contents(endpoint: Endpoint, facts: ServerFacts, modules: t.Iterable[str]) -> Contents:
    """Ask a source. Raises :class:`ConnectError`."""
    suspects = sorted({_UNREWRITABLE[name.lower()] for name in modules if name.lower() in _UNREWRITABLE})
    suspects = [] if facts.flavor == "valkey" else suspects
    multi_part = facts.flavor != "keydb" and LooseVersion(facts.redis_version) >= LooseVersion("7.0")
    expiring = [number for number in sorted(facts.keyspace) if facts.info[f"db{number}"].get("expires")]
    # KeyDB counts a key with members that expire among those that expire (size of `setexpire`).
    may_expire = facts.flavor == "keydb" and bool(expiring)
    if not facts.keyspace or not (suspects or multi_part or may_expire):
        return Contents((), (), tuple(_told_by_info(facts)))
    end = time.monotonic() + _SECONDS
    with closing(Wire(endpoint, allow_misconf=True)) as wire:
        scan = Scan(wire, sorted(facts.keyspace), end)
        unrewritable = _all_found([partial(scan.first, kind) for kind in suspects])
        members: tuple[FoundKey, ...] | None = ()
        if may_expire:
            searched = Scan(wire, expiring, end)
            members = _all_found([partial(searched.expiring_member, kind) for kind in _MEMBER_WRITES])
        writes, may_write = _stream_and_array_writes(scan) if multi_part else ([], [])
    told = {_MEMBER_WRITES[one.type]: None for one in members or ()}
    return Contents(unrewritable, members, (*_told_by_info(facts), *told, *writes), tuple(may_write))


def _all_found(searches: t.Iterable[t.Callable[[], FoundKey | None]]) -> tuple[FoundKey, ...] | None:
    """Return what the searches find; None where they find nothing and one of them did not end."""
    found, unfinished = [], False
    for search in searches:
        try:
            found.append(search())
        except Unfinished:
            unfinished = True
    keys = tuple(key for key in found if key is not None)
    return None if unfinished and not keys else keys


def _stream_and_array_writes(scan: Scan) -> tuple[list[str], list[str]]:
    """Return what a rewrite writes for streams and arrays that older versions lack, and what it may write."""
    writes: list[str] = []
    may_write: list[str] = []
    known = scan.knows([b"ARMSET", b"XCFGSET", b"XNACK"])
    try:
        if scan.first("stream") is not None:
            writes.append(_STREAM_COUNTERS)
            if known & {b"XCFGSET", b"XNACK"}:
                writes += scan.stream_writes()
    except Unfinished:
        may_write += [name.decode() for name in (b"XCFGSET", b"XIDMPRECORD", b"XNACK") if b"XCFGSET" in known]
    try:
        if b"ARMSET" in known and scan.first("array") is not None:
            writes.append(_ARRAY_WRITES)
    except Unfinished:
        may_write.append("ARMSET")
    return writes, may_write


def _told_by_info(facts: ServerFacts) -> list[str]:
    """Return what INFO tells for certain: functions (7.0), and hashes with fields that expire (Redis 7.4, Valkey 9.0)."""
    writes = []
    if facts.info.get("number_of_functions"):
        writes.append("FUNCTION LOAD code")
    databases = [facts.info[f"db{number}"] for number in facts.keyspace]
    if any(database.get("subexpiry") for database in databases):
        writes.append("HPEXPIREAT key 1 FIELDS 1 field")
    if any(database.get("keys_with_volatile_items") for database in databases):
        writes.append("HSETEX key PXAT 1 FIELDS 1 field value")
    return writes
