# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A target server: what it is, whether it can be imported into, and what it holds. Only reads."""

from __future__ import annotations

import contextlib
import re
import statistics
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.redisops.tair.plugins.module_utils._cluster import slot_ranges
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, NoRedisError, ReplyError
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_KEY, CHECKPOINT_PREFIX
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, Reply
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts, server_facts
from ansible_collections.redisops.tair.plugins.module_utils._source import loaded_modules
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

Topology = t.Literal["standalone", "cluster", "proxy"]

_PINGS = 9
#: Keys asked for to see whether a node sends us elsewhere: with two masters all of them are here once in 2^32 times.
_SLOT_PROBES = 32
#: More databases than anybody configures.
_MOST_DATABASES = 1 << 16
#: A database with so few keys is scanned for our own.
_FEW_KEYS = 1000
#: What an import sends, as ACL DRYRUN wants it. Nothing of it is executed.
_PROBE_KEY = CHECKPOINT_PREFIX + b"probe"
_WRITES: tuple[tuple[bytes, ...], ...] = (
    (b"SET", _PROBE_KEY, b"v"),
    (b"RPUSH", _PROBE_KEY, b"v"),
    (b"SADD", _PROBE_KEY, b"v"),
    (b"HSET", _PROBE_KEY, b"f", b"v"),
    (b"ZADD", _PROBE_KEY, b"1", b"v"),
    (b"XADD", _PROBE_KEY, b"*", b"f", b"v"),
    (b"PEXPIREAT", _PROBE_KEY, b"1"),
    (b"DEL", _PROBE_KEY),
)


@dataclass(frozen=True)
class Target:
    """What ``tair_info`` returns; None is what the server does not tell. On a cluster numbers are those of all masters."""

    version: str | None
    redis_version: str | None
    flavor: str | None
    topology: Topology
    role: str | None
    writable: bool
    obstacles: tuple[str, ...]
    """Why it can't be written to; empty where it can be."""
    used_memory: int | None
    """Bytes."""
    maxmemory: int | None
    """Bytes; 0 is no limit."""
    eviction_policy: str | None
    databases: int
    keyspace: dict[int, int]
    """Keys by database, without our own checkpoints as far as a look at few keys shows them."""
    libraries: int
    """Libraries of functions, on a cluster of the master that has the most."""
    unfinished_import: bool
    """Whether one of our imports has begun and not ended there."""
    evicted_keys: int | None
    expired_keys: int | None
    modules: tuple[str, ...]
    tls: bool
    round_trip_ms: float

    @property
    def evicts(self) -> bool:
        return self.eviction_policy not in (None, "noeviction")

    @property
    def empty(self) -> bool:
        return not self.keyspace and not self.libraries


