# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the commands of an AOF come to: counted a block at a time, by a few calls for all of its commands together.

Everything is kept by the name as it is written; few spellings of a name occur. What needs a look at single commands -
``SELECT``, transactions, options that older servers lack - is looked for only in blocks where its names occur.
"""

from __future__ import annotations

import bisect
import collections
import itertools
import operator
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import (
    first_key,
    key_positions,
    named_databases,
    shown_key,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.data_commands import (
    CONTAINERS,
    has_known_keys,
    kind_of,
    shown_name,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.places import MOST_PLACES, FormsFound, Place, Places
from ansible_collections.redisops.tair.plugins.module_utils._aof.prefixes import LONGEST, Prefixes
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: No server has so many commands, or one with so long a name: memory is bounded whatever a file holds.
_MOST_NAMES, _LONGEST_NAME = 2000, 64
OTHER_NAMES = b"(other names)"
_MOST_DATABASES = 65_536

_NAME, _FIRST = operator.itemgetter(0), operator.itemgetter(1)
#: Commands after which other databases are in use, or that begin and end transactions.
_STEERING = frozenset((b"SELECT", b"MULTI", b"EXEC", b"MOVE", b"COPY", b"SWAPDB"))


class Tally:
    """Counts, by :meth:`block` and :meth:`large`, in the order of the file; ``begin`` each file.

    ``keys``: by database, the runs of commands on the same key in what a rewrite wrote: that is, its keys.
    ``transaction``: the MULTI that has no EXEC yet.
    """

    def __init__(self) -> None:
        self.counts: collections.Counter[bytes] = collections.Counter()
        self.sizes: collections.defaultdict[bytes, int] = collections.defaultdict(int)
        self.prefixes = Prefixes()
        self.keys: collections.Counter[int] = collections.Counter()
        self.databases: dict[int, Places] = {}
        """Those that commands were written to or named: how many commands, and the places that lead there."""
        self.largest: Place | None = None
        self.transaction: Place | None = None
        self.not_data: dict[bytes, Places] = {}
        """Commands that are no data, by name in capitals, with the subcommand where that decides."""
        self.slot_migrations = 0
        """Records of slot migrations."""
        self.forms = FormsFound()
        self.samples: collections.defaultdict[bytes, list[Place]] = collections.defaultdict(list)
        """By name in capitals."""
        self.database = 0
        self._file = ""
        self._last_key: bytes | None = None
        self._names: dict[bytes, bytes] = {OTHER_NAMES: OTHER_NAMES}  # as written: in capitals
        self._key_first: set[bytes] = set()
        self._keyless: set[bytes] = set()
        self._steering: set[bytes] = set()
        self._odd: set[bytes] = set()
        self._sampled: set[bytes] = {OTHER_NAMES}

    def begin(self, file: str) -> None:
        """The next file: a server begins each of them in database 0."""
        self._file = file
        self.database = 0
        self._last_key = None

    def by_name(self) -> dict[bytes, tuple[int, int]]:
        """Commands and bytes by name in capitals."""
        totals: dict[bytes, tuple[int, int]] = {}
        for written, count in self.counts.items():
            name = self._names[written]
            before = totals.get(name, (0, 0))
            totals[name] = (before[0] + count, before[1] + self.sizes[written])
        return totals

    def block(self, block: Block, *, rewritten: bool) -> None:
        names = list(map(_NAME, block.commands))
        present = block.names
        if not present <= self._names.keys():
            names = self._meet(names, present)
            present = frozenset(names)
        started = self.database
        turns: list[tuple[int, int]] = []
        steering = present & self._steering
        if steering:
            turns = self._steer(block, names, steering)
        if not turns:
            self._in_database(started, names)
        keys = self._keys(block.commands, names, present)
        self._count(names, keys, block.sizes, present)
        if rewritten:
            self._count_runs(keys, started, turns)
        else:
            self._last_key = None
        self._look_closer(block, names, present, started, turns)
        odd = present & self._odd
        if odd:
            for at, name in enumerate(names):
                if name in odd:
                    self._judge(block.commands[at], lambda at=at: self._place(block, at, self.database))  # type: ignore[misc]

    def large(self, command: LargeCommand, tail: Command, *, rewritten: bool) -> None:
        """``tail``: the command with its long arguments left empty."""
        size = command.end - command.start
        written = command.name
        if written not in self._names:
            (written,) = self._meet([written], frozenset([written]))
        name = self._names[written]
        self.counts[written] += 1
        self.sizes[written] += size
        key = command.key if written in self._key_first and command.args > 1 else shown_key(tail)
        place = Place(self._file, command.start, self.database, name, key, size)
        if key is not None:
            self.prefixes.add((key,), (size,))
            if rewritten and key != self._last_key:
                self.keys[self.database] += 1
            self._last_key = key
        self._in_database(self.database, [written])
        if self.largest is None or size > self.largest.size:
            self.largest = place
        if len(self.samples[name]) < MOST_PLACES:
            self.samples[name].append(place)
        if written in self._odd:
            self._judge([command.name, command.key], lambda: place)
        self.forms.one(tail, place)

    # ------------------------------------------------------------------------------------------ of a block

    def _count(self, names: list[bytes], keys: list[bytes | None], sizes: list[int], present: frozenset[bytes]) -> None:
        self.counts.update(names)
        if len(present) == 1 and None not in keys:
            self.sizes[names[0]] += sum(sizes)
            self.prefixes.add(t.cast("list[bytes]", keys), sizes)
            return
        by_name, by_prefix, longest = self.sizes, self.prefixes.totals, LONGEST
        for name, key, size in zip(names, keys, sizes):
            by_name[name] += size
            if key is not None:
                by_prefix[key[: key.find(b":", 0, longest) + 1]] += size
        self.prefixes.bound()

    def _meet(self, names: list[bytes], present: frozenset[bytes]) -> list[bytes]:
        """Learn new names. Those that no server has go by one name of ours."""
        for written in present - self._names.keys():
            if len(written) > _LONGEST_NAME or len(self._names) >= _MOST_NAMES:
                continue
            name = self._names[written] = written.upper()
            positions = key_positions([written, b"1", b"1", b"1"])
            if not positions or not has_known_keys(name):
                self._keyless.add(written)
            elif positions[0] == 1:
                self._key_first.add(written)
            if name in _STEERING:
                self._steering.add(written)
            if name in CONTAINERS or kind_of(name) in ("not_data", "slot_migration"):
                self._odd.add(written)
            self.forms.learn(written)
        return [name if name in self._names else OTHER_NAMES for name in names]

    def _keys(self, commands: list[Command], names: list[bytes], present: frozenset[bytes]) -> list[bytes | None]:
        """The first key of each command."""
        key_first, keyless = self._key_first, self._keyless
        if present <= key_first:
            try:
                return list(map(_FIRST, commands))
            except IndexError:  # a command without arguments
                pass
        return [
            command[1] if name in key_first and len(command) > 1 else None if name in keyless else first_key(command)
            for name, command in zip(names, commands)
        ]

    def _steer(self, block: Block, names: list[bytes], steering: frozenset[bytes]) -> list[tuple[int, int]]:
        """Follow databases and transactions.

        Return where the database changes: index of the SELECT, and the database. As a server that loads the file, pass over a
        MULTI inside of a transaction and an EXEC outside of one.
        """
        turns: list[tuple[int, int]] = []
        since = 0
        begun: int | None = None  # the MULTI of this block that has no EXEC yet
        for at in [at for at, name in enumerate(names) if name in steering]:
            name = self._names[names[at]]
            if name == b"MULTI":
                if begun is None and self.transaction is None:
                    begun = at
                continue
            if name == b"EXEC":
                begun = self.transaction = None
                continue
            command = block.commands[at]
            if name != b"SELECT":
                for database in named_databases(command):
                    self._lead_to(database, block, at)
            elif len(command) == 2 and command[1].isdigit() and len(command[1]) < 10:
                self._in_database(self.database, names[since:at])
                since, selected = at + 1, int(command[1])
                turns.append((at, selected))
                self._lead_to(selected, block, at)
                self.database = selected
        if begun is not None:
            self.transaction = self._place(block, begun, self.database)
        if turns:
            self._in_database(self.database, names[since:])
        return turns

    def _judge(self, command: Command, place: t.Callable[[], Place]) -> None:
        """Count what is no data of its own."""
        argument = command[1] if len(command) > 1 else b""
        kind = kind_of(command[0], argument)
        if kind == "slot_migration":
            self.slot_migrations += 1
        elif kind == "not_data":
            name = shown_name(command[0], argument)
            if name in self.not_data or len(self.not_data) < _MOST_NAMES:
                places = self.not_data.setdefault(name, Places())
                places.count += 1
                places.note(place)

    def _place(self, block: Block, at: int, database: int) -> Place:
        command = block.commands[at]
        name = self._names.get(command[0], OTHER_NAMES)
        return Place(self._file, _offset(block, at), database, name, shown_key(command), block.sizes[at])

    def _lead_to(self, database: int, block: Block, at: int) -> None:
        if database in self.databases or len(self.databases) < _MOST_DATABASES:
            self.databases.setdefault(database, Places()).note(lambda: self._place(block, at, self.database))

    def _in_database(self, database: int, names: list[bytes]) -> None:
        known = self.databases.get(database)
        if known is not None:
            known.count += len(names)
        # What has no key, such as FUNCTION LOAD before the first SELECT, makes no use of a database.
        elif len(self.databases) < _MOST_DATABASES and not self._keyless.issuperset(names):
            self.databases[database] = Places(len(names))

    def _count_runs(self, keys: list[bytes | None], database: int, turns: list[tuple[int, int]]) -> None:
        """A rewrite writes every key once, its commands together: as many keys as there are changes of the key."""
        if not turns and None not in keys:
            self.keys[database] += sum(map(operator.ne, keys, [self._last_key, *keys[:-1]]))
            self._last_key = keys[-1]
            return
        selected = dict(turns)
        for at, key in enumerate(keys):
            if at in selected:
                database, self._last_key = selected[at], None
            elif key is not None and key != self._last_key:
                self.keys[database] += 1
                self._last_key = key

    def _look_closer(
        self, block: Block, names: list[bytes], present: frozenset[bytes], started: int, turns: list[tuple[int, int]]
    ) -> None:
        """Places: the largest command, the first ones of each name, and forms that older servers lack."""
        sizes = block.sizes
        wanted: set[int] = set()
        largest = max(sizes)
        if self.largest is None or largest > self.largest.size:
            wanted.add(sizes.index(largest))
        unsampled = present - self._sampled
        for name in unsampled:
            wanted.update(_first_indexes(names, name))
        selects = [at for at, _database in turns]

        def place(at: int) -> Place:
            turn = bisect.bisect_right(selects, at)
            return self._place(block, at, turns[turn - 1][1] if turn else started)

        for at in sorted(wanted):
            found = place(at)
            if self.largest is None or found.size > self.largest.size:
                self.largest = found
            if names[at] in unsampled:
                self._sample(names[at], found)
        self.forms.take(block.commands, present, place)

    def _sample(self, written: bytes, place: Place) -> None:
        samples = self.samples[place.name]
        if len(samples) < MOST_PLACES:
            samples.append(place)
        else:
            self._sampled.add(written)


def _offset(block: Block, at: int) -> int:
    """Where in the file a command of the block begins."""
    return next(itertools.islice(block.offsets(), at, None))


def _first_indexes(names: list[bytes], name: bytes) -> t.Iterator[int]:
    """Where the name stands, one place more than are kept."""
    at = -1
    for _place in range(MOST_PLACES + 1):
        try:
            at = names.index(name, at + 1)
        except ValueError:
            return
        yield at
