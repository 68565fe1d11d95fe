# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where in a cluster a command of the AOF goes: to a slot, in pieces to several, to every master, or nowhere."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import DIVISIBLE, key_positions
from ansible_collections.redisops.tair.plugins.module_utils._keys import key_slot
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: For all masters, as every one of them has its own functions and scripts.
_EVERYWHERE = frozenset((b"FUNCTION", b"SCRIPT"))
_FLUSHES = frozenset((b"FLUSHALL", b"FLUSHDB"))


class NotForClusters(Exception):
    """A cluster can't execute the command; the text says why."""


@dataclass(frozen=True)
class Route:
    """Where a command goes."""

    pieces: t.Sequence[tuple[int, Command]] = ()
    """By slot; one piece is the command itself."""
    everywhere: bool = False
    """To every master, when all before it is done."""
    flush: bool = False
    """The same, and it takes away our own records too."""


def route(command: Command) -> Route:
    """Where ``command`` goes; none of MULTI, EXEC and SELECT. Raises :class:`NotForClusters`."""
    positions, name = key_positions(command), command[0].upper()
    if len(positions) == 1 and name != b"MOVE":
        return Route(((key_slot(command[positions[0]]), command),))
    if not positions:
        if name in _FLUSHES:
            return Route(flush=True)
        if name in _EVERYWHERE:
            return Route(everywhere=True)
        raise NotForClusters("it names no key, and so no node of a cluster")
    if name == b"MOVE" or (name == b"COPY" and any(word.upper() == b"DB" for word in command[3:])):
        raise NotForClusters("it takes a key to another database, and a cluster has one only")
    slots = [key_slot(command[at]) for at in positions]
    if len(set(slots)) == 1:
        return Route(((slots[0], command),))
    step = DIVISIBLE.get(name)
    if step is None:
        raise NotForClusters("its keys are in several slots of the cluster")
    pieces: dict[int, Command] = {}
    for slot, at in zip(slots, positions):
        pieces.setdefault(slot, [command[0]]).extend(command[at : at + step])
    return Route(tuple(pieces.items()))
