# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Rounds: what a source has written since the last one is brought and imported, until nothing is left.

With a fence the writers go on meanwhile, and stop for the last round only. Without one they must have been stopped by
others: a source that is still written to is told, with its rate, and is never a success.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frames, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, ImportFailedError, TairError
from ansible_collections.redisops.tair.plugins.module_utils._fence import Method, choose_method, set_fence
from ansible_collections.redisops.tair.plugins.module_utils._import.importer import import_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._import.selection import Selection
from ansible_collections.redisops.tair.plugins.module_utils._redis import Client, Endpoint, connect, speaking_to
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import server_facts

if t.TYPE_CHECKING:
    from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import OpenAof

#: Commands that a server writes for itself when a key or a field expires or is evicted, and what stands around them;
#: and PFCOUNT, a read that keeps what it has counted.
_BY_ITSELF = frozenset((b"SELECT", b"DEL", b"UNLINK", b"HDEL", b"MULTI", b"EXEC", b"PFCOUNT"))
_REMOVING = (b"DEL", b"UNLINK", b"HDEL")

#: A round that takes no longer than this, in seconds, is short enough to stop the writers for the next one.
_SHORT = 1.0
#: Rounds that may bring commands of clients where the writers should have stopped: they may just have.
_GRACE_ROUNDS = 3
_FLUSH_WAIT = 30.0  # seconds; a server postpones its writing by two, while its disk is busy
_POLL = 0.01


@dataclass(frozen=True)
class Written:
    """How far a source is. ``size``: bytes of its AOF that are in its files; ``removed``: keys it has removed by itself, None
    for a replica, whose primary does that."""

    size: int
    removed: int | None
    time: float


class Source:
    """The server whose AOF is followed."""

    def __init__(self, client: Client, endpoint: Endpoint) -> None:
        self._client = client
        self.endpoint = endpoint

    def written(self) -> Written:
        """All that was executed before this call, once it is in the files. Raises :class:`ImportFailedError`."""
        end = time.monotonic() + _FLUSH_WAIT
        while True:
            with speaking_to(self.endpoint, "reading INFO"):
                info: dict[str, t.Any] = {}
                for section in ("persistence", "stats", "replication"):
                    info.update(self._client.info(section))
            if not info.get("aof_enabled"):
                raise ImportFailedError(
                    f"{self.endpoint} writes no AOF any more: appendonly has been switched off",
                    todo="Switch it on again and begin with a rewrite",
                )
            if info.get("aof_last_write_status", "ok") != "ok":
                raise ImportFailedError(
                    f"{self.endpoint} can't write its AOF", todo="Free disk space on its host, then run again"
                )
            if not info.get("aof_buffer_length"):
                removed = sum(
                    int(info.get(name, 0))
                    for name in ("expired_keys", "evicted_keys", "expired_subkeys", "expired_fields")
                )
                if "aof_current_size" not in info:
                    raise ConnectError(
                        f"{self.endpoint} does not tell the size of its AOF (aof_current_size in INFO)",
                        todo="Check that this is a Redis server and nothing else",
                    )
                return Written(
                    int(info["aof_current_size"]), None if info.get("role") == "slave" else removed, time.monotonic()
                )
            if time.monotonic() > end:
                raise ImportFailedError(
                    f"{self.endpoint} has not written its AOF to disk for {_FLUSH_WAIT:g} s",
                    todo="Look at the load of its disk, then run again",
                )
            time.sleep(_POLL)


@dataclass(frozen=True)
class Round:
    """What one round brought: ``size`` bytes of the AOF, whose position ``end`` it reached, in ``seconds``."""

    size: int
    end: int
    seconds: float
    commands: Counter[bytes]
    """How often each is in these bytes, by name in capitals. Empty where nobody asked."""


