# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The import of one AOF into one target: exactly once, whatever happens on the way.

Whatever goes wrong on the connection is met in one way: connect again, read the checkpoint, go on from there.
"""

from __future__ import annotations

import contextlib
import gc
import secrets
import time
import typing as t
from dataclasses import replace

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import OpenAof
from ansible_collections.redisops.tair.plugins.module_utils._errors import (
    AofFormatError,
    ConnectError,
    ImportFailedError,
    TargetStateError,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.checkpoint import Checkpoint
from ansible_collections.redisops.tair.plugins.module_utils._import.compat import compat_for
from ansible_collections.redisops.tair.plugins.module_utils._import.data_check import check_data
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import ConnectionLost
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import Progress
from ansible_collections.redisops.tair.plugins.module_utils._import.restoring import check_preambles, prepare
from ansible_collections.redisops.tair.plugins.module_utils._import.sending import send_part
from ansible_collections.redisops.tair.plugins.module_utils._import.session import (
    PassingState,
    PipelineTooDeep,
    Rewind,
    Session,
    passing_state,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.survey import survey
from ansible_collections.redisops.tair.plugins.module_utils._import.targets import topology_for
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import Link
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, LoginRefusedError
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts


def import_aof(
    aof: OpenAof,
    endpoint: Endpoint,
    options: Options,
    report: t.Callable[[Progress], None] = lambda _progress: None,
    *,
    known: str = "",
) -> Outcome:
    """Import ``aof`` into the target at ``endpoint``.

    ``known``: the name of an import that is certainly about this very AOF, from an earlier outcome: its checkpoint is gone on
    with, and what that covers is not read again to recognise it.

    Raises a :class:`TairError` that says how far the target is; a later call goes on from there.
    """
    started = time.monotonic()
    with contextlib.closing(topology_for(endpoint, options)) as topology:
        session = Session(aof, topology, options, Checkpoint(secrets.token_hex(8), aof.rewritten_size), report)
        outcome = session.outcome
        before = topology.facts()
        _check_target(session, before)
        _adapt(session, before)
        to_be_emptied = _choose_start(session, before, known)
        check_data(session)
        check_preambles(session, _oldest(before))
        if to_be_emptied:
            survey(session)  # all that can be is checked before anything is deleted
            outcome.changed = True
            topology.empty()
        prepare(session, _oldest(before))
        if not to_be_emptied:
            survey(session)
        session.round_trip = topology.round_trip()
        topology.close()
        session.gate.scripts.load = topology.load_scripts
        began_at = session.checkpoint.position
        with _uncollected():
            end = _stream_to_the_end(session)
        outcome.position = session.checkpoint.position
        outcome.bytes = outcome.position - began_at
        outcome.truncated_bytes = aof.size - end if end is not None else 0
        _check_evictions(session, before, topology.facts())
        if not options.keep_checkpoint:
            topology.forget(session.checkpoint.id)
    outcome.adapted, outcome.dropped = session.compat.rewritten, session.compat.dropped
    outcome.name = session.checkpoint.id
    outcome.elapsed = time.monotonic() - started
    return outcome


def check_import(aof: OpenAof, endpoint: Endpoint, options: Options) -> Outcome:
    """Everything that :func:`import_aof` does before it changes something, and what it would change."""
    with contextlib.closing(topology_for(endpoint, options)) as topology:
        session = Session(aof, topology, options, Checkpoint("check", aof.rewritten_size), lambda _progress: None)
        outcome = session.outcome
        facts = topology.facts()
        _check_target(session, facts)
        _adapt(session, facts)
        to_be_emptied = _choose_start(session, facts)
        check_data(session)
        check_preambles(session, _oldest(facts))
        prepare(session, _oldest(facts), dry_run=True)
        survey(session)
        outcome.changed = to_be_emptied
    outcome.position = session.checkpoint.position
    outcome.changed = outcome.changed or outcome.position < aof.size
    return outcome


def _check_target(session: Session, servers: list[ServerFacts]) -> None:
    """Refuse what can't be imported into, before the first byte."""
    endpoint, aof = session.endpoint, session.aof
    nothing = f"Nothing was changed on {endpoint}"
    if servers[0].role == "slave" and not session.topology.routed:
        raise TargetStateError(f"{endpoint} is a replica", changed=nothing, todo="Give the address of its primary")
    flush = session.options.if_not_empty == "flush"
    rooms = [max(facts.maxmemory - (0 if flush else facts.used_memory), 0) for facts in servers]
    evicts = [facts for facts in servers if facts.maxmemory and facts.eviction_policy not in ("", "noeviction")]
    # A cluster's keys are taken to be spread evenly over its masters.
    if evicts and min(rooms) < aof.size / len(servers) and not session.options.allow_eviction:
        shared = f", a {len(servers)}th of which will be on each of its masters" if len(servers) > 1 else ""
        raise TargetStateError(
            f"{endpoint} would evict keys: its maxmemory-policy is {evicts[0].eviction_policy}, {min(rooms):,} bytes are free "
            f"below its maxmemory, and the AOF has {aof.size:,} bytes{shared}",
            changed=nothing,
            todo="Choose a larger instance class, set maxmemory-policy noeviction, or accept the loss by name: "
            "allow_eviction=true",
        )


