# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Results of a module that Ansible would mask by mistake.

Whatever a module returns, Ansible replaces each occurrence of its passwords: with the password C(redis) the AOF in C(/var/lib/redis)
is said to be in C(/var/lib/********), and the next task looks for it there. So where that would happen, facts are returned once more
in letters that it does not touch, and the action plugin restores them on the control node. Texts, and what may be somebody's
secret, stay masked.

The host decides what it returns, so nothing is restored that Ansible has not let through: only values of keys that the result
has, and only where the value differs from the result's by masks alone.
"""

from __future__ import annotations

import json
import typing as t

Result = t.Dict[str, t.Any]

_KEY = "_unmasked"
_MASKED = frozenset(("msg", "summary", "warnings", "deprecations", "diff", "previous", "parameters"))
#: Keys by which a result has Ansible act on the control node, or which Ansible itself sets.
_OF_ANSIBLE = frozenset(
    (
        *("add_host", "add_group", "ansible_facts", "ansible_stats", "results", "include", "invocation", "exception"),
        *("changed", "failed", "skipped", "unreachable", "rc", "module_stdout", "module_stderr", "stdout", "stderr"),
    )
)
_MASK, _MASKED_VALUE = "********", "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
_LARGEST, _DEEPEST = 1 << 22, 20
_DIGITS = "0123456789abcdef"
#: Sets of sixteen letters, no two with one in common: the password has some of one, and none of another.
_ALPHABETS = ("ghijklmnopqrstuv", "GHIJKLMNOPQRSTUV", _DIGITS, "ABCDEFWXYZwxyz-+")


def with_unmasked(result: Result, secrets: t.Iterable[str]) -> Result:
    """What a module returns: the same, and the facts in other letters where one of them holds one of the ``secrets``."""
    facts = {key: value for key, value in result.items() if key not in _MASKED}
    text = json.dumps(facts)
    if 2 * len(text) > _LARGEST:
        return result
    secrets = [secret for secret in secrets if secret]
    if not any(secret in shown for secret in secrets for shown in (text, *_strings(facts))):
        return result
    digits = text.encode().hex()
    for letters in _ALPHABETS:
        written = digits.translate(str.maketrans(_DIGITS, letters))
        if not any(secret in written for secret in secrets):
            return {**result, _KEY: written}
    return result


def restored(result: Result) -> Result:
    """Return the result with the facts as the module returned them, where masking is all that differs."""
    facts = _decoded(result.pop(_KEY, None))
    return {
        key: _unmasked(value, facts[key]) if key in facts and _is_fact(key) else value for key, value in result.items()
    }


def _is_fact(key: str) -> bool:
    return key not in _MASKED | _OF_ANSIBLE and not key.startswith("_")


def _decoded(written: t.Any) -> Result:
    """Return what :func:`with_unmasked` wrote; nothing for anything else that a host may send."""
    if not isinstance(written, str) or len(written) > _LARGEST:
        return {}
    for letters in _ALPHABETS:
        if set(written) <= set(letters):
            try:
                facts = json.loads(bytes.fromhex(written.translate(str.maketrans(letters, _DIGITS))))
            except (ValueError, RecursionError):
                return {}
            return facts if isinstance(facts, dict) else {}
    return {}


def _unmasked(masked: t.Any, fact: t.Any) -> t.Any:
    """Return ``fact`` if Ansible's masking turns it into ``masked``, else ``masked``."""
    return fact if _differs_by_masks(masked, fact, _DEEPEST) else masked


def _differs_by_masks(masked: t.Any, fact: t.Any, depth: int) -> bool:
    if depth == 0:
        return False
    if isinstance(masked, dict):
        return (
            isinstance(fact, dict)
            and masked.keys() == fact.keys()
            and all(_differs_by_masks(masked[key], fact[key], depth - 1) for key in masked)
        )
    if isinstance(masked, list):
        return (
            isinstance(fact, list)
            and len(masked) == len(fact)
            and all(_differs_by_masks(old, new, depth - 1) for old, new in zip(masked, fact))
        )
    if isinstance(masked, str):
        if masked == _MASKED_VALUE:
            return fact is None or isinstance(fact, (str, int, float))
        return isinstance(fact, str) and _matches(fact, masked.split(_MASK))
    return type(masked) is type(fact) and bool(masked == fact)


def _matches(text: str, parts: t.Sequence[str]) -> bool:
    """Return whether ``text`` is the ``parts`` with at least one character between each two of them."""
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at + 1, end)
        if found < 0:
            return False
        at = found + len(part)
    return at < end


def _strings(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _strings(each)
