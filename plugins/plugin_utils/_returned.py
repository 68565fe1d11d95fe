# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What of a module's result reaches Ansible on the control node.

The host decides what its Python prints, so a result is data of a stranger: what a module's ``RETURN`` documents and what
Ansible itself adds is kept, with the documented types, and everything else is dropped. Keys by which a module has Ansible act
(``add_host``, ``ansible_facts``, ``ansible_stats``, ``_ansible_*``) are not among them.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import typing as t
from pathlib import Path

import yaml
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._text import shown, without_controls

Result = t.Dict[str, t.Any]

_MODULES = Path(__file__).resolve().parents[1] / "modules"
#: What Ansible adds to the result of any module, and what ours return for the action plugin alone.
_COMMON: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("changed", "failed", "skipped", "unreachable"), (bool,)),
    **dict.fromkeys(("msg", "skip_reason", "module_stdout", "module_stderr", "stdout", "stderr"), (str,)),
    **dict.fromkeys(("warnings", "deprecations", "stdout_lines", "stderr_lines"), (list, tuple)),
    **dict.fromkeys(("missing_library", "python_version"), (str,)),
    "diff": (dict,),
    "invocation": (dict,),
    "exception": (object,),
    "rc": (int,),
}
_OF_ASYNC: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("ansible_job_id", "results_file"), (str,)),
    **dict.fromkeys(("started", "finished"), (bool, int)),
}
_OF_DEPRECATION = frozenset(("msg", "version", "date", "collection_name"))
_OF_DIFF = frozenset(("before", "after", "before_header", "after_header"))
#: Returned for those who use them, and not documented.
_FORMER_NAMES = {"aof_inspect": {"keys": {"type": "dict"}}}
_KEPT_INTERNAL = frozenset(("_ansible_parsed", "_ansible_suppress_tmpdir_delete", "_unmasked"))
_DISCOVERED = ("discovered_interpreter_", "ansible_discovered_interpreter_")
_TYPES: dict[str, t.Any] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
_ONE_LINE = ("msg", "summary")
_LARGEST_NUMBER = 1 << 63


def without_actions(result: Result) -> Result:
    """Return a freshly parsed result without the keys by which a module has Ansible act on the control node."""
    forbidden = ("add_host", "add_group", "ansible_facts", "ansible_stats", "results")
    return {
        name: value
        for name, value in result.items()
        if isinstance(name, str)
        and name not in forbidden
        and (name not in ("stdout", "stderr") or isinstance(value, str))
        and (not name.startswith("_ansible_") or name in _KEPT_INTERNAL)
    }


def checked(result: Result, module: str, host: str, *, asynchronous: bool = False) -> Result:
    """Return what may be used of the result of ``module``; a failure that names ``host`` where a value has another type."""
    documented = {**_documented(module), **_FORMER_NAMES.get(module, {})}
    common = {**_COMMON, **(_OF_ASYNC if asynchronous else {})}
    kept: Result = {}
    try:
        for name, value in result.items():
            if name in documented:
                _require(name, value, documented[name])
            elif name == "ansible_facts":
                value = _discovered(value)
            elif name in common:
                if value is not None and not isinstance(value, common[name]):
                    raise _WrongTypeError(name, value, common[name][0].__name__)
            elif not name.startswith("_ansible_"):
                continue
            kept[name] = _on_one_line(_clean(value)) if name in _ONE_LINE else _clean(value)
        if "diff" in kept:
            kept["diff"] = {
                name: text for name, text in kept["diff"].items() if name in _OF_DIFF and isinstance(text, (str, dict))
            }
        for name in ("warnings", "deprecations"):
            if kept.get(name):
                kept[name] = [_on_one_line(message) for message in kept[name] if _is_message(message)]
        if not _is_message(kept.get("exception", "")):
            del kept["exception"]
    except _WrongTypeError as exc:
        return refusal(host, f"{module}: {exc}")
    except RecursionError:
        return refusal(host, f"{module}: its result is nested too deeply")
    return kept


def refusal(host: str, what: str) -> Result:
    """Return the result of a task whose host sent what no module of the collection returns."""
    error = TairError(
        f"The result that {host} sent can't be used, {what}",
        changed="Nothing of it was used",
        todo="Check which Python runs there (ansible_python_interpreter), and whether this host can still be trusted",
    )
    return {"failed": True, "changed": False, "msg": str(error)}


class _WrongTypeError(Exception):
    def __init__(self, name: str, value: t.Any, expected: str) -> None:
        super().__init__(f"{name} is of type {type(value).__name__}, {expected} was expected")


@functools.cache
def _documented(module: str) -> dict[str, t.Any]:
    """Return the ``RETURN`` of a module of the collection."""
    source = (_MODULES / f"{module}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RETURN":
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            return dict(yaml.load(ast.literal_eval(node.value), Loader=loader) or {})
    return {}


def _require(name: str, value: t.Any, told: t.Mapping[str, t.Any]) -> None:
    """Raise :class:`_WrongTypeError` unless the value is of the documented type or null."""
    if value is None:
        return
    kind, accepted = told["type"], _TYPES[told["type"]]
    if not isinstance(value, accepted) or (kind in ("int", "float") and isinstance(value, bool)):
        raise _WrongTypeError(name, value, kind)
    if kind in ("int", "float"):
        _require_number(name, value)
    elif kind == "list":
        element = {
            "type": told.get("elements", "str"),
            **({"contains": told["contains"]} if "contains" in told else {}),
        }
        for one in value:
            _require(f"{name}[]", one, element)
    elif kind == "dict":
        for key, known in (told.get("contains") or {}).items():
            if key in value:
                _require(f"{name}.{key}", value[key], known)
        if "contains" not in told and _has_numbers(told.get("sample")):
            for number in value.values():
                _require(f"{name}{{}}", number, {"type": "int"})


def _require_number(name: str, value: float) -> None:
    if not abs(value) < _LARGEST_NUMBER:  # nor is it NaN
        raise _WrongTypeError(name, value, "a number of at most 63 bits")


def _has_numbers(sample: t.Any) -> bool:
    return (
        isinstance(sample, dict)
        and bool(sample)
        and all(isinstance(each, int) and not isinstance(each, bool) for each in sample.values())
    )


def _discovered(facts: t.Any) -> t.Any:
    """Return the facts that Ansible itself adds after it has found the host's Python."""
    return (
        {name: fact for name, fact in facts.items() if name.startswith(_DISCOVERED)} if isinstance(facts, dict) else {}
    )


def _clean(value: t.Any) -> t.Any:
    """Return the value with escapes for what a terminal acts upon, Ansible's own message objects included."""
    if isinstance(value, str):
        clean = without_controls(value)
        return value if clean == value else clean
    if isinstance(value, dict):
        return {_clean(name): _clean(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, tuple):
        return tuple(_clean(each) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{field.name: _clean(getattr(value, field.name)) for field in dataclasses.fields(value)}
        )
    return value


def _is_message(value: t.Any) -> bool:
    """Return whether Ansible can show a value as a warning, a deprecation or an exception."""
    if isinstance(value, dict):
        return (
            "msg" in value and value.keys() <= _OF_DEPRECATION and all(isinstance(each, str) for each in value.values())
        )
    return isinstance(value, str) or dataclasses.is_dataclass(value)


def _on_one_line(value: t.Any) -> t.Any:
    """Return a message as one line, so that none of its text passes for a line of Ansible's own."""
    return " ".join(shown(line.strip()) for line in value.splitlines()) if isinstance(value, str) else value
