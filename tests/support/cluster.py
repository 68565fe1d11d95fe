# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make one cluster of several servers, and ask who is who in it."""

from __future__ import annotations

import time
import typing as t

import redis
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.servers import Server


def form_cluster(nodes: t.Sequence[Server]) -> None:
    """Have servers that run with ``cluster-enabled yes`` serve all slots together, each about as many, as masters."""
    share = 16384 // len(nodes) + 1
    for number, node in enumerate(nodes):
        slots = range(number * share, min(16384, (number + 1) * share))
        node.client().execute_command("CLUSTER", "ADDSLOTS", *slots)
        node.client().execute_command("CLUSTER", "MEET", nodes[0].host, nodes[0].port)
    end = time.monotonic() + 30
    while any(
        node.client().cluster("info")["cluster_state"] != "ok" or len(node.client().cluster("slots")) < len(nodes)
        for node in nodes
    ):
        assert time.monotonic() < end, "the cluster does not come together"
        time.sleep(0.1)


def node_serving(told_by: Server, slot: int) -> tuple[str, int]:
    """The master of a slot."""
    with snapshot.Conn(told_by.host, told_by.port) as conn:
        ranges = conn.call("CLUSTER", "SLOTS")
    return next((master[0].decode(), master[1]) for low, high, master, *_rest in ranges if low <= slot <= high)


def becomes_replica(replica: Server, name: str) -> bool:
    try:
        replica.client().execute_command("CLUSTER", "REPLICATE", name)
    except redis.ResponseError:
        return False  # it has not heard of it yet
    return True