class Rounds:
    """Each call is one round. ``bring``: brings what is new, and gives the path of the AOF."""

    def __init__(
        self, bring: t.Callable[[], Path], base_size: int, endpoint: Endpoint, options: Options, *, look: bool
    ) -> None:
        self._bring = bring
        self._base_size = base_size
        self._endpoint = endpoint
        self._options = replace(options, keep_checkpoint=True)
        self._look = look
        self._files: dict[Path, int] = {}  # inodes
        self._rewritten: int | None = None
        self._counted: Counter[bytes] = Counter()
        self.outcome: Outcome | None = None

    def __call__(self) -> Round:
        started = time.monotonic()
        outcome = self._import(self._options)
        return Round(outcome.bytes, outcome.position, time.monotonic() - started, self._counted)

    def finish(self) -> Outcome:
        """Remove the checkpoint, once nothing is left. What expired meanwhile comes along."""
        return self._import(replace(self._options, keep_checkpoint=False))

    def _import(self, options: Options) -> Outcome:
        with open_aof(find_aof(self._bring()), base_size=self._base_size, rewritten=self._rewritten) as aof:
            files = {part.path: os.fstat(part.fd).st_ino for part in aof.parts}
            if not self._files.items() <= files.items():
                raise ImportFailedError(
                    "A rewrite has put other files in the place of the AOF that was imported",
                    changed=f"{self._endpoint} holds a part of the data",
                    todo="Look who has started it, then begin again: if_not_empty=flush",
                )
            # The same files, longer: nothing of what is imported has to be read again to recognise them.
            name = self.outcome.name if self.outcome is not None else ""
            self.outcome = outcome = import_aof(aof, self._endpoint, options, known=name)
            self._files, self._rewritten = files, aof.rewritten_size
            self._counted = _count(aof, outcome) if self._look else Counter()
        return outcome


def _count(aof: OpenAof, outcome: Outcome) -> Counter[bytes]:
    """The commands that the import brought."""
    counted: Counter[bytes] = Counter()
    low, high = outcome.position - outcome.bytes, outcome.position
    for part in aof.parts:
        start, end = max(low, part.position), min(high, part.position + part.size)
        if start < end:
            for frame in Frames(part.fd, part.offset_of(start), part.offset_of(end), where=str(part.path)):
                if isinstance(frame, Block):
                    counted.update(command[0].upper() for command in frame.commands)
                elif isinstance(frame, LargeCommand):
                    counted[frame.name.upper()] += 1
    return counted


@dataclass
class CaughtUp:
    """``downtime``: seconds from the moment the writers were stopped until the last of their commands was imported."""

    rounds: list[Round] = field(default_factory=list)
    downtime: float | None = None


def catch_up(
    source: Source,
    one_round: t.Callable[[], Round],
    stop_writers: t.Callable[[], object] | None = None,
    tell: t.Callable[[str], object] = lambda _line: None,
) -> CaughtUp:
    """Repeat ``one_round`` (bring what is new, import it) until nothing of the source is left.

    ``stop_writers``: called once, before the last round; where it is None the writers are taken to be stopped.
    Raises :class:`ImportFailedError` where they are not.
    """
    done = CaughtUp()
    if stop_writers is not None:
        _follow(one_round, done, tell)
        stopped = time.monotonic()
        stop_writers()
        _reach(source, source.written().size, one_round, done)
        done.downtime = time.monotonic() - stopped
        return done
    earlier = before = source.written()
    for _number in range(_GRACE_ROUNDS):
        latest = _take(one_round, done, tell)
        now = source.written()
        # What a round brings began to be written before the round before it had ended.
        if latest.end >= before.size and _is_quiet(latest, earlier, now):
            return done
        earlier, before = before, now
    raise _still_written(source.endpoint, latest, before, earlier)


