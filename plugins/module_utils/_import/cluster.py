# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A cluster as the target of an import, over a connection to each of its masters.

The checkpoint stands in one key as in a single server, and a copy of it in a slot of each master: a master that has
failed over may have lost the end of what it had confirmed, and its copy of the checkpoint with it. The furthest record
tells up to where something may have been sent, the one that is least far where to go on. In parts that are not written
by a rewrite each slot besides keeps the position up to which its own commands are applied.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import replace

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Frame
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._cluster import Node
from ansible_collections.redisops.tair.plugins.module_utils._cluster_wire import ClusterWire, Question
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, ReplyError, TargetStateError
from ansible_collections.redisops.tair.plugins.module_utils._group import keys_within
from ansible_collections.redisops.tair.plugins.module_utils._import.checkpoint import Checkpoint
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster_pipe import ClusterPipe
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster_pipe import Part as RoutedPart
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster_transactions import (
    position_field,
    send_by_slot,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import Pipe, paced
from ansible_collections.redisops.tair.plugins.module_utils._import.predecessors import (
    end_predecessors,
    name_connection,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Session
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import CheckpointRequest
from ansible_collections.redisops.tair.plugins.module_utils._keys import (
    CHECKPOINT_KEY,
    SLOTS,
    checkpoint_key_of,
    key_slot,
    slot_tags,
)
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect, connected_socket
from ansible_collections.redisops.tair.plugins.module_utils._resp import Reply
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts, server_facts


class Cluster:
    """See :class:`Topology`. ``timeout``: seconds to wait for any one answer. ``proxied``: whether a proxy stands in front of it,
    over which everything goes.
    """

    routed = True

    def __init__(self, endpoint: Endpoint, timeout: float, *, proxied: bool = False) -> None:
        self.endpoint = endpoint
        self.one_at_a_time = proxied
        """Whether a transaction is only begun when the one before has ended: there are proxies that mix them up."""
        self._timeout = timeout
        self._connected: ClusterWire | None = None
        self._first_slots: list[int] = []
        self.applied: dict[int, int] = {}
        """Of each slot the position before which its commands are applied, as far as the checkpoint does not tell it."""

    @property
    def _wire(self) -> ClusterWire:
        if self._connected is None:
            self._connected = ClusterWire(self.endpoint, timeout=self._timeout, proxied=self.one_at_a_time)
        return self._connected

    def close(self) -> None:
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def facts(self) -> list[ServerFacts]:
        found = []
        for node in self._wire.slots.masters:
            endpoint = self._wire.slots.endpoint_of(node)
            with contextlib.closing(connect(endpoint, timeout=self._timeout)) as client:
                found.append(server_facts(client, endpoint))
        return found

    def round_trip(self) -> float:
        """The best of three, to all masters one after the other."""
        best = 60.0
        for _try in range(3):
            started = time.monotonic()
            self._wire.each(b"PING")
            best = min(best, time.monotonic() - started)
        return best

    def checkpoints(self) -> dict[str, Checkpoint]:
        main = self._wire.exchange([Question(key_slot(CHECKPOINT_KEY), (b"HGETALL", CHECKPOINT_KEY))])[0]
        found: dict[str, Checkpoint] = {}
        # After a fail-over that has taken the record itself its copies still tell of it.
        for reply in [main, *self._asked(self._wire.slots.first_slots, lambda key: (b"HGETALL", key))]:
            for value in reply[1::2] if isinstance(reply, list) else []:
                checkpoint = Checkpoint.parse(value)
                if checkpoint is not None:
                    known = found.get(checkpoint.id)
                    if known is None or _order(known) < _order(checkpoint):
                        found[checkpoint.id] = checkpoint
        return {name: self._certain(checkpoint) for name, checkpoint in found.items()}

    def _certain(self, furthest: Checkpoint) -> Checkpoint:
        """Where to go on: at the record of the master that is least far, with all that the furthest one covers."""
        name = furthest.id.encode()
        copies = self._asked(furthest.slots, lambda key: (b"HGET", key, name))
        least = furthest
        for value in copies:
            checkpoint = Checkpoint.parse(value) or Checkpoint(furthest.id, furthest.rewritten, alone=furthest.alone)
            if checkpoint.position < least.position:
                least = checkpoint
        return replace(least, zone=furthest.covered - least.position, crc=furthest.crc)

    def keys_of_others(self, slots: frozenset[int] | None) -> int:
        if self.one_at_a_time:
            return self._keys_behind_the_proxy(slots)
        if not sum(self._wire.each(b"DBSIZE")):
            return 0
        wanted = frozenset(range(SLOTS)) if slots is None else slots
        return keys_within(self.endpoint, wanted, cluster=True, timeout=self._timeout)

    def _keys_behind_the_proxy(self, slots: frozenset[int] | None) -> int:
        """It does not tell keys by slot. What is ours is counted apart, and may change between the two counts."""
        if slots is not None:
            return keys_within(self.endpoint, slots, cluster=False, timeout=self._timeout)
        try:
            keys = sum(self._wire.each(b"DBSIZE"))
        except ReplyError:
            return self._keys_scanned()
        if not keys:
            return 0
        own = self._asked(range(SLOTS), lambda key: (b"EXISTS", key))
        own += self._wire.exchange([Question(key_slot(CHECKPOINT_KEY), (b"EXISTS", CHECKPOINT_KEY))])
        return max(keys - sum(reply for reply in own if isinstance(reply, int)), 0)

    def _keys_scanned(self) -> int:
        """For a proxy that does not count them."""
        try:
            return keys_within(self.endpoint, frozenset(range(SLOTS)), cluster=False, timeout=self._timeout)
        except ReplyError as exc:
            raise TargetStateError(
                f"{self.endpoint} is a proxy that neither counts nor tells the keys behind it, so it can't be seen whether the "
                "target is empty",
                changed="Nothing was changed",
                todo="See by other means that it is, then say so: if_not_empty=append",
            ) from exc

    def ask(self, key: bytes, command: t.Sequence[bytes]) -> Reply:
        return self._wire.exchange([Question(key_slot(key), command)])[0]

    def refused_databases(self, numbers: t.Sequence[int]) -> dict[int, str]:
        """None is ever selected; the precheck refuses commands in other databases than 0."""
        return {}

    def load_scripts(self, texts: t.Sequence[bytes]) -> None:
        for text in texts:
            with contextlib.suppress(ReplyError, ConnectError):
                self._wire.each(b"SCRIPT", b"LOAD", text)

    def empty(self) -> None:
        self._wire.each(b"FLUSHALL")
        with contextlib.suppress(ReplyError):  # it has none, being older than 7.0
            self._wire.each(b"FUNCTION", b"FLUSH")

    def forget(self, name: str) -> None:
        """Should all end amid it, what is left must not look like what a master has lost: the records first become such as
        have no copies. A target that is full refuses that; there it is done without.
        """
        field = name.encode()
        done = self.checkpoints().get(name)
        if done is not None:
            alone = replace(done, slots=())
            self._wire.exchange([Question(key_slot(key), alone.words_for(key)) for key in _record_keys(done.slots)])
        self._asked(range(SLOTS), lambda key: (b"HDEL", key, field, position_field(field)))
        self._wire.exchange([Question(key_slot(CHECKPOINT_KEY), (b"HDEL", CHECKPOINT_KEY, field))])

    def _asked(self, slots: t.Iterable[int], command: t.Callable[[bytes], t.Sequence[bytes]]) -> list[Reply]:
        """The replies to a command for the key that is ours in each of the slots."""
        tags = slot_tags()
        return self._wire.exchange([Question(slot, command(checkpoint_key_of(tags[slot]))) for slot in slots])

    @contextlib.contextmanager
    def link(self, session: Session) -> t.Iterator[ClusterPipe]:
        name = session.checkpoint.id
        with contextlib.closing(self):
            for node in self._wire.slots.masters:
                end_predecessors(self._wire.slots.endpoint_of(node), name, timeout=self._timeout)
            session.go_on_from(self.checkpoints().get(name))
            self.applied = self._positions(session.checkpoint) if session.checkpoint.zone else {}
            self._first_slots = self._wire.slots.first_slots
            with self.lane(session) as pipe:
                yield pipe

    def another(self) -> Cluster:
        return Cluster(self.endpoint, self._timeout, proxied=self.one_at_a_time)

    @contextlib.contextmanager
    def lane(self, session: Session) -> t.Iterator[ClusterPipe]:
        slots = self._wire.slots
        pace = paced(session.options.rate_limit)
        window = session.window_bytes // len(slots.masters)
        with contextlib.closing(self), contextlib.ExitStack() as clients:

            def open_pipe(node: Node) -> Pipe[t.Any]:
                client = connect(slots.endpoint_of(node), timeout=self._timeout)
                clients.callback(client.close)
                name_connection(client, session.checkpoint.id)
                return Pipe(connected_socket(client), window=window, timeout=self._timeout, pace=pace)

            yield ClusterPipe(slots, open_pipe)

    def _positions(self, checkpoint: Checkpoint) -> dict[int, int]:
        field = position_field(checkpoint.id.encode())
        replies = self._asked(range(SLOTS), lambda key: (b"HGET", key, field))
        return {slot: int(reply) for slot, reply in enumerate(replies) if isinstance(reply, bytes)}

    def select(self, session: Session, link: ClusterPipe, database: int) -> None:
        """There is database 0 only."""

    def record(self, checkpoint: Checkpoint) -> CheckpointRequest:
        checkpoint = replace(checkpoint, slots=tuple(self._first_slots))
        commands = [(key, checkpoint.command_for(key)) for key in _record_keys(checkpoint.slots)]
        parts = [RoutedPart(key, (command,), len(command)) for key, command in commands]
        return CheckpointRequest([], sum(part.size for part in parts), len(parts), routed=parts, checkpoint=checkpoint)

    def send_in_order(self, session: Session, link: ClusterPipe, part: Part, frames: t.Iterable[Frame]) -> None:
        send_by_slot(session, link, part, frames, self.applied)


def _record_keys(slots: t.Iterable[int]) -> list[bytes]:
    """Where the records of an import stand: its copies in these slots, then the one that every import has."""
    tags = slot_tags()
    return [*(checkpoint_key_of(tags[slot]) for slot in slots), CHECKPOINT_KEY]


def _order(checkpoint: Checkpoint) -> tuple[int, bool]:
    """Of two records of an import the later one is greater; the last that are written have no copies."""
    return checkpoint.covered, not checkpoint.slots
