# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._config import is_secret
from ansible_collections.redisops.tair.plugins.plugin_utils._module_action import ModuleAction


class ActionModule(ModuleAction):
    """Keep secret parameters out of the host's system log, and out of the arguments of a module that fails early."""

    def _update_module_args(
        self, module_name: str, module_args: dict[str, t.Any], *args: t.Any, **kwargs: t.Any
    ) -> None:
        super()._update_module_args(module_name, module_args, *args, **kwargs)
        settings = module_args.get("settings")
        if isinstance(settings, str) or _secrets(settings):
            # A module logs its arguments before it has read them; on the control node this has no effect.
            module_args["_ansible_no_log"] = True

    def run_module(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the module's result with the secrets among its arguments masked."""
        result = super().run_module(variables)
        invocation = result.get("invocation")
        arguments = invocation.get("module_args") if isinstance(invocation, dict) else None
        if isinstance(arguments, dict) and "settings" in arguments:
            arguments["settings"] = _masked(arguments["settings"])
        return result


_MASK = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def _masked(settings: t.Any) -> t.Any:
    if not isinstance(settings, dict):
        return _MASK
    return {**settings, **dict.fromkeys(_secrets(settings), _MASK)}


def _secrets(settings: t.Any) -> list[str]:
    return [name for name in settings if is_secret(str(name))] if isinstance(settings, dict) else []
