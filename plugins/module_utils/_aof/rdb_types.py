# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What do the numbers of an RDB mean: its versions, its types, and which servers know them?

Sources: ``rdb.h`` of Redis, Valkey and KeyDB; the footers of DUMP's payloads from running servers.
"""

from __future__ import annotations

import typing as t

#: The newest versions that are understood, by the word that a file begins with.
NEWEST = {b"REDIS": 15, b"VALKEY": 80}
#: Valkey counts from 80 on, where Redis went on from 12: the numbers of types and opcodes part there, too.
VALKEY = 80

STRING, LIST, SET, ZSET, HASH, ZSET_2, MODULE_PRE_GA, MODULE_2 = range(8)
HASH_ZIPMAP, LIST_ZIPLIST, SET_INTSET, ZSET_ZIPLIST, HASH_ZIPLIST, LIST_QUICKLIST, STREAM = range(9, 16)
HASH_LISTPACK, ZSET_LISTPACK, LIST_QUICKLIST_2, STREAM_2, SET_LISTPACK, STREAM_3 = range(16, 22)
#: Redis only: hashes with expiring fields (as 7.4 wrote them before its release, and since), streams of 8.6 and 8.8,
#: arrays of 8.8.
HASH_EXPIRING_RC, HASH_LISTPACK_EXPIRING_RC, HASH_EXPIRING, HASH_LISTPACK_EXPIRING = range(22, 26)
STREAM_4, STREAM_5, ARRAY = range(26, 29)
#: Redis 8.10 only: hashes whose fields stand in a template, before all keys.
HASH_TEMPLATE_LISTPACK, HASH_TEMPLATE = 30, 32
#: Valkey only: hashes with expiring fields.
HASH_2 = 22
#: KeyDB only: a job of KEYDB.CRON.
CRON = 64

#: Type: what it holds, and the first RDB version that has it. Up to Redis 7.2 all servers agree.
_COMMON: dict[int, tuple[str, int]] = {
    STRING: ("string", 1),
    LIST: ("list", 1),
    SET: ("set", 1),
    ZSET: ("zset", 1),
    HASH: ("hash", 1),
    HASH_ZIPMAP: ("hash", 2),
    LIST_ZIPLIST: ("list", 2),
    SET_INTSET: ("set", 2),
    ZSET_ZIPLIST: ("zset", 2),
    HASH_ZIPLIST: ("hash", 4),
    LIST_QUICKLIST: ("list", 7),
    ZSET_2: ("zset", 8),
    MODULE_PRE_GA: ("module", 8),
    MODULE_2: ("module", 8),
    STREAM: ("stream", 9),
    HASH_LISTPACK: ("hash", 10),
    ZSET_LISTPACK: ("zset", 10),
    LIST_QUICKLIST_2: ("list", 10),
    STREAM_2: ("stream", 10),
    SET_LISTPACK: ("set", 11),
    STREAM_3: ("stream", 11),
}
_REDIS: dict[int, tuple[str, int]] = {
    **_COMMON,
    CRON: ("cron", 9),
    HASH_EXPIRING_RC: ("hash", 12),
    HASH_LISTPACK_EXPIRING_RC: ("hash", 12),
    HASH_EXPIRING: ("hash", 12),
    HASH_LISTPACK_EXPIRING: ("hash", 12),
    STREAM_4: ("stream", 13),
    STREAM_5: ("stream", 14),
    ARRAY: ("array", 14),
    HASH_TEMPLATE_LISTPACK: ("hash", 15),
    HASH_TEMPLATE: ("hash", 15),
}
_VALKEY: dict[int, tuple[str, int]] = {**_COMMON, HASH_2: ("hash", 80)}

#: The RDB version that a server's DUMP writes and the newest that its RESTORE takes, from which version of it on.
_SERVERS: dict[str, tuple[tuple[tuple[int, int], int], ...]] = {
    "redis": (
        ((2, 6), 6),
        ((3, 2), 7),
        ((4, 0), 8),
        ((5, 0), 9),
        ((7, 0), 10),
        ((7, 2), 11),
        ((7, 4), 12),
        ((8, 6), 13),
        ((8, 8), 14),
        ((8, 10), 15),
    ),
    "valkey": (((7, 2), 11), ((9, 0), 80)),
    "keydb": (((5, 0), 9),),
}
#: Their values are not all there (templates stand elsewhere in the file), or no server takes them.
_NEVER_RESTORED = frozenset((MODULE_PRE_GA, CRON, HASH_TEMPLATE_LISTPACK, HASH_TEMPLATE))
#: No commands build these; a module's value a target may take as it stands.
UNBUILDABLE = frozenset((*_NEVER_RESTORED, MODULE_2))
#: That RESTORE of any server takes, the newest first.
VERSIONS = sorted({rdb for rows in _SERVERS.values() for _since, rdb in rows}, reverse=True)
_OLDEST_FOOTER = 6  # of the servers that had DUMP first


def types_of(version: int) -> t.Mapping[int, tuple[str, int]]:
    """The types that an RDB of this version may hold, with what they hold and the first version that has them."""
    return _VALKEY if version >= VALKEY else _REDIS


def kind_of(rdb_type: int, version: int) -> str:
    """``string``, ``list``, ``set``, ``zset``, ``hash``, ``stream``, ``array``, ``module`` or ``cron``."""
    return types_of(version)[rdb_type][0]


def server_rdb_version(flavor: str, version: tuple[int, int]) -> int:
    """The newest RDB version that RESTORE of a server takes. ``flavor``: ``redis``, ``valkey`` or ``keydb``."""
    first = _SERVERS[flavor]
    return max((rdb for since, rdb in first if since <= version), default=first[0][1])


def level_of(redis_version: str | None) -> tuple[int, int]:
    """``7.0.15`` as the level of commands that a target knows; of one that does not tell it the oldest one that counts."""
    numbers = [int(number) for number in (redis_version or "").split(".")[:2] if number.isdigit()]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (5, 0)


def footer_version(rdb_type: int, version: int, accepted: int) -> int | None:
    """The version for the payload of a value, from an RDB of ``version``, that a server takes which takes ``accepted``.

    RESTORE looks at nothing but this number before it reads the value, so it is the lowest one that has the type.
    None where the server can't know the type, or means another one by the number.
    """
    lowest = max(types_of(version)[rdb_type][1], _OLDEST_FOOTER)
    if rdb_type in _NEVER_RESTORED:
        return None
    if rdb_type not in _COMMON and (version >= VALKEY) != (accepted >= VALKEY):
        return None
    return lowest if lowest <= accepted else None
