# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What is RESTORE to be given, so that a target has a key of an RDB?

Its value as it stands in the file, with the number of a version that the target takes: RESTORE looks at the type and at that
number only. So a key can go to an older server as long as that has the type: see ``rdb_types``.

One payload must never be sent: Valkey 9 writes a listpack's elements of 16383 bytes (and of two greater lengths) other
than all the rest do. Valkey 9.1 refuses the others' (``Bad data format``); Valkey 8.1 and Redis 8.2 crash of Valkey 9.1's.
"""

from __future__ import annotations

from ansible_collections.redisops.tair.plugins.module_utils._aof import lzf, rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import crc64
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Entry
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import footer_version
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import Window
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: From this length on listpacks are not the same everywhere.
_PARTING = 16383
_OF_LISTPACKS = frozenset(
    (
        rdb_types.STREAM,
        rdb_types.HASH_LISTPACK,
        rdb_types.ZSET_LISTPACK,
        rdb_types.LIST_QUICKLIST_2,
        rdb_types.STREAM_2,
        rdb_types.SET_LISTPACK,
        rdb_types.STREAM_3,
    )
)


def _reads_otherwise(rdb_type: int, version: int, accepted: int) -> bool:
    return rdb_type in _OF_LISTPACKS and (version >= rdb_types.VALKEY) != (accepted >= rdb_types.VALKEY)


def payload(fd: int, entry: Entry, version: int, accepted: int, *, where: str) -> bytes | None:
    """The payload of an entry of an RDB of ``version`` for a target that takes RDB version ``accepted``.

    None where the target can't have the type, or could read the value otherwise: then ``rdb_values`` builds the key by
    commands. The whole value is held: ``entry.end - entry.start`` bytes.
    """
    footer, size = footer_version(entry.type, version, accepted), entry.end - entry.start
    if footer is None or (_reads_otherwise(entry.type, version, accepted) and lzf.could_hold(size, _PARTING)):
        return None
    window = Window(fd, entry.start, entry.end, where=where, block_bytes=size)
    value = window.take(size, "a value")
    content = b"%c%b%b" % (entry.type, value, footer.to_bytes(2, "little"))
    return content + crc64(content).to_bytes(8, "little")


def restore_command(fd: int, entry: Entry, version: int, accepted: int, *, where: str) -> Command | None:
    """The command that puts an entry into a target of Redis 5.0 or newer, in the place of what is there; or None."""
    content = payload(fd, entry, version, accepted, where=where)
    if content is None:
        return None
    return [b"RESTORE", entry.key, b"%d" % (entry.expiry or 0), content, b"REPLACE", b"ABSTTL"]