class _Probe:
    """Asks one node what it may not want to tell. A proxy may hang up on a command that it does not know."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._wire = Wire(endpoint)

    def ask(self, *command: bytes) -> Reply:
        """The reply, an :class:`ErrorReply`, or None where the peer hung up."""
        return self.ask_all([command])[0]

    def ask_all(self, commands: t.Sequence[t.Sequence[bytes]]) -> list[Reply]:
        try:
            return self._wire.exchange(commands)
        except NoRedisError:
            raise
        except ConnectError:
            self._wire.close()
            self._wire = Wire(self._endpoint)  # raises where it is not only this command
            return [None] * len(commands)

    def config(self, name: str) -> str | None:
        """One parameter, or None where CONFIG is forbidden or has none of this name."""
        reply = self.ask(b"CONFIG", b"GET", name.encode())
        told = reply[1] if isinstance(reply, list) and len(reply) == 2 else None
        return told.decode("utf-8", "replace") if isinstance(told, bytes) else None

    def number(self, *names: str) -> int | None:
        """The first of some parameters that is there, as a number. Raises :class:`ReplyError` where it is none."""
        for name in names:
            told = self.config(name)
            if told is not None:
                if not re.fullmatch("[0-9]{1,19}", told):
                    raise ReplyError(f"{self._endpoint} answered {told[:60]!r} to CONFIG GET {name}: that is no number")
                return int(told)
        return None

    def close(self) -> None:
        self._wire.close()


def describe_target(endpoint: Endpoint) -> Target:
    """Ask a target what it is. Raises :class:`ConnectError`, :class:`ReplyError`, :class:`TargetStateError`."""
    probe = _Probe(endpoint)
    with contextlib.closing(probe):
        facts = _facts(endpoint)
        topology = _topology(facts, probe)
        nodes = [facts] if topology != "cluster" else [_facts(node) for node in _masters(probe, endpoint)]
        told = [node for node in nodes if node is not None]
        obstacles = _obstacles(facts, probe, topology)
        databases = _databases(facts, probe, topology)
        keyspace = _keyspace(told, probe, endpoint, topology, databases)
        return Target(
            version=facts.version if facts else None,
            redis_version=facts.redis_version if facts else None,
            flavor=facts.flavor if facts else None,
            topology=topology,
            role=facts.role if facts else None,
            writable=not obstacles,
            obstacles=tuple(obstacles),
            used_memory=sum(node.used_memory for node in told) if told else None,
            maxmemory=_maxmemory(told, probe),
            eviction_policy=(facts.eviction_policy if facts else "") or probe.config("maxmemory-policy"),
            databases=databases,
            keyspace=keyspace,
            libraries=max((node.libraries for node in told), default=0),
            unfinished_import=any(_holds_checkpoint(probe, database) for database in keyspace),
            evicted_keys=_total(told, "evicted_keys"),
            expired_keys=_total(told, "expired_keys"),
            modules=_modules(facts, probe),
            tls=endpoint.tls and not endpoint.unix_socket,
            round_trip_ms=_round_trip(probe),
        )


def _facts(endpoint: Endpoint) -> ServerFacts | None:
    """What INFO tells; None where a proxy does not let INFO through."""
    client = connect(endpoint)
    try:
        return server_facts(client, endpoint)
    except NoRedisError:
        raise
    except (ReplyError, ConnectError):
        return None
    finally:
        client.close()


def topology_of(endpoint: Endpoint, facts: ServerFacts) -> Topology:
    """What a server with these facts is a part of."""
    with contextlib.closing(_Probe(endpoint)) as probe:
        return _topology(facts, probe)


def _topology(facts: ServerFacts | None, probe: _Probe) -> Topology:
    """A node of a cluster sends us elsewhere for most keys, and a proxy in front of one never does."""
    if facts is None and not _is_forbidden(probe.ask(b"INFO")):
        return "proxy"
    if facts is not None and any(name.startswith("proxy") for name in facts.info):
        return "proxy"
    cluster = _fields(probe.ask(b"CLUSTER", b"INFO"))
    if facts is None or facts.mode != "cluster":
        return "proxy" if "cluster_state" in cluster else "standalone"
    replies = probe.ask_all([(b"EXISTS", b"%b:%d" % (_PROBE_KEY, number)) for number in range(_SLOT_PROBES)])
    if any(
        isinstance(reply, ErrorReply) and str(reply).startswith(("MOVED", "ASK", "CLUSTERDOWN")) for reply in replies
    ):
        return "cluster"
    return "cluster" if cluster.get("cluster_size") in ("0", "1") else "proxy"


def _is_forbidden(reply: Reply) -> bool:
    return isinstance(reply, ErrorReply) and str(reply).startswith("NOPERM")


def _masters(probe: _Probe, endpoint: Endpoint) -> list[Endpoint]:
    """The nodes of a cluster that hold slots, or the one we know where it does not tell."""
    ranges = slot_ranges(probe.ask(b"CLUSTER", b"SLOTS"), endpoint.host)
    masters = dict.fromkeys(node for _start, _end, node in ranges)
    return [replace(endpoint, host=host, port=port, unix_socket="") for host, port in masters] or [endpoint]


def _obstacles(facts: ServerFacts | None, probe: _Probe, topology: Topology) -> list[str]:
    """What would make it refuse writes, as far as it can be known without writing.

    A server that has stopped writes because it can't save to its disk refuses even PING, so we never come here.
    """
    found = []
    info = facts.info if facts else {}
    if info.get("role") == "slave" and info.get("slave_read_only", 1):
        found.append(f"it is a read-only replica of {info.get('master_host', '?')}:{info.get('master_port', '?')}")
    if info.get("loading"):
        found.append("it is loading its data set")
    if topology == "cluster" and _fields(probe.ask(b"CLUSTER", b"INFO")).get("cluster_state") == "fail":
        found.append("the cluster is not whole (cluster_state:fail)")
    if "min_slaves_good_slaves" in info:
        needed = probe.number("min-replicas-to-write", "min-slaves-to-write") or 0
        if info["min_slaves_good_slaves"] < needed:
            found.append(
                f"it wants {needed} good replicas and has {info['min_slaves_good_slaves']} (min-replicas-to-write)"
            )
    found += _refused_writes(probe)
    return found


def _refused_writes(probe: _Probe) -> list[str]:
    """What the account may not do of what an import does, where ACL DRYRUN (7.0 and newer) tells."""
    user = probe.ask(b"ACL", b"WHOAMI")
    if not isinstance(user, bytes):
        return []
    replies = probe.ask_all([(b"ACL", b"DRYRUN", user, *command) for command in _WRITES])
    # A refusal is no error here but a text; an error means that DRYRUN is unknown or forbidden.
    refused = {
        command[0].decode(): reply.decode("utf-8", "replace")
        for command, reply in zip(_WRITES, replies)
        if isinstance(reply, bytes) and reply != b"OK"
    }
    if not refused:
        return []
    return [f"this account may not run {', '.join(refused)}: {next(iter(refused.values()))}"]


def _databases(facts: ServerFacts | None, probe: _Probe, topology: Topology) -> int:
    """How many databases there are: as CONFIG says, else as far as SELECT goes."""
    told = probe.number("cluster-databases" if topology == "cluster" else "databases")
    if told is not None:
        return told
    if topology == "cluster" or not _selects(probe, 1):
        return 1
    known, beyond = 1, 2
    while beyond < _MOST_DATABASES and _selects(probe, beyond):
        known, beyond = beyond, beyond * 2
    while beyond - known > 1:
        middle = (known + beyond) // 2
        known, beyond = (middle, beyond) if _selects(probe, middle) else (known, middle)
    return known + 1


def _selects(probe: _Probe, database: int) -> bool:
    """Whether there is a database of this number. Leaves database 0 selected."""
    return bool(probe.ask_all([(b"SELECT", b"%d" % database), (b"SELECT", b"0")])[0] == b"OK")


def _keyspace(
    nodes: list[ServerFacts], probe: _Probe, endpoint: Endpoint, topology: Topology, databases: int
) -> dict[int, int]:
    keyspace: dict[int, int] = {}
    for node in nodes:
        for database, keys in node.keyspace.items():
            keyspace[database] = keyspace.get(database, 0) + keys
    if topology == "cluster":
        return {database: keys for database, keys in sorted(keyspace.items()) if keys}
    if not keyspace and _size(probe, 0):  # INFO leaves the databases out
        keyspace = {database: _size(probe, database) for database in range(min(databases, 256))}
    for database, keys in keyspace.items():
        if keys <= _FEW_KEYS:
            keyspace[database] = keys - _own_keys(probe, database)
    return {database: keys for database, keys in sorted(keyspace.items()) if keys}


def _size(probe: _Probe, database: int) -> int:
    size = probe.ask_all([(b"SELECT", b"%d" % database), (b"DBSIZE",), (b"SELECT", b"0")])[1]
    return max(size, 0) if isinstance(size, int) else 0


def _holds_checkpoint(probe: _Probe, database: int) -> bool:
    there = probe.ask_all([(b"SELECT", b"%d" % database), (b"EXISTS", CHECKPOINT_KEY), (b"SELECT", b"0")])[1]
    return isinstance(there, int) and there > 0


def _own_keys(probe: _Probe, database: int) -> int:
    """The keys of a small database in which imports keep their position."""
    select, back = (b"SELECT", b"%d" % database), (b"SELECT", b"0")
    scan = (b"SCAN", b"0", b"MATCH", CHECKPOINT_PREFIX + b"*", b"COUNT", b"%d" % (10 * _FEW_KEYS))
    reply = probe.ask_all([select, scan, back])[1]
    if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
        return 0
    return len({key for key in reply[1] if isinstance(key, bytes)})


def _maxmemory(nodes: list[ServerFacts], probe: _Probe) -> int | None:
    if nodes and all("maxmemory" in node.info for node in nodes):
        return sum(node.maxmemory for node in nodes)
    return probe.number("maxmemory")


def _modules(facts: ServerFacts | None, probe: _Probe) -> tuple[str, ...]:
    if facts is not None and "modules" in facts.info:
        return tuple(loaded_modules(facts))
    reply = probe.ask(b"MODULE", b"LIST")
    listed = [
        dict(zip(flat[::2], flat[1::2])) for flat in _lists_in(reply) if all(isinstance(x, bytes) for x in flat[::2])
    ]
    names = [module[b"name"] for module in listed if isinstance(module.get(b"name"), bytes)]
    return tuple(sorted(name.decode("utf-8", "replace") for name in names))


def _lists_in(reply: Reply) -> list[list[Reply]]:
    return [each for each in reply if isinstance(each, list)] if isinstance(reply, list) else []


def _total(nodes: list[ServerFacts], name: str) -> int | None:
    told = [int(node.info[name]) for node in nodes if name in node.info]
    return sum(told) if told else None


def _round_trip(probe: _Probe) -> float:
    """The median of some PINGs, in milliseconds."""
    times = []
    for _ping in range(_PINGS):
        started = time.perf_counter()
        probe.ask(b"PING")
        times.append((time.perf_counter() - started) * 1000)
    return round(statistics.median(times), 3)


def _fields(reply: Reply) -> dict[str, str]:
    """A reply of ``name:value`` lines, such as CLUSTER INFO's; empty for an error."""
    if not isinstance(reply, bytes):
        return {}
    return dict(line.split(":", 1) for line in reply.decode("utf-8", "replace").split("\r\n") if ":" in line)
