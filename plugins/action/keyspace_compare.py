# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``keyspace_compare`` of a host that is reached by SSH: on the control node, the source through a tunnel.

The target is often reachable from the control node only, and the source from its own host only.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.plugins.action import ActionBase
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._text import clean_values
from ansible_collections.redisops.tair.plugins.plugin_utils._control_node import on_control_node
from ansible_collections.redisops.tair.plugins.plugin_utils._module_action import ModuleAction
from ansible_collections.redisops.tair.plugins.plugin_utils._task_host import connector, is_ssh
from ansible_collections.redisops.tair.plugins.plugin_utils._timed import timed
from ansible_collections.redisops.tair.plugins.plugin_utils._tunnel import tunnelled

_SILENCE = 60.0


class ActionModule(ModuleAction):
    _supports_async = False

    @timed
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables, source = task_vars or {}, self._task.args.get("source")
        if self._task.delegate_to or not is_ssh(self) or not isinstance(source, Mapping):
            return super().run(tmp, variables)
        result: dict[str, t.Any] = ActionBase.run(self, tmp, variables)
        try:
            if self._task.args.get("source_via") == "control_node":
                result.update(self._on_control_node(self._task.args, variables))
            else:
                result.update(self._through_tunnel(source, variables))
        except TairError as exc:
            result.update(failed=True, msg=str(exc), **clean_values(exc.facts))
        return result

    def _through_tunnel(self, source: Mapping[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        name = variables.get("inventory_hostname", "the host")
        with connector(self, silence=_SILENCE)() as connection, tunnelled(connection, source, name) as (here, as_there):
            result = self._on_control_node({**self._task.args, "source": here}, variables)
            return {key: as_there(value) if key in ("msg", "summary") else value for key, value in result.items()}

    def _on_control_node(self, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        with on_control_node(self, variables) as here:
            return self._execute_module(module_args=arguments, task_vars=here)
