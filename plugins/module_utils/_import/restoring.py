# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What of an RDB, and of the RESTOREs among the commands, can the target be given as it stands?

It is tried with a key of our own whose time is over, so that nothing is left of it.
"""

from __future__ import annotations

import os

from ansible_collections.redisops.tair.plugins.module_utils._aof import rdb_types
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.preamble import ExpiringMembers, Preamble, Sample
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_frames import RdbTarget
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_payloads import RESTORES, Restoring
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import Restorer, dumped, restore_command
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError, TargetStateError
from ansible_collections.redisops.tair.plugins.module_utils._import.compat import FIELD_TTL, MEMBER_TTL
from ansible_collections.redisops.tair.plugins.module_utils._import.payloads import (
    check_restores,
    mentions_restore,
    rows,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Session
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_PREFIX, printable
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, ErrorReply

_TRIAL = CHECKPOINT_PREFIX + b"trial"
_TOO_NEW = "DUMP payload"
#: How many damaged keys a message describes, and how many the result names.
_SHOWN, _MOST_KEYS = 5, 100


def check_preambles(session: Session, redis_version: str | None) -> None:
    """Refuse what of an RDB, and of a RESTORE, can't be imported, as far as that needs no trial.

    Raises :class:`TargetStateError`, and :class:`AofFormatError` for damaged values.
    """
    for part, preamble in _preambles_left(session):
        if session.options.check_values or not preamble.has_checksum:
            _refuse_damaged(session, part, preamble)
        for kind, expiring in sorted(preamble.contents.expiring_members.items()):
            _refuse_unless_kept(session, part, kind, expiring)
    restores = _restores_left(session)
    if restores:
        level = rdb_types.level_of(redis_version)
        restoring = Restoring(rdb_types.server_rdb_version("redis", level), level)
        check_restores(session, restores, restoring, redis_version, lambda _command: True)


def _parts_left(session: Session) -> list[Part]:
    return [part for part in session.aof.parts if session.checkpoint.position < part.position + part.size]


def _preambles_left(session: Session) -> list[tuple[Part, Preamble]]:
    return [(part, part.preamble) for part in _parts_left(session) if part.preamble is not None]


def _restores_left(session: Session) -> list[Part]:
    """The parts with a RESTORE among their commands, and perhaps others that only a value mentions."""
    if not any(map(session.gate.may_hold, RESTORES)):
        return []
    return [part for part in _parts_left(session) if part.preamble is None and mentions_restore(part)]


def prepare(session: Session, redis_version: str | None, *, dry_run: bool = False) -> None:
    """Find out what the target takes, and refuse what can't be brought there.

    ``dry_run``: by the target's version, without a trial. Raises :class:`TargetStateError`.
    """
    preambles, restores = _preambles_left(session), _restores_left(session)
    if not preambles and not restores:
        return
    level = rdb_types.level_of(redis_version)
    accepted = rdb_types.server_rdb_version("redis", level) if dry_run else _accepted(session)
    session.rdb = RdbTarget(accepted, level, keydb=not session.compat.lacks(b"PEXPIREMEMBERAT"))
    if restores:
        restoring = Restoring(accepted, level)
        check_restores(
            session,
            restores,
            restoring,
            redis_version,
            lambda command: not dry_run and _takes(session, [b"RESTORE", _TRIAL, b"1", command[3], b"ABSTTL"]),
        )
        session.compat.add(rows(restoring))
    for part, preamble in preambles:
        for what, sample in preamble.contents.unbuildable.items():
            _refuse_unless_taken(session, part, preamble, what, sample, dry_run=dry_run)
        for module in sorted(preamble.contents.modules):
            session.outcome.warnings.append(
                f"{part.path} holds what the module {module} keeps beside its keys. No command brings that anywhere: "
                "see to it by the means of the module"
            )


def _refuse_damaged(session: Session, part: Part, preamble: Preamble) -> None:
    """Refuse values that would crash the target. Raises :class:`AofFormatError`."""
    selection = session.options.selection
    damaged = list(preamble.damaged_values(None if selection.takes_all else selection.takes))
    if not damaged:
        return
    first = damaged[0]
    shown = ", ".join(
        f"the {one.kind} '{printable(one.entry.key)}' of database {one.entry.database} at byte {one.entry.start} "
        f"({one.expected} was expected)"
        for one in damaged[:_SHOWN]
    )
    raise AofFormatError(
        f"{part.path} holds {len(damaged)} damaged value{'s' * (len(damaged) > 1)}: {shown}. A server that is given such a "
        "value crashes when it is read",
        changed=session.state(),
        todo="Leave the keys out (exclude_keys), or set rdbchecksum yes on the source, rewrite its AOF and fetch it again",
        file=str(part.path),
        offset=first.entry.start,
        expected=first.expected,
        damaged_keys=[printable(one.entry.key) for one in damaged[:_MOST_KEYS]],
    )


def _accepted(session: Session) -> int:
    """The newest RDB version that RESTORE of the target takes; 0 where it may not or can't be used."""
    for version in rdb_types.VERSIONS:
        payload = dumped(rdb_types.STRING, b"\x01x", version)
        reply = session.topology.ask(_TRIAL, restore_command(_TRIAL, 1, payload))
        if not isinstance(reply, ErrorReply):
            session.topology.ask(_TRIAL, (b"DEL", _TRIAL))  # servers before 6.0 keep it until it is looked at
            return version
        if _TOO_NEW not in str(reply):
            return 0
    return 0


