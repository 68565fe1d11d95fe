# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Questions to a cluster as a whole: each goes to the node that can answer it, wherever the slots move meanwhile."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._cluster import Node, OneEndpoint, SlotMap, redirection
from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain, next_step
from ansible_collections.redisops.tair.plugins.module_utils._resp import Reply
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

#: Commands that are under way to a node: few enough that neither side waits for the other to read.
_AT_ONCE = 500
_PAUSE = 0.05  # seconds, before a question that a moving slot could not answer is asked again

#: Times that questions are sent elsewhere: each slot that moves meanwhile takes one.
_MOST_TURNS = 1000

_ASKING = (b"ASKING",)
_MULTI, _EXEC = (b"MULTI",), (b"EXEC",)


class Question(t.NamedTuple):
    """A command for the node that serves ``slot``."""

    slot: int
    command: t.Sequence[bytes]


class ClusterWire:
    """A connection to each master, or one to the proxy in front of them (``proxied``).

    All methods raise :class:`ConnectError` when one breaks.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float = 60.0, proxied: bool = False) -> None:
        self.endpoint = endpoint
        self.slots = (OneEndpoint if proxied else SlotMap)(endpoint, timeout)
        self._timeout = timeout
        self._proxied = proxied
        self._wires: dict[Node, Wire] = {}
        self.slots.read()

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()

    def exchange(self, questions: t.Sequence[Question]) -> list[Reply]:
        """The replies, errors that are no redirections among them.

        Raises :class:`ReplyError` for what a slot that does not come to rest answers for longer than the timeout.
        """
        replies: list[Reply] = [None] * len(questions)
        asked: dict[int, Node] = {}
        left, end, turns = list(range(len(questions))), time.monotonic() + self._timeout, 0
        while left:
            by_node: dict[Node, list[int]] = {}
            for number in left:
                by_node.setdefault(asked.get(number) or self.slots.owner(questions[number].slot), []).append(number)
            left, moved = [], False
            for node, numbers in by_node.items():
                for start in range(0, len(numbers), _AT_ONCE):
                    some = numbers[start : start + _AT_ONCE]
                    for number, reply in zip(some, self._ask(node, some, questions, asked)):
                        found = redirection(reply, node)
                        asked.pop(number, None)
                        if found is None:
                            replies[number] = reply
                            continue
                        left.append(number)
                        failure = reply
                        if self._proxied:
                            continue  # where a slot is, is the proxy's to know: it is asked once more
                        if found.kind == "MOVED" and found.node:
                            self.slots.moved(questions[number].slot, found.node)
                        elif found.kind == "ASK" and found.node:
                            asked[number] = self.slots.known(found.node)
                        moved = moved or found.node is not None
            turns += 1
            if left and (time.monotonic() > end or (moved and turns > _MOST_TURNS)):
                raise ReplyError(
                    f"{self.endpoint} answered {explain(str(failure))} to {questions[left[0]].command[0].decode()}",
                    todo=next_step(str(failure)),
                )
            if left and not moved:
                time.sleep(_PAUSE)
        return replies

    def each(self, *command: bytes) -> list[Reply]:
        """What each master replies to a command. Raises :class:`ReplyError` for an error of any of them."""
        return [self._wire(node).call(*command) for node in self.slots.masters]

    def _ask(
        self, node: Node, numbers: list[int], questions: t.Sequence[Question], asked: t.Mapping[int, Node]
    ) -> list[Reply]:
        if self._proxied:
            return self._ask_masters(node, [questions[number].command for number in numbers])
        commands: list[t.Sequence[bytes]] = []
        answers = []
        for number in numbers:
            if number in asked:
                commands.append(_ASKING)
            answers.append(len(commands))
            commands.append(questions[number].command)
        replies = self._wire(node).exchange(commands)
        return [replies[at] for at in answers]

    def _ask_masters(self, proxy: Node, commands: t.Sequence[t.Sequence[bytes]]) -> list[Reply]:
        """Each in a transaction, which no proxy gives to a replica: what that says may be old."""
        replies = self._wire(proxy).exchange(part for command in commands for part in (_MULTI, command, _EXEC))
        found: list[Reply] = []
        for refused, executed in zip(replies[1::3], replies[2::3]):
            found.append(executed[0] if isinstance(executed, list) else refused)
        return found

    def _wire(self, node: Node) -> Wire:
        if node not in self._wires:
            self._wires[node] = Wire(self.slots.endpoint_of(node), timeout=self._timeout)
        return self._wires[node]
