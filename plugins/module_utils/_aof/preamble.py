# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The RDB that a file begins with: where does it end, is it whole, and what is in it?

Both are asked before anything of it is sent anywhere.
"""

from __future__ import annotations

import os
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import checksum
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import END, Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_extents import SINGLE
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry, MemberExpiry, ModuleAux, Run
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_sanity import Sanity
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import what_no_command_builds
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import Window

_READ_BYTES = 1 << 20
#: From one place where a walk may begin to the next, at least.
CUT_BYTES = 64 * 1024
#: Entries that are kept of each kind that no command builds.
_MOST_SAMPLES = 5


@dataclass
class Sample:
    """How many entries are of one kind, and the first of them."""

    count: int = 0
    first: list[Entry] = field(default_factory=list)


class DamagedValue(t.NamedTuple):
    """A key whose value a server can't use, and what was expected instead of it."""

    entry: Entry
    kind: str
    expected: str


@dataclass
class ExpiringMembers:
    """How many members of keys of one kind expire, and the first keys that have some."""

    count: int = 0
    first: list[tuple[bytes, int]] = field(default_factory=list)
    """Key and database."""

    def add(self, key: bytes, database: int) -> None:
        self.count += 1
        if len(self.first) < _MOST_SAMPLES and (key, database) not in self.first:
            self.first.append((key, database))


@dataclass
class Contents:
    """What one walk over an RDB finds."""

    end: int = 0
    version: int = 0
    keys: Counter[int] = field(default_factory=Counter)
    """By database."""
    modules: set[str] = field(default_factory=set)
    """Those that keep something beside their keys, which no command brings anywhere."""
    templates: dict[int, int] = field(default_factory=dict)
    """See :class:`Rdb`."""
    cuts: list[tuple[int, int]] = field(default_factory=list)
    """Offsets where a walk may begin, as a key ends there and all that belongs to it, and the database that is selected there.
    The last one is the end."""
    has_checksum: bool = False
    """Whether the source gave it a checksum, which has been verified."""
    expiring_members: dict[str, ExpiringMembers] = field(default_factory=dict)
    """Members of KeyDB's keys that expire, by the kind of their key (``hash``, ``set``, ``zset``)."""
    unbuildable: dict[str, Sample] = field(default_factory=dict)
    """What no command builds, by what it is: a target can only have it as it stands, if at all."""


def damaged_values(
    fd: int, rdb: Rdb, version: int, *, where: str, takes: t.Callable[[bytes, int], bool] | None = None
) -> t.Iterator[DamagedValue]:
    """Check the values of an RDB of ``version``, and yield the damaged ones."""
    sanity = Sanity(version, rdb.templates)
    single = SINGLE
    for found in rdb.runs():
        if isinstance(found, Run):
            data, base = found.data, found.base
            for key, expiry, rdb_type, start, end in found.rows:
                if rdb_type in single:
                    fault = sanity.fault_in(data, start, end, rdb_type)
                else:
                    fault = sanity.fault(Window.of(data[start:end], where=where, start=base + start), rdb_type)
                if fault is not None and (takes is None or takes(key, found.database)):
                    entry = Entry(key, found.database, expiry, rdb_type, base + start, base + end)
                    yield DamagedValue(entry, rdb_types.kind_of(rdb_type, version), fault)
        elif isinstance(found, Entry):
            fault = sanity.fault(Window(fd, found.start, found.end, where=where), found.type)
            if fault is not None and (takes is None or takes(found.key, found.database)):
                yield DamagedValue(found, rdb_types.kind_of(found.type, version), fault)


class Preamble:
    """The RDB at the beginning of a file of ``size`` bytes. Everything may raise :class:`AofFormatError`."""

    def __init__(self, fd: int, size: int, where: str) -> None:
        self._fd = fd
        self._size = size
        self._where = where

    @cached_property
    def end(self) -> int:
        """Where the commands begin. The bytes before it are whole, by their own checksum where the source has given them one."""
        return self._size if self._is_all_of_it else self.contents.end

    @cached_property
    def contents(self) -> Contents:
        """By a walk over all of it."""
        found = Contents()
        rdb = Rdb(self._fd, 0, self._size, where=self._where, verify=not self._is_all_of_it, skim=True)
        odd = rdb_types.UNBUILDABLE
        reached, database, cut = 0, 0, 0
        for record in rdb:
            if isinstance(record, Entry):
                if reached - cut >= CUT_BYTES:
                    cut = reached
                    found.cuts.append((cut, database))
                reached, database = record.end, record.database
                found.keys[record.database] += 1
                if record.type in odd:
                    sample = found.unbuildable.setdefault(
                        what_no_command_builds(self._fd, record, where=self._where), Sample()
                    )
                    sample.count += 1
                    if len(sample.first) < _MOST_SAMPLES:
                        sample.first.append(record)
                continue
            if isinstance(record, ModuleAux):
                found.modules.add(record.module)
            elif isinstance(record, MemberExpiry):
                kind = rdb_types.kind_of(record.type, rdb.version)
                found.expiring_members.setdefault(kind, ExpiringMembers()).add(record.key, record.database)
            if rdb.database == database:
                reached = rdb.reached  # behind the number of another database no walk can begin
        found.keys.update(rdb.skimmed)
        found.cuts.append((t.cast(int, rdb.tail), rdb.database))
        found.end, found.version, found.templates = t.cast(int, rdb.tail), rdb.version, rdb.templates
        found.has_checksum = rdb.has_checksum
        return found

    @property
    def has_checksum(self) -> bool:
        """Whether the source gave the RDB a checksum (``rdbchecksum yes``), by which it is known to be as it was written."""
        return self._is_all_of_it or self.contents.has_checksum

    def damaged_values(self, takes: t.Callable[[bytes, int], bool] | None = None) -> t.Iterator[DamagedValue]:
        """Check every value; yield the damaged ones. It takes about 10 s for a million keys.

        ``takes``: whether a key of a database is wanted at all.
        """
        return damaged_values(self._fd, self.walk(0, 0), self.version, where=self._where, takes=takes)

    @property
    def cuts(self) -> t.Sequence[tuple[int, int]]:
        """See :class:`Contents`."""
        return self.contents.cuts

    def walk(self, start: int, database: int) -> Rdb:
        """Its records from ``start`` on: the beginning, or where a record ends. ``database``: of the keys there.

        The bytes are known to be whole by then, and are not summed once more.
        """
        return Rdb(
            self._fd,
            start,
            self.end,
            where=self._where,
            verify=False,
            version=self.version if start else 0,
            database=database,
            templates=self.contents.templates,
        )

    @cached_property
    def version(self) -> int:
        """Of the RDB."""
        rdb = Rdb(self._fd, 0, self._size, where=self._where, verify=False)
        next(iter(rdb), None)
        return rdb.version

    @cached_property
    def _is_all_of_it(self) -> bool:
        """Whether the file's last bytes are the end of an RDB, with the checksum of all before them.

        So it is in a base file of Redis 7.0 and newer, and in a dump. No walk is needed to know it.
        """
        end = os.pread(self._fd, 9, max(self._size - 9, 0))
        if len(end) < 9 or end[0] != END or not any(end[1:]):
            return False
        crc64, value, offset, stop = checksum(), 0, 0, self._size - 8
        while offset < stop:
            data = os.pread(self._fd, min(_READ_BYTES, stop - offset), offset)
            if not data:
                return False
            value = crc64(data, value)
            offset += len(data)
        return value.to_bytes(8, "little") == end[1:]
