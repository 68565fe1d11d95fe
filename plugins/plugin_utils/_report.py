# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the hosts' reports say of a migration of many: by host, how it ended and how long each phase took."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing as t

#: The phases that the reports have a duration of, in the order in which they happen.
PHASES = ("rewrite", "transfer", "import", "compare")
DONE = ("migrated", "already migrated")

Report = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Host:
    name: str
    outcome: str  #: as in its report.json; "no report" where there is none that can be read
    message: str
    report: Report

    @property
    def done(self) -> bool:
        return self.outcome in DONE

    @property
    def phases(self) -> dict[str, float]:
        """Seconds by phase, of those that came to their end."""
        found = {name: (self.report.get(name) or {}).get("elapsed") for name in PHASES}
        return {name: float(seconds) for name, seconds in found.items() if seconds is not None}

    @property
    def seconds(self) -> float:
        return sum(self.phases.values())

    @property
    def keys(self) -> int:
        return sum(((self.report.get("source") or {}).get("keyspace") or {}).values())

    def of(self, part: str, name: str) -> t.Any:
        return (self.report.get(part) or {}).get(name)


def read(directory: pathlib.Path, names: t.Iterable[str], ended: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[Host]:
    """``ended``: those that this run has brought to an end, each with its ``outcome`` and ``message``."""
    return [_host(name, directory / name / "report.json", ended.get(name)) for name in names]


def _host(name: str, path: pathlib.Path, ending: t.Mapping[str, t.Any] | None) -> Host:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        told, when = str(report["message"]).strip(), report.get("time")
    except FileNotFoundError:
        report, told, when = {}, "", None
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Host(name, "no report", f"{path} can't be read: {error}", {})
    if ending is not None:
        return Host(name, str(ending["outcome"]), str(ending["message"]).strip(), report)
    before = f" A run before, at {when}, said: {told}" if told else ""
    return Host(name, "no report", f"This run has not brought it to an end: not begun, or interrupted.{before}", {})
