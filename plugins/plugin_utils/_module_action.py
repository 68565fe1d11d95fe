# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the action plugins of the modules have in common. Everything is as without one, but for three things: the module
finds its library, the option ``via`` says where it runs, and facts that look like a password are not masked.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display
from ansible_collections.redisops.tair.plugins.module_utils._errors import MissingLibraryError
from ansible_collections.redisops.tair.plugins.module_utils._masking import restored
from ansible_collections.redisops.tair.plugins.plugin_utils._control_node import on_control_node
from ansible_collections.redisops.tair.plugins.plugin_utils._library import library_for

display = Display()

Result = t.Dict[str, t.Any]


class ModuleAction(NormalAction):  # type: ignore[misc]
    """A module that finds no redis library runs again with the control node's own, which goes when the task ends."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        variables = task_vars or {}
        if self._task.args.get("via") != "control_node":
            return self.run_module(variables)
        with on_control_node(self, variables) as here:
            return self.run_module(here)

    def run_module(self, variables: dict[str, t.Any]) -> Result:
        """What the task returns; the connection is that to where the module runs."""
        result: Result = super().run(None, variables)
        return result

    def _execute_module(self, *args: t.Any, **kwargs: t.Any) -> Result:
        result: Result = super()._execute_module(*args, **kwargs)
        if "missing_library" not in result:
            return restored(result)
        try:
            library = library_for(result["python_version"])
        except MissingLibraryError as exc:
            result["msg"] = f"{result['msg']} {exc}"
            return result
        display.vvv(f"The Python there has no redis library: {len(library)} bytes are brought along")
        with self._on_python_path(library):
            brought: Result = super()._execute_module(*args, **kwargs)
        if "missing_library" in brought:
            brought["msg"] = (
                f"{brought['msg']} The control node's own was brought along, and can't be imported there either."
            )
        return restored(brought)

    @contextlib.contextmanager
    def _on_python_path(self, library: bytes) -> t.Iterator[None]:
        """The file in the task's own temporary directory, which Ansible removes, and ``PYTHONPATH`` naming it first."""
        shell = self._connection._shell
        directory = shell.tmpdir or self._make_tmp_path()
        path = shell.join_path(directory, "redis.zip")
        self._transfer_data(path, library)
        self._fixup_perms2([directory, path])
        given: dict[str, str] = {}
        self._compute_environment_string(given)
        environment = self._task.environment
        environment.append({"PYTHONPATH": ":".join(filter(None, (path, given.get("PYTHONPATH"))))})
        try:
            yield
        finally:
            environment.pop()
