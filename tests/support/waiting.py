# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for what another process does."""

from __future__ import annotations

import time
import typing as t


def wait_until(happened: t.Callable[[], object], timeout: float = 30.0) -> None:
    """``timeout``: seconds after which the test fails."""
    end = time.monotonic() + timeout
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
