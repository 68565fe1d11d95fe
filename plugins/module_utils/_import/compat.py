# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What an older target can be sent instead of a command it would refuse.

One row a form: which commands are of it, what they become, or under which name they may be dropped. Nothing here asks
a server: which rows are needed is for the caller to find out.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: The commands to send instead, or None where this command has no equivalent.
Rewriting = t.Callable[[Command], t.Optional[list[Command]]]

_ABSOLUTE = {b"PXAT": b"PEXPIREAT", b"EXAT": b"EXPIREAT"}


def _nothing(_command: Command) -> list[Command] | None:
    return []


@dataclass(frozen=True)
class Row:
    """A form that some targets lack.

    ``name``: the command's, in upper case. ``droppable``: the name under which what has no equivalent may be given up,
    empty where that would lose more than what the target lacks; ``rest``: what is sent of the command then.
    """

    form: str
    name: bytes
    rewrite: Rewriting
    droppable: str = ""
    rest: Rewriting = _nothing


def _no_equivalent(_command: Command) -> list[Command] | None:
    return None


def _set_expiring(command: Command) -> list[Command] | None:
    """Servers write no other option beside the time; one that they would can't be judged."""
    if len(command) != 5 or command[3].upper() not in _ABSOLUTE:
        return None
    return [command[:3], [_ABSOLUTE[command[3].upper()], command[1], command[4]]]


def _getex(command: Command) -> list[Command] | None:
    if len(command) == 3 and command[2].upper() == b"PERSIST":
        return [[b"PERSIST", command[1]]]
    if len(command) == 4 and command[2].upper() in _ABSOLUTE:
        return [[_ABSOLUTE[command[2].upper()], command[1], command[3]]]
    return None


def _getdel(command: Command) -> list[Command] | None:
    return [[b"DEL", command[1]]] if len(command) == 2 else None


def _lmove(command: Command) -> list[Command] | None:
    """Only from the one list's tail to the other's head is there an older command."""
    if len(command) == 5 and [end.upper() for end in command[3:]] == [b"RIGHT", b"LEFT"]:
        return [[b"RPOPLPUSH", command[1], command[2]]]
    return None


def _xsetid(command: Command) -> list[Command] | None:
    """Without the counters, which a target that lacks the options does not have either."""
    options = [word.upper() for word in command[3::2]]
    if len(command) < 5 or len(command) % 2 == 0 or not set(options) <= {b"ENTRIESADDED", b"MAXDELETEDID"}:
        return None
    return [command[:3]]


def _xgroup(command: Command) -> list[Command] | None:
    """Without the number of entries read, which a target that lacks the option does not have either."""
    if len(command) < 7 or command[1].upper() not in (b"CREATE", b"SETID"):
        return None
    at = next((n for n in range(5, len(command) - 1) if command[n].upper() == b"ENTRIESREAD"), None)
    return None if at is None else [[*command[:at], *command[at + 2 :]]]


def _hsetex(command: Command) -> list[Command] | None:
    """Only without a condition and without KEEPTTL: HSET takes the time that a field had away."""
    if len(command) < 8 or command[2].upper() != b"PXAT" or command[4].upper() != b"FIELDS":
        return None
    pairs = command[6:]
    if command[5] != b"%d" % (len(pairs) // 2) or len(pairs) % 2:
        return None
    return [[b"HSET", command[1], *pairs], [b"HPEXPIREAT", command[1], command[3], b"FIELDS", command[5], *pairs[::2]]]


def _hset(command: Command) -> list[Command] | None:
    """The fields without their time. With a condition it has no rest."""
    at = {b"PXAT": 4, b"KEEPTTL": 3, b"FIELDS": 2}.get(command[2].upper()) if len(command) > 5 else None
    if at is None or command[at].upper() != b"FIELDS":
        return None
    pairs = command[at + 2 :]
    if command[at + 1] != b"%d" % (len(pairs) // 2) or len(pairs) % 2:
        return None
    return [[b"HSET", command[1], *pairs]]


#: In the order of the versions that brought the forms.
ROWS: tuple[Row, ...] = (
    Row("SET PXAT", b"SET", _set_expiring),
    Row("GETEX", b"GETEX", _getex),
    Row("GETDEL", b"GETDEL", _getdel),
    Row("LMOVE", b"LMOVE", _lmove),
    Row("COPY", b"COPY", _no_equivalent),
    Row("XSETID ENTRIESADDED", b"XSETID", _xsetid),
    Row("XGROUP ENTRIESREAD", b"XGROUP", _xgroup),
    Row("FUNCTION LOAD", b"FUNCTION", _no_equivalent, "functions"),
    Row("HSETEX", b"HSETEX", _hsetex, "hash_field_ttl", _hset),
    Row("HPEXPIREAT", b"HPEXPIREAT", _no_equivalent, "hash_field_ttl"),
    Row("HPERSIST", b"HPERSIST", _no_equivalent, "hash_field_ttl"),
)
