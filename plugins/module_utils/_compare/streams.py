# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Two streams: their entries, identifiers, consumer groups, consumers and pending entries, in bounded memory."""

from __future__ import annotations

import typing as t

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import Command, Pair, Side, milliseconds
from ansible_collections.redisops.tair.plugins.module_utils._compare.values import Finding, counted
from ansible_collections.redisops.tair.plugins.module_utils._keys import printable

Map = t.Dict[bytes, t.Any]

#: A stream's own numbers, compared where both servers have them (7.0 and newer, 8.6 and newer the last two).
_COUNTERS = (
    b"last-generated-id",
    b"entries-added",
    b"max-deleted-entry-id",
    b"idmp-duration",
    b"idmp-maxsize",
)
_GROUP_FIELDS = (b"last-delivered-id", b"entries-read")
#: Pending entries asked for at once.
_PENDING = 1000
#: Differing pending entries after which a group is not looked at any further.
_ENOUGH = 100
#: The first version whose AOF keeps consumers that have nothing pending (XGROUP CREATECONSUMER).
_KEEPS_IDLE_CONSUMERS = "6.2"
#: Either half of an identifier has 64 bits.
_LARGEST = (1 << 64) - 1
#: TIME and the reply that follows it are not of the very same moment: milliseconds.
_READING_TAKES = 10


class Pending(t.NamedTuple):
    """A pending entry. ``delivered``: milliseconds of Unix time."""

    entry: tuple[int, int]
    consumer: bytes
    delivered: float
    deliveries: int


class Group(t.NamedTuple):
    """A consumer group on one side. ``pending``: its pending entries by identifier; ``consumers``: by name, how many."""

    pending: t.Iterator[Pending]
    consumers: dict[bytes, int]


def stream_difference(pair: Pair, key: bytes, *, piece: int) -> Finding | None:
    """The first difference of two streams of the same length. ``piece``: entries read at once.

    Raises :class:`KeyChanged`.
    """
    sides = pair.both((b"XINFO", b"STREAM", key), (b"XINFO", b"GROUPS", key), _range(key, b"-", piece))
    (source, source_groups, source_entries), (target, target_groups, target_entries) = sides
    return (
        _counters_difference(_map(source), _map(target))
        or _entries_difference(pair, key, piece, source_entries, target_entries)
        or _groups_difference(pair, key, _by_name(source_groups), _by_name(target_groups))
    )


def _counters_difference(source: Map, target: Map) -> Finding | None:
    for name in _COUNTERS:
        if name in source and name in target and source[name] != target[name]:
            return Finding("stream", *(f"{name.decode()} {_shown(side[name])}" for side in (source, target)))
    return None


def _entries_difference(pair: Pair, key: bytes, piece: int, a: list[t.Any], b: list[t.Any]) -> Finding | None:
    """``a`` and ``b``: the first piece of either side."""
    while a == b:
        start = _after(a[-1][0]) if len(a) == piece else None
        if start is None:
            return None
        (a,), (b,) = pair.both(_range(key, start, piece))
    at = next((x[0] for x, y in zip(a, b) if x != y), (a or b)[-1][0])
    return Finding("value", "stream", f"stream, differs at entry {at.decode()}")


def _range(key: bytes, start: bytes, count: int) -> Command:
    return b"XRANGE", key, start, b"+", b"COUNT", b"%d" % count


def _groups_difference(pair: Pair, key: bytes, source: dict[bytes, Map], target: dict[bytes, Map]) -> Finding | None:
    for name in sorted(source.keys() ^ target.keys()):
        label = f"group {printable(name)}"
        return Finding("groups", *(label if name in side else f"no {label}" for side in (source, target)))
    for name, a in source.items():
        b = target[name]
        for field in _GROUP_FIELDS:
            if field in a and field in b and a[field] != b[field]:
                ours, theirs = (f"{field.decode()} {_shown(side[field])}" for side in (a, b))
                return _group_finding(name, ours, theirs)
    groups = [_read_groups(side, key, list(source)) for side in (pair.source, pair.target)]
    for name, source_group, target_group in zip(source, *groups):
        facts = _pending_difference(pair, key, source_group.pending, target_group.pending)
        facts = facts or _consumers_difference(pair, source_group.consumers, target_group.consumers)
        if facts:
            return _group_finding(name, *facts)
    return None


def _group_finding(name: bytes, source: str, target: str) -> Finding:
    return Finding("groups", f"group {printable(name)}: {source}", f"group {printable(name)}: {target}")


