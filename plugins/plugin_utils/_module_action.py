# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the action plugins of the modules have in common. Everything is as without one, but for four things: the module
finds its library, the option ``via`` says where it runs, facts that look like a password are not masked, and of what the host
returns only what the module documents is used.
"""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display
from ansible_collections.redisops.tair.plugins.module_utils._errors import MissingLibraryError
from ansible_collections.redisops.tair.plugins.module_utils._masking import restored
from ansible_collections.redisops.tair.plugins.module_utils._text import CONTROL
from ansible_collections.redisops.tair.plugins.plugin_utils._control_node import on_control_node
from ansible_collections.redisops.tair.plugins.plugin_utils._library import library_for
from ansible_collections.redisops.tair.plugins.plugin_utils._returned import checked, refusal, without_actions

display = Display()

Result = t.Dict[str, t.Any]

_PYTHON_VERSION = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){1,2}")


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
        result = self._executed(*args, **kwargs)
        if "missing_library" not in result:
            return result
        try:
            library = library_for(str(result.get("python_version")))
        except MissingLibraryError as exc:
            result["msg"] = f"{result.get('msg', '')} {exc}"
            return result
        display.vvv(f"The Python there has no redis library: {len(library)} bytes are brought along")
        with self._on_python_path(library):
            brought = self._executed(*args, **kwargs)
        if "missing_library" in brought:
            brought["msg"] = (
                f"{brought.get('msg', '')} The control node's own was brought along, and can't be imported there either."
            )
        return brought

    def _executed(self, *args: t.Any, **kwargs: t.Any) -> Result:
        """Execute the module and return what may be used of its result."""
        host = str((kwargs.get("task_vars") or {}).get("inventory_hostname", "the host"))
        module = str(self._task.action).rpartition(".")[2]
        result: Result = super()._execute_module(*args, **kwargs)
        found = checked(restored(result), module, host, asynchronous=bool(kwargs.get("wrap_async")))
        if "missing_library" in found and not _PYTHON_VERSION.fullmatch(str(found.get("python_version"))):
            return refusal(host, f"{module}: python_version is no version")
        return found

    def _parse_returned_data(self, res: dict[str, t.Any], *args: t.Any, **kwargs: t.Any) -> Result:
        """Parse a result; Ansible warns of text around it and of unexpected keys, with their content as it is."""
        if isinstance(res.get("stdout"), str):
            text = res["stdout"].replace("\r\n", "\n")
            res = {**res, "stdout": CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)}
        try:
            return without_actions(super()._parse_returned_data(res, *args, **kwargs))
        except RecursionError:  # JSON can be nested more deeply than Python parses it
            return {**refusal("The host", "it is nested too deeply"), "_ansible_parsed": True}

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
