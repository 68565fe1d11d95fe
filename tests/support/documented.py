# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module says that it returns, beside what it has returned. Every module that a test runs is held to it."""

from __future__ import annotations

import ast
import functools
import typing as t

import yaml
from ansible_collections.redisops.tair.tests.support.paths import CHECKOUT

Values = t.Dict[str, t.Any]

#: What Ansible itself returns or documents for all modules, and what our action plugins read of a module and take away.
_COMMON = {
    *(
        "changed",
        "failed",
        "msg",
        "diff",
        "warnings",
        "deprecations",
        "invocation",
        "exception",
        "skipped",
        "skip_reason",
    ),
    *(
        "results",
        "attempts",
        "unreachable",
        "changed_when_result",
        "failed_when_result",
        "failed_when_suppressed_exception",
        "false_condition",
        "ansible_facts",
    ),
    *("missing_library", "python_version", "module_stdout", "module_stderr", "rc"),
}
#: The first name of ``rewritten_keys``, which stays for those who use it. The sanity tests let none be documented that Jinja hides.
_NOT_TO_BE_DOCUMENTED = {"aof_inspect": {"keys"}}
_TYPES: dict[str, t.Any] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}


@functools.cache
def block(module: str, name: str) -> t.Any:
    """``DOCUMENTATION``, ``EXAMPLES`` or ``RETURN`` of a module of the collection."""
    source = (CHECKOUT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{module} has no {name}")


def undocumented(module: str, result: Values) -> list[str]:
    """Where a result is not as ``RETURN`` says."""
    if result.keys() & {"censored", "ansible_job_id"}:
        return []  # no_log leaves nothing of it, and async adds its own
    documented: Values = block(module, "RETURN") or {}
    found = [
        problem
        for name, value in result.items()
        if name not in _COMMON and name not in _NOT_TO_BE_DOCUMENTED.get(module, ()) and not name.startswith("_ansible")
        for problem in (_wrong(name, value, documented[name]) if name in documented else [f"{name} is not documented"])
    ]
    if not result.get("failed") and not result.get("skipped"):
        missing = [
            name
            for name, told in documented.items()
            if _condition(told["returned"], result) in ("always", "success") and name not in result
        ]
        found += [f"{name} is missing" for name in missing]
    return found


def _condition(told: str, result: Values) -> str:
    """``returned`` without a state that the task has."""
    state = "absent" if "deleted_keys" in result else "present"
    return told.removesuffix(f" with O(state={state})")


def _wrong(name: str, value: t.Any, told: Values) -> list[str]:
    if value is None:
        return [] if "null" in str(told["description"]) else [f"{name} is null, which is not documented"]
    kind = told["type"]
    if not isinstance(value, _TYPES[kind]) or (kind == "int" and isinstance(value, bool)):
        return [f"{name} is a {type(value).__name__}, not a {kind}"]
    contains = told.get("contains")
    if kind == "list":
        element = {**told, "type": told["elements"], "description": ""}
        return [problem for one in value for problem in _wrong(f"{name}[]", one, element)]
    if kind == "dict" and contains is not None:
        problems = [f"{name}.{key} is not documented" for key in value if key not in contains]
        problems += [
            f"{name}.{key} is missing"
            for key, sub in contains.items()
            if key not in value and sub.get("returned", "always") == "always"
        ]
        for key in value.keys() & contains.keys():
            problems += _wrong(f"{name}.{key}", value[key], contains[key])
        return problems
    return []
