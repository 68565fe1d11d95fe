# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a rewrite is over, by what INFO says at two moments. Sequences that a real server shows for an instant only."""

from __future__ import annotations

from ansible_collections.redisops.tair.plugins.module_utils._rewrite import _is_over
from ansible_collections.redisops.tair.plugins.module_utils._source import Persistence

#: INFO persistence of Redis 6.2 at rest; 7.0 has aof_rewrites, too.
AT_REST = {
    "aof_enabled": 1,
    "aof_rewrite_in_progress": 0,
    "aof_rewrite_scheduled": 0,
    "aof_current_rewrite_time_sec": -1,
    "aof_last_bgrewrite_status": "ok",
}


def at_rest(**fields: object) -> Persistence:
    return Persistence.from_info({**AT_REST, **fields})


def running(seconds: int, **fields: object) -> Persistence:
    return at_rest(aof_rewrite_in_progress=1, aof_current_rewrite_time_sec=seconds, **fields)


def test_a_rewrite_that_runs_is_not_over() -> None:
    assert not _is_over(at_rest(), at_rest(), running(0), started=True)
    assert not _is_over(at_rest(), running(0), running(7), started=True)
    assert not _is_over(at_rest(aof_rewrites=3), running(0, aof_rewrites=4), running(7, aof_rewrites=4), started=True)


def test_a_rewrite_that_has_started_and_runs_no_more_is_over() -> None:
    assert _is_over(at_rest(), running(7), at_rest(), started=True)
    assert _is_over(at_rest(), at_rest(), at_rest(), started=True)  # it was too fast to be seen


def test_a_rewrite_that_is_only_scheduled_is_not_over() -> None:
    assert not _is_over(at_rest(), at_rest(), at_rest(aof_rewrite_scheduled=1), started=False)


def test_a_rewrite_that_was_scheduled_and_is_neither_scheduled_nor_running_is_over() -> None:
    assert _is_over(at_rest(), at_rest(aof_rewrite_scheduled=1), at_rest(), started=False)


def test_a_next_attempt_that_is_scheduled_already_means_that_ours_is_over() -> None:
    assert _is_over(at_rest(), running(7), at_rest(aof_rewrite_scheduled=1), started=True)


def test_a_next_attempt_that_runs_already_means_that_ours_is_over() -> None:
    failed = "err"
    assert _is_over(at_rest(), running(7), running(0, aof_last_bgrewrite_status=failed), started=True)
    # It had failed before already, so the status tells nothing: the clock or the count does.
    before = at_rest(aof_last_bgrewrite_status=failed)
    last, now = (running(seconds, aof_last_bgrewrite_status=failed) for seconds in (7, 0))
    assert _is_over(before, last, now, started=True)
    before = at_rest(aof_last_bgrewrite_status=failed, aof_rewrites=3)
    last, now = (running(0, aof_last_bgrewrite_status=failed, aof_rewrites=count) for count in (4, 5))
    assert not _is_over(before, before, last, started=True)
    assert _is_over(before, last, now, started=True)


def test_what_an_old_server_does_not_tell_is_unknown_and_not_an_error() -> None:
    told = Persistence.from_info({})
    assert (told.size, told.base_size, told.rewrites, told.rewrite_seconds) == (None, None, None, -1)
    assert told.last_rewrite_ok and told.last_write_ok and not told.appendonly
