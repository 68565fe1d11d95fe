# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of all hosts in a real browser: on a phone, in the dark, on paper."""

from __future__ import annotations

import html
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
  bars: [...document.querySelectorAll('svg rect title')].map((title) => title.parentElement.getBoundingClientRect().width),
  loaded: performance.getEntriesByType('resource').length,
});
</script>"""


def host(name: str, outcome: str = "migrated") -> Host:
    report = {
        "source": {"keyspace": {"0": 1_200_000}},
        "rewrite": {"elapsed": 4.0},
        "transfer": {"elapsed": 2.0},
        "import": {"elapsed": 8.0, "bytes": 193_000_000, "errors": 0},
        "compare": {
            "elapsed": 6.0,
            "summary": "EQUAL in everything: 1200000 keys compared between 192.0.2.1:6379 and 192.0.2.2:6379",
        },
        "catch_up": {"downtime": 0.07},
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
    hosts = [host("redis1"), host("redis2.example.com", "failed"), host("redis3")]
    file = tmp_path / "report.html"
    file.write_text(page(hosts).replace("</body>", MEASURE + "</body>"))

    def run(*arguments: str, width: int = 1200, dark: bool = False) -> str:
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


def test_the_bars_are_as_long_as_the_phases_took(browse: t.Callable[..., str]) -> None:
    bars = measured(browse)["bars"]

    assert len(bars) == 12
    rewrite, transfer, into, compare = bars[:4]
    assert rewrite / transfer == pytest.approx(2, rel=0.05)
    assert into / compare == pytest.approx(8 / 6, rel=0.05)


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
