# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.redisops.tair.plugins.module_utils._text import clean_values, without_controls
from ansible_collections.redisops.tair.plugins.plugin_utils import _private as private
from ansible_collections.redisops.tair.plugins.plugin_utils._artifacts import local_path, replace
from ansible_collections.redisops.tair.plugins.plugin_utils._report import read
from ansible_collections.redisops.tair.plugins.plugin_utils._report_junit import junit
from ansible_collections.redisops.tair.plugins.plugin_utils._report_page import page
from ansible_collections.redisops.tair.plugins.plugin_utils._report_run import endings, this_run

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
                "directory": {"type": "path", "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
                "outcome": {"type": "str", "required": True},
                "message": {"type": "str", "required": True},
                "report": {"type": "dict"},
                "keep_report": {"type": "bool", "default": False},
            }
        )
        directory = local_path(self, options["directory"])
        host = str((task_vars or {}).get("inventory_hostname"))
        ending = {"outcome": options["outcome"], "message": without_controls(options["message"].strip())}
        files = {
            "json": directory / "report.json",
            "html": directory / "report.html",
            "junit": directory / "report.xml",
        }
        if not self._task.check_mode:
            try:
                own = directory / host / "report.json"
                if options["report"] is not None and not (options["keep_report"] and own.exists()):
                    replace(own, json.dumps(clean_values(options["report"]), indent=4) + "\n")
                private.make_directory_of(files["json"])
                _write(directory, options["hosts"], files, host, ending)
            except OSError as error:
                # Not raised: the role's failed_when has to see it.
                result.update(failed=True, msg=f"The reports can't be written into {directory}: {error}")
                return result
        result.update(changed=False, **{name: str(path) for name, path in files.items()})
        return result


def _write(
    directory: pathlib.Path, names: list[str], files: dict[str, pathlib.Path], host: str, ending: dict[str, str]
) -> None:
    """Hosts may end at the same time: whoever has the lock last has read all reports."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hosts = read(directory, names, endings(directory, this_run(), names, host, ending))
        replace(files["html"], page(hosts))
        replace(files["junit"], junit(hosts))
    finally:
        os.close(lock)
