# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The import of one AOF into one standalone target: exactly once, whatever happens on the way.

Whatever goes wrong on the connection is met in one way: connect again, read the checkpoint, go on from there.
"""

from __future__ import annotations

import contextlib
import secrets
import time
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Annotation, Frame
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import OpenAof
from ansible_collections.redisops.tair.plugins.module_utils._aof.rewritten import WhileRewritten
from ansible_collections.redisops.tair.plugins.module_utils._errors import (
    AofFormatError,
    ConnectError,
    ImportFailedError,
    TargetStateError,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.checkpoint import (
    Checkpoint,
    read_checkpoints,
    remove_checkpoint,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import ConnectionLost, Pipe, Request
from ansible_collections.redisops.tair.plugins.module_utils._import.plain import send_plain
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import Progress
from ansible_collections.redisops.tair.plugins.module_utils._import.session import (
    Options,
    Outcome,
    PassingState,
    PipelineTooDeep,
    Rewind,
    Session,
    passing_state,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.transactions import send_transactions
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_KEY
from ansible_collections.redisops.tair.plugins.module_utils._redis import (
    Endpoint,
    LoginRefusedError,
    ServerFacts,
    connect,
    connected_socket,
    server_facts,
    speaking_to,
)
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode

if t.TYPE_CHECKING:
    import redis


def import_aof(
    aof: OpenAof,
    endpoint: Endpoint,
    options: Options,
    report: t.Callable[[Progress], None] = lambda _progress: None,
    *,
    known: str = "",
) -> Outcome:
    """Import ``aof`` into the server at ``endpoint``.

    ``known``: the name of an import that is certainly about this very AOF, from an earlier outcome: its checkpoint is gone on
    with, and what that covers is not read again to recognise it.

    Raises a :class:`TairError` that says how far the target is; a later call goes on from there.
    """
    started = time.monotonic()
    session = Session(aof, endpoint, options, Checkpoint(secrets.token_hex(8), aof.rewritten_size), report)
    outcome = session.outcome
    with contextlib.closing(connect(endpoint, timeout=options.timeout)) as client:
        before = server_facts(client, endpoint)
        _check_target(session, before)
        _choose_start(session, client, before, known)
        session.round_trip = _round_trip(client)
    began_at = session.checkpoint.position
    end = _stream_to_the_end(session)
    outcome.position = session.checkpoint.position
    outcome.bytes = outcome.position - began_at
    outcome.truncated_bytes = aof.size - end if end is not None else 0
    with contextlib.closing(connect(endpoint, timeout=options.timeout)) as client:
        after = server_facts(client, endpoint)
        _check_evictions(session, before, after)
        if not options.keep_checkpoint:
            with speaking_to(endpoint, "removing the checkpoint"):
                remove_checkpoint(client, after.keyspace, session.checkpoint.id)
    outcome.name = session.checkpoint.id
    outcome.elapsed = time.monotonic() - started
    return outcome


def check_import(aof: OpenAof, endpoint: Endpoint, options: Options) -> Outcome:
    """Everything that :func:`import_aof` does before it changes something, and what it would change."""
    session = Session(aof, endpoint, options, Checkpoint("check", aof.rewritten_size), lambda _progress: None)
    outcome = session.outcome
    with contextlib.closing(connect(endpoint, timeout=options.timeout)) as client:
        facts = server_facts(client, endpoint)
        _check_target(session, facts)
        _choose_start(session, client, facts, dry_run=True)
    outcome.position = session.checkpoint.position
    outcome.changed = outcome.changed or outcome.position < aof.size
    return outcome


def _check_target(session: Session, facts: ServerFacts) -> None:
    """Refuse what can't be imported into, before the first byte."""
    endpoint, aof = session.endpoint, session.aof
    nothing = f"Nothing was changed on {endpoint}"
    if facts.mode == "cluster":
        raise TargetStateError(
            f"{endpoint} is a node of a cluster, and this version imports into standalone targets only",
            changed=nothing,
            todo="Give the address of a standalone instance",
        )
    if facts.role == "slave":
        raise TargetStateError(f"{endpoint} is a replica", changed=nothing, todo="Give the address of its primary")
    used = 0 if session.options.if_not_empty == "flush" else facts.used_memory
    room = max(facts.maxmemory - used, 0)
    evicts = facts.maxmemory and facts.eviction_policy not in ("", "noeviction")
    if evicts and room < aof.size and not session.options.allow_eviction:
        raise TargetStateError(
            f"{endpoint} would evict keys: its maxmemory-policy is {facts.eviction_policy}, {room:,} bytes are free "
            f"below its maxmemory, and the AOF has {aof.size:,} bytes",
            changed=nothing,
            todo="Choose a larger instance class, set maxmemory-policy noeviction, or accept the loss by name: "
            "allow_eviction=true",
        )


