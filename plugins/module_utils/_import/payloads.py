# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which RESTOREs among the commands of an AOF can't be sent, as their payload is damaged or the target lacks what it holds?

Most AOFs hold none: a search of their bytes finds that out, and nothing is done for their commands. All others are checked
before the first byte is sent.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.forms import Form
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, LargeCommand, Skipped
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_payloads import (
    RESTORES,
    Payload,
    Restoring,
    payload_in,
    payload_of,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import (
    ARRAY,
    HASH_2,
    HASH_EXPIRING_RC,
    HASH_LISTPACK_EXPIRING,
    MODULE_2,
    UNBUILDABLE,
    VALKEY,
    level_of,
    server_rdb_version,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.restores_found import RestoresFound, RestoresOfKind
from ansible_collections.redisops.tair.plugins.module_utils._aof.until import Until
from ansible_collections.redisops.tair.plugins.module_utils._compat import lacks
from ansible_collections.redisops.tair.plugins.module_utils._errors import (
    AofFormatError,
    TargetStateError,
    UnsupportedTypeError,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import read_large, selected_database
from ansible_collections.redisops.tair.plugins.module_utils._import.compat import Row
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Session
from ansible_collections.redisops.tair.plugins.module_utils._keys import printable
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command
from ansible_collections.redisops.tair.plugins.module_utils._target import Target

#: How the name of a RESTORE stands in an AOF, in lower case. In a value it may stand too: then the commands are read in vain.
_NAME = b"\nrestore"
#: Commands that build values and came later than RESTORE, and the name under which what they do may be left out.
_LATER = {
    b"HPEXPIREAT": (Form("HPEXPIREAT", "", "7.4.0"), "hash_field_ttl"),
    b"ARMSET": (Form("ARMSET", "", "8.8.0"), ""),
}
#: Which of them a type may need. By whether it is one of Valkey's, and its number.
_NEEDED = {
    (True, HASH_2): b"HPEXPIREAT",
    **{(False, rdb_type): b"HPEXPIREAT" for rdb_type in range(HASH_EXPIRING_RC, HASH_LISTPACK_EXPIRING + 1)},
    (False, ARRAY): b"ARMSET",
}
_SHOWN = 5


@dataclass(frozen=True)
class _Restore:
    """A RESTORE of a part that is going to be imported."""

    part: Part
    offset: int
    database: int
    key: bytes
    frame: LargeCommand | None
    command: Command

    @property
    def payload(self) -> Payload | None:
        return payload_of(self.command) if self.frame is None else payload_in(self.part.fd, self.frame)

    def held(self) -> Command:
        return self.command if self.frame is None else read_large(self.part.fd, self.frame).commands[0]

    def __str__(self) -> str:
        return f"'{printable(self.key)}' of database {self.database} at byte {self.offset} of {self.part.path}"


def mentions_restore(part: Part) -> bool:
    """Whether a RESTORE may be among the commands of a part. A GB takes about 2 s."""
    return any(_NAME in window.lower() for window in part.windows(len(_NAME) - 1))


def rows(restoring: Restoring) -> list[Row]:
    """Return what sends other commands for the RESTOREs whose payload a target does not take."""

    def rewrite(command: Command) -> list[Command] | None:
        try:
            return restoring.commands(command)
        except UnsupportedTypeError:
            return None  # the target refuses it, and so it counts as the error that it is

    return [
        Row(Form(name.decode(), "", "2.6.0"), rewrite, large=restoring.concerns_large, of_clients=True)
        for name in sorted(RESTORES)
    ]


def check_restores(
    session: Session,
    parts: t.Sequence[Part],
    restoring: Restoring,
    version: str | None,
    taken: t.Callable[[Command], bool],
) -> None:
    """Check every RESTORE that is going to be imported.

    ``version``: of Redis, that the target is compatible with. ``taken``: whether the target takes a RESTORE of a module's
    value, found out by a trial. Raises :class:`AofFormatError` for a damaged payload and :class:`TargetStateError` for one
    that the target can't be given.
    """
    damaged: list[tuple[_Restore, str]] = []
    impossible: list[tuple[_Restore, str]] = []
    unreadable: list[tuple[_Restore, str]] = []
    lacking: dict[bytes, list[_Restore]] = {}
    for found in (found for part in parts for found in _restores(session, part)):
        payload = found.payload
        fault = "a payload" if payload is None else payload.fault()
        if payload is None or fault is not None:
            damaged.append((found, fault or ""))
        elif not payload.is_known:
            unreadable.append((found, f"{payload.kind}, which this collection can't check"))
        elif payload.type == MODULE_2:
            if not _is_taken(found.held(), restoring, taken):
                impossible.append((found, payload.kind))
        elif not restoring.takes(payload):
            try:
                for command in restoring.commands(found.held()) or ():
                    if command[0] in _LATER and found not in lacking.setdefault(command[0], []):
                        lacking[command[0]].append(found)
            except UnsupportedTypeError:
                impossible.append((found, payload.kind))
    if damaged:
        raise _damaged(session, damaged)
    if unreadable:
        raise _impossible(session, unreadable)
    if session.options.stop_at_error:
        impossible += _of_later_commands(session, lacking, version)
        if impossible:
            raise _impossible(session, impossible)


def _is_taken(command: Command, restoring: Restoring, taken: t.Callable[[Command], bool]) -> bool:
    try:
        return taken((restoring.commands(command) or [command])[0])
    except UnsupportedTypeError:
        return False


@dataclass(frozen=True)
class RefusedRestores:
    """RESTOREs of one kind of value that a target does not take as they are."""

    found: RestoresOfKind
    reason: str
    rewritten: bool
    """Whether an import sends other commands for them."""
    drop: str | None
    """The name under which an import leaves out what the target lacks; None where there is none."""


def foretell(restores: RestoresFound, endpoint: Endpoint, target: Target) -> list[RefusedRestores]:
    """Return what a target would refuse, by its version. Raises :class:`ConnectError`."""
    level = level_of(target.redis_version)
    flavor, of_flavor = ("valkey", level_of(target.version)) if target.flavor == "valkey" else ("redis", level)
    accepted = server_rdb_version(flavor, of_flavor)
    restoring = Restoring(accepted, level)
    refused = []
    for found in restores.kinds.values():
        payload = found.longest
        if restoring.takes(payload):
            continue
        reason = f"its RESTORE takes RDBs up to version {accepted}"
        builds = payload.is_known and payload.type not in UNBUILDABLE
        needed = _LATER.get(_NEEDED.get((payload.version >= VALKEY, payload.type), b""))
        if needed is not None and builds:
            form, droppable = needed
            if form in lacks(endpoint, [form], target.redis_version):
                reason += f", and it lacks {form.command}, which builds the value"
                refused.append(RefusedRestores(found, reason, False, droppable or None))
                continue
        refused.append(RefusedRestores(found, reason, builds, None))
    return refused


def _restores(session: Session, part: Part) -> t.Iterator[_Restore]:
    start, end = session.reached_in(part), part.position + part.size
    database = session.checkpoint.db if start > part.position else 0
    takes = session.options.selection.takes
    for frame in Until(session.frames(part, start, end, database), session.options.until):
        if isinstance(frame, LargeCommand):
            if frame.name.upper() in RESTORES and takes(frame.key, database):
                yield _Restore(part, frame.start, database, frame.key, frame, [])
        elif isinstance(frame, Skipped):
            database = frame.database
        elif isinstance(frame, Block):
            names = {name.upper() for name in frame.names}
            if b"SELECT" not in names and names.isdisjoint(RESTORES):
                continue
            for command, place in zip(frame.commands, frame.offsets()):
                database = selected_database(command, database)
                if command[0].upper() in RESTORES and len(command) > 1 and takes(command[1], database):
                    yield _Restore(part, place, database, command[1], None, command)


def _of_later_commands(
    session: Session, lacking: dict[bytes, list[_Restore]], version: str | None
) -> t.Iterator[tuple[_Restore, str]]:
    """What can't be built, as the target lacks commands for it."""
    missing = lacks(session.endpoint, [_LATER[name][0] for name in lacking], version) if lacking else set()
    for name, found in lacking.items():
        form, droppable = _LATER[name]
        if form in missing and not (droppable in session.options.drop and session.options.compat):
            way_out = f", unless drop names {droppable}" if droppable else ""
            yield from ((one, f"it takes {name.decode()}, which the target lacks{way_out}") for one in found)


def _damaged(session: Session, damaged: list[tuple[_Restore, str]]) -> AofFormatError:
    first, expected = damaged[0]
    shown = ", ".join(f"{found} ({expected} was expected)" for found, expected in damaged[:_SHOWN])
    return AofFormatError(
        f"The AOF holds {_number(damaged, 'RESTORE', 'with a damaged payload')}: {shown}. A server that is given such a value "
        "refuses it, or crashes when it is read",
        changed=session.state(),
        todo="Leave the keys out (exclude_keys). Where the source still runs, rewrite its AOF and fetch it again",
        file=str(first.part.path),
        offset=first.offset,
        expected=expected,
        damaged_keys=[printable(found.key) for found, _expected in damaged[:100]],
    )


def _impossible(session: Session, impossible: list[tuple[_Restore, str]]) -> TargetStateError:
    shown = ", ".join(f"{found} ({why})" for found, why in impossible[:_SHOWN])
    ways = ["Leave the keys out (exclude_keys) and bring them over by their application"]
    if any("hash_field_ttl" in why for _found, why in impossible):
        ways.append("import the fields without their expiry (drop: [hash_field_ttl])")
    return TargetStateError(
        f"{session.endpoint} can't be given {_number(impossible, 'RESTORE', 'of the AOF')}: {shown}",
        changed=session.state(),
        todo=f"{', '.join(ways)}, or choose a newer target, or one that has the module",
    )


def _number(found: t.Sized, what: str, more: str) -> str:
    return f"{len(found)} {what}{'s' * (len(found) > 1)} {more}"
