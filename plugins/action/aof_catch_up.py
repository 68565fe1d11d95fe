# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``aof_catch_up`` with a copy on the control node: one process for all rounds, as every second of them may be downtime.

Without a copy the module runs on the host as it is.
"""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.redisops.tair.plugins.module_utils._argspec import catch_up_spec
from ansible_collections.redisops.tair.plugins.module_utils._catch_up import bring_up_to_date
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._text import clean_values, shown
from ansible_collections.redisops.tair.plugins.plugin_utils._destination import Destination
from ansible_collections.redisops.tair.plugins.plugin_utils._fetch import Fetch
from ansible_collections.redisops.tair.plugins.plugin_utils._module_action import ModuleAction
from ansible_collections.redisops.tair.plugins.plugin_utils._task_host import connector, host_of_task, is_ssh
from ansible_collections.redisops.tair.plugins.plugin_utils._timed import timed
from ansible_collections.redisops.tair.plugins.plugin_utils._tunnel import tunnelled

display = Display()

_RETRIES = 5


class ActionModule(ModuleAction):
    _supports_check_mode = False

    @timed
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        if not self._task.args.get("dest"):
            return super().run(tmp, variables)
        result: dict[str, t.Any] = ActionBase.run(self, tmp, variables)
        _validation, params = self.validate_argument_spec(argument_spec=catch_up_spec())
        name = variables.get("inventory_hostname", "the host")
        with contextlib.ExitStack() as stack:
            as_there: t.Callable[[str], str] = str
            try:
                if is_ssh(self):
                    connection = stack.enter_context(connector(self, silence=params["timeout"])())
                    params["source"], as_there = stack.enter_context(tunnelled(connection, params["source"], name))
                result.update(self._on_this_side(params, name, stack))
            except TairError as exc:
                result.update(failed=True, msg=as_there(str(exc)), **clean_values(exc.facts))
        return result

    def _on_this_side(self, params: dict[str, t.Any], name: str, stack: contextlib.ExitStack) -> dict[str, t.Any]:
        label = f"{name} | aof_catch_up"

        def tell(line: str) -> None:
            display.display(shown(f"{label}: {line}"))

        def warn(line: str) -> None:
            display.warning(shown(line))

        def open_destination(path: str) -> Destination:
            return Destination(Path(self._loader.path_dwim(params["dest"])), f"{name}:{path}", check_mode=False)

        host = host_of_task(self, silence=params["timeout"])
        stack.callback(host.close)
        fetch = Fetch(host, params["path"], open_destination, retries=_RETRIES, check_mode=False, tell=tell)
        stack.callback(fetch.close)
        caught_up: dict[str, t.Any] = clean_values(
            bring_up_to_date(params, lambda: Path(fetch.bring().dest), warn=warn, tell=tell)
        )
        return caught_up
