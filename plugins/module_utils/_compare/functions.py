# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Function libraries (7.0 and newer): those of the source and those of the target."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._compare.sides import Side
from ansible_collections.redisops.tair.plugins.module_utils._compare.values import Finding
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply

#: Engine and code by the library's name.
Libraries = t.Dict[bytes, t.Tuple[bytes, bytes]]


def read_libraries(side: Side) -> Libraries | None:
    """What a server holds; nothing where it knows no functions; None where this user may not ask."""
    reply = side.wire.exchange([(b"FUNCTION", b"LIST", b"WITHCODE")])[0]
    if isinstance(reply, ErrorReply):
        return {} if re.search(r"unknown command", str(reply), re.IGNORECASE) else None
    libraries = (dict(zip(flat[::2], flat[1::2])) for flat in reply)
    return {told[b"library_name"]: (told[b"engine"], told[b"library_code"]) for told in libraries}


def library_differences(source: Libraries, target: Libraries) -> t.Iterator[tuple[bytes, Finding]]:
    """The libraries that are not the same on both."""
    for name in sorted(source.keys() | target.keys()):
        if name not in target:
            yield name, Finding("missing", "function library", "absent")
        elif name not in source:
            yield name, Finding("extra", "absent", "function library")
        elif source[name] != target[name]:
            yield name, Finding("value", "function library", "function library, other code")
