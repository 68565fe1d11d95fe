# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One server as the target of an import."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Frame
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, NoRedisError
from ansible_collections.redisops.tair.plugins.module_utils._group import keys_within
from ansible_collections.redisops.tair.plugins.module_utils._import.checkpoint import (
    Checkpoint,
    read_checkpoints,
    remove_checkpoint,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import Pipe, Request, paced
from ansible_collections.redisops.tair.plugins.module_utils._import.predecessors import (
    end_predecessors,
    name_connection,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.session import Session, passing_state
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import CheckpointRequest
from ansible_collections.redisops.tair.plugins.module_utils._import.transactions import send_transactions
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_KEY
from ansible_collections.redisops.tair.plugins.module_utils._redis import (
    Client,
    Endpoint,
    connect,
    connected_socket,
    speaking_to,
)
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain, next_step, without_values
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, Reply, encode
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts, server_facts
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire


class Standalone:
    """See :class:`Topology`. ``timeout``: seconds to wait for any one answer."""

    routed = False
    one_at_a_time = False

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self.endpoint = endpoint
        self._timeout = timeout
        self._connected: Client | None = None
        self._names_connections = True

    @property
    def _client(self) -> Client:
        if self._connected is None:
            self._connected = connect(self.endpoint, timeout=self._timeout)
        return self._connected

    def close(self) -> None:
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def facts(self) -> list[ServerFacts]:
        return [server_facts(self._client, self.endpoint)]

    def round_trip(self) -> float:
        """The best of three."""
        best = 60.0
        for _try in range(3):
            started = time.monotonic()
            with speaking_to(self.endpoint, "measuring the round trip (PING)"):
                self._client.ping()
            best = min(best, time.monotonic() - started)
        return best

    def checkpoints(self) -> dict[str, Checkpoint]:
        keyspace = self.facts()[0].keyspace
        with contextlib.closing(Wire(self.endpoint, timeout=self._timeout)) as wire:
            return read_checkpoints(wire, keyspace)

    def keys_of_others(self, slots: frozenset[int] | None) -> int:
        if slots is not None:
            return keys_within(self.endpoint, slots, cluster=self.routed, timeout=self._timeout)
        keyspace, keys = self.facts()[0].keyspace, 0
        with speaking_to(self.endpoint, "looking for our own keys"):
            for database, count in keyspace.items():
                self._client.execute_command("SELECT", database)
                keys += count - (self._client.execute_command("EXISTS", CHECKPOINT_KEY) == 1)
            self._client.execute_command("SELECT", 0)
        return keys

    def ask(self, key: bytes, command: t.Sequence[bytes]) -> Reply:
        with contextlib.closing(Wire(self.endpoint, timeout=self._timeout)) as wire:
            return wire.exchange([command])[0]

    def refused_databases(self, numbers: t.Sequence[int]) -> dict[int, str]:
        refused = {}
        for number in numbers:
            with contextlib.closing(Wire(self.endpoint, timeout=self._timeout)) as wire:
                try:
                    (reply,) = wire.exchange([(b"SELECT", b"%d" % number)])
                except NoRedisError:
                    raise
                except ConnectError:  # there are proxies that hang up
                    refused[number] = "the connection was closed"
                    continue
            if isinstance(reply, ErrorReply):
                refused[number] = f"'{without_values(str(reply))}'"
        return refused

    def load_scripts(self, texts: t.Sequence[bytes]) -> None:
        with contextlib.suppress(ConnectError), contextlib.closing(Wire(self.endpoint, timeout=self._timeout)) as wire:
            wire.exchange([(b"SCRIPT", b"LOAD", text) for text in texts])

    def empty(self) -> None:
        with speaking_to(self.endpoint, "emptying it"):
            self._client.execute_command("FLUSHALL")
            with contextlib.suppress(ErrorReply):  # it has none, being older than 7.0
                self._client.execute_command("FUNCTION", "FLUSH")

    def forget(self, name: str) -> None:
        keyspace = self.facts()[0].keyspace
        with contextlib.closing(Wire(self.endpoint, timeout=self._timeout)) as wire:
            remove_checkpoint(wire, keyspace, name)

    @contextlib.contextmanager
    def link(self, session: Session) -> t.Iterator[Pipe[Request]]:
        name = session.checkpoint.id
        self._names_connections = end_predecessors(self.endpoint, name, timeout=self._timeout)
        with contextlib.closing(self):
            session.go_on_from(self.checkpoints().get(name))
            with self.lane(session) as pipe:
                self.select(session, pipe, session.checkpoint.db)
                yield pipe

    def another(self) -> Standalone:
        other = Standalone(self.endpoint, self._timeout)
        other._names_connections = self._names_connections
        return other

    @contextlib.contextmanager
    def lane(self, session: Session) -> t.Iterator[Pipe[Request]]:
        with contextlib.closing(self):
            if self._names_connections:
                name_connection(self._client, session.checkpoint.id)
            yield Pipe(
                connected_socket(self._client),
                window=session.window_bytes,
                timeout=self._timeout,
                pace=paced(session.options.rate_limit),
            )

    @staticmethod
    def select(session: Session, pipe: Pipe[Request], database: int) -> None:
        """Select it if that is imported at all. Waits for the answer where nothing else is in flight.

        Raises :class:`ImportFailedError` where it is refused: what follows would be written to another database.
        """
        databases = session.options.selection.databases
        if databases.takes(database):
            command = encode([b"SELECT", b"%d" % databases.target(database)])
            request, waits = Request([command], len(command), 1), pipe.idle
            pipe.submit(request)
            while waits and not pipe.idle:
                pipe.wait()
                for _done in pipe.finished():
                    pass
            if request.replies and isinstance(request.replies[0], ErrorReply):
                text = without_values(str(request.replies[0]))
                raise passing_state(text) or session.failed(
                    f"{session.endpoint} answered {explain(text)} to SELECT {databases.target(database)}",
                    todo=next_step(text),
                )

    def record(self, checkpoint: Checkpoint) -> CheckpointRequest:
        command = checkpoint.command()
        return CheckpointRequest([command], len(command), 1, checkpoint=checkpoint)

    def send_in_order(self, session: Session, link: Pipe[Request], part: Part, frames: t.Iterable[Frame]) -> None:
        send_transactions(session, link, part, frames)