def _choose_start(
    session: Session, client: redis.Redis, facts: ServerFacts, known: str = "", *, dry_run: bool = False
) -> None:
    """Go on with an earlier import of this AOF, or begin a new one where the target may take it."""
    endpoint, options, aof = session.endpoint, session.options, session.aof
    nothing = f"Nothing was changed on {endpoint}"
    with speaking_to(endpoint, "looking for the checkpoint of an earlier import"):
        underway = read_checkpoints(client, facts.keyspace)
        keys = _keys_of_others(client, facts)
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
        return
    if (keys or underway) and options.if_not_empty == "flush":
        session.outcome.changed = True
        if not dry_run:
            with speaking_to(endpoint, "emptying it"):
                client.flushall()
    elif keys and options.if_not_empty == "fail":
        unfinished = ", some of them by an unfinished import of another AOF" if underway else ""
        raise TargetStateError(
            f"{endpoint} is not empty: it holds {keys} keys{unfinished}",
            changed=nothing,
            todo="Check that it is the right target. To import all the same: if_not_empty=append adds to what is there, "
            "if_not_empty=flush deletes all of it first",
            keys_in_target=keys,
        )


def _keys_of_others(client: redis.Redis, facts: ServerFacts) -> int:
    """Keys in the target, our own checkpoints not counted. Leaves database 0 selected."""
    keys = 0
    for database, count in facts.keyspace.items():
        client.select(database)
        keys += count - int(client.exists(CHECKPOINT_KEY))
    client.select(0)
    return keys


def _stream_to_the_end(session: Session) -> int | None:
    """Stream until the end is confirmed, through lost connections and passing states of the target.

    Returns the position where the AOF's whole commands end; None where ``until`` ended it before.
    """
    failing_since, delay = time.monotonic(), 0.1
    while True:
        at = session.checkpoint.position
        try:
            with _connected(session) as pipe:
                return _stream(session, pipe)
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


@contextlib.contextmanager
def _connected(session: Session) -> t.Iterator[Pipe[Request]]:
    """A pipeline to the target, with the session at the place that the checkpoint in the target names."""
    endpoint, options = session.endpoint, session.options
    client = connect(endpoint, timeout=options.timeout)
    try:
        facts = server_facts(client, endpoint)
        with speaking_to(endpoint, "reading the checkpoint"):
            found = read_checkpoints(client, facts.keyspace).get(session.checkpoint.id)
            if found is not None:
                session.checkpoint = found
            elif session.checkpoint.position or session.checkpoint.zone:
                raise ImportFailedError(
                    f"The checkpoint of this import is no longer in {endpoint}: it was emptied meanwhile, or has lost "
                    "data in a restart",
                    changed=f"{endpoint} holds an unknown part of the data",
                    todo="Import again from the beginning: if_not_empty=flush",
                )
        session.outcome.errors.back_to(session.checkpoint.position, session.checkpoint.errors)
        session.outcome.commands = session.checkpoint.commands
        pipe: Pipe[Request] = Pipe(
            connected_socket(client),
            window=session.window_bytes,
            timeout=options.timeout,
            pace=_pace(options.rate_limit),
        )
        _select(pipe, session)
        yield pipe
    finally:
        client.close()


