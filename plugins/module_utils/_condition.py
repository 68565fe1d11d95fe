# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How fit a source is for a rewrite: what it replicates, what its host has for a fork, what its keys mean for the rewrite."""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._contents import search_contents
from ansible_collections.redisops.tair.plugins.module_utils._host_memory import host_memory
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._scan import FoundKey
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts
from ansible_collections.redisops.tair.plugins.module_utils._source import loaded_modules


def describe_condition(endpoint: Endpoint, facts: ServerFacts, *, here: bool) -> dict[str, t.Any]:
    """What ``aof_info`` returns beside the AOF itself. ``here``: whether this process may run on the server's host."""
    contents = search_contents(endpoint, facts, loaded_modules(facts))
    return {
        "last_save_ok": facts.info.get("rdb_last_bgsave_status", "ok") == "ok",
        "save_in_progress": bool(facts.info.get("rdb_bgsave_in_progress")),
        "primary": primary_of(facts.info),
        "replicas": replicas_of(facts.info),
        "host_memory": host_memory(endpoint, here=here),
        "unrewritable": _as_dicts(contents.unrewritable),
        "expiring_members": _as_dicts(contents.expiring_members),
        "rewrite_writes": list(contents.rewrite_writes),
        "rewrite_may_write": list(contents.rewrite_may_write),
    }


def _as_dicts(keys: t.Sequence[FoundKey] | None) -> list[dict[str, t.Any]] | None:
    return None if keys is None else [{"type": one.type, "database": one.database, "key": one.key} for one in keys]


def primary_of(info: t.Mapping[str, t.Any]) -> dict[str, t.Any] | None:
    """What a replica knows of its primary; None for a server that is none."""
    if info.get("role") != "slave":
        return None
    silence = int(info.get("master_last_io_seconds_ago", -1))
    return {
        "address": f"{info.get('master_host')}:{info.get('master_port')}",
        "link_up": info.get("master_link_status") == "up",
        "syncing": bool(info.get("master_sync_in_progress")),
        "silent_seconds": silence if silence >= 0 else None,
    }


def replicas_of(info: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The replicas that are connected. ``lag``: seconds since one has acknowledged, as INFO tells it."""
    listed = [info.get(f"slave{number}") for number in range(min(int(info.get("connected_slaves", 0)), len(info)))]
    return [
        {
            "address": f"{replica.get('ip')}:{replica.get('port')}",
            "in_sync": replica.get("state") == "online",
            "lag": int(replica.get("lag", -1)),
        }
        for replica in listed
        if isinstance(replica, dict)
    ]
