# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Two streams: their entries, identifiers, consumer groups, consumers and pending entries, in bounded memory."""

from __future__ import annotations

import typing as t
from collections import deque

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._compare.pair import Look, Pair
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import Command, milliseconds
from ansible_collections.redisops.tair.plugins.module_utils._compare.values import Finding, counted
from ansible_collections.redisops.tair.plugins.module_utils._keys import printable
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts

Map = t.Dict[bytes, t.Any]
Difference = t.Optional[Finding]
#: What is on the source and what on the target, where they differ.
Facts = t.Optional[t.Tuple[str, str]]

#: A stream's own numbers, compared where both servers have them (7.0 and newer, 8.6 and newer the last two).
_COUNTERS = (
    b"last-generated-id",
    b"entries-added",
    b"max-deleted-entry-id",
    b"idmp-duration",
    b"idmp-maxsize",
)
#: Pending entries asked for at once.
_PENDING = 1000
#: Differing pending entries after which a group is not looked at any further.
_ENOUGH = 100
#: Since when an AOF says how many entries a group has read. Before, only a rewrite did, and only from 7.0 on.
_HANDS_ON_ENTRIES_READ = {"redis": "7.4", "valkey": "8.0"}
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


class StreamLook:
    """A look at one stream. ``piece``: entries read at once. Its methods raise :class:`KeyChanged`."""

    def __init__(self, pair: Pair, key: bytes, piece: int) -> None:
        self._pair = pair
        self._key = key
        self._piece = piece

    def difference(self) -> Look[Difference]:
        """The first difference of two streams of the same length."""
        commands = [(b"XINFO", b"STREAM", self._key), (b"XINFO", b"GROUPS", self._key), self._range(b"-")]
        answer = yield from self._pair.ask(commands, commands)
        (source, source_groups, source_entries), (target, target_groups, target_entries) = answer
        difference = _counters_difference(as_map(source), as_map(target))
        difference = difference or (yield from self._entries(source_entries, target_entries))
        return difference or (yield from self._groups(_by_name(source_groups), _by_name(target_groups)))

    def _entries(self, a: list[t.Any], b: list[t.Any]) -> Look[Difference]:
        """``a`` and ``b``: the first piece of either side."""
        while a == b:
            start = after(a[-1][0]) if len(a) == self._piece else None
            if start is None:
                return None
            a, b = yield from self._pair.both(*self._range(start))
        at = next((x[0] for x, y in zip(a, b) if x != y), (a or b)[-1][0])
        return Finding("value", "stream", f"stream, differs at entry {at.decode()}")

    def _range(self, start: bytes) -> tuple[bytes, ...]:
        return b"XRANGE", self._key, start, b"+", b"COUNT", b"%d" % self._piece

    def _groups(self, source: dict[bytes, Map], target: dict[bytes, Map]) -> Look[Difference]:
        for name in sorted(source.keys() ^ target.keys()):
            label = f"group {printable(name)}"
            return Finding("groups", *(label if name in side else f"no {label}" for side in (source, target)))
        fields = _group_fields(self._pair.source.facts)
        for name in sorted(source):
            facts = _group_difference(source[name], target[name], fields) or (yield from self._members(name))
            if facts:
                return Finding("groups", *(f"group {printable(name)}: {fact}" for fact in facts))
        return None

    def _members(self, group: bytes) -> Look[Facts]:
        """A group's consumers and pending entries."""
        pending = [_PendingReader(self._pair, on_source, self._key, group) for on_source in (True, False)]
        commands = [(b"TIME",), pending[0].request(), (b"XINFO", b"CONSUMERS", self._key, group)]
        (now, page, consumers), (target_now, target_page, target_consumers) = yield from self._pair.ask(
            commands, commands
        )
        pending[0].turn(now, page)
        pending[1].turn(target_now, target_page)
        facts = yield from self._pending(*pending)
        return facts or _consumers_difference(_by_name(consumers), _by_name(target_consumers))

    def _pending(self, source: _PendingReader, target: _PendingReader) -> Look[Facts]:
        """A pending entry whose stream entry was deleted is not missed: no rewrite keeps it, and nobody can read it."""
        lost = extra = changed = 0
        a, b = (yield from source.read()), (yield from target.read())
        while (a or b) and lost + extra + changed < _ENOUGH:
            if a and (b is None or a.entry < b.entry):
                lost += yield from self._has_entry(a.entry, on_source=True)
                a = yield from source.read()
            elif b and (a is None or b.entry < a.entry):
                extra += yield from self._has_entry(b.entry, on_source=False)
                b = yield from target.read()
            elif a and b:
                changed += not _same_pending(a, b, self._pair.tolerance)
                a, b = (yield from source.read()), (yield from target.read())
        numbers = ((lost, "missing"), (extra, "extra"), (changed, "other"))
        facts = ", ".join(f"{number} {what}" for number, what in numbers if number)
        return ("pending entries", f"pending entries: {facts}") if facts else None

    def _has_entry(self, entry: tuple[int, int], *, on_source: bool) -> Look[bool]:
        exact = b"%d-%d" % entry
        entries = yield from _ask_one(self._pair, on_source, (b"XRANGE", self._key, exact, exact))
        return bool(entries[0])


