# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where the keys stand in the commands that an AOF holds.

Positions as in the servers' own command tables (``COMMAND INFO``: first key, last key, step), for the commands that
write, and by their own rule for those whose keys move. A command that is not listed has one key, its first argument:
true of all the others, modules' commands included.
"""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.data_commands import has_known_keys
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: Commands that mean the same for each of their keys: name to arguments a key.
DIVISIBLE = {b"DEL": 1, b"UNLINK": 1, b"MSET": 2}

_NO_KEYS = frozenset(
    (
        b"SELECT",
        b"MULTI",
        b"EXEC",
        b"FLUSHALL",
        b"FLUSHDB",
        b"SWAPDB",
        b"SCRIPT",
        b"FUNCTION",
        b"PUBLISH",
        b"PING",
        b"CLUSTER",
        b"TRIMSLOTS",
    )
)

#: name: (first, last, step); a negative last counts from the end.
_RANGES: dict[bytes, tuple[int, int, int]] = {
    **dict.fromkeys((b"DEL", b"UNLINK", b"PFMERGE", b"SINTERSTORE", b"SUNIONSTORE", b"SDIFFSTORE"), (1, -1, 1)),
    **dict.fromkeys((b"MSET", b"MSETNX"), (1, -1, 2)),
    **dict.fromkeys((b"JSON.MSET", b"TS.MADD"), (1, -1, 3)),
    **dict.fromkeys(
        (
            b"RENAME",
            b"RENAMENX",
            b"RPOPLPUSH",
            b"LMOVE",
            b"SMOVE",
            b"COPY",
            b"GEOSEARCHSTORE",
            b"ZRANGESTORE",
        ),
        (1, 2, 1),
    ),
    b"BITOP": (2, -1, 1),
    b"XGROUP": (2, 2, 1),
}

#: name: (keys before the count, position of the count, step of the keys after it).
_COUNTED: dict[bytes, tuple[tuple[int, ...], int, int]] = {
    **dict.fromkeys((b"ZUNIONSTORE", b"ZINTERSTORE", b"ZDIFFSTORE"), ((1,), 2, 1)),
    **dict.fromkeys((b"EVAL", b"EVALSHA", b"FCALL"), ((), 2, 1)),
    b"MSETEX": ((), 1, 2),
}

#: Commands with one key and possibly a second one after a word: where their options begin, these words, and how many arguments
#: other options have.
_STORING: dict[bytes, tuple[int, tuple[bytes, ...], dict[bytes, int]]] = {
    b"SORT": (2, (b"STORE",), {b"BY": 1, b"GET": 1, b"LIMIT": 2}),
    b"GEORADIUS": (6, (b"STORE", b"STOREDIST"), {b"COUNT": 1}),
    b"GEORADIUSBYMEMBER": (5, (b"STORE", b"STOREDIST"), {b"COUNT": 1}),
}


def key_positions(command: Command) -> t.Sequence[int]:
    """Where in ``command`` its keys stand; empty for commands without keys. The name may be in any case."""
    name = command[0].upper()
    count = len(command)
    if name in _NO_KEYS or count < 2:
        return ()
    if name in _RANGES:
        first, last, step = _RANGES[name]
        return range(first, (count + last if last < 0 else min(last, count - 1)) + 1, step)
    if name in _COUNTED:
        before, position, step = _COUNTED[name]
        keys = int(command[position]) if position < count and command[position].isdigit() else 0
        return (*before, *range(position + 1, min(position + 1 + keys * step, count), step))
    if name in _STORING:
        return (1, *_stored_at(command, *_STORING[name]))
    return (1,)


def _stored_at(command: Command, at: int, words: tuple[bytes, ...], arguments: dict[bytes, int]) -> tuple[int, ...]:
    found: tuple[int, ...] = ()
    while at < len(command) - 1:
        word = command[at].upper()
        if word in words:
            found = (*found, at + 1)
        at += 2 if word in words else 1 + arguments.get(word, 0)
    return found


def has_one_key(name: bytes) -> bool:
    """Whether every command of this name (in capitals) has one key, whatever its arguments."""
    return not (name in _NO_KEYS or name in _RANGES or name in _COUNTED or name in _STORING)


def first_key(command: Command) -> bytes | None:
    """Return the first key of a command; None where it has none. See :func:`shown_key` for messages."""
    positions = key_positions(command)
    return command[positions[0]] if positions else None


def shown_key(command: Command) -> bytes | None:
    """Return the first key of a command to show it; None where its arguments may be something else, such as a password."""
    return first_key(command) if has_known_keys(command[0].upper()) else None


def named_databases(command: Command) -> t.Iterator[int]:
    """Return the databases that a MOVE, COPY or SWAPDB names."""
    name = command[0].upper()
    if name == b"SWAPDB":
        named = command[1:3]
    elif name == b"MOVE":
        named = command[2:3]
    elif name == b"COPY":
        named = [command[at + 1] for at in range(3, len(command) - 1) if command[at].upper() == b"DB"][:1]
    else:
        named = []
    return (int(number) for number in named if number.isdigit() and len(number) < 10)
