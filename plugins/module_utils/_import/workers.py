# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The rewritten part of an AOF, sent by several processes.

This one has the workers look for stretches of the file and hands them out as they are proved; each reads its own from the file
and sends them over its own connections. What they have done counts in the order of the file, so there is one checkpoint, the same
that a single process writes: whatever happens, any number of workers can go on from there.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import typing as t
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from ansible_collections.redisops.tair.plugins.module_utils._aof.damage import described
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError, ImportFailedError
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Rewind, Session
from ansible_collections.redisops.tair.plugins.module_utils._import.stretches import (
    Chain,
    Look,
    Sighting,
    Stretch,
    Why,
    stretches_of_rdb,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import CheckpointRequest, Link
from ansible_collections.redisops.tair.plugins.module_utils._import.worker import Done, Failed, work
from ansible_collections.redisops.tair.plugins.module_utils._import.zone import Zone

#: A stretch's share of the window.
_STRETCHES = 16
#: Stretches that a worker finds before it is given one of them.
_AHEAD = 2
#: Seconds that a worker has to end when it is told to.
_PATIENCE = 5.0


def are_worth_it(session: Session, part: Part) -> bool:
    """Whether there is enough left of a part for several processes."""
    left = part.position + part.size - session.reached_in(part)
    return session.options.workers > 1 and left > session.window_bytes


def send_by_workers(session: Session, link: Link, part: Part, count: int) -> Why:
    """Send what is left of a rewritten part and wait until all of it is confirmed. Why it ended: see :class:`Sighting`."""
    size = max(session.window_bytes // _STRETCHES, session.batch_bytes)
    start, end, database = session.reached_in(part), part.position + part.size, session.checkpoint.db
    zone = Zone(session, link, part)
    with _workers(session, part, zone.careful_until, count) as workers:
        crew = _Crew(session, link, zone, workers, session.window_bytes // len(workers) + size)
        if part.preamble is not None:
            crew.send(stretches_of_rdb(part, start, database, size))
            return "file"
        highest = -1 if start == part.position else database
        try:
            return crew.send_found(Chain(start, end, database=database, highest=highest, size=size))
        except AofFormatError as exc:
            raise described(part.fd, exc) from None


@dataclass
class _Worker:
    process: t.Any
    connection: Connection
    load: int = 0
    """Bytes of the AOF that it has been given and that are not confirmed."""


@contextlib.contextmanager
def _workers(session: Session, part: Part, careful_until: int, count: int) -> t.Iterator[list[_Worker]]:
    """Processes that wait for stretches. They are gone after the ``with`` block, whatever they were doing."""
    fork = multiprocessing.get_context("fork")  # what is open stays open, and nothing is copied
    workers: list[_Worker] = []
    try:
        for _number in range(count):
            ours, theirs = fork.Pipe()
            # A worker ends when nobody holds the other end of its connection: it must not hold those of the others.
            not_theirs = [*(worker.connection for worker in workers), ours]
            process = fork.Process(
                target=work, args=(session, part, theirs, not_theirs, careful_until, count), daemon=True
            )
            process.start()
            theirs.close()
            workers.append(_Worker(process, ours))
        yield workers
        for worker in workers:
            worker.connection.close()
            worker.process.join(_PATIENCE)
    finally:
        for worker in workers:
            worker.connection.close()
            worker.process.kill()
            worker.process.join()


@dataclass
class _Handed:
    """A stretch that a worker has, and what it did there as soon as it is known."""

    stretch: Stretch
    outcome: Outcome | None = None


@dataclass
class _Crew:
    """The workers at work. ``most``: bytes that one may have at a time."""

    session: Session
    link: Link
    zone: Zone
    workers: list[_Worker]
    most: int
    handed: deque[_Handed] = field(default_factory=deque)
    """In the order of the file."""
    last: Stretch | None = None
    """That has been handed out."""
    chain: Chain | None = None

    def send(self, todo: t.Iterable[Stretch]) -> None:
        """Send stretches that are known."""
        for stretch in todo:
            while min(worker.load for worker in self.workers) + stretch.end - stretch.start > self.most and self.handed:
                self._take_in()
            self._hand(stretch, min(self.workers, key=lambda worker: worker.load))
        self._finish()

    def send_found(self, chain: Chain) -> Why:
        """Send stretches that are to be found; each is for the worker that has found it, which holds it already."""
        self.chain = chain
        while chain.last is None:
            self._look_ahead(chain)
            found = chain.next()
            if found is None:
                if chain.last is None:
                    self._take_in()
                continue
            worker, todo = self.workers[found[0]], found[1]
            if isinstance(todo, Look):
                self._tell(worker, todo)
                continue
            while worker.load and worker.load + todo.end - todo.start > self.most:
                self._take_in()
            self._hand(todo, worker)
        self._finish()
        if chain.last.damage is not None:
            raise chain.last.damage
        return chain.last.why

    def _look_ahead(self, chain: Chain) -> None:
        """Have everybody look for what is to be sent next while something is being sent."""
        for number in sorted(range(len(self.workers)), key=lambda number: self.workers[number].load):
            while chain.looks(number) < _AHEAD and (look := chain.look(number)) is not None:
                self._tell(self.workers[number], look)

    def _finish(self) -> None:
        """Wait until everything is done, and write that down."""
        while self.handed:
            self._take_in()
        while not self.link.idle:
            self._confirm_checkpoint()
        if self.last is not None:
            self.zone.close(self.last.end, self.last.database_after)
            self._confirm_checkpoint()

    def _cover(self, position: int) -> None:
        """Have the target know that what is before a position may have been sent."""
        while not self.zone.holds(position):
            if self.link.idle:
                self.zone.extend(position)
            self._confirm_checkpoint()

    def _confirm_checkpoint(self) -> None:
        self.link.wait()
        for done in self.link.finished():
            if isinstance(done, CheckpointRequest):
                self.zone.confirm(done)

    def _hand(self, stretch: Stretch, worker: _Worker) -> None:
        self._cover(stretch.end)
        self.session.outcome.changed = True
        self.handed.append(_Handed(stretch))
        self.last = stretch
        worker.load += stretch.end - stretch.start
        self._tell(worker, stretch)
        self._take_in(block=False)

    def _tell(self, worker: _Worker, what: Look | Stretch) -> None:
        with contextlib.suppress(OSError):  # it has ended: what it has told before that is yet to be read
            worker.connection.send(what)

    def _take_in(self, *, block: bool = True) -> None:
        """Take in what workers tell: all that is there, or the next that comes."""
        ready = wait([worker.connection for worker in self.workers], None if block else 0)
        for worker in self.workers:
            if worker.connection in ready:
                try:
                    told = worker.connection.recv()
                except (EOFError, OSError):
                    self._lost(worker)
                if isinstance(told, Failed):
                    self._fail(told)
                elif isinstance(told, Sighting):
                    t.cast(Chain, self.chain).take(told)
                else:
                    self._done(worker, told)
        self._count()

    def _done(self, worker: _Worker, told: Done) -> None:
        worker.load -= told.stretch.end - told.stretch.start
        for handed in self.handed:
            if handed.stretch == told.stretch:
                handed.outcome = told.outcome

    def _count(self) -> None:
        """Count what is done without a gap from the beginning."""
        session = self.session
        while self.handed and (outcome := self.handed[0].outcome) is not None:
            stretch = self.handed.popleft().stretch
            session.outcome.add(outcome)
            session.compat_counted(stretch.end, outcome)
            self.zone.reach(stretch.end, stretch.database_after)
            if outcome.errors.samples:
                session.stop_at_too_many(outcome.errors.samples[-1])
            session.tell(stretch.end)
        for done in self.link.finished():
            if isinstance(done, CheckpointRequest):
                self.zone.confirm(done)
        self.zone.keep_up()

    def _fail(self, told: Failed) -> t.NoReturn:
        session, reason = self.session, told.reason
        if isinstance(reason, Rewind):
            session.gather = False
        if isinstance(reason, ImportFailedError):
            # It is the whole import's place that counts, and all that is known to be refused.
            session.outcome.errors.extend(told.outcome.errors)
            raise session.failed(reason.what, todo=reason.todo)
        raise reason

    def _lost(self, worker: _Worker) -> t.NoReturn:
        worker.process.join(_PATIENCE)
        code = worker.process.exitcode
        how = f"was ended by signal {-code}" if code is not None and code < 0 else "has ended"
        raise self.session.failed(
            f"A worker process of the import {how}",
            todo="Look whether the machine has run out of memory, and run the same import again, with fewer workers if it has",
        )
