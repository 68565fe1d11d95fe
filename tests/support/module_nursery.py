# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program that forks a process for each module that is to run, see ``module_process.py``.

Most of a module's processor time is the import of Ansible's and Redis' libraries. Here these are imported already; the
collection's own code is not, so each process reads it as it is.

A request is one message on standard input, a Unix socket: ``{"module": its full name, "env": ..., "directory": ..., "timeout": s}``
and four descriptors: the three standard ones of the module, and where its process tells its number.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import typing as t

#: What the modules import.
_LIBRARIES = ("ansible.module_utils.basic", "redis")
_LARGEST = 128 * 1024  # of a request, bytes


def main() -> None:
    for library in _LIBRARIES:
        importlib.import_module(library)
    request = _fork_for_each_request()
    if request is None:
        return
    os.chdir(request["directory"])
    signal.alarm(request["timeout"])
    if _of_python(request["env"]) != _of_python(os.environ):  # they count for what is imported already, too
        os.execve(sys.executable, [sys.executable, "-m", request["module"]], request["env"])
    os.environ.clear()
    os.environ.update(request["env"])
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def _fork_for_each_request() -> dict[str, t.Any] | None:
    """Returns in each child with its request, and at the end, in this process, with nothing."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    gc.freeze()  # what all of them share stays shared
    control = socket.socket(fileno=sys.stdin.fileno())
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, _LARGEST, 4)
        if not message:
            return None
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control.detach()
    *standard, number = descriptors
    for standing_for, descriptor in enumerate(standard):
        os.dup2(descriptor, standing_for)
        os.close(descriptor)
    os.write(number, str(os.getpid()).encode())
    os.close(number)
    request: dict[str, t.Any] = json.loads(message)
    return request


def _of_python(environment: t.Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith("PYTHON")}


if __name__ == "__main__":
    main()
