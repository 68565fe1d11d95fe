# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How is a migration told to people? As one HTML page that needs nothing else: no script, no network."""

from __future__ import annotations

import html
import math
import typing as t
from datetime import datetime, timezone

from ansible_collections.redisops.tair.plugins.module_utils._text import without_controls
from ansible_collections.redisops.tair.plugins.plugin_utils._report import PHASES, Host

_STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--soft:#57606a;--page:#fff;--line:#d0d7de;--good:#116329;--bad:#a40e26;
--rewrite:#0550ae;--transfer:#8250df;--import:#116329;--catchup:#0e7490;--compare:#953800}
@media (prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9da7b3;--page:#0d1117;--line:#3d444d;--good:#56d364;
--bad:#ff9492;--rewrite:#79c0ff;--transfer:#d2a8ff;--import:#56d364;
--catchup:#22d3ee;--compare:#ffa657}}
*{box-sizing:border-box}body{margin:0 auto;max-width:80rem;padding:1.5rem 1rem;background:var(--page);color:var(--text);
font:1rem/1.5 system-ui,sans-serif}h1{font-size:1.6rem;margin:0 0 1rem}h2{font-size:1.2rem;margin:2rem 0 .5rem}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.75rem;margin:0}
dl div{border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}dt{color:var(--soft);font-size:.85rem}
dd{margin:0;font-size:1.1rem;font-weight:600;overflow-wrap:anywhere}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}caption{text-align:left;color:var(--soft);padding:.25rem 0}
th,td{border-bottom:1px solid var(--line);padding:.4rem .6rem;text-align:left;white-space:nowrap;vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums}.good{color:var(--good)}.bad{color:var(--bad)}
li{overflow-wrap:anywhere;margin:.4rem 0}td.c{white-space:normal;min-width:14rem}
svg{min-width:44rem;width:100%;height:auto}svg text{fill:var(--text);font-size:12px}
svg text.soft{fill:var(--soft)}.grid{stroke:var(--line)}
.rewrite{fill:var(--rewrite)}.transfer{fill:var(--transfer)}.import{fill:var(--import)}
.catch_up{fill:var(--catchup)}.compare{fill:var(--compare)}
@media print{rect{print-color-adjust:exact;-webkit-print-color-adjust:exact}body{max-width:none;padding:0}
.wide{overflow:visible}th,td{white-space:normal}tr,svg{break-inside:avoid}}
"""
_HEADINGS = ("Host", "Status", "Keys", "Bytes", "Rate", "Errors", "Comparison", "Writers stopped", "Reported")
_NUMBERS = range(2, 6)
#: Of the timeline, in its own units.
_LEFT, _WIDTH, _RIGHT, _ROW = 180, 640, 100, 26
_NAMES = {phase: phase.replace("_", "-") for phase in PHASES}
#: Seconds between two lines of its axis.
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 604800)


def page(hosts: t.Sequence[Host]) -> str:
    messages = "".join(f"<li><strong>{_e(host.name)}</strong>: {_e(_told(host))}</li>" for host in hosts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Migration into Tair</title>'
        f"<style>{_STYLE}</style></head>\n<body><main><h1>Migration into Tair</h1>\n{_summary(hosts)}\n"
        f"<h2>Hosts</h2>\n{_table(hosts)}\n<h2>Phases</h2>\n{_timeline(hosts)}\n"
        f"<h2>Messages</h2>\n<ul>{messages}</ul>\n</main></body></html>\n"
    )


def _summary(hosts: t.Sequence[Host]) -> str:
    outcomes = [host.outcome for host in hosts]
    slowest = max(hosts, key=lambda host: host.seconds, default=None)
    downtimes = [host.of("catch_up", "downtime") for host in hosts if host.of("catch_up", "downtime") is not None]
    facts = {
        "Hosts": len(hosts),
        "Migrated": outcomes.count("migrated"),
        "Already migrated": outcomes.count("already migrated"),
        "Failed": outcomes.count("failed"),
        "No report": outcomes.count("no report"),
        "Keys of the done": f"{sum(host.keys for host in hosts if host.done):,}",
        "Bytes imported": _size(sum(host.of("import", "bytes") or 0 for host in hosts)),
        "Slowest host": f"{slowest.name}, {_duration(slowest.seconds)}" if slowest and slowest.phases else "-",
        "Longest stop of writers": f"{max(downtimes)} s" if downtimes else "not measured",
    }
    return "<dl>" + "".join(f"<div><dt>{_e(k)}</dt><dd>{_e(v)}</dd></div>" for k, v in facts.items()) + "</dl>"


def _table(hosts: t.Sequence[Host]) -> str:
    head = "".join(f'<th scope="col"{_number(at)}>{_e(text)}</th>' for at, text in enumerate(_HEADINGS))
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Hosts"><table><caption>Every host of the play, as'
        f" this run has left it; times are UTC</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(map(_row, hosts))}</tbody></table></div>"
    )


def _row(host: Host) -> str:
    size, seconds = host.of("import", "bytes"), host.of("import", "elapsed")
    downtime = host.of("catch_up", "downtime")
    cells = (
        f"{host.keys:,}" if host.report else "-",
        "-" if size is None else _size(size),
        f"{_size(size / seconds)}/s" if size and seconds else "-",
        "-" if host.of("import", "errors") is None else host.of("import", "errors"),
        host.of("compare", "summary") or "not compared",
        "-" if downtime is None else f"{downtime} s",
        str(host.report.get("time", "-")).replace("T", " ").rstrip("Z"),
    )
    mark, tone = ("\u2714", "good") if host.done else ("\u2716", "bad")
    row = "".join(f"<td{_number(at)}>{_e(text)}</td>" for at, text in enumerate(cells, 2))
    return f'<tr><th scope="row">{_e(host.name)}</th><td class="{tone}">{mark} {_e(host.outcome)}</td>{row}</tr>'


def _timeline(hosts: t.Sequence[Host]) -> str:
    """Of the hosts that this run has moved or failed to move: what others have on record is of an earlier one."""
    timed = [host for host in hosts if host.outcome in ("migrated", "failed") and host.phases]
    if not timed:
        return "<p>No phase was timed.</p>"
    begin = min(host.phases[0].start for host in timed)
    span = max(max(host.phases[-1].end for host in timed) - begin, 0.001)
    parts = [_legend(), _axis(begin, span, len(timed))]
    for at, host in enumerate(timed, 2):
        y, end = at * _ROW, host.phases[-1].end
        name = host.name if len(host.name) <= 26 else host.name[:23] + "..."
        parts.append(f'<text x="0" y="{y + 14}">{_e(name)}</text>')
        for phase in host.phases:
            told = f"{host.name}: {_NAMES[phase.name]}, {phase.seconds:.1f} s from {_clock(phase.start)}"
            x, width = _x(phase.start, begin, span), phase.seconds / span * _WIDTH
            parts.append(
                f'<rect class="{phase.name}" x="{x:.1f}" y="{y + 2}" width="{max(width, 1):.1f}" height="16">'
                f"<title>{_e(told)}{', failed' if phase.failed else ''}</title></rect>"
            )
        mark = "\u2716 " if host.phases[-1].failed else ""
        parts.append(f'<text x="{_x(end, begin, span) + 6:.1f}" y="{y + 14}">{mark}{_duration(host.seconds)}</text>')
    width, height = _LEFT + _WIDTH + _RIGHT, (len(timed) + 2) * _ROW
    return (
        f"<p>From {_clock(begin)} to {_clock(begin + span)} UTC by the clock of the control node, {_duration(span)} in all.</p>"
        '<div class="wide" tabindex="0" role="region" aria-label="Phases">'
        f'<svg role="img" aria-label="When each phase of each host was" viewBox="0 0 {width} {height}">'
        f"{''.join(parts)}</svg></div>"
    )


def _legend() -> str:
    parts = []
    for at, (phase, name) in enumerate(_NAMES.items()):
        x = _LEFT + at * 110
        parts.append(
            f'<rect class="{phase}" x="{x}" y="4" width="12" height="12"/><text x="{x + 18}" y="15">{name}</text>'
        )
    return "".join(parts)


def _axis(begin: float, span: float, rows: int) -> str:
    """A line every so many seconds, at most eight of them, each with its time."""
    step = next((step for step in _STEPS if span / step <= 8), _STEPS[-1])
    parts = []
    for at in range(math.ceil(begin / step), int((begin + span) / step) + 1):
        x = _x(at * step, begin, span)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{2 * _ROW - 4}" y2="{(rows + 2) * _ROW}"/>'
            f'<text class="soft" x="{x:.1f}" y="{2 * _ROW - 8}" text-anchor="middle">{_clock(at * step)}</text>'
        )
    return "".join(parts)


def _x(time: float, begin: float, span: float) -> float:
    return _LEFT + (time - begin) / span * _WIDTH


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time, timezone.utc).strftime("%H:%M:%S")


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes} min {left} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _told(host: Host) -> str:
    """Its message, which begins with its name in the terminal."""
    return host.message.removeprefix(f"{host.name}: ")


def _number(at: int) -> str:
    return ' class="n"' if at in _NUMBERS else ' class="c"' if at == _HEADINGS.index("Comparison") else ""


def _e(value: object) -> str:
    return html.escape(without_controls(str(value)))


def _size(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
