# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a module's result reaches Ansible."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.plugin_utils._returned import checked
from ansible_collections.redisops.tair.tests.support.documented import block
from ansible_collections.redisops.tair.tests.support.paths import CHECKOUT

MODULES = sorted(
    path.stem
    for path in (CHECKOUT / "plugins" / "action").glob("*.py")
    if "ModuleAction" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_documents_is_let_through_as_it_is(module: str) -> None:
    result: dict[str, t.Any] = {name: told.get("sample") for name, told in block(module, "RETURN").items()}
    diff = {"before_header": "a", "after_header": "a", "before": {"appendonly": "no"}, "after": "text\n"}
    result.update(changed=True, diff=diff, invocation={"module_args": {}}, warnings=["one"], _ansible_parsed=True)
    assert checked(dict(result), module, "redis1") == result


@pytest.mark.parametrize("module", MODULES)
def test_null_is_let_through(module: str) -> None:
    result = dict.fromkeys(block(module, "RETURN"))
    assert checked(dict(result), module, "redis1") == result


def test_a_failure_of_ansible_itself_is_let_through_on_one_line() -> None:
    result = {
        "failed": True,
        "msg": "MODULE FAILURE\nSee stdout",
        "module_stdout": "a\nb",
        "module_stderr": "",
        "rc": 127,
    }
    assert checked(result, "aof_info", "redis1") == {**result, "msg": "MODULE FAILURE See stdout"}


def test_facts_are_those_that_ansible_adds_itself() -> None:
    facts = {"discovered_interpreter_python": "/usr/bin/python3", "other": 1}
    assert checked({"ansible_facts": facts}, "aof_info", "redis1") == {
        "ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3"}
    }


def test_the_job_of_an_asynchronous_task_is_let_through() -> None:
    job = {"ansible_job_id": "j1.2", "started": 1, "finished": 0, "results_file": "/root/.ansible_async/j1.2"}
    assert checked(dict(job), "aof_import", "redis1", asynchronous=True) == job
    assert checked(dict(job), "aof_import", "redis1") == {}
