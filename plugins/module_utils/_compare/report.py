# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What is asked of a comparison, and what it answers."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.redisops.tair.plugins.module_utils._compare.values import counted
from ansible_collections.redisops.tair.plugins.module_utils._keys import DatabaseMap, KeyFilter
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint

Mode = t.Literal["count", "meta", "full"]


@dataclass(frozen=True)
class Options:
    """What to compare and how. ``sample``: keys a database, 0 for all. ``tolerance``: milliseconds."""

    mode: Mode = "full"
    sample: int = 0
    tolerance: float = 1000.0
    databases: DatabaseMap = field(default_factory=DatabaseMap)
    keys: KeyFilter = field(default_factory=KeyFilter)
    max_differences: int = 100
    ignore: t.Container[str] = ()
    """``functions`` and ``hash_field_ttl``: what an older target can't hold."""
    repair: bool = False
    """Copy keys that differ again, and compare them once more."""


@dataclass(frozen=True)
class Difference:
    """One difference as it is reported. ``database``: the source's number; of an extra key the target's; None of a function."""

    database: int | None
    key: str
    reason: str
    source: str
    target: str


@dataclass(frozen=True)
class DatabaseCount:
    """Keys of a database on the source and of the one on the target that it is compared with.

    ``source``: None for a database of the target in which nothing of the source belongs.
    """

    source: int | None
    target: int
    source_keys: int
    target_keys: int


@dataclass
class Report:
    """The outcome. ``missing``, ``extra`` and ``mismatched`` count all keys, ``differences`` lists the first of them."""

    compared: int = 0
    missing: int = 0
    extra: int = 0
    mismatched: int = 0
    repaired: int = 0
    """Keys and libraries that were copied again."""
    one_way: bool = False
    """Whether keys that only the target has could not be looked for."""
    differences: list[Difference] = field(default_factory=list)
    databases: list[DatabaseCount] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    elapsed: float = 0.0

    @property
    def equal(self) -> bool:
        return not (self.missing or self.extra or self.mismatched)

    def add(self, other: Report, *, share: bool) -> None:
        """Take in the comparison with another node of the same cluster.

        ``share``: whether the keys of the source were counted that belong there, and not all of them.
        """
        self.compared += other.compared
        self.missing += other.missing
        self.extra += other.extra
        self.mismatched += other.mismatched
        self.repaired += other.repaired
        self.one_way = self.one_way or other.one_way
        self.differences += other.differences
        self.warnings += [warning for warning in other.warnings if warning not in self.warnings]
        known = {(count.source, count.target): count for count in self.databases}
        for count in other.databases:
            before = known.get((count.source, count.target))
            if before is not None:
                keys = count.source_keys + before.source_keys if share else count.source_keys
                count = replace(count, source_keys=keys, target_keys=count.target_keys + before.target_keys)
            known[count.source, count.target] = count
        self.databases = list(known.values())


def summary(report: Report, options: Options, source: Endpoint, target: Endpoint) -> str:
    """The outcome in a sentence."""
    what = "counted" if options.mode == "count" else "compared"
    keys = f"{counted(report.compared, 'key')} {what} between {source} and {target}"
    if not report.equal:
        numbers = f"{report.missing} missing, {report.extra} extra, {report.mismatched} mismatched"
        return f"DIFFERENT: {numbers} of {keys}"
    depth = {"count": "their number", "meta": "existence, type, expiry and length", "full": "everything"}[options.mode]
    text = f"EQUAL in {depth}: {keys}"
    if report.one_way:
        text += "; whether the target has others could not be seen"
    if report.repaired:
        text += f", {report.repaired} of them copied again"
    if (
        options.sample
        and options.mode != "count"
        and 0 < report.compared < sum(db.source_keys for db in report.databases)
    ):
        # The rule of three: none among n chosen at random, so with 95 % confidence below 3/n of all.
        share = min(100.0, 300 / report.compared)
        text += f", chosen at random: with 95 % confidence less than {share:.2g} % of all keys differ"
    return text
