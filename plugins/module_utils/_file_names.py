# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Names of files that come from a host, a server, a manifest or a journal, before one of them becomes a path."""

from __future__ import annotations

import re
import typing as t

#: A journal of ``aof_fetch`` 0.1.0, which was a file in the copy's directory. Newer ones are ``DEST`` with this added.
JOURNAL = ".aof_fetch"
#: Added to the name of a file that is not complete.
PART = ".part"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def name_problem(name: str) -> str:
    """Return why ``name`` is not a plain file name, such as ``contains a slash``; nothing if it is one.

    A plain file name has no directory part and no control character, and is not one that the collection itself uses.
    Names that are not UTF-8 are given with surrogates, as :func:`os.fsdecode` does.
    """
    if not name:
        return "is empty"
    if "/" in name:
        return "contains a slash"
    if name in (".", ".."):
        return "is a directory"
    if _CONTROL.search(name):
        return "contains a control character"
    folded = name.casefold()
    if folded.endswith((JOURNAL, PART)):
        return f"ends in {JOURNAL} or {PART}, which aof_fetch uses itself"
    return ""


def repeated_name(names: t.Iterable[str]) -> str | None:
    """Return the first name that is there twice, in capital or small letters, as some file systems do not tell them apart."""
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            return name
        seen.add(name.casefold())
    return None
