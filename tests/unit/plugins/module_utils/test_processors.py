# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many processes an import takes."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._import.processors import IdleProcessors, processes_for


@pytest.mark.parametrize(
    ("idle", "most", "expected"),
    [
        (None, 4, 4),
        (0.0, 4, 1),
        (0.3, 4, 1),
        (0.4, 4, 2),
        (1.2, 4, 2),
        (1.4, 4, 3),
        (60.0, 4, 4),
        (60.0, 1, 1),
    ],
)
def test_another_process_for_every_processor_that_is_idle(idle: float | None, most: int, expected: int) -> None:
    assert processes_for(idle, most) == expected


def test_what_was_too_short_to_tell_is_not_told() -> None:
    assert IdleProcessors().count() is None


def test_there_are_no_more_idle_processors_than_processors() -> None:
    idle = IdleProcessors()
    time.sleep(0.3)
    count = idle.count()
    assert count is not None and 0 <= count <= (os.cpu_count() or 1) + 0.5, (
        "the kernel's clock ticks 100 times a second"
    )
