# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the hosts' reports say of a migration of many: by host, how it ended and when each phase was."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import typing as t

from ansible_collections.redisops.tair.plugins.plugin_utils._artifacts import read as read_artifact
from ansible_collections.redisops.tair.plugins.plugin_utils._timed import seconds

#: The timed phases, in the order in which they happen, and the tasks of the role that each of them is.
PHASES = {"rewrite": "rewrite", "transfer": "transfer", "import": "import", "catch_up": "import", "compare": "verify"}
DONE = ("migrated", "already migrated")
_LARGEST_NUMBER = 1 << 63

Report = t.Mapping[str, t.Any]


class Phase(t.NamedTuple):
    """``start`` and ``end``: seconds since the epoch."""

    name: str
    start: float
    end: float
    failed: bool

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclasses.dataclass(frozen=True)
class Host:
    name: str
    outcome: str  #: as in its report.json; "no report" where there is none that can be read
    message: str
    report: Report

    @property
    def done(self) -> bool:
        return self.outcome in DONE

    @functools.cached_property
    def phases(self) -> list[Phase]:
        """Those that were begun."""
        return _phases(self.report)

    @property
    def seconds(self) -> float:
        """From the beginning of its first phase to the end of its last."""
        return self.phases[-1].end - self.phases[0].start if self.phases else 0.0

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
        report = json.loads(read_artifact(path))
        told, when = str(report["message"]).strip(), report.get("time")
        _phases(report)
        _require_numbers(report)
    except FileNotFoundError:
        report, told, when = {}, "", None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Host(name, "no report", f"{path} can't be read: {error}", {})
    if ending is not None:
        return Host(name, str(ending["outcome"]), str(ending["message"]).strip(), report)
    before = f" A run before, at {when}, said: {told}" if told else ""
    return Host(name, "no report", f"This run has not brought it to an end: not begun, or interrupted.{before}", {})


def _require_numbers(report: Report) -> None:
    """Raise :class:`TypeError` unless what is added up or formatted as a number is one."""
    imported, caught_up = report.get("import") or {}, report.get("catch_up") or {}
    keyspace = (report.get("source") or {}).get("keyspace") or {}
    numbers = [*keyspace.values(), imported.get("bytes"), imported.get("elapsed"), caught_up.get("downtime")]
    for number in numbers:
        if number is not None and not (isinstance(number, (int, float)) and abs(number) < _LARGEST_NUMBER):
            raise TypeError(f"{number!r:.80} is not a number")


def _phases(report: Report) -> list[Phase]:
    """Raises what a report does that the role has not written: :class:`ValueError`, :class:`KeyError`, :class:`TypeError`."""
    found = [
        Phase(name, seconds(report[name]["start"]), seconds(report[name]["end"]), failed=False)
        for name in PHASES
        if "start" in (report.get(name) or {})
    ]
    task = str((report.get("failure") or {}).get("task") or "")
    if found and task.startswith(PHASES[found[-1].name]):
        found[-1] = found[-1]._replace(failed=True)
    return found
