# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for every test. Servers are real; what can't be had here skips a test, and with ``CI=true`` fails it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import typing as t
from pathlib import Path

import pytest


def _make_collection_importable() -> None:
    """Let a bare checkout be imported as ``ansible_collections.redisops.tair``, and keep it clean."""
    spec = importlib.util.spec_from_file_location("_paths", Path(__file__).parent / "support" / "paths.py")
    assert spec is not None and spec.loader is not None
    paths = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(paths)
    sys.path.insert(0, str(paths.link_collection()))
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(paths.CACHE / "hypothesis"))


_make_collection_importable()

from ansible_collections.redisops.tair.tests.support.accounts import unix_account
from ansible_collections.redisops.tair.tests.support.ansible_cli import run_playbook as _run_playbook
from ansible_collections.redisops.tair.tests.support.module_process import run_module as _run_module
from ansible_collections.redisops.tair.tests.support.servers import BUILDS, Build, Server
from ansible_collections.redisops.tair.tests.support.servers import build as build_named
from ansible_collections.redisops.tair.tests.support.sshd import Sshd
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

NOTHING_MAY_BE_SKIPPED = os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> t.Generator[None, t.Any, t.Any]:
    """With ``CI=true`` a skipped test is a failed one; one that lacks something is skipped elsewhere."""
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(UnavailableError):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1], f"Skipped: {call.excinfo.value}")
    if NOTHING_MAY_BE_SKIPPED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and with CI=true nothing may be: {report.longrepr[-1]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> t.Generator[None, t.Any, t.Any]:
    """The same for a file that skips itself as a whole."""
    report = yield
    if NOTHING_MAY_BE_SKIPPED and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, and with CI=true nothing may be: {report.longrepr[-1]}"
    return report


@pytest.fixture(params=BUILDS, ids=lambda build: build.name)
def any_build(request: pytest.FixtureRequest) -> Build:
    """Every server program in turn."""
    build: Build = request.param
    return build


@pytest.fixture
def start_server() -> t.Iterator[t.Callable[..., Server]]:
    """``start_server("redis-6.2.14", {"appendonly": "yes"}, password="secret")``: a :class:`Server`, stopped at the end.

    Takes a :class:`Build` or its name, and all that :class:`Server` takes.
    """
    with contextlib.ExitStack() as stack:

        def start(build: Build | str, *args: t.Any, **kwargs: t.Any) -> Server:
            program = build_named(build) if isinstance(build, str) else build
            return stack.enter_context(Server(program, *args, **kwargs))

        yield start


@pytest.fixture
def start_sshd() -> t.Iterator[t.Callable[..., Sshd]]:
    """``start_sshd(sftp=False)``: an :class:`Sshd`, stopped at the end. Takes all that :class:`Sshd` takes."""
    with contextlib.ExitStack() as stack:
        yield lambda **kwargs: stack.enter_context(Sshd(**kwargs))


@pytest.fixture
def make_account() -> t.Iterator[t.Callable[..., str]]:
    """``make_account("deploy", sudo="(redis) NOPASSWD: ALL")``: a Unix account, removed at the end; needs root."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(unix_account(*args, **kwargs))


@pytest.fixture
def run_module() -> t.Callable[..., dict[str, t.Any]]:
    """``run_module("redis_config", {...}, check=True)``: see ``support/module_process.py``."""
    return _run_module


@pytest.fixture
def run_playbook() -> t.Callable[..., t.Any]:
    """``run_playbook("redisops.tair.migrate", {"host": local_host(...)})``: see ``support/ansible_cli.py``."""
    return _run_playbook