def bring_up_to_date(
    params: dict[str, t.Any],
    bring: t.Callable[[], Path],
    *,
    warn: t.Callable[[str], object],
    tell: t.Callable[[str], object] = lambda _line: None,
) -> dict[str, t.Any]:
    """All that the module ``aof_catch_up`` does, with its options as ``params``; what it returns."""
    target, source = Endpoint.from_params(params), Endpoint.from_params(params["source"])
    fenced = params["fence"] == "last"
    methods: list[Method] = []
    with contextlib.closing(connect(source, timeout=params["timeout"])) as client:
        # The target of a cluster's master may be that of the other masters, too.
        shared = server_facts(client, source).mode == "cluster"
        options = Options(
            timeout=params["timeout"],
            selection=Selection(protect=shared),
            compat=params["compat"] == "auto",
            drop=tuple(params["drop"]),
        )
        rounds = Rounds(bring, params["aof_base_size"], target, options, look=not fenced)

        def stop_writers() -> None:
            facts = server_facts(client, source)
            method = choose_method(client, source, facts, params["fence_method"])
            fence = set_fence(client, source, facts, method, pause_ms=params["pause_seconds"] * 1000, check=False)
            methods.append(method)
            if not fence.scripts_stopped:
                warn(f"{source} is older than Redis 7.0: scripts (EVAL) can still write. Stop clients that run some.")

        done = catch_up(Source(client, source), rounds, stop_writers if fenced else None, tell)
    outcome = rounds.finish()
    return {
        "changed": outcome.changed or any(each.size for each in done.rounds) or fenced,
        "rounds": [{"bytes": each.size, "elapsed": round(each.seconds, 3)} for each in done.rounds],
        "fence": methods[0] if methods else None,
        "downtime": None if done.downtime is None else round(done.downtime, 3),
        "replies": outcome.commands,
        "errors": outcome.errors.count,
        "summary": f"errors: {outcome.errors.count}, replies: {outcome.commands}",
        "position": outcome.position,
    }


def _follow(one_round: t.Callable[[], Round], done: CaughtUp, tell: t.Callable[[str], object]) -> None:
    """Rounds as long as they get shorter, and the next one may be shorter still."""
    while True:
        latest = _take(one_round, done, tell)
        before = done.rounds[-2] if len(done.rounds) > 1 else None
        if latest.seconds <= _SHORT or (before is not None and latest.seconds > before.seconds / 2):
            return


def _reach(source: Source, size: int, one_round: t.Callable[[], Round], done: CaughtUp) -> None:
    """All that the source had written when its writers had stopped."""
    end = time.monotonic() + _FLUSH_WAIT
    while _take(one_round, done).end < size:
        if time.monotonic() > end:
            raise ImportFailedError(
                f"The AOF of {source.endpoint} has {size:,} bytes, and only {done.rounds[-1].end:,} could be imported",
                todo="Look whether a rewrite has replaced its files, then begin again",
            )


def _take(
    one_round: t.Callable[[], Round], done: CaughtUp, tell: t.Callable[[str], object] = lambda _line: None
) -> Round:
    latest = one_round()
    done.rounds.append(latest)
    tell(f"round {len(done.rounds)}: {latest.size:,} bytes in {latest.seconds:.1f} s")
    return latest


def _is_quiet(latest: Round, before: Written, now: Written) -> bool:
    """Whether no client has written it: keys expire also where nobody writes."""
    if not latest.commands.keys() <= _BY_ITSELF:
        return False
    if before.removed is None or now.removed is None:
        return True
    return sum(latest.commands[name] for name in _REMOVING) <= now.removed - before.removed


def _still_written(endpoint: Endpoint, latest: Round, now: Written, before: Written) -> TairError:
    names = ", ".join(name.decode("ascii", "replace") for name, _count in latest.commands.most_common(3))
    seconds = max(now.time - before.time, 0.001)
    written = now.size - before.size
    return ImportFailedError(
        f"{endpoint} is still written to: {written:,} bytes in {seconds:.1f} s ({written / seconds:,.0f} bytes a second), "
        f"lately {names or 'more than could be brought'}",
        changed="What it wrote until now is imported, and the checkpoint is kept",
        todo="Stop the writers, or let this stop them (fence: last), then run again",
        written_bytes_per_second=round(written / seconds),
    )
