# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes what every task returned as lines of JSON to the file named by ``REDISOPS_TEST_RECORD``.

Before the task whose name ends with ``REDISOPS_TEST_GATE_TASK`` it waits at the gate, the directory ``REDISOPS_TEST_GATE``:
it writes its process number to ``reached`` there, and goes on when there is a file ``open``.
"""

from __future__ import annotations

DOCUMENTATION = """
name: recorder
type: aggregate
short_description: Record task results for tests
description: Appends one JSON object per task result, and one with the statistics at the end.
options: {}
"""

import json
import os
import time
import typing as t
from pathlib import Path

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._started: dict[str, float] = {}

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        gate = os.environ.get("REDISOPS_TEST_GATE")
        if not gate or not task.get_name().endswith(os.environ["REDISOPS_TEST_GATE_TASK"]):
            return
        reached = Path(gate) / "reached"
        if not reached.exists():
            reached.with_suffix(".part").write_text(str(os.getpid()))
            reached.with_suffix(".part").rename(reached)
            while not (Path(gate) / "open").exists():
                time.sleep(0.01)

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        self._started[host.get_name()] = time.time()

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._record("ok", result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._record("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._record("skipped", result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._record("unreachable", result)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._write({"stats": {host: stats.summarize(host) for host in stats.processed}})

    def _record(self, outcome: str, task_result: t.Any) -> None:
        # ansible-core 2.19 gave these attributes public names.
        host = getattr(task_result, "host", None) or task_result._host
        task = getattr(task_result, "task", None) or task_result._task
        result = getattr(task_result, "result", None)
        if result is None:
            result = task_result._result
        self._write(
            {
                "outcome": outcome,
                "host": host.get_name(),
                "task": task.get_name(),
                "action": str(task.action),
                "result": result,
                "start": self._started.get(host.get_name()),
                "end": time.time(),
            }
        )

    def _write(self, event: dict[str, t.Any]) -> None:
        with open(os.environ["REDISOPS_TEST_RECORD"], "a", encoding="utf-8") as record:
            record.write(json.dumps(event, default=str) + "\n")
