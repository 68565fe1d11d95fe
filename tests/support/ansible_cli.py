# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running playbooks for real, from the checkout as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.documented import undocumented
from ansible_collections.redisops.tair.tests.support.paths import CACHE, CHECKOUT, link_collection

Vars = t.Dict[str, t.Any]

_OURS = "redisops.tair."
_HOME = CACHE / "ansible"
#: For Ansible and its modules.
TEMPORARY = _HOME / "tmp"
#: Instead of the user's and the system's own. Ansible asks its children a thousand times a second whether they are done,
#: which is a tenth of a run's processor time; a hundred times do.
_SETTINGS = "[defaults]\ninternal_poll_interval = 0.01\n"


def environment(extra: t.Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would change Ansible's or the collection's behaviour.

    Ansible's own files go below ``.cache/ansible``.
    """
    _HOME.mkdir(parents=True, exist_ok=True)
    (_HOME / "ansible.cfg").write_text(_SETTINGS)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "REDISOPS_"))}
    env.update(
        ANSIBLE_HOME=str(_HOME),
        ANSIBLE_LOCAL_TEMP=str(TEMPORARY),
        ANSIBLE_COLLECTIONS_PATH=str(link_collection()),
        ANSIBLE_COLLECTIONS_SCAN_SYS_PATH="false",
        ANSIBLE_CONFIG=str(_HOME / "ansible.cfg"),
        ANSIBLE_INJECT_INVOCATION="1",  # ansible-core 2.21 and newer leave a task's arguments out of its result
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_LOCALHOST_WARNING="0",
        ANSIBLE_INVENTORY_UNPARSED_WARNING="0",
        LC_ALL="C.UTF-8",
        # Start as any installed Python program does: compiled before, and nothing is left between the sources.
        PYTHONDONTWRITEBYTECODE="",
        PYTHONPYCACHEPREFIX=str(CACHE / "bytecode"),
    )
    env.update(extra or {})
    return env


@dataclass(frozen=True)
class PlaybookRun:
    """How a playbook ended."""

    returncode: int
    output: str
    """Everything it printed."""
    events: list[Vars]
    """``outcome`` (ok, failed, ignored, skipped, unreachable), ``host``, ``task``, ``action``, ``result``, ``start``, ``end`` of every task."""
    stats: dict[str, dict[str, int]]
    """Per host: ``ok``, ``changed``, ``failures``, ``unreachable``, ``rescued`` and so on."""

    def results(self, task: str, host: str | None = None) -> list[Vars]:
        """What the tasks returned whose name or action ends with ``task``."""
        return [
            event["result"]
            for event in self.events
            if (event["task"].endswith(task) or event["action"].endswith(task)) and host in (None, event["host"])
        ]

    def result(self, task: str, host: str | None = None) -> Vars:
        """The same where exactly one is expected."""
        found = self.results(task, host)
        assert len(found) == 1, f"{len(found)} results of {task!r}:\n{self.output}"
        return found[0]

    def failures(self) -> list[Vars]:
        return [event for event in self.events if event["outcome"] in ("failed", "unreachable")]


def local_host(**variables: t.Any) -> Vars:
    """Variables of an inventory host that is this machine."""
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(TEMPORARY),
        **variables,
    }


def run_playbook(
    playbook: str | Path | t.Sequence[Vars],
    hosts: t.Mapping[str, Vars],
    *,
    extra_vars: Vars | None = None,
    check: bool = False,
    arguments: t.Sequence[str] = (),
    env: t.Mapping[str, str] | None = None,
    timeout: float = 600,
) -> PlaybookRun:
    """Run ``ansible-playbook``.

    ``playbook``: a name (``redisops.tair.migrate``), a file, or the plays themselves.
    ``hosts``: name to variables; all of them are in the group ``redis``.
    """
    with tempfile.TemporaryDirectory(prefix="playbook-") as scratch:
        directory = Path(scratch)
        if not isinstance(playbook, (str, Path)):
            playbook = _json(directory / "playbook.yml", list(playbook))
        inventory = _json(directory / "inventory.yml", {"redis": {"hosts": dict(hosts)}})
        variables = _json(directory / "vars.json", extra_vars or {})
        record = directory / "record.jsonl"
        record.touch()
        command = [beside_python("ansible-playbook"), "-i", str(inventory), "-e", f"@{variables}"]
        done = subprocess.run(
            [*command, *(["--check", "--diff"] if check else []), *arguments, str(playbook)],
            env=environment(
                {
                    "ANSIBLE_CALLBACK_PLUGINS": str(CHECKOUT / "tests" / "support" / "callback_plugins"),
                    "ANSIBLE_CALLBACKS_ENABLED": "recorder",
                    "REDISOPS_TEST_RECORD": str(record),
                    **(env or {}),
                }
            ),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )
        events = [json.loads(line) for line in record.read_text().splitlines()]
    for event in events:
        action = str(event.get("action", ""))
        if action.startswith(_OURS) and event["outcome"] in ("ok", "failed") and not event["result"].get("results"):
            # With failed_when a failure may count as none.
            failed = event["outcome"] == "failed" or "failed_when_result" in event["result"]
            result = {**event["result"], "failed": failed}
            problems = undocumented(action.removeprefix(_OURS), result)
            assert problems == [] or check, f"{action} does not return what it documents: {problems}"
    stats: dict[str, dict[str, int]] = next((event["stats"] for event in events if "stats" in event), {})
    return PlaybookRun(done.returncode, done.stdout, [event for event in events if "stats" not in event], stats)


def _json(path: Path, content: t.Any) -> Path:
    """JSON is YAML, too. Only for us to read: it may hold passwords."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return path


def beside_python(program: str) -> str:
    """The program of the same virtual environment, activated or not."""
    beside = Path(sys.executable).parent / program
    return str(beside) if beside.exists() else program