def _adapt(session: Session, servers: list[ServerFacts]) -> None:
    """Find out what the target does not know, where it is to be sent something else instead."""
    if session.options.compat:
        session.compat = compat_for(session.endpoint, _oldest(servers), session.options.drop)


def _oldest(servers: list[ServerFacts]) -> str:
    """The version of Redis that all of the target's servers are compatible with."""
    return min((facts.redis_version for facts in servers), key=LooseVersion)


def _choose_start(session: Session, servers: list[ServerFacts], known: str = "") -> bool:
    """Resume an earlier import of this AOF, or begin a new one if the target may be imported into.

    Returns whether the target is to be emptied first.
    """
    endpoint, options, aof, topology = session.endpoint, session.options, session.aof, session.topology
    nothing = f"Nothing was changed on {endpoint}"
    underway = topology.checkpoints()
    ours = [checkpoint for checkpoint in underway.values() if checkpoint.id == known or checkpoint.names(aof)]
    if ours and options.resume:
        checkpoint = max(ours, key=lambda found: found.position)
        if checkpoint.rewritten != aof.rewritten_size:
            if checkpoint.rewritten > aof.first_file_size:
                raise TargetStateError(
                    f"An earlier import of this AOF into {endpoint} was told that its first {checkpoint.rewritten} "
                    f"bytes are the work of a rewrite; its first file has only {aof.first_file_size}",
                    changed=nothing,
                    todo="Fetch the AOF again",
                )
            session.aof = aof.rewritten_until(checkpoint.rewritten)  # as the earlier run was told, or has found
        if checkpoint.errors and options.stop_at_error:
            raise TargetStateError(
                f"An earlier import of this AOF into {endpoint} met {checkpoint.errors} errors in its first "
                f"{checkpoint.position} bytes: what these commands do is missing there",
                changed=nothing,
                todo="Begin again with if_not_empty=flush and resume=false, or go on all the same: on_error=continue",
            )
        session.checkpoint = checkpoint
        session.outcome.resumed_from = checkpoint.position
        session.outcome.commands = session.outcome.commands_before = checkpoint.commands
        session.outcome.errors.count = checkpoint.errors
        session.outcome.databases.update(checkpoint.databases)
        return False
    keys = 0 if options.if_not_empty == "append" else topology.keys_of_others(options.slots)
    # Each master of a cluster brings the same libraries, so to the second of them they are no other data.
    count_libraries = options.slots is None and options.if_not_empty != "append"
    libraries = max(facts.libraries for facts in servers) if count_libraries else 0
    if (keys or libraries) and options.if_not_empty == "fail":
        unfinished = ", some of them by an unfinished import of another AOF" if underway else ""
        raise TargetStateError(
            f"{endpoint} is not empty: it holds {_holdings(keys, libraries)}{unfinished}",
            changed=nothing,
            todo="Check that it is the right target. To import all the same: if_not_empty=append adds to what is there, "
            "if_not_empty=flush deletes all of it first, libraries of functions included",
            keys_in_target=keys,
        )
    alone = options.slots is None and options.if_not_empty != "append"
    session.checkpoint = replace(session.checkpoint, alone=alone)
    return bool(keys or libraries or underway) and options.if_not_empty == "flush"


