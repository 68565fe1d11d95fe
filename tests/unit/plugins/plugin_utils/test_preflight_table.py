# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.plugin_utils._estimate import duration, estimate
from ansible_collections.redisops.tair.plugins.plugin_utils._preflight_table import WIDTH, table

SOURCE = {"keyspace": {"0": 1_000_000}, "used_memory_dataset": 1_000_000_000}
TARGET = {"round_trip_ms": 0.5, "bandwidth": 100_000_000}


def report(**changed: t.Any) -> dict[str, t.Any]:
    return {
        "findings": [],
        "source": {"flavor": "redis", "version": "7.0.15", "key_count": 1_234_567, "bytes": 987_000_000},
        "target": {"address": "r-bp1zxszhcgatnx0000.redis.rds.aliyuncs.com:6379"},
        "estimate": {"text": "about 2 min"},
        "done": False,
        **changed,
    }


def test_long_names_are_cut_so_that_every_line_fits_and_short_ones_are_not() -> None:
    lines = table({"redis-with-a-very-long-name-indeed.internal.example.com": report(), "b": report()}, {})

    assert max(map(len, lines)) <= WIDTH
    assert "1,234,567" in lines[1] and "987 MB" in lines[1] and "~2 min" in lines[1] and lines[1].endswith("clear")
    assert "..." in lines[1] and lines[2].startswith("b ")


def test_a_host_that_was_not_looked_at_says_why_and_one_that_is_done_says_so() -> None:
    lines = table({"a": {"msg": "Connection refused"}, "b": report(done=True, estimate=None)}, {})

    assert lines[1].endswith("1 blocker") and lines[2].endswith("done")
    assert "!! a [not_looked_at]" in lines and "   Connection refused" in lines
    assert lines[-1] == "1 of 2 hosts can be migrated."


def test_a_doubt_is_told_and_blocks_nothing() -> None:
    doubt = {"id": "target.evicts", "severity": "doubt", "side": "target", "what": "It evicts.", "todo": "Stop that."}
    lines = table({"a": report(findings=[doubt])}, {})

    assert lines[1].endswith("clear") and lines[2:4] == ["?  a [target.evicts]", "   It evicts. Stop that."]


def test_a_slow_line_and_a_full_comparison_make_it_longer_and_direct_shorter() -> None:
    usual = estimate(SOURCE, TARGET, transfer="fetch", verify="full")
    slow = estimate(SOURCE, {**TARGET, "bandwidth": 1_000_000}, transfer="fetch", verify="full")
    direct = estimate(SOURCE, TARGET, transfer="direct", verify="none")

    assert slow["steps"]["import"] == pytest.approx(1000, rel=0.01) and slow["seconds"] > usual["seconds"]
    assert direct["steps"]["transfer"] == direct["steps"]["comparison"] == 0
    assert usual["seconds"] == pytest.approx(20 + sum(usual["steps"].values()), abs=1)


def test_without_measurements_it_says_so_and_a_plain_aof_gives_the_size() -> None:
    aof = {**SOURCE, "appendonly": True, "preamble": "no", "base_size": 500_000_000}
    told = estimate(aof, {"round_trip_ms": None, "bandwidth": None}, transfer="fetch", verify="meta")

    assert told["bytes"] == 500_000_000 and told["bandwidth"] is None
    assert any("bandwidth unknown" in reason and "round trip unknown" in reason for reason in told["assumptions"])


@pytest.mark.parametrize(("seconds", "text"), [(2, "10 s"), (44, "40 s"), (150, "2 min"), (7000, "1.9 h")])
def test_a_duration_is_no_more_exact_than_an_estimate(seconds: float, text: str) -> None:
    assert duration(seconds) == text
