# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._errors import MissingLibraryError
from ansible_collections.redisops.tair.plugins.plugin_utils._library import library_for


def test_a_python_without_any_library_can_import_what_is_brought_along(tmp_path: Path) -> None:
    library = tmp_path / "redis.zip"
    library.write_bytes(library_for("3.11.2"))

    done = subprocess.run(
        [sys.executable, "-S", "-c", "import redis.backoff; print(redis.__version__, redis.__file__)"],
        env={**os.environ, "PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == [redis.__version__, f"{library}/redis/__init__.py"], done.stderr


def test_a_python_that_is_too_old_for_it_is_told_with_the_ways_out() -> None:
    with pytest.raises(MissingLibraryError) as told:
        library_for("3.6.8")

    assert redis.__version__ in str(told.value) and "the host has 3.6.8" in str(told.value)
    assert "pip install redis" in str(told.value) and "aof_migrate_source_via=control_node" in str(told.value)