def _holdings(keys: int, libraries: int) -> str:
    """What a target holds, for a message."""
    told = [f"{keys} keys"] if keys or not libraries else []
    return " and ".join([*told, *([f"{libraries} libraries of functions"] if libraries else [])])


@contextlib.contextmanager
def _uncollected() -> t.Iterator[None]:
    """Without Python's cyclic garbage collector: nothing that is sent refers to itself, and it would look at all of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _stream_to_the_end(session: Session) -> int | None:
    """Stream until the end is confirmed, through lost connections and passing states of the target.

    Returns the position where the AOF's whole commands end; None where ``until`` ended it before.
    """
    failing_since, delay = time.monotonic(), 0.1
    while True:
        at = session.checkpoint.position
        try:
            with session.topology.link(session) as link:
                return _stream(session, link)
        except Rewind:
            continue
        except (ConnectionLost, ConnectError, PassingState) as exc:
            if isinstance(exc, LoginRefusedError) and passing_state(exc.reply) is None:
                raise session.failed(exc.what, todo=exc.todo) from exc
            if session.checkpoint.position > at:
                failing_since, delay = time.monotonic(), 0.1
            if time.monotonic() - failing_since > session.options.timeout:
                raise session.failed(
                    f"{session.endpoint} could not be written to for {session.options.timeout:g} s: {exc}"
                ) from exc
            session.outcome.reconnects += 1
            if isinstance(exc, PipelineTooDeep):
                session.send_less_at_once()
                delay = 0.1
        time.sleep(delay)
        delay = min(delay * 2, 5.0)


def _stream(session: Session, link: Link) -> int | None:
    for part in session.aof.parts:
        start = session.reached_in(part)
        end = part.position + part.size
        if start >= end and part.size:
            continue
        if part.begins_anew and start == part.position and session.checkpoint.db:
            session.checkpoint = session.checkpoint.at(session.checkpoint.position, db=0)
            session.topology.select(session, link, 0)
        try:
            why = send_part(session, link, part)
        except AofFormatError as exc:
            exc.changed = session.state()
            raise
        reached = session.reached_in(part)
        if why == "clients":
            session.aof = session.aof.rewritten_until(reached)
            session.checkpoint = session.checkpoint.at(reached, rewritten=reached)
            return _stream(session, link)
        if why == "until":
            return None
        if reached < end and not part.last:
            raise AofFormatError(
                f"{part.path} is cut off at byte {part.offset_of(reached)}, and more of the AOF follows it",
                changed=session.state(),
                todo="Fetch the AOF again",
            )
    return session.reached_in(part)


def _check_evictions(session: Session, before: list[ServerFacts], after: list[ServerFacts]) -> None:
    outcome = session.outcome
    outcome.evicted_keys = _grown(before, after, "evicted_keys")
    outcome.expired_keys = _grown(before, after, "expired_keys")
    if outcome.evicted_keys and not session.options.allow_eviction:
        policies = sorted({facts.eviction_policy for facts in after})
        raise ImportFailedError(
            f"{session.endpoint} evicted {outcome.evicted_keys} keys during the import (maxmemory-policy "
            f"{', '.join(policies)}): some of the data is missing there",
            changed=f"All {outcome.commands} commands were sent",
            todo="Choose a larger instance class or set maxmemory-policy noeviction, then import again with if_not_empty=flush "
            "and resume=false",
            evicted_keys=outcome.evicted_keys,
        )


def _grown(before: list[ServerFacts], after: list[ServerFacts], name: str) -> int:
    """By how much a counter of INFO has grown; a restart of a server begins it at 0 again, and so does another in its place."""
    known = {facts.info.get("run_id"): int(facts.info.get(name, 0)) for facts in before}
    return sum(max(int(facts.info.get(name, 0)) - known.get(facts.info.get("run_id"), 0), 0) for facts in after)
