# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A pipeline to all nodes of a cluster that is used like the one to a single server.

Every part of a request goes to the node that serves its key, on the one connection to that node, so that the order is
kept for each key. When a node sends us elsewhere, because slots move, everything under way is waited for first, and
what was not executed is sent again in the order it had. Where that order can't be kept the connection counts as lost:
who uses it goes back to a place that is certain.
"""

from __future__ import annotations

import itertools
import time
import typing as t
from binascii import crc_hqx
from collections import deque
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._cluster import Node, Redirection, SlotMap, redirection
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import (
    ConnectionLost,
    FileRange,
    Pipe,
    Request,
    Sendable,
)
from ansible_collections.redisops.tair.plugins.module_utils._keys import SLOTS, key_slot
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, Reply, encode

_ASKING = encode([b"ASKING"])
#: Seconds between two tries of what a moving slot could not execute, and for how long to try before it is told.
_PAUSE = 0.02
_PATIENCE = 5.0


@dataclass(frozen=True)
class Part:
    """Commands that are executed by one node: one, or a transaction."""

    key: bytes | None
    """Any key of it; None for what goes to every master."""
    data: t.Sequence[Sendable]
    size: int
    expected: int = 1
    """Replies."""


class Singles(t.Sequence[Part]):
    """Parts that are one command each; most of what is sent. A part is only made of one where it is asked for."""

    def __init__(self, keys: list[bytes], commands: list[bytes]) -> None:
        self.keys = keys
        self.commands = commands

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: t.Any) -> t.Any:
        raw = self.commands[number]
        return Part(self.keys[number], (raw,), len(raw))


@dataclass
class _Whole:
    """A request under way."""

    request: Request
    parts: t.Sequence[Part]
    replies: list[t.Sequence[Reply]]
    """To each part."""
    waits_for: set[Node] = field(default_factory=set)


@dataclass
class _Share(Request):
    """What of a request goes to one node."""

    node: Node = Node("", 0)
    whole: _Whole | None = None
    numbers: list[int] = field(default_factory=list)
    """Of the parts."""


class ClusterPipe:
    """The same face as :class:`Pipe`, for requests whose parts are of :class:`Part`.

    ``open_pipe`` connects to a node. Everything raises :class:`ConnectionLost` as soon as one connection is.
    """

    def __init__(self, slots: SlotMap, open_pipe: t.Callable[[Node], Pipe[_Share]]) -> None:
        self._slots = slots
        self._open = open_pipe
        self._pipes: dict[Node, Pipe[_Share]] = {}
        self._waiting: deque[_Whole] = deque()
        self._done: deque[Request] = deque()
        self._disturbed = False
        """Whether a node has sent us elsewhere."""

    def submit(self, request: Request) -> None:
        """Send a request; its replies are those to its parts, one after the other."""
        parts = t.cast("t.Sequence[Part]", request.routed)
        whole = _Whole(request, parts, [()] * len(parts))
        shares = self._divided_singles(whole, parts) if isinstance(parts, Singles) else self._divided(whole)
        whole.waits_for.update(share.node for share in shares)
        self._waiting.append(whole)
        for share in shares:
            self._pipe(share.node).submit(share)
        self._collect()

    def _divided(self, whole: _Whole) -> list[_Share]:
        """What of a request goes to each node."""
        shares: dict[Node, _Share] = {}
        data: dict[Node, list[Sendable]] = {}
        for number, part in enumerate(whole.parts):
            for node in self._slots.masters if part.key is None else (self._slots.owner(key_slot(part.key)),):
                share = shares.get(node)
                if share is None:
                    share = shares[node] = _Share([], 0, 0, node=node, whole=whole)
                    data[node] = []
                data[node].extend(part.data)
                share.size += part.size
                share.expected += part.expected
                share.numbers.append(number)
        for node, share in shares.items():
            share.parts = _joined(data[node])
        return list(shares.values())

    def _divided_singles(self, whole: _Whole, parts: Singles) -> list[_Share]:
        """The same by a few operations a command."""
        owner = self._slots.owner
        slots = [crc_hqx(key, 0) % SLOTS if b"{" not in key else key_slot(key) for key in parts.keys]
        divided: dict[Node, tuple[list[int], list[bytes]]] = {}
        for number, (node, raw) in enumerate(zip(map(owner, slots), parts.commands)):
            try:
                numbers, commands = divided[node]
            except KeyError:
                numbers, commands = divided[node] = ([], [])
            numbers.append(number)
            commands.append(raw)
        shares = []
        for node, (numbers, commands) in divided.items():
            data = b"".join(commands)
            shares.append(_Share([data], len(data), len(numbers), node=node, whole=whole, numbers=numbers))
        return shares

    @property
    def idle(self) -> bool:
        """Whether everything that was submitted is finished and has been taken."""
        return not self._waiting and not self._done

    def finished(self) -> t.Iterator[Request]:
        """Requests all of whose replies are there, in order, each once. Does not wait."""
        while self._done:
            yield self._done.popleft()

    def wait(self) -> None:
        """Wait until ``finished`` has something to give, or nothing is under way."""
        while self._waiting and not self._done:
            for node in list(self._waiting[0].waits_for):
                self._pipe(node).wait()
                break
            self._collect()

    def close(self) -> None:
        for pipe in self._pipes.values():
            pipe.close()

    def _pipe(self, node: Node) -> Pipe[_Share]:
        if node not in self._pipes:
            self._pipes[node] = self._open(node)
        return self._pipes[node]

    def _collect(self) -> None:
        """Take in what has been answered, and see to what was not executed."""
        for pipe in list(self._pipes.values()):
            for share in pipe.finished():
                self._take(share)
        if self._disturbed:
            self._settle()
        while self._waiting and not self._waiting[0].waits_for:
            whole = self._waiting.popleft()
            whole.request.replies.extend(itertools.chain.from_iterable(whole.replies))
            self._done.append(whole.request)

    def _take(self, share: _Share) -> None:
        whole = t.cast(_Whole, share.whole)
        whole.waits_for.discard(share.node)
        has_errors = ErrorReply in map(type, share.replies)
        if isinstance(whole.parts, Singles) and not has_errors:
            for number, reply in zip(share.numbers, share.replies):
                whole.replies[number] = (reply,)
            return
        taken = 0
        for number in share.numbers:
            part = whole.parts[number]
            replies = share.replies[taken : taken + part.expected]
            taken += part.expected
            # Of what goes to every master one answer counts: an error, if there is one.
            if part.key is not None or not whole.replies[number] or isinstance(replies[0], ErrorReply):
                whole.replies[number] = replies
            if has_errors and not self._disturbed and _redirected(replies, share.node):
                self._disturbed = True

    def _settle(self) -> None:
        """Wait for everything under way, then send again what was not executed."""
        for share in self._drained():
            self._take(share)
        self._disturbed = False
        again: list[_Again] = []
        held: set[bytes] = set()
        for whole in self._waiting:
            for number, part in enumerate(whole.parts):
                # Who said it only matters for a node that does not know its own address.
                teller = self._slots.owner(key_slot(part.key)) if part.key is not None else Node("", 0)
                found = _redirected(whole.replies[number], teller)
                if found is not None and part.key is not None:
                    again.append(_Again(whole, number, part, part.key, found))
                    held.add(part.key)
                elif part.key in held:
                    raise _out_of_order()
        self._slots.read()
        self._send_again(again)

    def _send_again(self, again: list[_Again]) -> None:
        """Send until all is executed, in order for each key."""
        since = time.monotonic()
        while again:
            for entry in again:
                if entry.found.kind == "MOVED" and entry.found.node:
                    self._slots.moved(key_slot(entry.key), entry.found.node)
            sent: list[_Share] = []
            for entry in again:
                asks = entry.found.kind == "ASK" and entry.found.node is not None
                node = (
                    self._slots.known(t.cast(Node, entry.found.node))
                    if asks
                    else self._slots.owner(key_slot(entry.key))
                )
                data = [_ASKING, *entry.part.data] if asks else list(entry.part.data)
                share = _Share(data, entry.part.size, entry.part.expected + asks, node=node)
                self._pipe(node).submit(share)
                sent.append(share)
            for _share in self._drained():
                pass
            left: list[_Again] = []
            held: set[bytes] = set()
            for entry, share in zip(again, sent):
                replies = share.replies[-entry.part.expected :]
                found = _redirected(replies, share.node)
                if found is not None:
                    left.append(_Again(entry.whole, entry.number, entry.part, entry.key, found))
                    held.add(entry.key)
                elif entry.key in held:
                    raise _out_of_order()
                else:
                    entry.whole.replies[entry.number] = replies
            if len(left) < len(again):
                since = time.monotonic()
            elif time.monotonic() - since > _PATIENCE:
                entry = left[0]
                raise ConnectionLost(
                    f"slot {key_slot(entry.key)} of the cluster does not come to rest, and takes no writes meanwhile "
                    f"({entry.found.kind}): redis-cli --cluster check tells more"
                )
            again = left
            if any(entry.found.node is None for entry in again):
                time.sleep(_PAUSE)

    def _drained(self) -> t.Iterator[_Share]:
        """Everything under way, as it is finished."""
        for pipe in list(self._pipes.values()):
            while not pipe.idle:
                pipe.wait()
                yield from pipe.finished()


@dataclass(frozen=True)
class _Again:
    """A part that was not executed, and what the node said that it was sent to."""

    whole: _Whole
    number: int
    part: Part
    key: bytes
    found: Redirection


def _redirected(replies: t.Sequence[Reply], teller: Node) -> Redirection | None:
    """Why a part was not executed; None where it was, be it with errors of its own.

    A transaction is told by its last reply that it was not, and by an earlier one, or that very one, why.
    """
    if isinstance(replies[-1], list):
        return None
    for reply in replies:
        if isinstance(reply, ErrorReply):
            found = redirection(reply, teller)
            if found is not None:
                return found
    return None


def _out_of_order() -> ConnectionLost:
    return ConnectionLost("a slot moved between the commands of a key")


def _joined(parts: t.Sequence[Sendable]) -> list[Sendable]:
    """The same with pieces of bytes that follow each other put together."""
    joined: list[Sendable] = []
    run: list[bytes] = []
    for part in parts:
        if isinstance(part, FileRange):
            if run:
                joined.append(b"".join(run))
                run = []
            joined.append(part)
        else:
            run.append(part)
    if run:
        joined.append(b"".join(run))
    return joined