def _refuse_unless_taken(
    session: Session, part: Part, preamble: Preamble, what: str, sample: Sample, *, dry_run: bool
) -> None:
    selection = session.options.selection
    wanted = [entry for entry in sample.first if selection.takes(entry.key, entry.database)]
    # Where those that are known by name are left out, each of the others is an error of its own.
    if not wanted or not session.options.stop_at_error:
        return
    if not dry_run and _taken(session, part, preamble, wanted[0]):
        return
    keys = ", ".join(f"'{printable(entry.key)}' of database {entry.database}" for entry in wanted)
    raise TargetStateError(
        f"{session.endpoint} can't be given {sample.count} keys of {part.path}, each {what}, which no command builds: {keys}",
        changed=session.state(),
        todo="Leave them out (exclude_keys) and bring them over by their application, or choose a target that has the module",
    )


def _refuse_unless_kept(session: Session, part: Part, kind: str, expiring: ExpiringMembers) -> None:
    """Refuse members that expire on KeyDB where the target can't make them expire, unless that was given up by name."""
    compat, takes = session.compat, session.options.selection.takes
    name, command = (FIELD_TTL, b"HPEXPIREAT") if kind == "hash" else (MEMBER_TTL, b"PEXPIREMEMBERAT")
    wanted = [f"'{printable(key)}' of database {db}" for key, db in expiring.first if takes(key, db)]
    if not wanted or not compat.lacks(b"PEXPIREMEMBERAT") or not compat.lacks(command) or compat.drops(name):
        return
    if session.options.stop_at_error:
        raise TargetStateError(
            f"{session.endpoint} can't make single members of a {kind} expire, as {expiring.count} of {part.path} do on KeyDB "
            f"(EXPIREMEMBER), in the keys {', '.join(wanted)}",
            changed=session.state(),
            todo=f"Import them as members that never expire: drop={name} (role: aof_migrate_drop), or leave the keys out: exclude_keys",
        )


def _taken(session: Session, part: Part, preamble: Preamble, entry: Entry) -> bool:
    """Whether the target takes a module's value, which it can only where it has the module."""
    if not session.rdb.accepted:
        return False
    raw = os.pread(part.fd, entry.end - entry.start, entry.start)
    restored = Restorer(preamble.version, session.rdb.accepted).command(_TRIAL, 1, entry.type, raw)
    return restored is not None and _takes(session, restored[0])


def _takes(session: Session, command: Command) -> bool:
    """Whether the target takes a RESTORE of the trial key, of which nothing is left."""
    if isinstance(session.topology.ask(_TRIAL, command), ErrorReply):
        return False
    session.topology.ask(_TRIAL, (b"DEL", _TRIAL))
    return True
