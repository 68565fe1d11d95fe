# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which commands build a stream anew, with its identifiers, groups, consumers and pending entries?"""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._compare.pair import Pair
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import Command, Side, milliseconds
from ansible_collections.redisops.tair.plugins.module_utils._compare.streams import Map, after, as_map

Commands = t.Iterator[Command]

#: Pending entries asked for at once.
_PENDING = 1000


def stream_commands(pair: Pair, key: bytes, new: bytes, piece: int) -> Commands:
    """Commands that build the stream ``key`` of the source under the name ``new``. Reads as it goes."""
    source = pair.source.wire
    told = as_map(source.call(b"XINFO", b"STREAM", key))
    last = told[b"last-generated-id"]
    yield b"XGROUP", b"CREATE", new, b"-", b"0", b"MKSTREAM"  # a stream may be without entries
    yield b"XGROUP", b"DESTROY", new, b"-"
    start: bytes | None = b"-"
    while start is not None:
        entries = source.call(b"XRANGE", key, start, b"+", b"COUNT", b"%d" % piece)
        for entry, fields in entries:
            yield (b"XADD", new, entry, *fields)
        start = after(entries[-1][0]) if len(entries) == piece else None
    counts = b"entries-added" in told and b"entries-added" in as_map(pair.target.wire.call(b"XINFO", b"STREAM", new))
    if last != b"0-0":
        more: tuple[bytes, ...] = ()
        if counts:
            more = (b"ENTRIESADDED", b"%d" % told[b"entries-added"], b"MAXDELETEDID", told[b"max-deleted-entry-id"])
        yield (b"XSETID", new, last, *more)
    for group in map(as_map, source.call(b"XINFO", b"GROUPS", key)):
        yield from _group(pair, key, new, group, counts)


def _group(pair: Pair, key: bytes, new: bytes, group: Map, counts: bool) -> Commands:
    name, read = group[b"name"], group.get(b"entries-read")
    more = () if read is None or not counts else (b"ENTRIESREAD", b"%d" % read)
    yield (b"XGROUP", b"CREATE", new, name, group[b"last-delivered-id"], *more)
    if pair.target.tells_members:  # 6.2 and newer, as XGROUP CREATECONSUMER
        for consumer in map(as_map, pair.source.wire.call(b"XINFO", b"CONSUMERS", key, name)):
            yield b"XGROUP", b"CREATECONSUMER", new, name, consumer[b"name"]
    yield from _pending(pair.source, key, new, name)


def _pending(source: Side, key: bytes, new: bytes, group: bytes) -> Commands:
    start: bytes | None = b"-"
    while start is not None:
        now, page = source.wire.exchange([(b"TIME",), (b"XPENDING", key, group, start, b"+", b"%d" % _PENDING)])
        page = source.wire.checked(page, b"XPENDING")
        for entry, consumer, idle, deliveries in page:
            when = b"%d" % round(milliseconds(now) - idle)
            count = b"%d" % deliveries
            yield b"XCLAIM", new, group, consumer, b"0", entry, b"TIME", when, b"RETRYCOUNT", count, b"FORCE", b"JUSTID"
        start = after(page[-1][0]) if len(page) == _PENDING else None
