# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which node of a cluster serves a slot, and what nodes say of it."""

from __future__ import annotations

import re
import typing as t
from contextlib import closing
from dataclasses import replace

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, ReplyError, TargetStateError
from ansible_collections.redisops.tair.plugins.module_utils._keys import SLOTS, slots_from_text
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, Reply
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

#: Redis advises against more than a thousand.
_MOST_NODES = 2000
#: Times that the map is read because an answer names a node that it does not.
_MOST_READINGS = 20
#: The answers of a node that has not executed a command because its key is, or may be, with another one.
_REDIRECTED = re.compile(
    r"^(?:EXECABORT .*: )?(MOVED|ASK|TRYAGAIN|CLUSTERDOWN)(?: ([0-9]{1,5}) (\S{0,255}):([0-9]{1,5})(?!\S))?"
)


class Node(t.NamedTuple):
    """The address of a node."""

    host: str
    port: int


class Redirection(t.NamedTuple):
    """What a node said instead of executing a command."""

    kind: str
    """``MOVED``, ``ASK``, ``TRYAGAIN`` or ``CLUSTERDOWN``."""
    node: Node | None
    """Where to go with it, of MOVED and ASK."""


def redirection(reply: Reply, teller: Node) -> Redirection | None:
    """What an error reply of ``teller`` says about where a command belongs; None for any other reply."""
    if not isinstance(reply, ErrorReply):
        return None
    match = _REDIRECTED.match(str(reply))
    if match is None:
        return None
    kind, _slot, host, port = match.groups()
    return Redirection(kind, Node(host or teller.host, int(port)) if port else None)


def _is_address(host: str, port: t.Any) -> bool:
    """Whether it may be connected to: nothing but an address or a name, and a port that there can be."""
    return isinstance(port, int) and 0 < port < 65536 and re.fullmatch(r"[0-9A-Za-z._:%-]{1,255}", host) is not None


def slot_ranges(reply: Reply, host: str) -> list[tuple[int, int, Node]]:
    """First slot, last slot and master of each range, from the answer to ``CLUSTER SLOTS``.

    ``host``: of who answered: an empty address or ``?`` stands for it. Empty where it answered an error; raises
    :class:`ReplyError` where the answer makes no sense.
    """
    ranges = []
    for each in reply if isinstance(reply, list) else []:
        try:
            start, end, (address, port, *_more), *_replicas = each
            name = (address or b"").decode("ascii")
        except (TypeError, ValueError, AttributeError):
            raise _no_map(host) from None
        name = host if name in ("", "?") else name
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start <= end < SLOTS):
            raise _no_map(host)
        if name != host and not _is_address(name, port) or not isinstance(port, int) or not 0 < port < 65536:
            raise _no_map(host)
        ranges.append((start, end, Node(name, port)))
    if len(ranges) > SLOTS or len({node for _start, _end, node in ranges}) > _MOST_NODES:
        raise ReplyError(f"{host} names more than {_MOST_NODES} nodes of its cluster: no cluster has as many")
    return ranges


def _no_map(host: str) -> ReplyError:
    return ReplyError(
        f"{host} answers CLUSTER SLOTS with what is no map of a cluster",
        todo="Check that this is a Redis server and nothing else",
    )


def _all_nodes(reply: Reply, host: str) -> set[Node]:
    """The masters and replicas of a map, which :func:`slot_ranges` has found to be one: a replica may be promoted."""
    nodes = set()
    for _start, _end, *members in reply:
        for member in members:
            name = member[0].decode("ascii", "replace") if isinstance(member[0], bytes) else ""
            name = host if name in ("", "?") else name
            if name == host or _is_address(name, member[1]):
                nodes.add(Node(name, member[1]))
    return nodes


def own_slots(wire: Wire) -> frozenset[int]:
    """The slots whose keys a node of a cluster holds: those that it serves, or that the master of a replica does."""
    try:
        lines = {fields[0]: fields for fields in map(str.split, wire.call(b"CLUSTER", b"NODES").decode().splitlines())}
        fields = next(fields for fields in lines.values() if "myself" in fields[2].split(","))
        holder = lines.get(fields[3], fields)  # of a master that is "-"
        # Those in brackets are on their way.
        return slots_from_text(told for told in holder[8:] if not told.startswith("[")) or frozenset()
    except (AttributeError, IndexError, StopIteration, ValueError):
        raise ReplyError(
            f"{wire.endpoint} answers CLUSTER NODES with what is no list of nodes",
            todo="Check that this is a Redis server and nothing else",
        ) from None