def _read_groups(side: Side, key: bytes, names: list[bytes]) -> list[Group]:
    commands: list[Command] = [(b"TIME",)]
    for name in names:
        commands += [_pending_request(key, name, b"-"), (b"XINFO", b"CONSUMERS", key, name)]
    replies = side.wire.exchange(commands)
    for reply, command in zip(replies, commands):
        side.checked(reply, command[0])
    now = milliseconds(replies[0])
    return [
        Group(
            _pending(side, key, name, now, replies[2 * i + 1]),
            {consumer[b"name"]: consumer[b"pending"] for consumer in map(_map, replies[2 * i + 2])},
        )
        for i, name in enumerate(names)
    ]


def _consumers_difference(pair: Pair, source: dict[bytes, int], target: dict[bytes, int]) -> tuple[str, str] | None:
    """Consumers with pending entries are compared by these; a server before 6.2 can't hand on the others."""
    expected = {name for name, pending in source.items() if not pending and _keep_idle_consumers(pair)}
    lost, extra = sorted(expected - target.keys()), sorted(target.keys() - source.keys())
    if lost:
        return counted(
            len(source), "consumer"
        ), f"{counted(len(lost), 'consumer')} missing, such as {printable(lost[0])}"
    if extra:
        return counted(
            len(source), "consumer"
        ), f"{counted(len(extra), 'consumer')} more, such as {printable(extra[0])}"
    return None


def _keep_idle_consumers(pair: Pair) -> bool:
    return all(
        LooseVersion(side.facts.redis_version) >= LooseVersion(_KEEPS_IDLE_CONSUMERS)
        for side in (pair.source, pair.target)
    )


def _pending_difference(
    pair: Pair, key: bytes, source: t.Iterator[Pending], target: t.Iterator[Pending]
) -> tuple[str, str] | None:
    """A pending entry whose stream entry was deleted is not missed: no rewrite keeps it, and nobody can read it."""
    lost = extra = changed = 0
    a, b = next(source, None), next(target, None)
    while (a or b) and lost + extra + changed < _ENOUGH:
        if b is None or (a and a.entry < b.entry):
            lost += _entry_exists(pair.source, key, t.cast(Pending, a).entry)
            a = next(source, None)
        elif a is None or b.entry < a.entry:
            extra += _entry_exists(pair.target, key, b.entry)
            b = next(target, None)
        else:
            changed += not _same_pending(a, b, pair.tolerance)
            a, b = next(source, None), next(target, None)
    facts = [f"{number} {what}" for number, what in ((lost, "missing"), (extra, "extra"), (changed, "other")) if number]
    return ("pending entries", f"pending entries: {', '.join(facts)}") if facts else None


def _same_pending(a: Pending, b: Pending, tolerance: float) -> bool:
    same = (a.consumer, a.deliveries) == (b.consumer, b.deliveries)
    return same and abs(a.delivered - b.delivered) <= max(tolerance, _READING_TAKES)


def _pending(side: Side, key: bytes, group: bytes, now: float, page: list[t.Any]) -> t.Iterator[Pending]:
    """All pending entries of a group, in order. ``page``: the first of them, read at ``now``."""
    while True:
        for raw, consumer, idle, deliveries in page:
            yield Pending(_parsed(raw), consumer, now - idle, deliveries)
        start = _after(page[-1][0]) if len(page) == _PENDING else None
        if start is None:
            return
        told, page = side.wire.exchange([(b"TIME",), _pending_request(key, group, start)])
        now = milliseconds(told)
        side.checked(page, b"XPENDING")


def _pending_request(key: bytes, group: bytes, start: bytes) -> Command:
    return b"XPENDING", key, group, start, b"+", b"%d" % _PENDING


def _entry_exists(side: Side, key: bytes, entry: tuple[int, int]) -> bool:
    exact = b"%d-%d" % entry
    return bool(side.read(b"XRANGE", key, exact, exact))


def _parsed(entry: bytes) -> tuple[int, int]:
    first, sequence = entry.split(b"-")
    return int(first), int(sequence)


def _after(entry: bytes) -> bytes | None:
    """The smallest identifier after this one, if there is one. 6.1 and older know no exclusive ranges."""
    first, sequence = _parsed(entry)
    if sequence < _LARGEST:
        return b"%d-%d" % (first, sequence + 1)
    return b"%d-0" % (first + 1) if first < _LARGEST else None


def _by_name(groups: list[list[t.Any]]) -> dict[bytes, Map]:
    return {group[b"name"]: group for group in map(_map, groups)}


def _map(flat: list[t.Any]) -> Map:
    return dict(zip(flat[::2], flat[1::2]))


def _shown(value: t.Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
