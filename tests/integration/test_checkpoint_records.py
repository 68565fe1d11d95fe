# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An import writes several records of how far it is; which of them counts, in databases and on the masters of a cluster."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import replace

import redis
from ansible_collections.redisops.tair.plugins.module_utils._import.checkpoint import (
    Checkpoint,
    read_checkpoints,
    remove_checkpoint,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster import Cluster
from ansible_collections.redisops.tair.plugins.module_utils._keys import (
    CHECKPOINT_KEY,
    checkpoint_key_of,
    slot_tags,
)
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire
from ansible_collections.redisops.tair.tests.support.servers import Server


def test_of_two_databases_that_which_is_further_counts_or_covers_more(start_server: t.Callable[..., Server]) -> None:
    server = start_server("redis-7.0.15")
    ours = Checkpoint("ours", 0, position=200, zone=10)
    records = [replace(ours, position=100, zone=500), ours, replace(ours, zone=30), replace(ours, zone=20)]
    for database, record in enumerate(records):
        server.client(db=database).execute_command(*record.words_for(CHECKPOINT_KEY))
    other = Checkpoint("other", 0, position=7)
    server.client(db=1).execute_command(*other.words_for(CHECKPOINT_KEY))

    with contextlib.closing(Wire(Endpoint(host=server.host, port=server.port))) as wire:
        assert read_checkpoints(wire, range(4)) == {"ours": records[2], "other": other}
        remove_checkpoint(wire, range(4), "ours")
        assert read_checkpoints(wire, range(4)) == {"other": other}


def test_of_two_masters_that_which_covers_more_counts_or_has_no_copies(
    start_cluster: t.Callable[..., list[Server]],
) -> None:
    """One without copies tells that all is done: those that are missing beside it are removed already, and not lost."""
    nodes = start_cluster("redis-7.0.15")
    client = redis.RedisCluster(host=nodes[0].host, port=nodes[0].port)
    with contextlib.closing(Cluster(Endpoint(host=nodes[0].host, port=nodes[0].port), timeout=10.0)) as cluster:
        slots = (0, 6000, 12000)
        end = Checkpoint("ours", 0, position=200, slots=slots)
        main, first, second, third = CHECKPOINT_KEY, *(checkpoint_key_of(slot_tags()[slot]) for slot in slots)

        def known() -> Checkpoint:
            return cluster.checkpoints()["ours"]

        def write(record: Checkpoint, *keys: bytes) -> None:
            for key in keys:
                _hset, _key, field, value = record.words_for(key)
                client.hset(key, field, value)

        write(end, main, first, second, third)
        assert known() == end
        write(replace(end, position=150, zone=20), second)
        assert (known().position, known().covered) == (150, 200), "a master has failed over: it is less far"
        client.delete(second)
        assert (known().position, known().covered) == (0, 200), "or has lost all of it"
        write(replace(end, slots=()), first)
        assert known() == replace(end, slots=())
