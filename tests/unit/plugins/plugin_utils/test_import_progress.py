# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The thread that watches an import: what it prints, and that it never holds anything up."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import Progress, ProgressFile
from ansible_collections.redisops.tair.plugins.plugin_utils import _progress
from ansible_collections.redisops.tair.plugins.plugin_utils._import_progress import ImportProgress, Read, local_file


@pytest.fixture(autouse=True)
def every(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds between two looks: less than for people."""
    monkeypatch.setattr(_progress, "EVERY", 0.05)
    return 0.05


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def no_thread_may_fail(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    failures: list[t.Any] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    yield
    assert failures == []


def wait_for(condition: t.Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_lines_tell_percent_rate_commands_errors_and_time_left(tmp_path: Path, told: list[str]) -> None:
    shown: list[str] = []
    path = tmp_path / "progress.json"
    with (
        ProgressFile(path, warn=told.append) as file,
        ImportProgress("redis1 | aof_import", lambda: local_file(str(path)), shown.append, told.append),
    ):
        file.write(Progress(500, 1000, 12_000, 0))  # an earlier run's work
        time.sleep(0.2)
        file.write(Progress(750, 1000, 18_000, 0))
        wait_for(lambda: shown)
        file.write(Progress(900, 1000, 1_200_000, 1))
        wait_for(lambda: len(shown) == 2)
    first, second = shown
    assert first.startswith("redis1 | aof_import: 75 % of 1.0 kB, 0.0 MB/s, 18,000 commands, 0 errors, 0:0")
    assert second.startswith("redis1 | aof_import: 90 % of 1.0 kB, 0.0 MB/s, 1,200,000 commands, 1 error, 0:00 left")
    assert told == []


def test_a_file_that_can_not_be_reached_is_told_once_and_is_no_failure(told: list[str]) -> None:
    def refuse() -> t.ContextManager[Read]:
        raise ConnectError("the host refuses")

    with ImportProgress("redis1", refuse, pytest.fail, told.append):
        wait_for(lambda: told)
        time.sleep(0.2)
    assert told == ["redis1: no progress lines: the host refuses."]


def test_an_import_that_has_ended_does_not_wait_for_a_host_that_does_not_answer(told: list[str]) -> None:
    asked, answer = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def silent() -> t.Iterator[Read]:
        asked.set()
        answer.wait(20)
        yield lambda: Progress(50, 100, 1, 0).to_json()

    begun = time.monotonic()
    with ImportProgress("redis1", silent, pytest.fail, told.append) as progress:
        assert asked.wait(5)
    assert time.monotonic() - begun < 5
    answer.set()
    progress._thread.join(5)
    assert not progress._thread.is_alive() and told == []


def test_a_short_import_makes_no_connection(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "EVERY", 60.0)
    begun = time.monotonic()
    with ImportProgress("redis1", lambda: pytest.fail("connected"), pytest.fail, told.append):
        pass
    assert time.monotonic() - begun < 5 and told == []


@pytest.mark.parametrize(
    "content",
    [
        b'{"position": 1e999, "size": 1, "commands": 1, "errors": 1}',
        b'{"position": NaN, "size": 1, "commands": 1, "errors": 1}',
        b'{"position": ' + b"9" * 5000 + b', "size": 1, "commands": 1, "errors": 1}',
        b'{"position": ' + b"9" * 1000 + b', "size": 1, "commands": 1, "errors": 1}',
        b'{"position": -1, "size": -1, "commands": -1, "errors": -1}',
        b'{"position": [], "size": {}, "commands": null, "errors": "x"}',
        b"{" * 60_000,
        b"x" * 100_000,
        b"\xff\x1b{",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_garbage_in_the_file_of_a_host_prints_nothing_and_fails_nothing(
    content: bytes, tmp_path: Path, told: list[str]
) -> None:
    path = tmp_path / "progress.json"
    path.write_bytes(content)
    with ImportProgress("redis1", lambda: local_file(str(path)), pytest.fail, told.append):
        time.sleep(0.4)
    assert all(line.startswith("redis1: no progress lines: ") and line.isprintable() for line in told)


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "progress.json").symlink_to("/etc/passwd")
    with local_file(str(tmp_path / "progress.json")) as read, pytest.raises(OSError, match="symbolic link"):
        read()
