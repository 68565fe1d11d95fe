# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What does a server tell of itself?"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, TargetStateError
from ansible_collections.redisops.tair.plugins.module_utils._redis import Client, Endpoint, speaking_to
from ansible_collections.redisops.tair.plugins.module_utils._resp import BadReply

Flavor = t.Literal["redis", "valkey", "keydb"]


@dataclass(frozen=True)
class ServerFacts:
    """What INFO says of a server, as plain values. ``info``: the whole of it, for fields that few ask for."""

    version: str
    """The server's own version: Valkey's, not the Redis version that it claims for old clients."""
    redis_version: str
    """The Redis version whose commands it is compatible with."""
    flavor: Flavor
    mode: str
    """``standalone`` or ``cluster``."""
    role: str
    """``master`` or ``slave``, as INFO spells it."""
    used_memory: int
    """Bytes."""
    maxmemory: int
    """Bytes; 0 is no limit (or not told)."""
    eviction_policy: str
    keyspace: dict[int, int]
    """Database number to number of keys; databases without keys are not listed."""
    info: dict[str, t.Any]

    @property
    def libraries(self) -> int:
        """Number of libraries of functions (7.0 and newer); 0 where the server does not tell."""
        return int(self.info.get("number_of_libraries", 0))


def server_facts(client: Client, endpoint: Endpoint) -> ServerFacts:
    """Ask a server what it is.

    Raises :class:`ReplyError` or :class:`ConnectError`, and :class:`TargetStateError` for a sentinel.
    """
    try:
        with speaking_to(endpoint, "reading INFO"):
            info: dict[str, t.Any] = client.info("everything")
            if "redis_version" not in info:  # a proxy that knows sections by their names alone
                info = {**client.info(), **client.info("keyspace")}
            if not info:
                raise BadReply("its reply to INFO has no fields")
    except ConnectError as exc:
        if not exc.todo:
            exc.todo = (
                "Run it again. If it happens each time, that is a proxy which hangs up on what it does not know (twemproxy does so): "
                "it is no target; give the servers behind it"
            )
        raise
    flavor: Flavor = "redis"
    if "valkey_version" in info or info.get("server_name") == "valkey":
        flavor = "valkey"
    elif "keydb" in str(info.get("executable", "")).lower() or "mvcc_depth" in info:
        flavor = "keydb"
    redis_version = str(info.get("redis_version", "0"))
    mode = str(info.get("redis_mode", info.get("server_mode", "standalone")))
    if mode == "sentinel":
        raise TargetStateError(
            f"{endpoint} is a sentinel: it knows where the data is, and holds none",
            todo="Give the address of the primary that it watches",
        )
    return ServerFacts(
        version=str(info.get("valkey_version", redis_version)),
        redis_version=_numbers_of(redis_version),
        flavor=flavor,
        mode=mode,
        role=str(info.get("role", "master")),
        used_memory=int(info.get("used_memory", 0)),
        maxmemory=int(info.get("maxmemory", 0)),
        eviction_policy=str(info.get("maxmemory_policy", "")),
        keyspace={
            int(name[2:]): fields["keys"]
            for name, fields in info.items()
            if re.fullmatch(r"db[0-9]{1,9}", name) and isinstance(fields, dict)
        },
        info=info,
    )


def _numbers_of(version: str) -> str:
    """A version's numbers alone, which can be compared: ``7.2.4`` of ``7.2.4-rc1``."""
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return match[0] if match else "0"
