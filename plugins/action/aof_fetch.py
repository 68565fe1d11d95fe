# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._text import clean_values, shown, without_controls
from ansible_collections.redisops.tair.plugins.plugin_utils._destination import Destination
from ansible_collections.redisops.tair.plugins.plugin_utils._fetch import Fetch
from ansible_collections.redisops.tair.plugins.plugin_utils._progress import Progress, wanted
from ansible_collections.redisops.tair.plugins.plugin_utils._task_host import host_of_task
from ansible_collections.redisops.tair.plugins.plugin_utils._timed import timed
from ansible_collections.redisops.tair.plugins.plugin_utils._unpack import packers

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    @timed
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        result: dict[str, t.Any] = super().run(tmp, variables)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "src": {"type": "str", "required": True},
                "dest": {"type": "path", "required": True},
                "compress": {"type": "str", "choices": ["auto", "never"], "default": "auto"},
                "retries": {"type": "int", "default": 5},
                "timeout": {"type": "float", "default": 60.0},
            }
        )
        start = time.monotonic()
        try:
            result.update(self._fetch(options, variables))
        except TairError as exc:
            result.update(failed=True, msg=without_controls(str(exc)), **clean_values(exc.facts))
        result["elapsed"] = round(time.monotonic() - start, 3)
        return result

    def _fetch(self, options: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        name = variables.get("inventory_hostname", "")
        label = f"{name} | aof_fetch"
        show_progress = wanted(variables, self._templar.template)

        def open_destination(path: str) -> Destination:
            return Destination(
                Path(self._loader.path_dwim(options["dest"])), f"{name}:{path}", check_mode=self._task.check_mode
            )

        host = host_of_task(self, silence=options["timeout"])
        try:
            fetched = Fetch(
                host,
                options["src"],
                open_destination,
                retries=options["retries"],
                check_mode=self._task.check_mode,
                packers=packers() if options["compress"] == "auto" else (),
                progress=(lambda total, done: Progress(label, total, display.display, done=done))
                if show_progress
                else None,
                tell=lambda line: display.display(shown(f"{label}: {line}")),
            ).run()
        finally:
            host.close()
        return t.cast("dict[str, t.Any]", clean_values(vars(fetched)))
