# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which commands build a stream of an RDB, with its identifiers, groups, consumers and pending entries?

As the servers' own rewrites do. What those can't bring, these can't: a pending entry whose entry is deleted.
"""

from __future__ import annotations

import struct
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_packed import BadPacked, listpack
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import Window
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

Version = t.Tuple[int, int]

_CONSUMERS: Version = (6, 2)
_COUNTERS: Version = (7, 0)
_PRODUCERS: Version = (8, 6)
_GIVING_BACK: Version = (8, 8)
_DELETED, _SAME_FIELDS = 1, 2
_UNKNOWN = (1 << 64) - 1
#: What XADD remembers where nothing was configured.
_DEFAULT_PRODUCERS = (100, 100)


def stream_commands(window: Window, key: bytes, rdb_type: int, target: Version) -> t.Iterator[Command]:
    """The commands for the stream that begins here. ``target``: the Redis version whose commands may be used.

    One group's pending entries are held at a time.
    """
    empty = True
    for _node in range(window.length("the number of a stream's nodes")):
        for identifier, fields in _entries(window):
            yield [b"XADD", key, identifier, *fields]
            empty = False
    if empty:
        yield [b"XGROUP", b"CREATE", key, b"-", b"0", b"MKSTREAM"]
        yield [b"XGROUP", b"DESTROY", key, b"-"]
    window.length("the number of a stream's entries")
    last = _identifier(window)
    counters: list[bytes] = []
    if rdb_type != rdb_types.STREAM:
        _identifier(window)  # of the first entry
        deleted, added = _identifier(window), window.length("the number of entries added")
        counters = [b"ENTRIESADDED", b"%d" % added, b"MAXDELETEDID", deleted]
    if last != b"0-0":
        yield [b"XSETID", key, last, *(counters if target >= _COUNTERS else ())]
    for _group in range(window.length("the number of a stream's groups")):
        yield from _group_commands(window, key, rdb_type, target)
    if rdb_type >= rdb_types.STREAM_4:
        yield from _producer_commands(window, key, target)


def _identifier(window: Window) -> bytes:
    return b"%d-%d" % (window.length("a stream's identifier"), window.length("a stream's identifier"))


def _entries(window: Window) -> t.Iterator[tuple[bytes, list[bytes]]]:
    """The entries of one node: identifiers, and fields and values in turn. Deleted ones are left out."""
    start = window.offset
    node = window.string("a stream's node")
    try:
        milliseconds, sequence = struct.unpack(">QQ", node)
        elements = listpack(window.string("a stream's node"))
        count, deleted, width = int(next(elements)), int(next(elements)), int(next(elements))
        fields = [next(elements) for _field in range(width)]
        next(elements)  # 0: the end of what the entries have in common
        for _entry in range(count + deleted):
            flags = int(next(elements))
            identifier = b"%d-%d" % (milliseconds + int(next(elements)), sequence + int(next(elements)))
            if flags & _SAME_FIELDS:
                content = [part for field in fields for part in (field, next(elements))]
            else:
                content = [next(elements) for _part in range(2 * int(next(elements)))]
            next(elements)  # how many elements an entry has
            if not flags & _DELETED:
                yield identifier, content
    except (BadPacked, IndexError, StopIteration, struct.error, ValueError):
        raise window.corrupt(start, "a stream's node") from None


def _group_commands(window: Window, key: bytes, rdb_type: int, target: Version) -> t.Iterator[Command]:
    name, last = window.string("a group's name"), _identifier(window)
    read = window.length("what a group has read") if rdb_type != rdb_types.STREAM else _UNKNOWN
    more = [b"ENTRIESREAD", b"%d" % read] if read != _UNKNOWN and target >= _COUNTERS else []
    yield [b"XGROUP", b"CREATE", key, name, last, *more]
    pending: dict[bytes, tuple[bytes, bytes]] = {}
    for _entry in range(window.length("the number of a group's pending entries")):
        identifier = window.take(16, "a pending entry")
        delivered = b"%d" % window.number("<q", "when an entry was delivered")
        pending[identifier] = delivered, b"%d" % window.length("how often it was delivered")
    for _consumer in range(window.length("the number of a group's consumers")):
        consumer = window.string("a consumer's name")
        window.skip(16 if rdb_type >= rdb_types.STREAM_3 else 8, "when a consumer was seen")
        if target >= _CONSUMERS:
            yield [b"XGROUP", b"CREATECONSUMER", key, name, consumer]
        for _entry in range(window.length("the number of a consumer's pending entries")):
            identifier, (delivered, count) = _pending(window, pending)
            yield [
                *(b"XCLAIM", key, name, consumer, b"0", identifier),
                *(b"TIME", delivered, b"RETRYCOUNT", count, b"JUSTID", b"FORCE"),
            ]
    if rdb_type >= rdb_types.STREAM_5:
        for _entry in range(window.length("the number of entries given back")):
            identifier, (_delivered, count) = _pending(window, pending)
            if target >= _GIVING_BACK:
                yield [b"XNACK", key, name, b"FAIL", b"IDS", b"1", identifier, b"RETRYCOUNT", count, b"FORCE"]


def _pending(window: Window, pending: dict[bytes, tuple[bytes, bytes]]) -> tuple[bytes, tuple[bytes, bytes]]:
    start = window.offset
    raw = window.take(16, "a pending entry")
    if raw not in pending:
        raise window.corrupt(start, "a pending entry of the group")
    return b"%d-%d" % struct.unpack(">QQ", raw), pending[raw]


def _producer_commands(window: Window, key: bytes, target: Version) -> t.Iterator[Command]:
    duration, most = window.length("how long producers are remembered"), window.length("how many of them are")
    if target >= _PRODUCERS and (duration, most) != _DEFAULT_PRODUCERS:
        yield [b"XCFGSET", key, b"IDMP-DURATION", b"%d" % duration, b"IDMP-MAXSIZE", b"%d" % most]
    for _producer in range(window.length("the number of a stream's producers")):
        producer = window.string("a producer")
        for _known in range(window.length("the number of a producer's identifiers")):
            known = window.string("a producer's identifier")
            identifier = _identifier(window)
            if target >= _PRODUCERS:
                yield [b"XIDMPRECORD", key, producer, known, identifier]
    window.length("how many identifiers were added")
    window.length("how many identifiers were refused")
