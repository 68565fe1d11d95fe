# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which nodes a comparison has to do with, and which keys with each of them."""

from __future__ import annotations

import typing as t
from contextlib import closing

from ansible_collections.redisops.tair.plugins.module_utils._cluster import SlotMap
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import server_facts
from ansible_collections.redisops.tair.plugins.module_utils._target import topology_of

_TIMEOUT = 60.0  # seconds, for any one answer


class Part(t.NamedTuple):
    """What of a target is compared over connections of its own. ``slots``: whose keys it holds; None for all keys."""

    endpoint: Endpoint
    slots: frozenset[int] | None = None
    proxied: bool = False
    """Whether it is a proxy, behind which there may be many servers."""


def parts_of(target: Endpoint) -> list[Part]:
    """The masters of the cluster that ``target`` is a node of; a server by itself, and a proxy, in one."""
    with closing(connect(target)) as client:
        facts = server_facts(client, target)
    if topology_of(target, facts) == "proxy":
        return [Part(target, proxied=True)]
    if facts.mode != "cluster":
        return [Part(target)]
    slots = SlotMap(target, _TIMEOUT)
    slots.read()
    return [Part(slots.endpoint_of(node), slots.slots_of(node)) for node in slots.masters]


def common_slots(one: frozenset[int] | None, other: frozenset[int] | None) -> frozenset[int] | None:
    """The slots that both have; None stands for all keys."""
    if one is None or other is None:
        return other if one is None else one
    return one & other
