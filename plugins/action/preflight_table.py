# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.redisops.tair.plugins.plugin_utils._artifacts import local_path, replace
from ansible_collections.redisops.tair.plugins.plugin_utils._preflight_table import as_values, obstacles_of, table

display = Display()

Values = t.Dict[str, t.Any]


class ActionModule(ActionBase):  # type: ignore[misc]
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Values | None = None) -> Values:
        result: Values = super().run(tmp, task_vars or {})
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "reports": {"type": "dict", "required": True},
                "plans": {"type": "dict", "default": {}},
                "dest": {"type": "path"},
            }
        )
        reports, plans = options["reports"], options["plans"]
        lines = table(reports, plans)
        display.display("\n".join(lines))
        blocked = [host for host, report in reports.items() if obstacles_of(report)]
        if options["dest"]:
            try:
                replace(local_path(self, options["dest"]), json.dumps(as_values(reports, plans), indent=4) + "\n")
            except OSError as error:
                raise AnsibleActionFail(f"The plan can't be written: {error}") from error
        result.update(changed=False, blocked=blocked, lines=lines)
        return result
