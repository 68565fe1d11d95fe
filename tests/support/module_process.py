# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running modules for real, from the checkout as it is, as Ansible runs them: a process of their own, JSON in, JSON out."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import typing as t

from ansible_collections.redisops.tair.tests.support.ansible_cli import TEMPORARY, Vars, environment
from ansible_collections.redisops.tair.tests.support.documented import undocumented
from ansible_collections.redisops.tair.tests.support.paths import link_collection

_PACKAGE = "ansible_collections.redisops.tair"
#: Without an action plugin there is no clock of the control node's.
_ONLY_OF_ACTIONS = ("start is missing", "end is missing")


def run_module(
    name: str,
    params: Vars,
    *,
    check: bool = False,
    diff: bool = False,
    env: t.Mapping[str, str] | None = None,
    timeout: float = 120,
) -> Vars:
    """What a module of the collection returns, ``failed`` or not. Action plugins (``aof_fetch``) are none: run a playbook."""
    process = ModuleProcess(name, env=env, timeout=timeout)
    process.start(
        {**params, "_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": str(TEMPORARY)}
    )
    result = process.result()
    assert result is not None, f"{name} was killed, or took longer than {timeout:.0f} s"
    result.setdefault("failed", False)
    if not check:
        problems = [problem for problem in undocumented(name, result) if problem not in _ONLY_OF_ACTIONS]
        assert problems == [], f"{name} does not return what it documents: {problems}"
    return result


class ModuleProcess:
    """The module ``name``; :meth:`start` it once. It is killed by :meth:`kill`, or after ``timeout`` seconds."""

    def __init__(self, name: str, *, env: t.Mapping[str, str] | None = None, timeout: float = 120) -> None:
        self._request = {
            "module": f"{_PACKAGE}.plugins.modules.{name}",
            "env": environment({"PYTHONPATH": str(link_collection()), **(env or {})}),
            "directory": os.getcwd(),
            "timeout": math.ceil(timeout),
        }
        self.pid = 0
        self._killed = False
        self._output: t.IO[bytes] | None = None
        self._errors: t.IO[bytes] | None = None

    def start(self, arguments: Vars) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - result() closes it
        output, its_output = os.pipe()
        number, its_number = os.pipe()
        with tempfile.TemporaryFile() as params:
            params.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
            params.seek(0)
            _nursery.ask(self._request, [params.fileno(), its_output, self._errors.fileno(), its_number])
        os.close(its_output)
        os.close(its_number)
        self._output = os.fdopen(output, "rb")
        with os.fdopen(number) as told:
            self.pid = int(told.read())

    def kill(self) -> None:
        assert self.pid
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def result(self) -> Vars | None:
        """What the module returned; None where it was killed."""
        assert self._output is not None and self._errors is not None
        with self._output, self._errors:
            output = self._output.read()
            self._errors.seek(0)
            errors = self._errors.read().decode()
        try:
            returned: Vars = json.loads(output)
        except ValueError:
            if self._killed or not (output or errors):
                return None
            raise AssertionError(f"{self._request['module']} did not return JSON:\n{output!r}\n{errors}") from None
        return returned


class _Nursery:
    """``module_nursery.py`` in a process that ends with this one; started when it is needed, and again if a test has killed it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def ask(self, request: t.Mapping[str, t.Any], descriptors: list[int]) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", f"{_PACKAGE}.tests.support.module_nursery"],
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        env=environment({"PYTHONPATH": str(link_collection())}),
                    )
            assert self._control is not None
            socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)


_nursery = _Nursery()
