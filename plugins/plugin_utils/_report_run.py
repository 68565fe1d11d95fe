# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which hosts this run of Ansible has brought to an end, and how.

The hosts' own reports stay from run to run, so they can't tell. This is kept in ``report.json`` beside them, which the
next run begins anew.
"""

from __future__ import annotations

import json
import os
import pathlib
import typing as t
from datetime import datetime, timezone

from ansible_collections.redisops.tair.plugins.plugin_utils._artifacts import read, replace

_VERSION = 1
_FILE = "report.json"
_START_TIME = 19  # field of /proc/<pid>/stat after the name of the program

Ending = t.Dict[str, t.Any]


def this_run() -> str:
    """A text that all tasks of one run of Ansible have in common, and no other run has: its process and when that began.

    An action plugin is a child of it.
    """
    parent = os.getppid()
    try:
        told = pathlib.Path(f"/proc/{parent}/stat").read_text()
        return f"{parent}-{told.rpartition(')')[2].split()[_START_TIME]}"
    except (OSError, IndexError):
        return str(parent)  # no Linux


def endings(directory: pathlib.Path, run: str, names: t.Sequence[str], host: str, ending: Ending) -> dict[str, Ending]:
    """The hosts of this run that have ended, with how; ``host`` has just done so.

    Writes it down for the next one, together with the ``names`` that have not. Whoever calls it holds a lock.
    """
    path = directory / _FILE
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        known = json.loads(read(path))
        started, ended = known["started"], known["hosts"] if known["run"] == run else None
    except (OSError, ValueError, KeyError, TypeError):
        started, ended = now, None
    if ended is None:
        started, ended = now, {}
    ended = {name: told for name, told in ended.items() if told["outcome"] != "no report"}
    ended[host] = {**ending, "time": now, "report": f"{host}/report.json"}
    left = {name: {"outcome": "no report"} for name in names if name not in ended}
    content = {"schema_version": _VERSION, "run": run, "started": started, "hosts": {**ended, **left}}
    replace(path, json.dumps(content, indent=4) + "\n")
    return ended
