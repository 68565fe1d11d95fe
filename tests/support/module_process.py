# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module in a process of its own, so that it can be killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import typing as t

from ansible_collections.redisops.tair.tests.support.ansible_cli import environment
from ansible_collections.redisops.tair.tests.support.paths import link_collection


class ModuleProcess:
    """The module ``name``; :meth:`start` it once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: dict[str, t.Any]) -> None:
        with tempfile.TemporaryFile() as params:
            params.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
            params.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"ansible_collections.redisops.tair.plugins.modules.{self._name}"],
                stdin=params,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment({"PYTHONPATH": str(link_collection())}),
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    def result(self) -> dict[str, t.Any] | None:
        """What the module returned; None where it was killed."""
        assert self._process is not None
        output, errors = self._process.communicate(timeout=120)
        if self._process.returncode == -signal.SIGKILL:
            return None
        try:
            returned: dict[str, t.Any] = json.loads(output)
        except ValueError:
            raise AssertionError(errors.decode()) from None
        return returned
