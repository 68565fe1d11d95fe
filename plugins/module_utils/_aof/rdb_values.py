# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which commands build a key of an RDB?

    for command in commands(fd, entry, rdb.version, where="appendonly.aof", target=(7, 0)):
        ...

As a server's own rewrite writes them, 64 elements in each. They are made one after the other from what is read of the file
by and by; held are an element, or a list node or packed value (a few kilobytes, as servers keep them). The key must
not be there before. What an older target does not know is left out where ``target`` tells so and nothing but counters
is lost; a field's expiry never is: HPEXPIREAT is refused by a target that has none.
"""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_extents import module_name
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_packed import (
    BadPacked,
    Elements,
    intset,
    listpack,
    pairs,
    ziplist,
    zipmap,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry, Function, MemberExpiry
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_streams import Version, stream_commands
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import Window
from ansible_collections.redisops.tair.plugins.module_utils._errors import UnsupportedTypeError
from ansible_collections.redisops.tair.plugins.module_utils._keys import printable
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

Commands = t.Iterator[Command]

#: Elements of a command at most, as in the servers' rewrites, and bytes of elements from which on it takes no more.
TOGETHER = 64
PIECE_BYTES = 1024 * 1024
NEWEST: Version = (8, 10)
_BLOCK_BYTES = 64 * 1024

_PACKED: dict[int, t.Callable[[bytes], Elements]] = {
    rdb_types.HASH_ZIPMAP: zipmap,
    rdb_types.LIST_ZIPLIST: ziplist,
    rdb_types.SET_INTSET: intset,
    rdb_types.ZSET_ZIPLIST: ziplist,
    rdb_types.HASH_ZIPLIST: ziplist,
    rdb_types.HASH_LISTPACK: listpack,
    rdb_types.ZSET_LISTPACK: listpack,
    rdb_types.SET_LISTPACK: listpack,
}


_REMOVALS = {"set": b"SREM", "zset": b"ZREM"}


def commands(fd: int, entry: Entry, version: int, *, where: str, target: Version = NEWEST) -> Commands:
    """The commands for an entry of an RDB of ``version``, its expiry last.

    ``target``: the version of Redis whose commands the target knows. An empty collection gives none: servers leave such
    a key out. Raises :class:`UnsupportedTypeError` for a module's value, a hash in a template and a job of KEYDB.CRON,
    and :class:`AofFormatError`.
    """
    return commands_in(
        Window(fd, entry.start, entry.end, where=where, block_bytes=_BLOCK_BYTES), entry, version, target=target
    )


def commands_in(window: Window, entry: Entry, version: int, *, target: Version = NEWEST) -> Commands:
    """Return the same as :func:`commands` for a value that is all of ``window``."""
    if entry.type in rdb_types.UNBUILDABLE:
        what = _what_no_command_builds(window, entry.type)
        raise UnsupportedTypeError(
            f"The key {printable(entry.key)} of database {entry.database} is {what}: there are no commands that build it",
            todo="Leave the key out (exclude_keys), or bring it over by its application",
            key=printable(entry.key),
            database=entry.database,
            kind=what,
        )
    found = False
    for command in _value(window, entry, version, target):
        yield command
        found = True
    if window.offset != window.end:
        raise window.corrupt(window.offset, "the end of a value")
    if found and entry.expiry is not None:
        yield [b"PEXPIREAT", entry.key, b"%d" % entry.expiry]


def function_command(function: Function) -> Command:
    """The command that brings a library of functions (Redis 7.0 and newer); a rewrite puts it before all keys."""
    return [b"FUNCTION", b"LOAD", function.code]


def member_expiry_command(record: MemberExpiry, version: int, *, keydb: bool, now: float) -> Command:
    """Return the command that makes a member expire, of an RDB of ``version``.

    ``keydb``: whether the target knows KeyDB's own command. Any other target is sent HPEXPIREAT for the field of a hash; a
    member of a set that has expired at ``now`` (milliseconds since the epoch) is removed, and one that has not is left to
    KeyDB's command, which the target refuses.
    """
    kind = rdb_types.kind_of(record.type, version)
    when = b"%d" % record.expiry
    if not keydb and kind == "hash":
        return [b"HPEXPIREAT", record.key, when, b"FIELDS", b"1", record.member]
    if not keydb and record.expiry <= now and kind in _REMOVALS:
        return [_REMOVALS[kind], record.key, record.member]
    return [b"PEXPIREMEMBERAT", record.key, record.member, when]


def _value(window: Window, entry: Entry, version: int, target: Version) -> Commands:
    key, kind = entry.key, rdb_types.kind_of(entry.type, version)
    if kind == "string":
        return _string(window, key)
    if kind == "list":
        return _together(b"RPUSH", key, ((element,) for element in _elements(window, entry.type)))
    if kind == "set":
        return _together(b"SADD", key, ((member,) for member in _elements(window, entry.type)))
    if kind == "zset":
        return _together(b"ZADD", key, _scored(window, entry.type))
    if kind == "stream":
        return stream_commands(window, key, entry.type, target)
    if kind == "array":
        return _array(window, key)
    return _hash(window, key, entry.type, version)


def what_no_command_builds(fd: int, entry: Entry, *, where: str) -> str:
    """What an entry is whose type is in ``rdb_types.UNBUILDABLE``."""
    return _what_no_command_builds(Window(fd, entry.start, entry.end, where=where, block_bytes=9), entry.type)


def _what_no_command_builds(window: Window, rdb_type: int) -> str:
    if rdb_type == rdb_types.MODULE_2:
        return f"a value of the module type {module_name(window.length('a number'))}"
    return "a job of KEYDB.CRON" if rdb_type == rdb_types.CRON else "a hash in a template of Redis 8.10"


def _together(name: bytes, key: bytes, items: t.Iterable[tuple[bytes, ...]]) -> Commands:
    """``name key item ...``, as many items in each as may be."""
    command, count, size = [name, key], 0, 0
    for item in items:
        command += item
        count += 1
        size += sum(map(len, item))
        if count == TOGETHER or size >= PIECE_BYTES:
            yield command
            command, count, size = [name, key], 0, 0
    if count:
        yield command


def _string(window: Window, key: bytes) -> Commands:
    command = b"SET"
    for piece in window.pieces(PIECE_BYTES, "a string"):
        yield [command, key, piece]
        command = b"APPEND"


def _unpacked(window: Window, unpack: t.Callable[[bytes], Elements]) -> Elements:
    start = window.offset
    try:
        yield from unpack(window.string("a packed value"))
    except (BadPacked, IndexError):
        raise window.corrupt(start, f"a {unpack.__name__}") from None


def _elements(window: Window, rdb_type: int) -> Elements:
    """Of a list or a set."""
    if rdb_type in _PACKED:
        yield from _unpacked(window, _PACKED[rdb_type])
        return
    for _number in range(window.length("how many elements or nodes follow")):
        if rdb_type == rdb_types.LIST_QUICKLIST:
            yield from _unpacked(window, ziplist)
        elif rdb_type == rdb_types.LIST_QUICKLIST_2 and window.length("a list node's container") == 2:
            yield from _unpacked(window, listpack)
        else:
            yield window.string("an element")


def _in_pairs(window: Window, elements: Elements) -> t.Iterator[tuple[bytes, bytes]]:
    start = window.offset
    try:
        yield from pairs(elements)
    except BadPacked:
        raise window.corrupt(start, "an even number of elements") from None


def _scored(window: Window, rdb_type: int) -> t.Iterator[tuple[bytes, bytes]]:
    """Scores and members."""
    if rdb_type in _PACKED:
        for member, score in _in_pairs(window, _unpacked(window, _PACKED[rdb_type])):
            yield score, member
        return
    for _member in range(window.length("the number of a sorted set's members")):
        member = window.string("a member")
        if rdb_type == rdb_types.ZSET_2:
            yield _number(window.number("<d", "a score")), member
        else:
            yield _score(window), member


def _score(window: Window) -> bytes:
    """Of the oldest kind of a sorted set: in digits."""
    size = window.byte("a score")
    special = {253: b"nan", 254: b"inf", 255: b"-inf"}.get(size)
    return window.take(size, "a score") if special is None else special


def _number(value: float) -> bytes:
    return b"%d" % int(value) if value.is_integer() and abs(value) < 1 << 53 else repr(value).encode()


def _hash(window: Window, key: bytes, rdb_type: int, version: int) -> Commands:
    if rdb_type in _PACKED:
        yield from _together(b"HSET", key, _in_pairs(window, _unpacked(window, _PACKED[rdb_type])))
        return
    if rdb_type == rdb_types.HASH:
        count = window.length("the number of a hash's fields")
        fields = ((window.string("a field"), window.string("a value")) for _field in range(count))
        yield from _together(b"HSET", key, fields)
        return
    expiring = _hash_2(window) if version >= rdb_types.VALKEY else _expiring(window, rdb_type)
    while True:
        some = list(itertools.islice(expiring, TOGETHER))
        if not some:
            return
        yield from _together(b"HSET", key, (item[:2] for item in some))
        for expiry in sorted({item[2] for item in some if item[2] > 0}):
            those = [field for field, _value, when in some if when == expiry]
            yield [b"HPEXPIREAT", key, b"%d" % expiry, b"FIELDS", b"%d" % len(those), *those]


def _hash_2(window: Window) -> t.Iterator[tuple[bytes, bytes, int]]:
    """Fields, values and expiries (-1: none) as Valkey keeps them."""
    for _field in range(window.length("the number of a hash's fields")):
        yield window.string("a field"), window.string("a value"), window.number("<q", "a field's expiry")


def _expiring(window: Window, rdb_type: int) -> t.Iterator[tuple[bytes, bytes, int]]:
    """Fields, values and expiries (0: none) as Redis keeps them."""
    first = 0
    if rdb_type in (rdb_types.HASH_EXPIRING, rdb_types.HASH_LISTPACK_EXPIRING):
        first = window.number("<q", "a hash's first expiry")
    if rdb_type in (rdb_types.HASH_LISTPACK_EXPIRING, rdb_types.HASH_LISTPACK_EXPIRING_RC):
        start, elements = window.offset, _unpacked(window, listpack)
        for field in elements:
            value, told = next(elements, b""), next(elements, b"")
            if not told.isdigit():
                raise window.corrupt(start, "a listpack of fields, values and expiries")
            yield field, value, int(told)
        return
    for _field in range(window.length("the number of a hash's fields")):
        expiry = window.length("a field's expiry")
        if expiry and rdb_type == rdb_types.HASH_EXPIRING:
            expiry += first - 1
        yield window.string("a field"), window.string("a value"), expiry


def _array(window: Window, key: bytes) -> Commands:
    count = window.length("the number of an array's elements")
    cursor = window.length("an array's cursor") if window.length("whether an array has a cursor") else None
    yield from _together(b"ARMSET", key, (_array_element(window) for _element in range(count)))
    if cursor is not None:
        yield [b"ARSEEK", key, b"%d" % (cursor + 1)]


def _array_element(window: Window) -> tuple[bytes, bytes]:
    index, tag = b"%d" % window.length("an element's index"), window.length("an element's kind")
    if tag == 1:
        return index, b"%d" % window.number("<q", "a number")
    if tag == 2:
        return index, repr(window.number("<d", "a number")).encode()
    return index, window.string("an element")
