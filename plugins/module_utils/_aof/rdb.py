# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What is in an RDB, be it a dump or the preamble of an AOF, and where does it end?

    rdb = Rdb(fd, 0, size, where="appendonly.aof")
    for record in rdb:
        ...                    # Entry (a key), Function, Aux, Sizes, ModuleAux, MemberExpiry, SlotImport
    rdb.tail                   # where the commands of the AOF begin

Whoever is in a hurry takes the keys by runs (``rdb.runs()``), as most of them are short and stand one behind the other.

No value is read here: an :class:`Entry` says where it is, ``rdb_values`` builds the commands that make it, and
``rdb_restore`` the payload of a RESTORE. The checksum is known at the end only: whoever must not act on damaged bytes
walks twice, ``for _record in Rdb(...): pass`` first.

A server that loads the preamble of an AOF keeps expired keys, as the commands behind it count on them; of a plain dump
it leaves them out.
"""

from __future__ import annotations

import os
import sys
import typing as t
from collections import Counter

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.crc64 import checksum as crc64_function
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_extents import (
    SINGLE,
    module_name,
    skip_module,
    skip_value,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import (
    Aux,
    Entry,
    Function,
    MemberExpiry,
    ModuleAux,
    Record,
    Run,
    Sizes,
    SlotImport,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import INTEGERS, LZF, Window

_UPDATE_OR_TEMPLATE, _KEY_META_OR_SLOT_IMPORT, _SLOT_INFO, _FUNCTION, _FUNCTION_RC, _MODULE_AUX = range(242, 248)
_IDLE, _FREQUENCY, _AUX, _SIZES, _EXPIRY_MS, _EXPIRY_S, _SELECT, END = range(248, 256)

#: KeyDB puts this before every key, and the expiry of members behind it.
_MVCC = b"\xfa\x0bmvcc-tstamp"
_MVCC_TIMESTAMP, _MEMBER, _MEMBER_EXPIRY = b"mvcc-tstamp", b"keydb-subexpire-key", b"keydb-subexpire-when"

#: What a run knows how to pass, by type: a number and so many strings or pairs of them, one string, a list of one node.
_STRINGS, _PAIRS, _ONE, _NODE = 1, 2, 3, 4
_PASSED = bytes(
    _ONE
    if rdb_type in SINGLE
    else {
        rdb_types.LIST_QUICKLIST_2: _NODE,
        rdb_types.LIST: _STRINGS,
        rdb_types.SET: _STRINGS,
        rdb_types.LIST_QUICKLIST: _STRINGS,
        rdb_types.HASH: _PAIRS,
    }.get(rdb_type, 0)
    for rdb_type in range(256)
)


def _end_of_encoded(data: bytes, at: int) -> int:
    """Where a string ends that is an integer or compressed; behind everything where it is neither of that."""
    first = data[at]
    if first in INTEGERS:
        return at + 1 + INTEGERS[first][1]
    if first != LZF:
        return sys.maxsize
    end, length, following = at + 2, data[at + 1], data[at + 2]
    if length >= 0x40:
        if length >= 0x80:
            return sys.maxsize
        end, length, following = at + 3, (length & 0x3F) << 8 | following, data[at + 3]
    if following >= 0x80:
        return sys.maxsize
    return end + length + (2 if following >= 0x40 else 1)


def _end_of_strings(data: bytes, at: int, count: int) -> int:
    """Where ``count`` strings end. Raises :class:`IndexError` where that is behind the data."""
    while count:
        length = data[at]
        if length < 0x40:
            at += 1 + length
        elif length < 0x80:
            at += 2 + ((length & 0x3F) << 8 | data[at + 1])
        else:
            at = _end_of_encoded(data, at)
        count -= 1
    return at


class Rdb:
    """The records of the RDB that begins at ``start`` of a file, which ends at ``end`` or goes on behind it.

    Iterating gives them in file order. Then ``tail`` is the offset behind the RDB, None as long as it is not known.
    ``version`` is known from the first record on; 80 and more are Valkey's. ``verify``: take the checksum, which costs
    a second for every 20 MB where anycrc is not installed. With ``version`` given the walk goes on in the middle of an
    RDB, at the end of a record, with the keys of ``database``; ``templates`` are those that the whole walk had found.
    ``skim``: the keys of runs are counted only, by database, in ``skimmed``.

    Raises :class:`AofFormatError` (facts: file, offset, expected) after everything before the damage has been given.
    The file must not shrink meanwhile. Memory is bounded, whatever the values' sizes; a key is held.
    """

    def __init__(
        self,
        fd: int,
        start: int,
        end: int,
        *,
        where: str,
        verify: bool = True,
        use_anycrc: bool = True,
        block_bytes: int = 256 * 1024,
        version: int = 0,
        database: int = 0,
        templates: t.Mapping[int, int] | None = None,
        skim: bool = False,
    ) -> None:
        checksum = crc64_function(use_anycrc) if verify else None
        self._window = Window(fd, start, end, where=where, checksum=checksum, block_bytes=block_bytes)
        self._fd = fd
        self._verify = verify
        self.database = database
        """Of the keys that follow."""
        self._expiry: int | None = None
        self._key, self._type = b"", 0
        self._member: bytes | None = None
        self.templates = dict(templates or {})
        self._skim = skim
        self.skimmed: Counter[int] = Counter()
        self.version = version
        self.tail: int | None = None
        self.has_checksum = False
        """Known at the end: whether the source gave the RDB a checksum (``rdbchecksum yes``)."""

    @property
    def reached(self) -> int:
        """Where the record ends that was given last, if that is no entry; an entry tells itself."""
        return self._window.offset

    def raw(self, entry: Entry) -> bytes:
        """The value of the entry that was given last, as it stands in the file."""
        window = self._window
        start = entry.start - window.base
        if start >= 0:
            return window.data[start : entry.end - window.base]
        return os.pread(self._fd, entry.end - entry.start, entry.start)

    def __iter__(self) -> t.Iterator[Record]:
        for found in self.runs():
            if isinstance(found, Run):
                yield from found.entries()
            else:
                yield found

    def runs(self) -> t.Iterator[Run | Record]:
        """The same, but for as many keys as there are by runs."""
        if not self.version:
            self._read_magic()
        while self.tail is None:
            run = self._run()
            if run.rows:
                yield run
            record = self._next()
            if record is not None:
                yield record

    def _read_magic(self) -> None:
        window, start = self._window, self._window.offset
        magic = window.take(9, "the beginning of an RDB")
        for word, newest in rdb_types.NEWEST.items():
            digits = magic[len(word) :]
            if magic.startswith(word) and digits.isdigit():
                self.version = int(digits)
                if not 1 <= self.version <= newest:
                    raise window.unknown(start, f"an RDB of version {self.version}")
                return
        raise window.corrupt(start, "the beginning of an RDB (REDIS or VALKEY and a version)")

    def _run(self) -> Run:
        """The next keys as long as they are short, of a type that takes no more than to pass some strings, and are here.

        This is most of what there is; all else is for :meth:`_next`, which can read this, too.
        """
        window = self._window
        data, at, size = window.data, window.at, len(window.data)
        expiry, passed, skim, skimmed = self._expiry, _PASSED, self._skim, 0
        run = Run(self.database, data, window.base, [])
        found = run.rows.append
        key_start = key_end = key_type = 0
        try:
            while True:
                first = data[at]
                if first >= _IDLE:
                    if first == _EXPIRY_MS and at + 9 <= size:
                        expiry = int.from_bytes(data[at + 1 : at + 9], "little", signed=True)
                        at += 9
                    elif first == _FREQUENCY or first == _IDLE and data[at + 1] < 0x40:
                        at += 2
                    elif first == _AUX and data.startswith(_MVCC, at) and data[at + 13] < 0x40:
                        at += 14 + data[at + 13]
                    else:
                        break
                    continue
                how = passed[first]
                if not how:
                    break
                length = data[at + 1]
                start = at + 2
                if length >= 0x40:
                    if length >= 0x80:
                        break
                    length = (length & 0x3F) << 8 | data[start]
                    start += 1
                value = start + length
                if how == _ONE:
                    length = data[value]
                    if length < 0x40:
                        end = value + 1 + length
                    elif length < 0x80:
                        end = value + 2 + ((length & 0x3F) << 8 | data[value + 1])
                    else:
                        end = _end_of_encoded(data, value)
                elif how == _NODE:
                    if data[value] != 1 or data[value + 1] not in (1, 2):
                        break
                    end = _end_of_strings(data, value + 2, 1)
                else:
                    count = data[value]
                    if count >= 0x40:
                        break
                    end = _end_of_strings(data, value + 1, count * how)
                if end > size:
                    break
                at = end
                if skim:
                    skimmed, expiry = skimmed + 1, None
                    key_start, key_end, key_type = start, value, first
                    continue
                found((data[start:value], expiry, first, value, end))
                expiry = None
        except IndexError:
            pass  # it goes on in what is not read yet
        window.at, self._expiry = min(at, size), expiry
        if run.rows:
            self._key, self._type = run.rows[-1][0], run.rows[-1][2]
        elif skimmed:
            self._key, self._type = data[key_start:key_end], key_type
        self.skimmed[run.database] += skimmed
        return run

    def _next(self) -> Record | None:
        """Pass what stands here, whatever it is; None where it is no record of its own."""
        window, start = self._window, self._window.offset
        first = window.byte("a key's type, or the end of the RDB")
        if first == _EXPIRY_MS:
            self._expiry = window.number("<q", "an expiry")
        elif first == _EXPIRY_S:
            self._expiry = window.number("<i", "an expiry") * 1000
        elif first == _FREQUENCY:
            window.byte("how often a key is used")
        elif first == _IDLE:
            window.length("how long a key was not used")
        elif first in rdb_types.types_of(self.version):
            return self._entry(first, start)
        elif first == _SELECT:
            self.database = window.length("the number of a database")
        elif first == _SIZES:
            return Sizes(self.database, window.length("a number of keys"), window.length("a number of keys"))
        elif first == _AUX:
            return self._aux()
        elif first == _FUNCTION:
            return Function(window.string("a library of functions"), start)
        elif first == _MODULE_AUX:
            return self._module_aux()
        elif first == _SLOT_INFO:
            for _number in range(3):
                window.length("a slot's number or size")
        elif first == END:
            self._end()
        else:
            return self._of_one_flavor(first, start)
        return None

    def _entry(self, rdb_type: int, start: int) -> Entry:
        window = self._window
        if rdb_type == rdb_types.MODULE_PRE_GA:
            raise window.unknown(start, "a module's value in the format of Redis 4.0's release candidates")
        key = window.string("a key")
        value = window.offset
        skip_value(window, rdb_type, self.version, self.templates)
        expiry, self._expiry, self._key, self._type = self._expiry, None, key, rdb_type
        return Entry(key, self.database, expiry, rdb_type, value, window.offset)

    def _aux(self) -> Record | None:
        window = self._window
        name, start = window.string("a field's name"), window.offset
        value = window.string("a field's value")
        if name == _MVCC_TIMESTAMP:
            return None
        if name == _MEMBER:
            self._member = value
            return None
        if name != _MEMBER_EXPIRY:
            return Aux(name, value)
        member, self._member = self._member, None
        if member is None or not value.isdigit():
            raise window.corrupt(start, "when a member expires")
        return MemberExpiry(self._key, self.database, member, int(value), self._type)

    def _module_aux(self) -> ModuleAux:
        window = self._window
        name = module_name(window.length("a module's number"))
        window.length("when a module has written"), window.length("when a module has written")
        start = window.offset
        skip_module(window)
        return ModuleAux(name, start, window.offset)

    def _of_one_flavor(self, first: int, start: int) -> Record | None:
        """Opcodes that Redis and Valkey number alike and mean differently."""
        window, valkey = self._window, self.version >= rdb_types.VALKEY
        if first == _KEY_META_OR_SLOT_IMPORT and valkey:
            job = window.string("an import's name")
            ranges = range(window.length("how many slots are imported"))
            return SlotImport(job, tuple((window.length("a slot"), window.length("a slot")) for _range in ranges))
        if first == _KEY_META_OR_SLOT_IMPORT:
            for _class in range(window.length("how many modules know something of a key")):
                window.skip(4, "what modules know of a key")
                skip_module(window)
        elif first == _UPDATE_OR_TEMPLATE and not valkey:
            number, fields = (
                window.length("the number of a template"),
                window.length("the number of a template's fields"),
            )
            window.skip_strings(fields, "a template's field")
            self.templates[number] = fields
        elif first in (_UPDATE_OR_TEMPLATE, _FUNCTION_RC):
            raise window.unknown(start, f"opcode {first}")
        else:
            raise window.corrupt(start, "a key's type, or the end of the RDB")
        return None

    def _end(self) -> None:
        window = self._window
        found = window.value if self._verify else 0
        start = window.offset
        if self.version >= 5:
            told = window.number("<Q", "a checksum")
            self.has_checksum = told != 0
            if self._verify and told not in (0, found):  # 0: the source has rdbchecksum no
                raise window.corrupt(start, f"the checksum {found:#018x} of everything before it")
        self.tail = window.offset
