# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.filter.free_bytes import free_bytes


def test_a_directory_that_is_not_there_yet_has_the_room_of_the_one_above_it(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free

    assert free_bytes(str(tmp_path / "not" / "there")) == pytest.approx(free, rel=0.05)


def test_another_file_system_has_its_own() -> None:
    assert free_bytes("/dev/shm") == pytest.approx(shutil.disk_usage("/dev/shm").free, rel=0.05)
