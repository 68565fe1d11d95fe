# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a progress line is due, and how it reads."""

from __future__ import annotations

import pytest
from ansible_collections.redisops.tair.plugins.plugin_utils._progress import Progress, duration, size, wanted


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_line_tells_host_percent_rate_and_time_left(clock: Clock) -> None:
    lines: list[str] = []
    progress = Progress("redis1 | aof_fetch", 2_000_000_000, lines.append, clock=clock)
    clock.now += 5
    progress.update(500_000_000)
    assert lines == ["redis1 | aof_fetch: 25 % of 2.0 GB, 100.0 MB/s, 0:15 left"]


def test_what_was_there_before_counts_for_the_percent_but_not_for_the_rate(clock: Clock) -> None:
    lines: list[str] = []
    progress = Progress("redis1", 1000_000_000, lines.append, done=500_000_000, clock=clock)
    clock.now += 10
    progress.update(600_000_000)
    assert lines == ["redis1: 60 % of 1.0 GB, 10.0 MB/s, 0:40 left"]


def test_lines_come_neither_too_often_nor_for_too_little(clock: Clock) -> None:
    lines: list[str] = []
    progress = Progress("redis1", 1000, lines.append, clock=clock)
    for done in range(1001):  # a hundred seconds, one percent each
        progress.update(done)
        clock.now += 0.1
    assert [line.split()[1] for line in lines] == [str(percent) for percent in range(5, 100, 5)]

    fast: list[str] = []
    progress = Progress("redis1", 1000, fast.append, clock=clock)
    for done in range(1001):  # ten seconds
        progress.update(done)
        clock.now += 0.01
    assert len(fast) == 3


def test_a_slow_copy_still_shows_that_it_lives(clock: Clock) -> None:
    lines: list[str] = []
    progress = Progress("redis1", 10**12, lines.append, clock=clock)
    for _second in range(180):
        clock.now += 1
        progress.update(int(clock.now - 1000) * 1000)
    assert len(lines) == 3


def test_a_copy_that_is_done_within_seconds_prints_nothing(clock: Clock) -> None:
    lines: list[str] = []
    progress = Progress("redis1", 100, lines.append, clock=clock)
    clock.now += 1
    progress.update(90)
    clock.now += 10
    progress.update(100)
    assert lines == []


@pytest.mark.parametrize(
    ("value", "shown"), [(True, True), (False, False), ("false", False), ("no", False), ("yes", True)]
)
def test_a_variable_switches_the_lines_off(value: object, shown: bool) -> None:
    assert wanted({"redisops_tair_progress": "{{ template }}"}, {"{{ template }}": value}.__getitem__) is shown
    assert wanted({}, lambda written: written) is True


def test_sizes_and_times_read_well() -> None:
    assert [size(n) for n in (0, 999, 1000, 12_400_000, 3.5e9, 2e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "12.4 MB",
        "3.5 GB",
        "2.0 TB",
    ]
    assert [duration(s) for s in (0.4, 59.6, 86, 7286)] == ["0:00", "1:00", "1:26", "2:01:26"]
