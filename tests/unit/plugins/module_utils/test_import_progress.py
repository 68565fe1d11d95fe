# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The progress file of an import, as the one who reads it finds it."""

from __future__ import annotations

import json
import os
import stat
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import Progress, ProgressFile


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def closed_umask() -> t.Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_the_file_tells_how_far_it_is_to_everybody_and_is_gone_afterwards(
    tmp_path: Path, warnings: list[str], closed_umask: None
) -> None:
    path = tmp_path / "progress.json"
    with ProgressFile(path, warn=warnings.append) as file:
        file.write(Progress(10, 100, 3, 0))
        file.write(Progress(20, 100, 6, 1))
        assert json.loads(path.read_text()) == {"position": 20, "size": 100, "commands": 6, "errors": 1}
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert list(tmp_path.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == [] and warnings == []


def test_it_is_whole_whenever_it_is_read(tmp_path: Path, warnings: list[str]) -> None:
    path = tmp_path / "progress.json"
    seen: list[Progress | None] = []

    def read() -> None:
        while not seen or seen[-1] != Progress(2999, 10**12, 2999, 0):
            if path.exists():
                seen.append(Progress.from_json(path.read_bytes()))

    reader = threading.Thread(target=read, daemon=True)
    with ProgressFile(path, warn=warnings.append) as file:
        reader.start()
        for number in range(3000):
            file.write(Progress(number, 10**12, number, 0))
        reader.join(10)
    assert not reader.is_alive()
    assert None not in seen and len(set(seen)) > 10
    positions = [progress.position for progress in seen if progress is not None]
    assert positions == sorted(positions)


@pytest.mark.parametrize("path", ["missing/progress.json", "taken"])
def test_where_it_can_not_be_written_there_is_one_warning_and_nothing_is_left(
    path: str, tmp_path: Path, warnings: list[str]
) -> None:
    (tmp_path / "taken" / "by").mkdir(parents=True)
    with ProgressFile(tmp_path / path, warn=warnings.append) as file:
        file.write(Progress(10, 100, 3, 0))
        file.write(Progress(20, 100, 6, 0))
    [warning] = warnings
    assert str(tmp_path / path) in warning
    assert [found.name for found in tmp_path.iterdir()] == ["taken"]


def test_when_it_can_not_be_written_any_more_it_does_not_go_on_telling_the_old_place(
    tmp_path: Path, warnings: list[str]
) -> None:
    path = tmp_path / "progress.json"
    with ProgressFile(path, warn=warnings.append) as file:
        file.write(Progress(10, 100, 3, 0))
        path.unlink()
        path.mkdir()
        file.write(Progress(20, 100, 6, 0))
        path.rmdir()
        file.write(Progress(30, 100, 9, 0))
        assert not path.exists()
    assert len(warnings) == 1


def test_what_rc_files_print_before_it_is_passed_over_and_what_is_no_progress_is_none() -> None:
    progress = Progress(10, 100, 3, 0)
    assert Progress.from_json(progress.to_json()) == progress
    assert Progress.from_json(b"Welcome {to} the host\n" + progress.to_json()) == progress
    for text in (
        b"",
        b"cat: no such file",
        b"{",
        b"[1]",
        b"{}",
        b'{"position": null}',
        progress.to_json()[:-5],
        b"\xff{",
    ):
        assert Progress.from_json(text) is None