class _PendingReader:
    """All pending entries of a group on one side, in order, a page at a time."""

    def __init__(self, pair: Pair, on_source: bool, key: bytes, group: bytes) -> None:
        self._pair = pair
        self._on_source = on_source
        self._key = key
        self._group = group
        self._start: bytes | None = b"-"
        self._page: deque[Pending] = deque()

    def request(self) -> tuple[bytes, ...]:
        return b"XPENDING", self._key, self._group, self._start or b"-", b"+", b"%d" % _PENDING

    def turn(self, time_reply: list[bytes], page: list[t.Any]) -> None:
        """Take a page: the replies to TIME and to the request."""
        now = milliseconds(time_reply)
        self._page.extend(Pending(_parsed(raw), consumer, now - idle, count) for raw, consumer, idle, count in page)
        self._start = after(page[-1][0]) if len(page) == _PENDING else None

    def read(self) -> Look[Pending | None]:
        """The next one."""
        if not self._page and self._start is not None:
            now, page = yield from _ask_one(self._pair, self._on_source, (b"TIME",), self.request())
            self.turn(now, page)
        return self._page.popleft() if self._page else None


def _ask_one(pair: Pair, on_source: bool, *commands: Command) -> Look[list[t.Any]]:
    """Ask one of the sides."""
    source, target = yield from pair.ask(commands if on_source else (), () if on_source else commands)
    return source if on_source else target


def _counters_difference(source: Map, target: Map) -> Difference:
    for name in _COUNTERS:
        if name in source and name in target and source[name] != target[name]:
            return Finding("stream", *(f"{name.decode()} {_shown(side[name])}" for side in (source, target)))
    return None


def _group_difference(source: Map, target: Map, names: t.Iterable[bytes]) -> Facts:
    for name in names:
        if name in source and name in target and source[name] != target[name]:
            return f"{name.decode()} {_shown(source[name])}", f"{name.decode()} {_shown(target[name])}"
    return None


def _group_fields(source: ServerFacts) -> tuple[bytes, ...]:
    """What of a group this source hands on to whoever reads its AOF."""
    since = _HANDS_ON_ENTRIES_READ.get(source.flavor)
    if since is not None and LooseVersion(source.version) >= LooseVersion(since):
        return b"last-delivered-id", b"entries-read"
    return (b"last-delivered-id",)


def _consumers_difference(source: Map, target: Map) -> Facts:
    """A consumer is what is pending for it, which is compared elsewhere.

    One without pending entries may be missing: no AOF tells of a consumer that has asked in vain, and asking again
    brings it back.
    """
    extra = target.keys() - source.keys()
    if not extra:
        return None
    return counted(len(source), "consumer"), f"{counted(len(extra), 'consumer')} more, such as {printable(min(extra))}"


def _same_pending(a: Pending, b: Pending, tolerance: float) -> bool:
    same = (a.consumer, a.deliveries) == (b.consumer, b.deliveries)
    return same and abs(a.delivered - b.delivered) <= max(tolerance, _READING_TAKES)


def _parsed(entry: bytes) -> tuple[int, int]:
    first, sequence = entry.split(b"-")
    return int(first), int(sequence)


def after(entry: bytes) -> bytes | None:
    """The smallest identifier after this one, if there is one. 6.1 and older know no exclusive ranges."""
    first, sequence = _parsed(entry)
    if sequence < _LARGEST:
        return b"%d-%d" % (first, sequence + 1)
    return b"%d-0" % (first + 1) if first < _LARGEST else None


def _by_name(groups: list[list[t.Any]]) -> dict[bytes, Map]:
    return {group[b"name"]: group for group in map(as_map, groups)}


def as_map(flat: list[t.Any]) -> Map:
    return dict(zip(flat[::2], flat[1::2]))


def _shown(value: t.Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
