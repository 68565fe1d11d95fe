# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of all hosts in a real browser: on a phone, in the dark, on paper."""

from __future__ import annotations

import html
import importlib.resources
import json
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.plugin_utils._report import Host
from ansible_collections.redisops.tair.plugins.plugin_utils._report_page import page
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

#: It asks for nothing but the page, and needs no display.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=2000",
)
#: Put at the end of the page, it tells what the browser has made of it.
MEASURE = """<script>
const of = (element) => getComputedStyle(element);
const table = document.querySelector('table');
document.title = JSON.stringify({
  window: innerWidth, page: document.documentElement.scrollWidth,
  background: of(document.body).backgroundColor, text: of(document.body).color,
  scrolls: table.parentElement.scrollWidth > table.parentElement.clientWidth,
  bars: [...document.querySelectorAll('svg rect title')].map((title) => {
    const bar = title.parentElement.getBoundingClientRect();
    return [bar.left, bar.width];
  }),
  loaded: performance.getEntriesByType('resource').length,
});
</script>"""


#: Another one: what the rules of axe-core find wrong.
AXE = f"""<script>
{(importlib.resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")}
axe.run(document).then((found) => {{
  document.title = JSON.stringify(found.violations.map((rule) => [rule.id, rule.nodes.map((node) => node.html)]));
}});
</script>"""


def host(name: str, outcome: str = "migrated", begin: int = 0) -> Host:
    def times(start: int, end: int) -> dict[str, str]:
        return {at: f"2026-11-25T02:00:{begin + second:02}.000000Z" for at, second in (("start", start), ("end", end))}

    report = {
        "source": {"keyspace": {"0": 1_200_000}},
        "failure": {"task": "verify | Compare source and target"} if outcome == "failed" else {},
        "rewrite": {**times(0, 4), "elapsed": 4.0},
        "transfer": {**times(5, 7), "elapsed": 2.0},
        "import": {**times(7, 15), "elapsed": 8.0, "bytes": 193_000_000, "errors": 0},
        "compare": {
            **times(16, 22),
            "elapsed": 6.0,
            "summary": "EQUAL in everything: 1200000 keys compared between 192.0.2.1:6379 and 192.0.2.2:6379",
        },
        "catch_up": {**times(15, 16), "downtime": 0.07},
        "time": "2026-11-25T02:00:00Z",
    }
    return Host(
        name, outcome, f"{name}: a message that is long enough to be broken into several lines on a phone", report
    )


@pytest.fixture
def browse(tmp_path: Path) -> t.Callable[..., t.Any]:
    """``browse("--dump-dom", width=400, dark=True)``: the report in Chromium; what it writes to its output."""
    program = shutil.which("chromium")
    if program is None:
        raise UnavailableError("there is no chromium here: apt-get install chromium")
    hosts = [host("redis1"), host("redis2.example.com", "failed", begin=3), host("redis3", begin=24)]
    file = tmp_path / "report.html"

    def run(*arguments: str, width: int = 1200, dark: bool = False, script: str = MEASURE, without: str = "\0") -> str:
        file.write_text(page(hosts).replace(without, "").replace("</body>", script + "</body>"))
        scheme = ["--force-dark-mode"] if dark else []
        command = [program, *FLAGS, *scheme, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
        done = subprocess.run(
            [*command, *arguments, file.as_uri()], capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout

    return run


def measured(browse: t.Callable[..., str], **how: t.Any) -> dict[str, t.Any]:
    (title,) = re.findall(r"<title>(\{.*?\})</title>", browse("--dump-dom", **how))
    told: dict[str, t.Any] = json.loads(html.unescape(title))
    return told


def test_a_phone_shows_the_page_at_its_width_and_lets_the_table_scroll(browse: t.Callable[..., str]) -> None:
    phone, desk = measured(browse, width=500), measured(browse, width=1400)

    assert phone["page"] <= phone["window"] and desk["page"] <= desk["window"]
    assert phone["scrolls"] and not desk["scrolls"]
    assert desk["loaded"] == 0


def test_the_bars_are_where_the_phases_were(browse: t.Callable[..., str]) -> None:
    bars = measured(browse)["bars"]

    assert len(bars) == 15
    begin, second = bars[0][0], bars[0][1] / 4
    expected = [
        (start + at, length) for at in (0, 3, 24) for start, length in ((0, 4), (5, 2), (7, 8), (15, 1), (16, 6))
    ]
    for (left, width), (start, length) in zip(bars, expected):
        assert left == pytest.approx(begin + start * second, abs=1.5) and width == pytest.approx(
            length * second, abs=1.5
        )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [500, 1400])
def test_axe_finds_nothing_that_keeps_anybody_from_reading_it(
    width: int, dark: bool, browse: t.Callable[..., str]
) -> None:
    assert violations(browse, width=width, dark=dark) == []


@pytest.mark.parametrize(
    ("without", "rule"),
    [
        (' lang="en"', "html-has-lang"),
        (' tabindex="0"', "scrollable-region-focusable"),
    ],
)
def test_axe_finds_what_is_missing(without: str, rule: str, browse: t.Callable[..., str]) -> None:
    assert rule in [name for name, _nodes in violations(browse, width=500, without=without)]


def violations(browse: t.Callable[..., str], **how: t.Any) -> list[t.Any]:
    (title,) = re.findall(r"<title>(\[.*?\])</title>", browse("--dump-dom", script=AXE, **how))
    found: list[t.Any] = json.loads(html.unescape(title))
    return found


def test_it_follows_the_system_into_the_dark(browse: t.Callable[..., str]) -> None:
    light, dark = measured(browse), measured(browse, dark=True)

    assert light["background"] == "rgb(255, 255, 255)" and dark["background"] == "rgb(13, 17, 23)"
    assert light["text"] != dark["text"]


def test_it_can_be_printed_and_pictured(browse: t.Callable[..., str], tmp_path: Path) -> None:
    browse(f"--screenshot={tmp_path / 'page.png'}", width=500)
    browse(f"--print-to-pdf={tmp_path / 'page.pdf'}")

    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG") and (
        tmp_path / "page.png"
    ).stat().st_size > 10_000
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
