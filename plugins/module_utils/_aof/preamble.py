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
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry, ModuleAux
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import what_no_command_builds

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
    unbuildable: dict[str, Sample] = field(default_factory=dict)
    """What no command builds, by what it is: a target can only have it as it stands, if at all."""


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
            if rdb.database == database:
                reached = rdb.reached  # behind the number of another database no walk can begin
        found.keys.update(rdb.skimmed)
        found.cuts.append((t.cast(int, rdb.tail), rdb.database))
        found.end, found.version, found.templates = t.cast(int, rdb.tail), rdb.version, rdb.templates
        return found

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
