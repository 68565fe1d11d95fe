# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where does a value of an RDB end? For every type, by its lengths alone."""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_window import Window

#: The types that are one string.
SINGLE = frozenset(
    (
        rdb_types.STRING,
        rdb_types.HASH_ZIPMAP,
        rdb_types.LIST_ZIPLIST,
        rdb_types.SET_INTSET,
        rdb_types.ZSET_ZIPLIST,
        rdb_types.HASH_ZIPLIST,
        rdb_types.HASH_LISTPACK,
        rdb_types.ZSET_LISTPACK,
        rdb_types.SET_LISTPACK,
    )
)

_MODULE_EOF, _MODULE_SIGNED, _MODULE_UNSIGNED, _MODULE_FLOAT, _MODULE_DOUBLE, _MODULE_STRING = range(6)
_MODULE_NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def skip_value(window: Window, rdb_type: int, version: int, templates: t.Mapping[int, int]) -> None:
    """Go to the end of the value that begins here. ``templates``: of hashes, with the number of their fields."""
    if rdb_type in SINGLE:
        window.skip_string("a value")
        return
    skip = (_VALKEY if version >= rdb_types.VALKEY else _REDIS).get(rdb_type)
    if skip is not None:
        skip(window)
    elif rdb_type == rdb_types.HASH_TEMPLATE:
        start = window.offset
        fields = templates.get(window.length("the number of a template"))
        if fields is None:
            raise window.corrupt(start, "the number of a template that was given before")
        window.skip_strings(fields, "a hash's value")
    else:
        raise window.unknown(window.offset, f"a value of type {rdb_type}")


def _strings(times: int, expected: str, trailer: int = 0) -> t.Callable[[Window], None]:
    """Of a number, and so many times ``times`` strings."""

    def skip(window: Window) -> None:
        window.skip_strings(window.length(f"how often there is {expected}") * times, expected, trailer)

    return skip


def _zset(window: Window) -> None:
    for _member in range(window.length("the number of a sorted set's members")):
        window.skip_string("a member")
        length = window.byte("a score")
        if length < 253:  # the others are not a number and the infinities
            window.skip(length, "a score")


def _quicklist_2(window: Window) -> None:
    for _node in range(window.length("the number of a list's nodes")):
        start = window.offset
        if window.length("a list node's container") not in (1, 2):
            raise window.corrupt(start, "a list node's container (1 or 2)")
        window.skip_string("a list node")


def _expiring_rc(window: Window) -> None:
    for _field in range(window.length("the number of a hash's fields")):
        window.length("a field's expiry")
        window.skip_strings(2, "a hash's field")


def _expiring(window: Window) -> None:
    window.skip(8, "a hash's first expiry")
    _expiring_rc(window)


def _listpack_expiring(window: Window) -> None:
    window.skip(8, "a hash's first expiry")
    window.skip_string("a hash")


def _hash_2(window: Window) -> None:
    for _field in range(window.length("the number of a hash's fields")):
        window.skip_strings(2, "a hash's field")
        window.skip(8, "a field's expiry")


def _array(window: Window) -> None:
    count = window.length("the number of an array's elements")
    if window.length("whether an array has a cursor"):
        window.length("an array's cursor")
    for _element in range(count):
        window.length("an element's index")
        start = window.offset
        tag = window.length("an element's kind")
        if tag in (1, 2):
            window.skip(8, "a number")
        elif tag in (0, 3):
            window.skip_string("an element")
        else:
            raise window.corrupt(start, "an element's kind (0 to 3)")


def _stream(window: Window, rdb_type: int) -> None:
    window.skip_strings(window.length("the number of a stream's nodes") * 2, "a stream's node")
    for _number in range(3 if rdb_type == rdb_types.STREAM else 8):
        window.length("a stream's length or identifiers")
    for _group in range(window.length("the number of a stream's groups")):
        window.skip_string("a group's name")
        for _number in range(2 if rdb_type == rdb_types.STREAM else 3):
            window.length("what a group has read")
        for _pending in range(window.length("the number of a group's pending entries")):
            window.skip(24, "a pending entry")
            window.length("how often it was delivered")
        for _consumer in range(window.length("the number of a group's consumers")):
            window.skip_string("a consumer's name")
            window.skip(16 if rdb_type >= rdb_types.STREAM_3 else 8, "when a consumer was seen")
            window.skip(
                window.length("the number of a consumer's pending entries") * 16, "a consumer's pending entries"
            )
        if rdb_type >= rdb_types.STREAM_5:
            window.skip(window.length("the number of entries given back") * 16, "the entries given back")
    if rdb_type >= rdb_types.STREAM_4:
        skip_producers(window)


