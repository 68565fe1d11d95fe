# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A fleet's preflight as a table for a terminal, and below it what stands in the way of each host."""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._text import shown

WIDTH = 96
_HEADINGS = ("HOST", "SOURCE", "SIZE", "KEYS", "TARGET", "TAKES", "VERDICT")
#: Columns that may be cut where the line gets too long, the widest first; and how little is left of them.
_CUT, _SHORTEST = (0, 4), 12
_RIGHT = (2, 3)

Reports = t.Mapping[str, t.Mapping[str, t.Any]]


def table(reports: Reports, plans: t.Mapping[str, str]) -> list[str]:
    """The lines. ``reports``: by host, what ``aof_preflight`` returned; empty for one that it did not come to.

    ``plans``: by host, what a run would do.
    """
    rows = [_HEADINGS, *(_row(host, report) for host, report in reports.items())]
    lines = _aligned(rows)
    for host, report in reports.items():
        if plans.get(host) and not obstacles_of(report):
            lines.append(f"-> {host}")
            lines += _wrapped(plans[host].removeprefix(f"{host}: "))
        for finding in findings_of(report):
            mark = "!!" if finding["severity"] == "obstacle" else "? "
            text = f"{finding['what']} {finding.get('todo', '')}".strip()
            lines.append(f"{mark} {host} [{finding['id']}]")
            lines += _wrapped(text)
    blocked = sum(1 for report in reports.values() if obstacles_of(report))
    lines.append(f"{len(reports) - blocked} of {len(reports)} hosts can be migrated.")
    return [shown(line) for line in lines]


def as_values(reports: Reports, plans: t.Mapping[str, str]) -> dict[str, t.Any]:
    """The same for programs."""
    hosts = {
        host: {
            "clear": not obstacles_of(report),
            "done": bool(report.get("done")),
            "plan": plans.get(host, "").removeprefix(f"{host}: ") or None,
            **{name: report.get(name) or None for name in ("source", "target", "estimate")},
            "findings": findings_of(report),
        }
        for host, report in reports.items()
    }
    return {"schema_version": 1, "clear": all(host["clear"] for host in hosts.values()), "hosts": hosts}


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="   ", subsequent_indent="   ")


def findings_of(report: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    if "findings" in report:
        return list(report["findings"])
    return [
        {
            "id": "not_looked_at",
            "severity": "obstacle",
            "side": "source",
            "what": report.get("msg") or "Nothing could be found out about this host.",
        }
    ]


def obstacles_of(report: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    return [finding for finding in findings_of(report) if finding["severity"] == "obstacle"]


def _row(host: str, report: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    source, target = report.get("source") or {}, report.get("target") or {}
    estimate = report.get("estimate") or {}
    obstacles = len(obstacles_of(report))
    verdict = f"{obstacles} blocker{'s' * (obstacles != 1)}" if obstacles else "done" if report.get("done") else "clear"
    size, keys = source.get("bytes"), source.get("key_count")
    return (
        host,
        f"{source['flavor']} {source['version']}" if source.get("version") else "-",
        "-" if size is None else _human(size),
        "-" if keys is None else f"{keys:,}",
        target.get("address") or "-",
        estimate.get("text", "-").replace("about ", "~"),
        verdict,
    )


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        widest = max(_CUT, key=widths.__getitem__)
        if widths[widest] <= _SHORTEST:
            break
        widths[widest] -= 1
    return [
        "  ".join(_cell(text, width, at) for at, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows
    ]


def _cell(text: str, width: int, at: int) -> str:
    if len(text) > width:
        text = text[: width - 3] + "..."
    return text.rjust(width) if at in _RIGHT else text.ljust(width)


def _human(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