class SlotMap:
    """Who serves each slot, as the cluster itself says, and as its answers correct it."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        """``timeout``: seconds to wait for any one answer."""
        self._endpoint = endpoint
        self._timeout = timeout
        self._owners: list[Node] = []
        self._named: set[Node] = set()
        """All nodes that the cluster itself has named, in any of its maps."""
        self._readings = 0

    @property
    def masters(self) -> list[Node]:
        """All that serve slots, those of the lowest ones first."""
        return list(dict.fromkeys(self._owners))

    @property
    def first_slots(self) -> list[int]:
        """The lowest slot of each master."""
        return [self._owners.index(node) for node in self.masters]

    def slots_of(self, node: Node) -> frozenset[int]:
        return frozenset(slot for slot, owner in enumerate(self._owners) if owner == node)

    def endpoint_of(self, node: Node) -> Endpoint:
        return replace(self._endpoint, host=node.host, port=node.port, unix_socket="")

    def owner(self, slot: int) -> Node:
        return self._owners[slot]

    def read(self) -> None:
        """Ask the cluster: the endpoint that was given, else any node that is known from earlier.

        Raises :class:`ConnectError` where none of them answers, :class:`TargetStateError` where slots are served by nobody.
        """
        failure: ConnectError | None = None
        for endpoint in [self._endpoint, *map(self.endpoint_of, self.masters)]:
            try:
                with closing(Wire(endpoint, timeout=self._timeout)) as wire:
                    reply = wire.call(b"CLUSTER", b"SLOTS")
                    self._take(slot_ranges(reply, endpoint.host))
                    self._named |= _all_nodes(reply, endpoint.host)
                return
            except ConnectError as exc:
                failure = failure or exc
        raise failure or ConnectError(f"{self._endpoint} can't be reached")

    def moved(self, slot: int, node: Node) -> None:
        """Take in what a node's ``MOVED`` says. Raises :class:`ConnectError`, see :meth:`known`."""
        self._owners[slot] = self.known(node)

    def known(self, node: Node) -> Node:
        """Return a node that an answer sends us to, where the cluster's own map names it, too; the map is read again for that.

        A connection to it begins with our password, which is not for whoever an answer names. Raises :class:`ConnectError`.
        """
        if node not in self._named:
            if self._readings >= _MOST_READINGS:
                raise self._unknown(node)
            self._readings += 1
            owners = self._owners
            self.read()
            if owners:  # what the answers have said since is newer than what a node believes
                self._owners = owners
        if node not in self._named:
            raise self._unknown(node)
        return node

    def _unknown(self, node: Node) -> ConnectError:
        return ConnectError(
            f"A node of the cluster at {self._endpoint} sends us to {node.host}:{node.port}, which the cluster does not name as "
            "one of its nodes. Nothing was sent there, as the password would have been, too",
            todo="Check the cluster (redis-cli --cluster check), then run again",
        )

    def _take(self, ranges: list[tuple[int, int, Node]]) -> None:
        owners: list[Node | None] = [None] * SLOTS
        for start, end, node in ranges:
            owners[start : end + 1] = [node] * (end + 1 - start)
        missing = owners.count(None)
        if missing:
            raise TargetStateError(
                f"{missing} of the {SLOTS} slots of the cluster at {self._endpoint} are served by no node",
                todo="Mend the cluster (redis-cli --cluster check tells more), then run again",
            )
        self._owners = t.cast(t.List[Node], owners)


class OneEndpoint(SlotMap):
    """The same for a proxy in front of a cluster, which serves all slots itself."""

    def read(self) -> None:
        self._owners = [Node(self._endpoint.host, self._endpoint.port)] * SLOTS
        self._named = set(self._owners)

    def known(self, node: Node) -> Node:
        """Return the proxy, which knows where a slot is: the nodes behind it are asked through it, and may be out of reach."""
        return self._owners[0]
