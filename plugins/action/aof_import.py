# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``aof_import`` with progress lines. Everything else is the module's, as without an action plugin."""

from __future__ import annotations

import functools
import secrets
import typing as t

from ansible.utils.display import Display
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.plugin_utils._import_progress import (
    ImportProgress,
    Read,
    local_file,
    remote_file,
)
from ansible_collections.redisops.tair.plugins.plugin_utils._module_action import ModuleAction
from ansible_collections.redisops.tair.plugins.plugin_utils._progress import wanted
from ansible_collections.redisops.tair.plugins.plugin_utils._task_host import connector, is_ssh
from ansible_collections.redisops.tair.plugins.plugin_utils._timed import timed

display = Display()

_SILENCE = 20.0  # seconds without a byte after which the connection for the lines is given up


class ActionModule(ModuleAction):
    run = timed(ModuleAction.run)

    def run_module(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        label = f"{variables.get('inventory_hostname', '')} | aof_import"
        reader = self._reader(label) if self._shows_progress(variables) else None
        if reader is None:
            return super().run_module(variables)
        path = self._progress_path()
        arguments = {**self._task.args, "progress_path": path}
        with ImportProgress(label, lambda: reader(path), show=display.display, tell=display.v):
            return self._execute_module(module_args=arguments, task_vars=variables)

    def _shows_progress(self, variables: t.Mapping[str, t.Any]) -> bool:
        task = self._task
        return (
            wanted(variables, self._templar.template)
            and not (task.check_mode or task.async_val or task.no_log or task.args.get("progress_path"))
            and (is_ssh(self) or self._connection.transport == "local")
        )

    def _reader(self, label: str) -> t.Callable[[str], t.ContextManager[Read]] | None:
        """What opens a file where the module runs; ``None`` where a second connection to it can't be made."""
        if not is_ssh(self):
            return local_file
        try:
            return functools.partial(remote_file, connector(self, silence=_SILENCE))
        except ConnectError as exc:
            display.v(f"{label}: no progress lines: {exc}")
            return None

    def _progress_path(self) -> str:
        """Where the module can write it and the user who logs in can read it."""
        shell, name = self._connection._shell, f"aof_import-{secrets.token_hex(16)}.json"
        directory = shell.tmpdir
        if self._is_become_unprivileged():
            # That user may not write to the task's own directory. The module removes the file.
            directory = self.get_shell_option("system_tmpdirs", ["/var/tmp"])[0]
        elif directory is None:
            directory = self._make_tmp_path()
        path: str = shell.join_path(directory, name)
        return path
