# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import html.parser
import json
import pathlib
import re
import typing as t
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta

import pytest
from ansible_collections.redisops.tair.plugins.plugin_utils._report import Host, read
from ansible_collections.redisops.tair.plugins.plugin_utils._report_junit import junit
from ansible_collections.redisops.tair.plugins.plugin_utils._report_page import page
from ansible_collections.redisops.tair.plugins.plugin_utils._report_run import endings

NASTY = "<script>alert('&\")</script>"
ESCAPES, SHOWN = "\x00\x1b]0;pwn\x07\x9b31m\u202e", r"\x00\x1b]0;pwn\x07\x9b31m\u202e"


def times(start: float, end: float) -> dict[str, str]:
    """Seconds after two o'clock, as the role reports them."""
    return {"start": f"2026-01-01T02:00:{start:09.6f}Z", "end": f"2026-01-01T02:00:{end:09.6f}Z"}


class Elements(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def hosts(tmp_path: pathlib.Path) -> list[Host]:
    def write(name: str, **report: t.Any) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(report))

    write(
        "a",
        outcome="migrated",
        message="done",
        time="2026-01-01T00:00:00Z",
        source={"keyspace": {"0": 1200, "3": 34}},
        rewrite={**times(1, 2.5), "elapsed": 1.5},
        transfer={**times(3, 3.5), "elapsed": 0.5},
        catch_up={**times(6.5, 7), "downtime": 0.25},
        compare={**times(7, 8), "elapsed": 1, "summary": "equal"},
        **{"import": {**times(4, 6.5), "elapsed": 2, "bytes": 4_000_000, "errors": 0}},
    )
    write(
        "b",
        outcome="failed",
        message=NASTY + ESCAPES,
        failure={"task": "import | Pipe the AOF into the target"},
        rewrite={**times(2, 4), "elapsed": 1},
        **{"import": times(5, 11)},
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "report.json").write_text('{"outcome": "migr')
    ended = {
        "a": {"outcome": "migrated", "message": "done"},
        "b": {"outcome": "failed", "message": NASTY + ESCAPES},
        "broken": {"outcome": "migrated", "message": "done"},
    }
    return read(tmp_path, ["a", "b", "broken", "never"], ended)


def test_junit_has_a_case_a_host_and_phase_and_says_which_host_failed_and_which_has_no_report(
    hosts: list[Host],
) -> None:
    suite = ET.fromstring(junit(hosts))

    cases = [(case.get("classname"), case.get("name")) for case in suite]
    assert cases[:6] == [("a", name) for name in ("rewrite", "transfer", "import", "catch_up", "compare", "migration")]
    assert cases[6:] == [("b", "rewrite"), ("b", "migration"), ("broken", "migration"), ("never", "migration")]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "time")} == {
        "tests": "10",
        "failures": "1",
        "errors": "2",
        "time": "16.000",
    }
    failure = suite.find("testcase/failure")
    assert failure is not None and failure.get("message") == NASTY + SHOWN
    assert failure.get("type") == "import | Pipe the AOF into the target"


def test_what_an_earlier_run_has_left_is_no_success_of_this_one(hosts: list[Host], tmp_path: pathlib.Path) -> None:
    (stale,) = read(tmp_path, ["a"], {})

    assert stale.outcome == "no report" and not stale.done and stale.phases == []
    assert "A run before, at 2026-01-01T00:00:00Z, said: done" in stale.message
    assert ET.fromstring(junit([stale])).get("errors") == "1"


def test_a_run_begins_anew_and_gathers_its_own_hosts(tmp_path: pathlib.Path) -> None:
    done, bad = {"outcome": "migrated", "message": "done"}, {"outcome": "failed", "message": "bad"}

    assert list(endings(tmp_path, "1-1", ["a", "b", "c"], "a", done)) == ["a"]
    assert list(endings(tmp_path, "1-1", ["a", "b", "c"], "b", bad)) == ["a", "b"]
    kept = json.loads((tmp_path / "report.json").read_text())
    assert {name: host["outcome"] for name, host in kept["hosts"].items()} == {
        "a": "migrated",
        "b": "failed",
        "c": "no report",
    }
    assert list(endings(tmp_path, "1-2", ["a", "b", "c"], "c", done)) == ["c"]
    (tmp_path / "report.json").write_text("{")
    assert list(endings(tmp_path, "1-2", ["a"], "a", done)) == ["a"]


def test_a_comparison_that_found_differences_is_a_failed_case(tmp_path: pathlib.Path) -> None:
    compare = {**times(0, 1), "elapsed": 1, "equal": False, "summary": "DIFFERENT: 1 missing"}
    host = Host(
        "a", "failed", "DIFFERENT", {"compare": compare, "failure": {"task": "verify | Compare source and target"}}
    )

    cases = {case.get("name"): case.find("failure") for case in ET.fromstring(junit([host]))}

    assert cases["compare"] is not None and cases["compare"].get("message") == "DIFFERENT: 1 missing"


