# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which keys take part - databases, patterns, never our own checkpoint - and how a key is shown."""

from __future__ import annotations

import functools
import re
import typing as t
from binascii import crc_hqx
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError

#: The import keeps its position in the target in keys that begin like this.
CHECKPOINT_PREFIX = b"redisops.tair:checkpoint:"
#: A hash, a field for each import that is under way.
CHECKPOINT_KEY = CHECKPOINT_PREFIX + b"imports"


def checkpoint_key_of(tag: bytes) -> bytes:
    """The same for one slot of a cluster, of which ``tag`` is a short key."""
    return CHECKPOINT_PREFIX + b"{" + tag + b"}"


#: Of every cluster.
SLOTS = 16384


def key_slot(key: bytes) -> int:
    """The slot of a key: of what stands between its first ``{`` and the next ``}``, if anything, else of all of it."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) % SLOTS


@functools.cache
def slot_tags() -> tuple[bytes, ...]:
    """For each slot a short text that is in it."""
    tags: dict[int, bytes] = {}
    number = 0
    while len(tags) < SLOTS:
        tag = b"%x" % number
        tags.setdefault(crc_hqx(tag, 0) % SLOTS, tag)
        number += 1
    return tuple(tags[slot] for slot in range(SLOTS))


def slots_from_text(ranges: t.Iterable[str] | None) -> frozenset[int] | None:
    """The slots of ``["0-5460", "7000"]``; None for None. Raises :class:`TairError`."""
    if ranges is None:
        return None
    slots: set[int] = set()
    for told in ranges:
        first, _dash, last = str(told).partition("-")
        if not first.isdigit() or not (last or first).isdigit() or int(last or first) >= SLOTS:
            raise TairError(f"'{told}' is no range of slots", todo=f"Write it as 0-{SLOTS - 1}")
        slots.update(range(int(first), int(last or first) + 1))
    return frozenset(slots)


def slots_as_text(slots: frozenset[int]) -> list[str]:
    """The other way round."""
    firsts = [slot for slot in sorted(slots) if slot - 1 not in slots]
    lasts = [slot for slot in sorted(slots) if slot + 1 not in slots]
    return [str(first) if first == last else f"{first}-{last}" for first, last in zip(firsts, lasts)]


def glob_to_regex(pattern: str) -> bytes:
    """A regular expression for whole keys from a pattern as KEYS and SCAN take it.

    ``*``, ``?``, ``[abc]``, ``[a-z]``, ``[^a]`` and ``\\x`` for a literal ``x``. Keys are bytes; the pattern stands for
    its UTF-8. As in Redis an unclosed ``[`` ends with the pattern.
    """
    raw = pattern.encode("utf-8", "surrogateescape")
    out, i = b"", 0
    while i < len(raw):
        char = raw[i : i + 1]
        i += 1
        if char == b"*":
            out += b".*"
        elif char == b"?":
            out += b"."
        elif char == b"[":
            members, i = _character_class(raw, i)
            out += members
        elif char == b"\\" and i < len(raw):
            out += re.escape(raw[i : i + 1])
            i += 1
        else:
            out += re.escape(char)
    return out


def _character_class(raw: bytes, i: int) -> tuple[bytes, int]:
    """The class that begins after its ``[`` at ``i``, and where the pattern goes on."""
    negated = raw[i : i + 1] == b"^"
    i += negated
    members = b""
    while i < len(raw) and raw[i : i + 1] != b"]":
        if raw[i : i + 1] == b"\\" and i + 1 < len(raw):
            i += 1
            members += re.escape(raw[i : i + 1])
        elif raw[i + 1 : i + 2] == b"-" and i + 2 < len(raw):
            low, high = sorted((raw[i : i + 1], raw[i + 2 : i + 3]))
            members += re.escape(low) + b"-" + re.escape(high)
            i += 2
        else:
            members += re.escape(raw[i : i + 1])
        i += 1
    if not members:
        return (b"." if negated else b"(?!)"), i + 1
    return b"[" + (b"^" if negated else b"") + members + b"]", i + 1


class KeyFilter:
    """Keys wanted by pattern: any key where ``include`` is empty; ``exclude`` wins. Never our own checkpoints.

    ``slots``: of a cluster, only those in which the keys are; None for all keys.
    """

    def __init__(
        self, include: t.Sequence[str] = (), exclude: t.Sequence[str] = (), *, slots: t.Container[int] | None = None
    ) -> None:
        self.takes_all = not include and not exclude and slots is None
        self._patterns = include, exclude
        self._slots = slots
        self._include = _any_of(include).fullmatch if include else None
        self._exclude = _any_of(exclude).fullmatch if exclude else None

    def within(self, slots: t.Container[int] | None) -> KeyFilter:
        """The same for the keys of some slots only."""
        include, exclude = self._patterns
        return KeyFilter(include, exclude, slots=slots)

    def takes(self, key: bytes) -> bool:
        if key.startswith(CHECKPOINT_PREFIX):
            return False
        if self._exclude is not None and self._exclude(key):
            return False
        if self._slots is not None and key_slot(key) not in self._slots:
            return False
        return self._include is None or self._include(key) is not None


def _any_of(patterns: t.Sequence[str]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(map(glob_to_regex, patterns)), re.DOTALL)


@dataclass(frozen=True)
class DatabaseMap:
    """Which databases of the source take part (``only``; None: all), and where in the target each of them is."""

    only: frozenset[int] | None = None
    targets: t.Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def from_params(
        cls, databases: t.Sequence[int] | None, database_map: t.Mapping[t.Any, t.Any] | None
    ) -> DatabaseMap:
        """From the options ``databases`` and ``database_map``, whose numbers may come as text. Raises :class:`TairError`."""
        try:
            targets = {int(source): int(target) for source, target in (database_map or {}).items()}
        except (TypeError, ValueError) as exc:
            raise TairError(
                "database_map must map numbers of databases to numbers of databases", todo="Write it as {0: 3, 1: 4}"
            ) from exc
        if any(number < 0 for number in (*(databases or ()), *targets, *targets.values())):
            raise TairError("The number of a database can't be negative", todo="Check databases and database_map")
        return cls(None if databases is None else frozenset(databases), targets)

    def takes(self, source: int) -> bool:
        return self.only is None or source in self.only

    @property
    def merges(self) -> bool:
        """Whether two databases of the source may go to one of the target."""
        taken = {source: target for source, target in self.targets.items() if self.takes(source)}
        others = {target for target in taken.values() if target not in self.targets and self.takes(target)}
        return bool(others) or len(set(taken.values())) < len(taken)

    def target(self, source: int) -> int:
        """The target's database for a database of the source."""
        return self.targets.get(source, source)


def printable(raw: bytes, limit: int = 200) -> str:
    """Bytes as text for people and JSON: UTF-8, and a backslash escape for all that can't be shown.

    At most ``limit`` bytes; a longer name ends with its length.
    """
    text = raw[:limit].replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(raw) <= limit else f"{text}... ({len(raw)} bytes)"
