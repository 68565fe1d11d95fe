# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import shutil
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.redisops.tair.plugins.plugin_utils import _private as private
from ansible_collections.redisops.tair.plugins.plugin_utils._artifacts import local_path, replace

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
                "path": {"type": "path", "required": True},
                "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                "content": {"type": "dict"},
                "remove": {"type": "list", "elements": "path", "default": []},
            },
            required_if=[("state", "present", ["content"])],
        )
        path, check = local_path(self, options["path"]), self._task.check_mode
        removed: list[str] = []
        try:
            if options["state"] == "present":
                changed = not path.is_symlink() and not path.exists()
                if not changed:
                    os.close(private.open_file(str(path), os.O_RDONLY))  # a journal that somebody else wrote is none
                if changed and not check:
                    replace(path, json.dumps(options["content"], indent=4) + "\n")
            else:
                # The journal last: as long as it is there, the next run knows that something is left to do.
                for each in [*options["remove"], options["path"]]:
                    if _remove(local_path(self, each), check=check):
                        removed.append(each)
                changed = bool(removed)
        except OSError as error:
            what = "written" if options["state"] == "present" else "removed"
            result.update(failed=True, msg=f"The journal {path} can't be {what}: {error}")
            return result
        result.update(changed=changed, removed=removed)
        return result


def _remove(path: pathlib.Path, *, check: bool) -> bool:
    """Whether there was something to remove."""
    if not path.is_symlink() and not path.exists():
        return False
    if not check:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return True
