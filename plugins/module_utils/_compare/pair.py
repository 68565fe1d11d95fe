# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Questions to both servers about single keys, asked for many keys at once.

A *look* at a key is a generator: it yields a question, is sent the answer, and returns what it found out. Looks that are
taken together have their questions sent in one go, so that many keys share the time of a round trip.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import Command, Side
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, Reply, encode


class Question(t.NamedTuple):
    """Commands for either side."""

    source: t.Sequence[Command]
    target: t.Sequence[Command]


#: The replies of either side, errors among them.
Answer = t.Tuple[t.List[Reply], t.List[Reply]]

T = t.TypeVar("T")
Look = t.Generator[Question, Answer, T]


class KeyChanged(Exception):
    """A key is gone, or is of another type than a moment ago."""


@dataclass(frozen=True)
class Pair:
    """Both servers, with a database selected on each. ``tolerance``: milliseconds that expiries may differ by."""

    source: Side
    target: Side
    tolerance: float

    def select(self, source: int, target: int) -> None:
        self.source.wire.select(source)
        self.target.wire.select(target)

    def expired(self, expiry: int) -> bool:
        """Whether a key is due by either clock: one server may have let it go while the other still has it."""
        return 0 <= expiry <= max(self.source.now(), self.target.now()) + self.tolerance

    def take(self, looks: t.Iterable[Look[T]], together: int) -> t.Iterator[T]:
        """Take looks, so many ``together``, and yield what each of them returns."""
        waiting = iter(looks)
        active: list[tuple[Look[T], Question]] = []
        exhausted = False
        while active or not exhausted:
            while len(active) < together and not exhausted:
                look = next(waiting, None)
                if look is None:
                    exhausted = True
                else:
                    yield from _advance(active, look, None)
            going, active = active, []
            for (look, _question), answer in zip(going, self._answers([question for _look, question in going])):
                yield from _advance(active, look, answer)

    def ask(self, source: t.Sequence[Command], target: t.Sequence[Command]) -> Look[Answer]:
        """For looks: the replies to commands on keys that were there before. Raises :class:`KeyChanged`."""
        answer = yield Question(source, target)
        for side, commands, replies in zip((self.source, self.target), (source, target), answer):
            for command, reply in zip(commands, replies):
                if isinstance(reply, ErrorReply):
                    if str(reply).startswith(("WRONGTYPE", "NOGROUP", "ERR no such key")):
                        raise KeyChanged
                    raise side.wire.refused(command[0].decode(), reply)
        return answer

    def both(self, *command: bytes) -> Look[tuple[t.Any, t.Any]]:
        """For looks: the replies of both sides to one command."""
        (source,), (target,) = yield from self.ask([command], [command])
        return source, target

    def _answers(self, questions: list[Question]) -> list[Answer]:
        """Both sides work at the same time. All is read before anything is looked at: nothing may be left on a wire."""
        self.source.wire.send(b"".join(encode(command) for question in questions for command in question.source))
        self.target.wire.send(b"".join(encode(command) for question in questions for command in question.target))
        source = [self.source.wire.receive(len(question.source)) for question in questions]
        target = [self.target.wire.receive(len(question.target)) for question in questions]
        return list(zip(source, target))


def _advance(active: list[tuple[Look[T], Question]], look: Look[T], answer: Answer | None) -> t.Iterator[T]:
    """Let a look go on: it has a question, or it has come to its end."""
    try:
        question = next(look) if answer is None else look.send(answer)
    except StopIteration as end:
        yield end.value
    else:
        active.append((look, question))
