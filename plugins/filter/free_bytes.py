# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import shutil
import typing as t

DOCUMENTATION = r"""
name: free_bytes
short_description: How much can be written to a directory of the control node
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Looks at the file system of a directory on the control node. Where that is not there yet, at the one that it would be made in.
positional: _input
options:
  _input:
    description: The directory.
    type: path
    required: true
"""

EXAMPLES = r"""
---
- name: Stop where a copy has no room
  ansible.builtin.assert:
    that: (aof_migrate_artifacts_dir | redisops.tair.free_bytes) > aof.size
"""

RETURN = r"""
_value:
  description: Bytes that a process without privileges can still write there.
  type: int
"""


def free_bytes(path: str) -> int:
    directory = pathlib.Path(path).absolute()
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"free_bytes": free_bytes}
