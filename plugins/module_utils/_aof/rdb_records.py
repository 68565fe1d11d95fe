# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What stands in an RDB: its records, none of them with its value."""

from __future__ import annotations

import typing as t


class Entry(t.NamedTuple):
    """A key, and where its value is."""

    key: bytes
    database: int
    expiry: int | None
    """Milliseconds since the epoch."""
    type: int
    """As RDBs of this version number them: see ``rdb_types``."""
    start: int
    """Of the value, in the file; its ``end``."""
    end: int


class Run(t.NamedTuple):
    """Keys that stand one behind the other and are at hand as a whole."""

    database: int
    data: bytes
    """Of the file, from ``base`` on."""
    base: int
    rows: list[tuple[bytes, int | None, int, int, int]]
    """Of each key: itself, ``expiry`` and ``type`` as of an :class:`Entry`, and where in ``data`` its value begins and ends."""

    def entries(self) -> t.Iterator[Entry]:
        database, base = self.database, self.base
        for key, expiry, rdb_type, start, end in self.rows:
            yield Entry(key, database, expiry, rdb_type, base + start, base + end)


class Function(t.NamedTuple):
    """The code of a library of functions."""

    code: bytes
    start: int


class Aux(t.NamedTuple):
    """What a server tells of itself, such as ``redis-ver``; up to Redis 6.2 also its scripts (``lua``)."""

    name: bytes
    value: bytes


class Sizes(t.NamedTuple):
    """How many keys of a database follow, and how many of them expire, as the server thought when it began."""

    database: int
    keys: int
    expiring: int


class ModuleAux(t.NamedTuple):
    """What a module keeps beside its keys; no command brings it anywhere."""

    module: str
    start: int
    end: int


class MemberExpiry(t.NamedTuple):
    """When (milliseconds since the epoch) a member of the key before expires: KeyDB's EXPIREMEMBER."""

    key: bytes
    database: int
    member: bytes
    expiry: int
    type: int
    """Of the key, as of an :class:`Entry`."""


class SlotImport(t.NamedTuple):
    """Slots whose keys were on their way to this server when it wrote the file (Valkey 9)."""

    job: bytes
    ranges: tuple[tuple[int, int], ...]


Record = t.Union[Entry, Function, Aux, Sizes, ModuleAux, MemberExpiry, SlotImport]
