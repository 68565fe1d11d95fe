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
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import checksum
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import footer_version, types_of
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


_RESTORE = b"*6\r\n$7\r\nRESTORE\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n"


def dumped(rdb_type: int, raw: bytes, version: int) -> bytes:
    """A payload as DUMP writes it, told to be of an RDB ``version``."""
    content = b"%c%b%b" % (rdb_type, raw, version.to_bytes(2, "little"))
    return content + checksum()(content, 0).to_bytes(8, "little")


def restore_command(key: bytes, expiry: int | None, payload: bytes) -> Command:
    """For a target of Redis 5.0 or newer; it takes the place of what is there. ``expiry``: milliseconds since the epoch."""
    return [b"RESTORE", key, b"%d" % (expiry or 0), payload, b"REPLACE", b"ABSTTL"]


class Restorer:
    """Makes the commands for the entries of an RDB of ``version``, for a target that takes RDB version ``accepted``."""

    def __init__(self, version: int, accepted: int) -> None:
        self._footers: dict[int, bytes] = {}
        self._parting: set[int] = set()
        for rdb_type in types_of(version):
            footer = footer_version(rdb_type, version, accepted)
            if footer is not None:
                self._footers[rdb_type] = footer.to_bytes(2, "little")
                if _reads_otherwise(rdb_type, version, accepted):
                    self._parting.add(rdb_type)
        self._crc64 = checksum()

    def may_restore(self, rdb_type: int, size: int) -> bool:
        """Whether the target can have the type, and reads a value of ``size`` bytes as it is meant."""
        return rdb_type in self._footers and not (rdb_type in self._parting and lzf.could_hold(size, _PARTING))

    def command(self, key: bytes, expiry: int | None, rdb_type: int, raw: bytes) -> tuple[Command, bytes] | None:
        """The command that puts a key into the target whose value is ``raw``, and the same as bytes.

        None where the target can't have the type, or could read the value otherwise: then ``rdb_values`` builds the key by
        commands.
        """
        footer = self._footers.get(rdb_type)
        if footer is None or (rdb_type in self._parting and lzf.could_hold(len(raw), _PARTING)):
            return None  # as may_restore tells, which would be a call for every key
        content = b"%c%b%b" % (rdb_type, raw, footer)
        payload = content + self._crc64(content, 0).to_bytes(8, "little")
        until = b"%d" % (expiry or 0)
        command = [b"RESTORE", key, until, payload, b"REPLACE", b"ABSTTL"]
        return command, _RESTORE % (len(key), key, len(until), until, len(payload), payload)
