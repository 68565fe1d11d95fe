# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which nodes a comparison has to do with, and which keys with each of them."""

from __future__ import annotations

from contextlib import closing

from ansible_collections.redisops.tair.plugins.module_utils._cluster import SlotMap
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect, server_facts
from ansible_collections.redisops.tair.plugins.module_utils._target import topology_of

_TIMEOUT = 60.0  # seconds, for any one answer


def nodes_of(target: Endpoint) -> list[tuple[Endpoint, frozenset[int] | None]]:
    """The masters of the cluster that ``target`` is a node of, with the slots of each; a server by itself with None."""
    with closing(connect(target)) as client:
        facts = server_facts(client, target)
    if facts.mode != "cluster":
        return [(target, None)]
    if topology_of(target, facts) == "proxy":
        raise TairError(
            f"{target} is a proxy in front of a cluster, and its nodes can't be compared through it",
            todo="Give the address of the cluster's direct connection",
        )
    slots = SlotMap(target, _TIMEOUT)
    slots.read()
    return [(slots.endpoint_of(node), slots.slots_of(node)) for node in slots.masters]


def common_slots(one: frozenset[int] | None, other: frozenset[int] | None) -> frozenset[int] | None:
    """The slots that both have; None stands for all keys."""
    if one is None or other is None:
        return other if one is None else one
    return one & other
