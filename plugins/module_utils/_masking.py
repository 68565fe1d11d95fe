# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Results of a module that Ansible would mask by mistake.

Whatever a module returns, Ansible replaces each occurrence of its passwords: with the password C(redis) the AOF in C(/var/lib/redis)
is said to be in C(/var/lib/********), and the next task looks for it there. So where that would happen, facts are returned once more
in letters that it does not touch, and the action plugin puts them back on the control node. Texts, and what may be somebody's
secret, stay masked.
"""

from __future__ import annotations

import json
import typing as t

Result = t.Dict[str, t.Any]

_KEY = "_unmasked"
_MASKED = frozenset(("msg", "summary", "warnings", "deprecations", "diff", "previous", "parameters"))
_DIGITS = "0123456789abcdef"
#: Sets of sixteen letters, no two with one in common: the password has some of one, and none of another.
_ALPHABETS = ("ghijklmnopqrstuv", "GHIJKLMNOPQRSTUV", _DIGITS, "ABCDEFWXYZwxyz-+")


def with_unmasked(result: Result, secrets: t.Iterable[str]) -> Result:
    """What a module returns: the same, and the facts in other letters where one of them holds one of the ``secrets``."""
    facts = {key: value for key, value in result.items() if key not in _MASKED}
    text = json.dumps(facts)
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
    """The same with the facts as the module gave them."""
    written = result.pop(_KEY, None)
    if not isinstance(written, str):
        return result
    letters = next(letters for letters in _ALPHABETS if written[:1] in letters)
    facts: Result = json.loads(bytes.fromhex(written.translate(str.maketrans(letters, _DIGITS))))
    return {**result, **facts}


def _strings(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _strings(each)