def test_the_page_escapes_what_it_is_told_and_needs_nothing_from_elsewhere(hosts: list[Host]) -> None:
    text = page(hosts)
    elements = Elements(text)

    assert "&lt;script&gt;" in text and not elements.of("script") and not elements.of("link") and not elements.of("img")
    assert "http" not in text and "@import" not in text and "url(" not in text
    assert not [attributes for _tag, attributes in elements.found if "src" in attributes or "href" in attributes]


def test_the_page_has_a_title_a_captioned_table_and_headings_in_order(hosts: list[Host]) -> None:
    elements = Elements(page(hosts))

    assert elements.of("html")[0]["lang"] == "en" and len(elements.of("caption")) == len(elements.of("table")) == 1
    assert all(heading.get("scope") in ("col", "row") for heading in elements.of("th"))
    assert [tag for tag, _attributes in elements.found if tag in ("h1", "h2", "h3")] == ["h1", "h2", "h2", "h2"]
    assert elements.of("svg")[0]["aria-label"]


def test_the_page_tells_keys_rate_downtime_and_status_in_words(hosts: list[Host]) -> None:
    text = page(hosts)

    for told in ("1,234", "2 MB/s", "0.25 s", "b, 9.0 s", "\u2714 migrated", "\u2716 failed", "\u2716 no report"):
        assert told in text, told


def test_the_timeline_tells_when_each_phase_was_and_which_one_failed(hosts: list[Host]) -> None:
    text = page(hosts)

    assert "From 02:00:01 to 02:00:11 UTC by the clock of the control node, 10.0 s in all." in text
    for told in (
        "a: transfer, 0.5 s from 02:00:03<",
        "a: catch-up, 0.5 s from 02:00:06<",
        "b: import, 6.0 s from 02:00:05, failed<",
    ):
        assert told in text, told
    assert re.findall(r">(02:00:\d\d)</text>", text) == [f"02:00:{second:02}" for second in (2, 4, 6, 8, 10)]


def test_a_host_that_this_run_has_not_moved_is_not_in_its_timeline(hosts: list[Host]) -> None:
    before = Host("before", "already migrated", "it is there", hosts[0].report)

    assert "No phase was timed." in page([before]) and "before:" not in page([*hosts, before])


@pytest.mark.parametrize(("span", "label"), [(0.4, "0.4 s"), (200, "3 min 20 s"), (50_000, "13 h 53 min")])
def test_runs_of_any_length_have_a_few_lines_with_a_time(span: float, label: str) -> None:
    phase = {"start": "2026-01-01T00:00:00.000000Z", "end": f"{_after(span)}Z"}
    text = page([Host("a", "migrated", "", {"rewrite": phase})])

    assert label in text and text.count('class="grid"') <= 9


def _after(seconds: float) -> str:
    return (datetime(2026, 1, 1) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def test_a_page_of_no_host_and_one_of_hosts_without_times_can_be_written(tmp_path: pathlib.Path) -> None:
    assert "No phase was timed." in page([]) and "No phase was timed." in page(read(tmp_path, ["never"], {}))


def test_text_has_the_contrast_of_wcag_aa_in_light_and_in_dark() -> None:
    light, dark = (dict(re.findall(r"--(\w+):(#\w+)", part)) for part in page([]).split("prefers-color-scheme:dark"))

    for colours in (light, dark):
        for name in ("text", "soft", "good", "bad"):
            assert contrast(colours[name], colours["page"]) >= 4.5, name
        for name in ("rewrite", "transfer", "import", "catchup", "compare"):
            assert contrast(colours[name], colours["page"]) >= 3, name


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)


def test_the_page_shows_controls_as_escapes(hosts: list[Host]) -> None:
    text = page(hosts)
    assert SHOWN in text and not any(char in text for char in ESCAPES if not char.isprintable())


@pytest.mark.parametrize(
    "parts",
    [
        {"source": {"keyspace": {"0": "many"}}},
        {"source": {"keyspace": [1]}},
        {"source": [1]},
        {"source": "text"},
        {"import": {"bytes": 10**400}},
        {"import": {"bytes": "1"}},
        {"catch_up": {"downtime": {}}},
        {"rewrite": {"start": 1, "end": 2}},
        {"rewrite": ["start"]},
        {"failure": "text"},
    ],
    ids=str,
)
def test_a_report_with_values_of_another_type_is_one_that_can_not_be_read(
    parts: dict[str, t.Any], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "report.json").write_text(json.dumps({"message": "done", **parts}))
    hosts = read(tmp_path, ["a"], {"a": {"outcome": "migrated", "message": "done"}})
    assert [(host.name, host.outcome) for host in hosts] == [("a", "no report")] and "can't be read" in hosts[0].message
    assert page(hosts) and junit(hosts)