def _select(pipe: Pipe[Request], session: Session) -> None:
    """Select what the source had selected at the checkpoint, if that is imported at all."""
    databases = session.options.selection.databases
    if databases.takes(session.checkpoint.db):
        command = encode([b"SELECT", b"%d" % databases.target(session.checkpoint.db)])
        pipe.submit(Request([command], len(command), 1))


def _stream(session: Session, pipe: Pipe[Request]) -> int | None:
    for part in session.aof.parts:
        start = max(session.checkpoint.position, part.position)
        end = part.position + part.size
        if start >= end and part.size:
            continue
        if part.start == 0 and start == part.position and session.checkpoint.db:
            # A server begins each file in database 0.
            session.checkpoint = session.checkpoint.at(session.checkpoint.position, db=0)
            _select(pipe, session)
        database = session.checkpoint.db
        until = _Until(session.frames(part, start, end), session.options.until)
        rewritten = WhileRewritten(until, -1 if start == part.position else database) if part.rewritten else None
        send = send_transactions if rewritten is None else send_plain
        try:
            send(session, pipe, part, session.selected(part, rewritten or until, database))
        except AofFormatError as exc:
            exc.changed = session.state()
            raise
        reached = max(session.checkpoint.position, part.position)
        if rewritten is not None and rewritten.stopped:
            session.aof = session.aof.rewritten_until(reached)
            session.checkpoint = session.checkpoint.at(reached, rewritten=reached)
            return _stream(session, pipe)
        if until.reached:
            return None
        if reached < end and not part.last:
            raise AofFormatError(
                f"{part.path} is cut off at byte {part.offset_of(reached)}, and more of the AOF follows it",
                changed=session.state(),
                todo="Fetch the AOF again",
            )
    return max(session.checkpoint.position, part.position)


class _Until:
    """Frames up to the first annotation later than ``until``; ``reached`` tells whether there was one."""

    def __init__(self, frames: t.Iterable[Frame], until: int | None) -> None:
        self._frames = frames
        self._until = until
        self.reached = False

    def __iter__(self) -> t.Iterator[Frame]:
        for frame in self._frames:
            if self._until is not None and isinstance(frame, Annotation) and (frame.timestamp or 0) > self._until:
                self.reached = True
                return
            yield frame


def _check_evictions(session: Session, before: ServerFacts, after: ServerFacts) -> None:
    outcome = session.outcome
    outcome.evicted_keys = _grown(before, after, "evicted_keys")
    outcome.expired_keys = _grown(before, after, "expired_keys")
    if outcome.evicted_keys and not session.options.allow_eviction:
        raise ImportFailedError(
            f"{session.endpoint} evicted {outcome.evicted_keys} keys during the import (maxmemory-policy "
            f"{after.eviction_policy}): some of the data is missing there",
            changed=f"All {outcome.commands} commands were sent",
            todo="Choose a larger instance class or set maxmemory-policy noeviction, then import again with if_not_empty=flush "
            "and resume=false",
            evicted_keys=outcome.evicted_keys,
        )


def _grown(before: ServerFacts, after: ServerFacts, name: str) -> int:
    """By how much a counter of INFO has grown; a restart of the server begins it at 0 again."""
    return max(int(after.info.get(name, 0)) - int(before.info.get(name, 0)), 0)


def _round_trip(client: redis.Redis) -> float:
    """Seconds, the best of three."""
    best = 60.0
    for _try in range(3):
        started = time.monotonic()
        client.ping()
        best = min(best, time.monotonic() - started)
    return best


def _pace(rate: int) -> t.Callable[[int], None]:
    """Sleeps as needed to stay at ``rate`` bytes a second; 0 never sleeps."""
    due = time.monotonic()

    def pace(size: int) -> None:
        nonlocal due
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        due = max(due, now - 1.0) + size / rate

    return pace if rate else lambda _size: None
