# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The whole keyspace of two servers, side by side and both ways.

One pass over the source's keys finds what is missing or other on the target. A scan of the target tells whether these
are the same keys; only where they are not, another one finds what is extra. What looks different is looked at once more
at the end, so that a key that expired in between is no difference.
"""

from __future__ import annotations

import time
import traceback
import typing as t
from dataclasses import replace
from functools import partial
from itertools import chain, islice

from ansible_collections.redisops.tair.plugins.module_utils._compare.census import Census
from ansible_collections.redisops.tair.plugins.module_utils._compare.closer import Found
from ansible_collections.redisops.tair.plugins.module_utils._compare.cluster import common_slots, parts_of
from ansible_collections.redisops.tair.plugins.module_utils._compare.functions import (
    library_differences,
    read_libraries,
)
from ansible_collections.redisops.tair.plugins.module_utils._compare.pair import Pair
from ansible_collections.redisops.tair.plugins.module_utils._compare.repair import Repair
from ansible_collections.redisops.tair.plugins.module_utils._compare.report import (
    DatabaseCount,
    Difference,
    Options,
    Report,
)
from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import Side, batches
from ansible_collections.redisops.tair.plugins.module_utils._compare.sieve import Sieve, extra_keys
from ansible_collections.redisops.tair.plugins.module_utils._compare.values import Finding, counted
from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError, TairError
from ansible_collections.redisops.tair.plugins.module_utils._keys import printable
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import BadReply

#: Suspects held before they are looked at again. Where everything differs they would fill the memory.
_MAX_SUSPECTS = 20_000
#: Times that keys are counted while both counts differ, as keys may expire between the two.
_COUNTS = 3
#: Batches between two looks at their number.
_PORTION = 16


def compare_keyspaces(source: Endpoint, target: Endpoint, options: Options) -> Report:
    """Compare two servers, or a server and a cluster. Changes nothing unless a repair is asked for. Raises :class:`TairError`.

    A cluster is compared node by node, each with the keys of the slots that it serves; what slots move meanwhile is an
    error. Through a proxy it is compared as one. Of a source that is a node of a cluster the keys that it serves are compared, whatever else the target holds.
    """
    try:
        return _compared(source, target, options)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, BadReply) as exc:
        # Values are compared as they come: a reply of the wrong type is noticed where it is used.
        raise ReplyError(
            f"{source} or {target} answered a command of the comparison with what makes no sense for it",
            todo="Check that both are Redis servers and nothing else, and look at their logs. If they are, report this",
            exception=traceback.format_exc(),
        ) from exc


def _compared(source: Endpoint, target: Endpoint, options: Options) -> Report:
    started = time.monotonic()
    report = Report()
    with Side(source) as source_side:
        parts = parts_of(target)
        for part in parts:
            with Side(part.endpoint, proxied=part.proxied) as part_side:
                shared = common_slots(part.slots, source_side.slots)
                of_node = replace(
                    options,
                    keys=options.keys.within(shared),
                    sample=-(-options.sample // len(parts)),
                    max_differences=options.max_differences - len(report.differences),
                )
                found = _Comparison(Pair(source_side, part_side, options.tolerance), of_node).run()
                report.add(found, share=options.mode == "count")
    report.elapsed = round(time.monotonic() - started, 3)
    return report


class _Comparison:
    def __init__(self, pair: Pair, options: Options) -> None:
        self._pair = pair
        self._options = options
        self._report = Report()
        self._source_census: dict[int, Census] = {}
        """The keys of the source that were looked at, by the database of the target that they belong in."""
        self._target_census: dict[int, _Counting] = {}
        self._sieve = Sieve(pair, full=options.mode == "full")
        self._repair = Repair(pair) if options.repair else None
        source, target = pair.source.volumes(), pair.target.volumes()
        databases = options.databases
        sources = [db for db in source if databases.takes(db)] if databases.only is None else sorted(databases.only)
        self._targets = {db: databases.target(db) for db in sources}
        """The databases of the source that take part, and where each of them is in the target."""
        self._origins: dict[int, list[int]] = {}
        """The databases of the target that take part, and which of the source they hold."""
        for db, there in self._targets.items():
            self._origins.setdefault(there, []).append(db)
        if databases.only is None:
            for there in target:
                self._origins.setdefault(there, [])
        # KeyDB tells the expiry of a field one by one, and the import may have given it to the target.
        ignored = "hash_field_ttl" in options.ignore or pair.source.facts.flavor == "keydb"
        self._field_expiries = {
            db: not ignored and any(volume.field_expiries for volume in (source.get(db), target.get(there)) if volume)
            for db, there in self._targets.items()
        }

    def run(self) -> Report:
        self._refuse_itself()
        if self._options.mode == "count":
            self._count()
        else:
            if "functions" not in self._options.ignore:
                self._compare_functions()
            self._compare_keys()
            self._tell_sizes()
        self._report.repaired = self._repair.copied if self._repair else 0
        return self._report

    def _refuse_itself(self) -> None:
        """A comparison of a database with itself always ends well, and proves nothing."""
        run_ids = [side.facts.info.get("run_id") for side in (self._pair.source, self._pair.target)]
        same_database = not self._targets or any(db == there for db, there in self._targets.items())
        if run_ids[0] is not None and run_ids[0] == run_ids[1] and same_database:
            raise TairError(
                f"Source ({self._pair.source}) and target ({self._pair.target}) are the same server",
                todo="Check the addresses: login_host and login_port are the target, those below source are the source",
            )

    def _compare_keys(self) -> None:
        suspects: dict[int, list[bytes]] = {}
        extras: dict[int, list[bytes]] = {}
        for db, there in self._targets.items():
            self._pair.select(db, there)
            scanned = self._source_keys(db)
            suspects[db] = self._first_look(scanned, partial(self._differing, db), partial(self._settle, db))
        for there in self._origins if self._pair.target.can_scan else ():
            self._pair.target.wire.select(there)
            scanned = self._maybe_extra(there)
            extras[there] = self._first_look(scanned, partial(self._extra, there), partial(self._settle_extra, there))
        for db, keys in suspects.items():
            self._settle(db, keys)
        for there, keys in extras.items():
            self._settle_extra(there, keys)
        if not self._pair.target.can_scan:
            self._report.one_way = True
            self._report.warnings.append(
                f"{self._pair.target} is a proxy that does not tell all keys behind it: whether there are any that "
                f"{self._pair.source} does not have was not looked for"
            )

    def _first_look(
        self,
        scanned: t.Iterator[list[bytes]],
        look: t.Callable[[t.Iterable[list[bytes]]], t.Iterator[Found]],
        settle: t.Callable[[list[bytes]], None],
    ) -> list[bytes]:
        """The keys that ``look`` finds to differ, to be settled at the end; too many of them are settled at once."""
        suspects: list[bytes] = []
        for first in scanned:
            suspects += [key for key, _findings in look(chain([first], islice(scanned, _PORTION - 1)))]
            if len(suspects) > _MAX_SUSPECTS:
                settle(suspects)
                suspects = []
        return suspects

    def _differing(self, db: int, keys: t.Iterable[list[bytes]]) -> t.Iterator[Found]:
        return self._sieve.differing(keys, field_expiries=self._field_expiries[db])

    def _extra(self, there: int, keys: t.Iterable[list[bytes]]) -> t.Iterator[Found]:
        return extra_keys(self._pair, keys, self._origins[there])

    def _settle(self, db: int, suspects: list[bytes]) -> None:
        """Look at keys of the source once more, copy them again if that is wanted, and report what still differs."""
        self._pair.select(db, self._targets[db])
        found = self._differing(db, batches(list(dict.fromkeys(suspects))))
        if self._repair:
            different = [key for key, _findings in found]
            for key in different:
                self._repair.copy(key)
            found = self._differing(db, batches(different))
        for key, findings in found:
            self._add(db, printable(key), findings)

    def _settle_extra(self, there: int, suspects: list[bytes]) -> None:
        self._pair.target.wire.select(there)
        for key, findings in self._extra(there, batches(list(dict.fromkeys(suspects)))):
            self._add(there, printable(key), findings)

    def _add(self, database: int | None, key: str, findings: list[Finding]) -> None:
        report = self._report
        reasons = [finding.reason for finding in findings]
        report.missing += "missing" in reasons
        report.extra += "extra" in reasons
        report.mismatched += "missing" not in reasons and "extra" not in reasons
        room = max(0, self._options.max_differences - len(report.differences))
        report.differences += [Difference(database, key, *finding) for finding in findings[:room]]

    def _source_keys(self, db: int) -> t.Iterator[list[bytes]]:
        there = self._targets[db]
        census = self._source_census.setdefault(there, Census())
        target = self._counting(there) if self._pair.target.can_scan and not self._options.sample else None
        for keys in self._keys(self._pair.source, db):
            self._report.compared += len(keys)
            census.add(keys)
            if target is not None:
                target.go_on()
            yield keys
        if target is not None:
            target.finish()  # its connection is wanted for the next database

    def _counting(self, there: int) -> _Counting:
        if there not in self._target_census:
            self._target_census[there] = _Counting(self._keys(self._pair.target, there))
        return self._target_census[there]

    def _maybe_extra(self, there: int) -> t.Iterator[list[bytes]]:
        """Keys of the target, those among them that the source may not have."""
        if self._options.sample:
            yield from self._keys(self._pair.target, there)
            return
        target = self._counting(there)
        target.finish()
        doubts = target.census.doubts(self._source_census.get(there, Census()))
        for keys in self._keys(self._pair.target, there) if doubts else ():
            doubtful = doubts.among(keys)
            if doubtful:
                yield doubtful

    def _keys(self, side: Side, database: int) -> t.Iterator[list[bytes]]:
        if self._options.sample:
            return side.sample(database, self._options.sample, self._options.keys)
        return side.scan(database, self._options.keys)

    def _compare_functions(self) -> None:
        sides = self._pair.source, self._pair.target
        source, target = map(read_libraries, sides)
        for side, libraries in zip(sides, (source, target)):
            if libraries is None:
                self._report.warnings.append(
                    f"{side} does not let this user run FUNCTION LIST: functions were not compared"
                )
        if source is None or target is None:
            return
        if self._repair:
            for name in [name for name, _finding in library_differences(source, target) if name in source]:
                self._repair.load(name, source)
            target = read_libraries(self._pair.target) or {}
        for name, finding in library_differences(source, target):
            self._add(None, printable(name), [finding])

    def _tell_sizes(self) -> None:
        for there, origins in self._origins.items():
            self._tell(
                there, [self._size(self._pair.source, db) for db in origins], self._size(self._pair.target, there)
            )

    def _tell(self, there: int, source_keys: list[int], target_keys: int) -> None:
        counts: list[tuple[int | None, int]] = [*zip(self._origins[there], source_keys)] or [(None, 0)]
        self._report.databases += [DatabaseCount(db, there, keys, target_keys) for db, keys in counts]

    def _count(self) -> None:
        for there, origins in self._origins.items():
            source, target = self._counted(origins, there)
            self._tell(there, source, target)
            self._report.compared += sum(source)
            surplus = sum(source) - target
            if surplus:
                facts = [counted(keys, "key") for keys in (sum(source), target)]
                self._report.missing += max(0, surplus)
                self._report.extra += max(0, -surplus)
                self._report.differences.append(Difference(origins[0] if origins else there, "", "count", *facts))
        del self._report.differences[self._options.max_differences :]

    def _counted(self, origins: list[int], there: int) -> tuple[list[int], int]:
        """Keys in the databases of the source, and in the one of the target that holds them."""
        source: list[int] = []
        target = 0
        for _attempt in range(_COUNTS):
            if self._options.keys.takes_all:
                source = [self._size(self._pair.source, db) for db in origins]
                target = self._size(self._pair.target, there)
                if sum(source) == target or not self._pair.target.can_scan:
                    break
            # DBSIZE counts what has expired and was not looked at since, and our checkpoints. SCAN does neither.
            source = [self._scanned(self._pair.source, db) for db in origins]
            target = self._scanned(self._pair.target, there)
            if sum(source) == target:
                break
        return source, target

    def _scanned(self, side: Side, database: int) -> int:
        return sum(map(len, side.scan(database, self._options.keys)))

    def _size(self, side: Side, database: int) -> int:
        return side.size(database) - side.checkpoints.get(database, 0)


class _Counting:
    """A census on its way: the target scans its keys while both are busy with the source's."""

    def __init__(self, scanned: t.Iterator[list[bytes]]) -> None:
        self._scanned = scanned
        self.census = Census()

    def go_on(self) -> bool:
        """Take one batch; whether there was one."""
        keys = next(self._scanned, None)
        if keys is not None:
            self.census.add(keys)
        return keys is not None

    def finish(self) -> None:
        while self.go_on():
            pass