def skip_producers(window: Window) -> None:
    """Skip what makes XADD idempotent."""
    window.length("how long a stream remembers producers' identifiers")
    window.length("how many of them a stream remembers")
    for _producer in range(window.length("the number of a stream's producers")):
        window.skip_string("a producer")
        for _identifier in range(window.length("the number of a producer's identifiers")):
            window.skip_string("a producer's identifier")
            window.length("an entry's identifier")
            window.length("an entry's identifier")
    window.length("how many identifiers were added")
    window.length("how many identifiers were refused")


def module_name(identifier: int) -> str:
    """The name of a data type, out of its number: nine characters of six bits, and ten bits for a version."""
    return "".join(_MODULE_NAMES[identifier >> shift & 63] for shift in range(58, 4, -6))


def skip_module(window: Window) -> None:
    """What a module has written, to the mark at its end."""
    while True:
        start = window.offset
        opcode = window.length("what a module has written")
        if opcode == _MODULE_EOF:
            return
        if opcode in (_MODULE_SIGNED, _MODULE_UNSIGNED):
            window.length("a module's number")
        elif opcode == _MODULE_FLOAT:
            window.skip(4, "a module's number")
        elif opcode == _MODULE_DOUBLE:
            window.skip(8, "a module's number")
        elif opcode == _MODULE_STRING:
            window.skip_string("a module's string")
        else:
            raise window.corrupt(start, "what a module has written (0 to 5)")


def _module(window: Window) -> None:
    window.length("a module's number")
    skip_module(window)


def _cron(window: Window) -> None:
    window.skip_string("a job's script")
    window.skip(16, "when a job runs")
    window.skip_strings(window.length("the number of a job's keys"), "a job's key")
    window.skip_strings(window.length("the number of a job's arguments"), "a job's argument")


_COMMON: dict[int, t.Callable[[Window], None]] = {
    rdb_types.LIST: _strings(1, "an element"),
    rdb_types.SET: _strings(1, "a member"),
    rdb_types.ZSET: _zset,
    rdb_types.HASH: _strings(2, "a hash's field"),
    rdb_types.ZSET_2: _strings(1, "a member and its score", 8),
    rdb_types.MODULE_2: _module,
    rdb_types.LIST_QUICKLIST: _strings(1, "a list node"),
    rdb_types.LIST_QUICKLIST_2: _quicklist_2,
    **{
        rdb_type: lambda window, rdb_type=rdb_type: _stream(window, rdb_type)  # type: ignore[misc]
        for rdb_type in (rdb_types.STREAM, rdb_types.STREAM_2, rdb_types.STREAM_3)
    },
}
_REDIS: dict[int, t.Callable[[Window], None]] = {
    **_COMMON,
    rdb_types.CRON: _cron,
    rdb_types.HASH_EXPIRING_RC: _expiring_rc,
    rdb_types.HASH_LISTPACK_EXPIRING_RC: lambda window: window.skip_string("a hash"),
    rdb_types.HASH_EXPIRING: _expiring,
    rdb_types.HASH_LISTPACK_EXPIRING: _listpack_expiring,
    rdb_types.STREAM_4: lambda window: _stream(window, rdb_types.STREAM_4),
    rdb_types.STREAM_5: lambda window: _stream(window, rdb_types.STREAM_5),
    rdb_types.ARRAY: _array,
    rdb_types.HASH_TEMPLATE_LISTPACK: lambda window: window.skip_string("a hash"),
}
_VALKEY: dict[int, t.Callable[[Window], None]] = {**_COMMON, rdb_types.HASH_2: _hash_2}
