# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The precheck of what an AOF holds beside data: refused before the first byte is sent, and without its arguments.

The whole file is scanned for names, which is far faster than reading it command by command. Only where a name is found that is
no data, or a database that the target lacks, every command is read to see whether it is one or a value that looks like it.
"""

from __future__ import annotations

import contextlib
import typing as t
from collections import Counter
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import named_databases
from ansible_collections.redisops.tair.plugins.module_utils._aof.data_commands import is_listed, kind_of, shown_name
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.heads import (
    Head,
    HeadScan,
    head_of,
    is_too_long,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.until import Until
from ansible_collections.redisops.tair.plugins.module_utils._compat import flagged_write
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError, TargetStateError
from ansible_collections.redisops.tair.plugins.module_utils._import.gate import Gate, database_of
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Session
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_PREFIX, printable
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

_SHOWN = 5
_NAMING_DATABASES = frozenset((b"MOVE", b"COPY", b"SWAPDB"))


@dataclass(frozen=True)
class _Found:
    """A command that is certain, at ``offset`` of a part's file; of a large one only the name and the first argument."""

    part: Part
    offset: int
    command: Command

    @property
    def head(self) -> tuple[bytes, bytes]:
        return head_of(self.command[0], self.command[1] if len(self.command) > 1 else b"")


def check_data(session: Session) -> None:
    """Set up the session's gate. Raises :class:`TargetStateError` for what is no data and for databases that the target lacks."""
    parts = [part for part in session.aof.parts if session.reached_in(part) < part.position + part.size]
    own_keys: set[Part] = set()
    heads = {part: _heads(session, part, own_keys) for part in parts if part.preamble is None}
    names = {head.name for found in heads.values() for head in found}
    odd, names = _judged(
        session, {head_of(head.name, head.argument) for found in heads.values() for head in found}, names
    )
    if odd:
        _refuse_what_is_no_data(session, list(heads), odd)
    session.skips_own_keys = any(
        CHECKPOINT_PREFIX in window
        for part in parts
        if part.preamble is not None
        for window in part.windows(len(CHECKPOINT_PREFIX) - 1, part.offset_of(session.reached_in(part)))
    )
    session.gate = Gate(
        names,
        require_database=session.require_database,
        count=session.count_left_out,
        own_keys=bool(own_keys),
    )
    _check_databases(session, parts, heads)
    if session.checkpoint.position and any(name.upper() == b"EVALSHA" for name in names):
        for part in session.aof.parts:
            if not part.rewritten:
                start, end = part.position, min(session.checkpoint.position, part.position + part.size)
                session.gate.scripts.learn_from(part.fd, part.offset_of(start), part.offset_of(max(start, end)))


def _heads(session: Session, part: Part, own_keys: set[Part]) -> list[Head]:
    """What may be in the part that is left, each once; exactly what is in it, where too much only looks like commands.

    Adds the part to ``own_keys`` where it may hold keys of this collection.
    """
    start, end = part.offset_of(session.reached_in(part)), part.end
    scan = HeadScan(part.fd, start, end, word=CHECKPOINT_PREFIX)
    heads = list(scan)
    if scan.mentioned or scan.overflowed:
        own_keys.add(part)
    if not scan.overflowed:
        return heads
    exact: dict[tuple[bytes, bytes], Head] = {}
    for found in _commands(session, part, None):
        exact.setdefault(found.head, Head(found.offset, *found.head))
    return list(exact.values())


def _judged(
    session: Session, heads: set[tuple[bytes, bytes]], names: set[bytes]
) -> tuple[dict[tuple[bytes, bytes], str], set[bytes]]:
    """The heads that are no data, with the reason, and the names that are."""
    asked = sorted({name.upper() for name in names if not is_too_long(name) and not is_listed(name.upper())})
    writes = flagged_write(session.endpoint, asked)
    odd: dict[tuple[bytes, bytes], str] = {}
    for name, argument in heads:
        kind = kind_of(name, argument)
        if name.upper() == b"SELECT":
            reason = "" if database_of(argument) is not None else "a server refuses it"
        elif is_too_long(name):
            reason = "no server has a command of so long a name"
        elif kind == "not_data":
            reason = "it writes no data"
        elif kind == "slot_migration" or is_listed(name.upper()):
            reason = ""
        elif writes is None:
            reason = "" if kind == "data" else "the target does not answer COMMAND INFO, which tells whether it writes"
        else:
            reason = "the target does not count it as a write" if writes.get(name.upper()) is False else ""
        if reason:
            odd[name, argument] = reason
    refused = {name for name, _argument in odd}
    return odd, names - refused


