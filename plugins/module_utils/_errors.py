# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What can go wrong, said so that the person at the terminal knows what to do.

Every error of the collection is a :class:`TairError`; a module catches it once, in its ``main``.
"""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._text import shown


class TairError(Exception):
    """What happened and where; what was changed; what to do next.

    ``facts`` are returned by the module beside the message, for programs to read. None may be called ``path``:
    Ansible adds the attributes of such a file to the result.
    """

    def __init__(self, what: str, *, changed: str = "", todo: str = "", **facts: t.Any) -> None:
        super().__init__(what)
        self.what = what
        self.changed = changed
        self.todo = todo
        self.facts = facts

    def __str__(self) -> str:
        text = " ".join(_sentence(part) for part in (self.what, self.changed, self.todo) if part)
        return shown(text, newlines=True)  # names and answers of hosts are part of it


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


class MissingLibraryError(TairError):
    """A Python library that the module needs is not there, or is too old."""


class ConnectError(TairError):
    """A server can't be reached, refuses us, or is not who it should be."""


class NoRedisError(ConnectError):
    """What answers does not keep to the protocol, or does not come to an end: asking it anything else is of no use."""


class ReplyError(TairError):
    """A server answered a command of ours with an error."""


class RewriteError(TairError):
    """BGREWRITEAOF could not be started, failed, or can't be shown to have worked."""


class LayoutError(TairError):
    """The files of an AOF are not there, or its manifest makes no sense."""


class AofFormatError(TairError):
    """The bytes of an AOF are not what an AOF holds: ``file`` and ``offset`` say where."""


class UnsupportedTypeError(TairError):
    """A key holds what no commands build: ``key`` and ``database`` say which, ``module`` whose."""


class TargetStateError(TairError):
    """The target is reachable but must not be imported into as it is."""


class ImportFailedError(TairError):
    """The import stopped before its end; the message says how far the target is."""


class FetchError(TairError):
    """The AOF could not be copied from its host."""
