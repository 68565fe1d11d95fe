# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which commands build a key anew, so that the target holds what the source has, whatever the versions?"""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._compare.closer import PIECE_BYTES
from ansible_collections.redisops.tair.plugins.module_utils._compare.pair import Pair
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import Command
from ansible_collections.redisops.tair.plugins.module_utils._compare.stream_copy import stream_commands
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

Commands = t.Iterator[Command]


def commands_for(pair: Pair, key: bytes, kind: bytes, new: bytes, piece: int) -> Commands:
    """Commands that build ``key`` of the source under the name ``new``, ``piece`` elements in each. Reads as it goes."""
    source = pair.source.wire
    if kind == b"stream":
        return stream_commands(pair, key, new, piece)
    if kind == b"string":
        return _string(source, key, new)
    if kind == b"list":
        return _list(source, key, new, piece)
    if kind == b"hash":
        return _hash(pair, key, new, piece)
    return _members(source, key, kind, new, piece)


def _string(source: Wire, key: bytes, new: bytes) -> Commands:
    yield b"SET", new, b""  # an empty string is a value, too
    start = 0
    while True:
        part = source.call(b"GETRANGE", key, b"%d" % start, b"%d" % (start + PIECE_BYTES - 1))
        if not part:
            return
        yield b"APPEND", new, part
        start += len(part)


def _list(source: Wire, key: bytes, new: bytes, piece: int) -> Commands:
    start = 0
    while True:
        elements = source.call(b"LRANGE", key, b"%d" % start, b"%d" % (start + piece - 1))
        if not elements:
            return
        yield (b"RPUSH", new, *elements)
        start += len(elements)


def _scanned(source: Wire, command: bytes, key: bytes, piece: int) -> t.Iterator[list[bytes]]:
    cursor = None
    while cursor != b"0":
        cursor, elements = source.call(command, key, cursor or b"0", b"COUNT", b"%d" % piece)
        if elements:
            yield elements


def _members(source: Wire, key: bytes, kind: bytes, new: bytes, piece: int) -> Commands:
    if kind == b"set":
        for members in _scanned(source, b"SSCAN", key, piece):
            yield (b"SADD", new, *members)
        return
    for flat in _scanned(source, b"ZSCAN", key, piece):
        yield (b"ZADD", new, *(part for pair in zip(flat[1::2], flat[::2]) for part in pair))


def _hash(pair: Pair, key: bytes, new: bytes, piece: int) -> Commands:
    source = pair.source.wire
    expiring = pair.source.has_field_expiry and pair.target.has_field_expiry
    for flat in _scanned(source, b"HSCAN", key, piece):
        yield (b"HSET", new, *flat)
        if not expiring:
            continue
        fields = flat[::2]
        told = source.call(b"HPEXPIRETIME", key, b"FIELDS", b"%d" % len(fields), *fields) or []
        for field, expiry in zip(fields, told):
            if expiry >= 0:
                yield b"HPEXPIREAT", new, b"%d" % expiry, b"FIELDS", b"1", field
