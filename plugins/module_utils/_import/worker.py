# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One of several processes that import a rewritten part: it is given stretches, and tells what it did there."""

from __future__ import annotations

import contextlib
import traceback
import typing as t
from collections import Counter, deque
from dataclasses import dataclass
from multiprocessing.connection import Connection

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Frame
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, TairError
from ansible_collections.redisops.tair.plugins.module_utils._import.abandoned import end_when_abandoned
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import Batch, Cursor
from ansible_collections.redisops.tair.plugins.module_utils._import.looking import look_for
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import ConnectionLost
from ansible_collections.redisops.tair.plugins.module_utils._import.plain import plain_batches, record_errors
from ansible_collections.redisops.tair.plugins.module_utils._import.session import PassingState, Rewind, Session
from ansible_collections.redisops.tair.plugins.module_utils._import.stretches import Look, Stretch
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import Link
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply


@dataclass(frozen=True)
class Done:
    """All of a stretch is in the target."""

    stretch: Stretch
    outcome: Outcome


@dataclass(frozen=True)
class Failed:
    """The worker has ended. ``outcome``: of the stretch that it was in."""

    reason: Exception
    outcome: Outcome


def work(
    session: Session,
    part: Part,
    connection: Connection,
    not_ours: t.Iterable[Connection],
    careful_until: int,
    count: int,
) -> None:
    """Send what comes over ``connection`` until its other end is closed. ``session``: a copy that is ours alone.

    ``count``: of the workers.
    """
    for other in not_ours:
        other.close()
    end_when_abandoned(connection.fileno())
    session.take_share(count)
    with contextlib.suppress(EOFError, OSError):  # nobody is there any more
        try:
            with session.topology.lane(session) as link:
                _Worker(session, link, part, connection, careful_until).run()
        except EOFError:
            raise
        except ConnectError as exc:
            connection.send(Failed(ConnectionLost(exc.what), session.outcome))
        except (ConnectionLost, PassingState, Rewind, TairError) as exc:
            connection.send(Failed(exc, session.outcome))
        except Exception:
            bug = RuntimeError(f"in a worker process of the import:\n{traceback.format_exc()}")
            connection.send(Failed(bug, session.outcome))


@dataclass(frozen=True)
class _Sent:
    """A stretch that has been sent up to the batch of that number, and what was adapted of it."""

    stretch: Stretch
    batches: int
    adapted: Counter[str]
    dropped: Counter[str]


class _Worker:
    def __init__(self, session: Session, link: Link, part: Part, connection: Connection, careful_until: int) -> None:
        self._session = session
        self._link = link
        self._part = part
        self._connection = connection
        self._careful_until = careful_until
        self._submitted = self._finished = 0
        """Batches."""
        self._sent: deque[_Sent] = deque()
        self._found: dict[int, tuple[int, list[Frame]]] = {}
        """What stands in stretches that may be ours to send, by where they begin; with where they end."""

    def run(self) -> None:
        while True:
            if not self._connection.poll():
                self._drain()
            todo = self._connection.recv()
            if isinstance(todo, Look):
                self._look(todo)
            else:
                self._send(todo)

    def _look(self, look: Look) -> None:
        session = self._session
        sighting, frames = look_for(look, self._part, moment=session.options.until, block_bytes=session.batch_bytes)
        if sighting.start is not None and frames is not None:
            self._found[sighting.start] = sighting.end, frames
        self._connection.send(sighting)

    def _frames(self, stretch: Stretch) -> t.Iterable[Frame]:
        """What stands in a stretch, from the file once more if that has not been kept."""
        self._found = {start: found for start, found in self._found.items() if start >= stretch.start}
        end, frames = self._found.pop(stretch.start, (0, []))
        if end == stretch.end:
            return frames
        return self._session.frames(self._part, stretch.start, stretch.end, stretch.database)

    def _send(self, stretch: Stretch) -> None:
        session, database = self._session, stretch.database
        session.topology.select(session, self._link, database)
        frames = self._frames(stretch)
        batches = plain_batches(
            self._part,
            session.selected(self._part, frames, database),
            Cursor(stretch.start, database),
            careful_until=self._careful_until,
            gather=lambda: session.gather,
            routed=session.topology.routed,
        )
        for batch in batches:
            self._link.submit(batch)
            self._submitted += 1
            self._confirm()
        compat = session.compat
        self._sent.append(_Sent(stretch, self._submitted, compat.rewritten, compat.dropped))
        compat.rewritten, compat.dropped = Counter(), Counter()
        self._confirm()

    def _drain(self) -> None:
        while not self._link.idle and not self._connection.poll():
            self._link.wait()
            self._confirm()

    def _confirm(self) -> None:
        """Take in what the target has answered."""
        for done in self._link.finished():
            if isinstance(done, Batch):
                record_errors(self._session, done)
                self._session.confirm(done)
                self._finished += 1
                self._tell()
            elif isinstance(done.replies[0], ErrorReply):
                # What follows would get into another database.
                raise self._session.failed(
                    f"{self._session.endpoint} answered {explain(str(done.replies[0]))} to SELECT"
                )
        self._tell()

    def _tell(self) -> None:
        """Tell which stretches are done."""
        while self._sent and self._sent[0].batches <= self._finished:
            sent = self._sent.popleft()
            session = self._session
            session.outcome.adapted, session.outcome.dropped = sent.adapted, sent.dropped
            self._connection.send(Done(sent.stretch, session.outcome))
            session.outcome = Outcome()
