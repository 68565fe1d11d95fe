# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How a part of an AOF is sent: by which engine, and by how many processes."""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Frame
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.rewritten import WhileRewritten
from ansible_collections.redisops.tair.plugins.module_utils._aof.until import Until
from ansible_collections.redisops.tair.plugins.module_utils._import.looking import StretchFrames
from ansible_collections.redisops.tair.plugins.module_utils._import.plain import send_plain
from ansible_collections.redisops.tair.plugins.module_utils._import.processors import IdleProcessors, processes_for
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Session
from ansible_collections.redisops.tair.plugins.module_utils._import.stretches import Look, Why
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import Link
from ansible_collections.redisops.tair.plugins.module_utils._import.workers import are_worth_it, send_by_workers

#: For so many seconds it is measured how busy the processors are, if it takes as long to send a window.
_ENOUGH = 0.3


def send_part(session: Session, link: Link, part: Part) -> Why:
    """Send what is left of a part and wait until all of it is confirmed. Why it ended: see :class:`Sighting`."""
    if part.rewritten and are_worth_it(session, part):
        return _send_together(session, link, part)
    return _send_alone(session, link, part)


def _send_together(session: Session, link: Link, part: Part) -> Why:
    """Send what is left of a rewritten part by as many processes as are faster than one.

    The first of it is sent by this one, to see how busy the processors are meanwhile.
    """
    idle = IdleProcessors()

    def another_helps(window_is_full: bool) -> bool | None:
        if not window_is_full and idle.seconds() < _ENOUGH:
            return None
        # Where it waits for its own rate limit, idle processors tell nothing.
        count = None if session.options.rate_limit else idle.count()
        session.outcome.workers = processes_for(count, session.options.workers)
        return session.outcome.workers > 1

    why = _send_alone(session, link, part, is_enough=another_helps)
    return send_by_workers(session, link, part, session.outcome.workers) if why == "key" else why


def _send_alone(
    session: Session, link: Link, part: Part, *, is_enough: t.Callable[[bool], bool | None] | None = None
) -> Why:
    """Send what is left of a part by this process.

    ``is_enough``: asked of a rewritten part whether to end at the next key, with whether a window has been sent: see
    :class:`StretchFrames`.
    """
    start, end, database = session.reached_in(part), part.position + part.size, session.checkpoint.db
    until = Until(session.frames(part, start, end, database), session.options.until)
    if not part.rewritten:
        session.topology.send_in_order(session, link, part, session.selected(part, until, database))
        return "until" if until.reached else "file"
    rewritten = None
    if part.preamble is None:
        rewritten = WhileRewritten(until, -1 if start == part.position else database)
    frames: t.Iterable[Frame] = rewritten or until
    head = None
    if is_enough is not None:
        frames = head = StretchFrames(frames, part, Look(start, start + session.window_bytes, start), is_enough)
    send_plain(
        session,
        link,
        part,
        session.selected(part, frames, database),
        is_last=lambda: head is None or not head.complete,
    )
    if head is not None and head.complete:
        return "key"
    if rewritten is not None and rewritten.stopped:
        return "clients"
    return "until" if until.reached else "file"