def _refuse_what_is_no_data(session: Session, parts: list[Part], odd: dict[tuple[bytes, bytes], str]) -> None:
    """Refuse what is certainly a command; a value may look like one."""
    counts: Counter[bytes] = Counter()
    first: dict[bytes, _Found] = {}
    reasons: dict[bytes, str] = {}
    names = None if any(is_too_long(name) for name, _argument in odd) else {name for name, _argument in odd}
    for part in parts:
        for found in _commands(session, part, names):
            if found.head in odd:
                name = shown_name(*found.head)
                counts[name] += 1
                first.setdefault(name, found)
                reasons.setdefault(name, odd[found.head])
    if not counts:
        return
    listed = [
        {
            "command": printable(name, 64),
            "count": counts[name],
            "file": str(found.part.path),
            "offset": found.offset,
        }
        for name, found in first.items()
    ]
    total = sum(counts.values())
    told = [
        f"{one['command']} at byte {one['offset']} of {one['file']} ({reasons[name]})"
        for name, one in list(zip(first, listed))[:_SHOWN]
    ]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    raise TargetStateError(
        f"The AOF holds {total} command{'s' * (total != 1)} that {'are' if total != 1 else 'is'} no data, which "
        f"{'are' if total != 1 else 'is'} never sent: {', '.join(told)}{more}",
        changed=session.state(),
        todo="No server writes them to its AOF: check where the file comes from. Rewrite the AOF on the source (BGREWRITEAOF) and fetch "
        "it again, or remove these commands from a copy of the file",
        not_data=listed,
    )


def _check_databases(session: Session, parts: list[Part], heads: dict[Part, list[Head]]) -> None:
    """Refuse databases that the target lacks: what follows a refused SELECT would be written to another one."""
    if session.topology.routed:
        return
    selected = {
        number
        for part in parts
        for number in (
            part.preamble.contents.keys
            if part.preamble is not None
            else (database_of(head.argument) for head in heads[part] if head.name.upper() == b"SELECT")
        )
        if number is not None
    }
    lacking = session.lacking_databases({0, session.checkpoint.db, *selected})
    for number in sorted(
        {0, session.checkpoint.db} & lacking.keys()
    ):  # without a SELECT: the beginning, and the checkpoint
        _refuse_database(session, number, lacking[number], "the first that is selected")
    for part in parts if lacking else ():
        if part.preamble is not None:
            for number in sorted(lacking.keys() & part.preamble.contents.keys):
                _refuse_database(session, number, lacking[number], f"{part.path}, an RDB")
            continue
        for found in _commands(session, part, {head.name for head in heads[part] if head.name.upper() == b"SELECT"}):
            selected_here = database_of(found.head[1])
            if selected_here in lacking:
                _refuse_database(
                    session, selected_here, lacking[selected_here], f"SELECT at byte {found.offset} of {part.path}"
                )
    naming = {
        name for part in heads for name in (head.name for head in heads[part]) if name.upper() in _NAMING_DATABASES
    }
    if naming and session.options.stop_at_error:
        for part in heads:
            for found in _commands(session, part, naming):
                lacking = session.lacking_databases(set(named_databases(found.command)))
                for number, reason in lacking.items():
                    place = f"{printable(found.command[0])} at byte {found.offset} of {part.path}"
                    _refuse_database(session, number, reason, place)


def _refuse_database(session: Session, number: int, reason: str, place: str) -> t.NoReturn:
    target = session.options.selection.databases.target(number)
    mapped = f", which is database {target} of the target" if target != number else ""
    raise TargetStateError(
        f"The AOF holds data of database {number}{mapped}, and {session.endpoint} has no such database ({reason}): {place}",
        changed=session.state(),
        todo=f"Raise 'databases' on the target, choose an instance that has as many, put it into another database (database_map: "
        f"{{{number}: 0}}), or leave it out (databases)",
    )


def _commands(session: Session, part: Part, names: t.Collection[bytes] | None) -> t.Iterator[_Found]:
    """The commands of these names, as written, that are left to be imported of a part; all of them for None.

    Ends at damage, behind which nothing is sent.
    """
    start, end = session.reached_in(part), part.position + part.size
    frames = Until(session.frames(part, start, end, 0), session.options.until)
    with contextlib.suppress(AofFormatError):
        for frame in frames:
            if isinstance(frame, LargeCommand):
                if names is None or frame.name in names:
                    yield _Found(part, frame.start, [frame.name, frame.key][: frame.args])
            elif isinstance(frame, Block) and (names is None or not frame.names.isdisjoint(names)):
                for command, offset in zip(frame.commands, frame.offsets()):
                    if names is None or command[0] in names:
                        yield _Found(part, offset, command)
