# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What of an AOF the target can't be given, looked for before the first byte is sent.

A cluster has database 0 only and executes no command with keys of several slots. And where two databases of the source
go to one of the target, no key may be in both.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import has_one_key, key_positions
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, LargeCommand, Skipped
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.preamble import Preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry
from ansible_collections.redisops.tair.plugins.module_utils._errors import TargetStateError
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import selected_database
from ansible_collections.redisops.tair.plugins.module_utils._import.routing import NotForClusters, route
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Found, Session
from ansible_collections.redisops.tair.plugins.module_utils._keys import printable

#: How many of what was found a message shows.
_SHOWN = 5
#: How a rewrite begins a database. In a value it may stand too: so it is a reason to look closer, and none to refuse.
_SELECT = re.compile(rb"\*2\r\n\$6\r\nSELECT\r\n\$\d+\r\n(\d+)\r\n")
_SELECT_BYTES = 64


def survey(session: Session) -> None:
    """Raise :class:`TargetStateError` for what stands in the way, with the places where it was found first."""
    databases = session.options.selection.databases
    if session.topology.routed:
        _only_database_0(session)
        if session.options.stop_at_error:
            _only_single_slots(session)
    if databases.merges:
        _no_key_twice(session)


def _only_database_0(session: Session) -> None:
    databases = session.options.selection.databases

    def beyond(database: int) -> bool:
        return databases.takes(database) and databases.target(database) != 0

    for part in session.aof.parts:
        if part.position + part.size <= session.checkpoint.position:
            continue
        if part.rewritten and not any(beyond(database) for database in _mentioned(part)):
            continue
        for found in _commands(session, part, lambda name: name == b"SELECT"):
            if beyond(found.database) and found.command[0].upper() != b"SELECT":
                _refuse(
                    session,
                    f"The AOF holds data of database {found.database}, and a cluster has database 0 only",
                    [found],
                    f"Leave it out (databases: [0]), or merge it into database 0 (database_map: {{{found.database}: 0}}), "
                    "which is refused where a key is in both",
                )


def _only_single_slots(session: Session) -> None:
    refused: list[Found] = []
    reason, count = "", 0
    for part in session.aof.parts:
        if part.rewritten:
            continue  # a rewrite writes commands of one key
        for found in _commands(session, part, lambda name: not has_one_key(name) or name == b"MOVE"):
            if found.command[0].upper() in (b"SELECT", b"MULTI", b"EXEC"):
                continue
            try:
                route(found.command)
            except NotForClusters as exc:
                reason, count = reason or str(exc), count + 1
                if len(refused) < _SHOWN:
                    refused.append(found)
    if refused:
        _refuse(
            session,
            f"The AOF holds {count} commands that a cluster can't execute; of the first: {reason}",
            refused,
            "Rewrite the AOF on the source (BGREWRITEAOF) and fetch it again: then they are in its base, as single keys. "
            "To leave out what they do: on_error=continue",
        )


def _no_key_twice(session: Session) -> None:
    """The keys of all databases but the largest are kept as numbers, those of the largest pass by.

    All of the AOF is read, whatever has been imported of it: what is new in one database may be long in another.
    """
    databases = session.options.selection.databases
    sizes: Counter[int] = Counter()
    for part in session.aof.parts:
        for found in _commands(session, part, lambda _name: True, of_all=True):
            sizes[found.database] += 1
    largest = max(sizes, key=lambda database: sizes[database], default=0)
    seen: dict[tuple[int, int], int] = {}
    for passing in (False, True):
        for part in session.aof.parts:
            for found in _commands(session, part, lambda _name: True, of_all=True):
                if (found.database == largest) is not passing:
                    continue
                target = databases.target(found.database)
                for at in key_positions(found.command):
                    mark = (target, hash(found.command[at]))
                    other = seen.get(mark, found.database)
                    if other != found.database:
                        _refuse(
                            session,
                            f"The key '{printable(found.command[at])}' is in the databases {other} and {found.database} of the "
                            f"source, and both go to database {target}",
                            [found],
                            "Import the two into different databases or instances, or leave keys out: exclude_keys",
                        )
                    if not passing:
                        seen[mark] = found.database


def _mentioned(part: Part) -> set[int]:
    """The databases that a rewritten part selects, and perhaps others that only a value mentions."""
    if part.preamble is not None:
        return set(part.preamble.contents.keys)
    found: set[int] = set()
    for window in part.windows(_SELECT_BYTES):
        found.update(int(number) for number in _SELECT.findall(window))
    return found


def _commands(
    session: Session, part: Part, wanted: t.Callable[[bytes], bool], *, of_all: bool = False
) -> t.Iterator[Found]:
    """The commands that are going to be imported of a part; whole blocks of others than ``wanted`` by one of their commands.

    ``of_all``: those that have been imported, too.
    """
    start = part.position if of_all else session.reached_in(part)
    end = part.position + part.size
    if start >= end:
        return
    database = session.checkpoint.db if start > part.position else 0
    if part.preamble is not None:
        yield from _keys_of(session, part, start, database)
        return
    for frame in session.selected(part, session.frames(part, start, end, database), database):
        if isinstance(frame, LargeCommand):
            yield Found(part.position_of(frame.start), database, [frame.name, frame.key])
        elif isinstance(frame, Skipped):
            database = frame.database
        elif isinstance(frame, Block):
            if not any(wanted(name.upper()) for name in frame.names) and b"SELECT" not in frame.names:
                yield Found(part.position_of(frame.start), database, frame.commands[0])
                continue
            database = frame.database if frame.database is not None else database
            for command, place in zip(frame.commands, frame.offsets()):
                if frame.database is None:
                    database = selected_database(command, database)
                yield Found(part.position_of(place), database, command)


def _keys_of(session: Session, part: Part, start: int, database: int) -> t.Iterator[Found]:
    """The selected keys of an RDB from position ``start`` on."""
    takes, preamble = session.options.selection.takes, t.cast(Preamble, part.preamble)
    for record in preamble.walk(part.offset_of(start), database):
        if isinstance(record, Entry) and takes(record.key, record.database):
            yield Found(part.position_of(record.start), record.database, [b"RESTORE", record.key])


def _refuse(session: Session, what: str, found: list[Found], todo: str) -> t.NoReturn:
    places = []
    for one in found:
        part, offset = session.aof.where(one.position)
        places.append(f"{printable(one.command[0])} at byte {offset} of {part.path}")
    raise TargetStateError(f"{what}: {', '.join(places)}", changed=session.state(), todo=todo)
