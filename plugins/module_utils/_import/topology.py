# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What an import needs of its target, be it one server or the nodes of a cluster."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Frame
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._import.checkpoint import Checkpoint
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import Request
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import Reply
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts

if t.TYPE_CHECKING:
    from ansible_collections.redisops.tair.plugins.module_utils._import.session import Session


@dataclass
class CheckpointRequest(Request):
    """The command, or the commands, that write a checkpoint down."""

    checkpoint: Checkpoint = field(default_factory=lambda: Checkpoint("", 0))


class Link(t.Protocol):
    """A pipeline to the target; see :class:`Pipe`."""

    def submit(self, request: Request) -> None:
        """Send a request; returns when its last byte is with the operating system."""

    @property
    def idle(self) -> bool:
        """Whether everything that was submitted is finished and has been taken."""

    def finished(self) -> t.Iterator[Request]:
        """Requests all of whose replies are there, in order, each once. Does not wait."""

    def wait(self) -> None:
        """Wait until ``finished`` has something to give, or nothing is under way."""


class Topology(t.Protocol):
    """One target. Everything may raise :class:`ConnectError` and :class:`ReplyError`."""

    endpoint: Endpoint
    routed: bool
    """Whether requests are in pieces for the nodes of a cluster."""

    one_at_a_time: bool
    """Whether a transaction is only begun when the one before has ended."""

    def facts(self) -> list[ServerFacts]:
        """Of every server that takes writes."""

    def round_trip(self) -> float:
        """Seconds."""

    def checkpoints(self) -> dict[str, Checkpoint]:
        """The imports that are under way in it, by name."""

    def keys_of_others(self, slots: frozenset[int] | None) -> int:
        """Keys in it, our own not counted; see :mod:`_group` for those in certain slots."""

    def ask(self, key: bytes, command: t.Sequence[bytes]) -> Reply:
        """What the server of ``key`` replies to a command, be it an error."""

    def refused_databases(self, numbers: t.Sequence[int]) -> dict[int, str]:
        """Return those of its databases that it does not let select, with its reply."""

    def load_scripts(self, texts: t.Sequence[bytes]) -> None:
        """Load Lua scripts on every server that takes writes, as far as they let us. Nothing depends on it."""

    def empty(self) -> None:
        """Delete all keys."""

    def forget(self, name: str) -> None:
        """Remove what an import has written beside the data."""

    def close(self) -> None:
        """Close the connections that the questions above have opened. A later question opens new ones."""

    def link(self, session: Session) -> t.ContextManager[Link]:
        """A new pipeline, with the session at the place that the checkpoint in the target names."""

    def another(self) -> Topology:
        """The same target without any connection, for a process of its own."""

    def lane(self, session: Session) -> t.ContextManager[Link]:
        """One more pipeline beside the link of the import."""

    def select(self, session: Session, link: t.Any, database: int) -> None:
        """Select what is a certain database of the source, where there is such a thing."""

    def record(self, checkpoint: Checkpoint) -> CheckpointRequest:
        """What writes a checkpoint down."""

    def send_in_order(self, session: Session, link: t.Any, part: Part, frames: t.Iterable[Frame]) -> None:
        """Send what was not written by a rewrite, and wait until all of it is confirmed."""
