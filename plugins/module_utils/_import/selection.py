# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What of an AOF is imported, and into which databases: the options ``databases``, ``database_map`` and key patterns.

A command whose keys are all selected is sent, one that has none of them is not. Of DEL, UNLINK and MSET the selected
keys are sent. Any other command that touches selected keys and others (RENAME, SUNIONSTORE, FLUSHALL ...) can't be
imported in part: it is an error, as the target would silently differ without it.
"""

from __future__ import annotations

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import DIVISIBLE, key_positions
from ansible_collections.redisops.tair.plugins.module_utils._keys import DatabaseMap, KeyFilter
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

_WHOLE_DATABASE = frozenset((b"FLUSHDB", b"SWAPDB"))


class PartlySelected(Exception):
    """The command touches what is selected and what is not; the text says how."""


class Selection:
    """``protect``: the target holds keys that are not of this AOF, which a FLUSHALL in it must not take away."""

    def __init__(
        self,
        keys: KeyFilter | None = None,
        databases: DatabaseMap | None = None,
        *,
        protect: bool = False,
    ) -> None:
        self._keys = keys or KeyFilter()
        self.databases = databases or DatabaseMap()
        self._protect = protect
        self._all_databases = self.databases.only is None and not self.databases.targets
        self.takes_all = self._keys.takes_all and self._all_databases and not protect

    def takes(self, key: bytes, database: int) -> bool:
        """Whether a key in this database of the source is selected."""
        return self.databases.takes(database) and self._keys.takes(key)

    def of(self, command: Command, database: int) -> Command | None:
        """What to send for a command in this database of the source: itself, a part of it, or nothing.

        ``database``: after the command, for SELECT. Raises :class:`PartlySelected`.
        """
        name = command[0].upper()
        if name == b"SELECT":
            return [command[0], b"%d" % self.databases.target(database)] if self.databases.takes(database) else None
        if name in (b"MULTI", b"EXEC", b"FUNCTION", b"SCRIPT"):
            return command
        if name == b"FLUSHALL" and not self.takes_all:
            raise PartlySelected("it empties all databases, and only a part of the target belongs to this AOF")
        if not self.databases.takes(database):
            return None
        if name in _WHOLE_DATABASE and not self.takes_all:
            if name == b"SWAPDB" or not self._keys.takes_all or self._protect or self.databases.merges:
                raise PartlySelected("it changes whole databases, and only a part of their keys belongs to this AOF")
            return command
        positions = key_positions(command)
        if not positions or self._keys.takes_all:
            return self._with_databases_mapped(name, command)
        wanted = [at for at in positions if self._keys.takes(command[at])]
        if not wanted:
            return None
        if len(wanted) < len(positions):
            step = DIVISIBLE.get(name)
            if step is None:
                raise PartlySelected("some of its keys are selected and others are not")
            return [command[0], *(arg for at in wanted for arg in command[at : at + step])]
        return self._with_databases_mapped(name, command)

    def _with_databases_mapped(self, name: bytes, command: Command) -> Command:
        """MOVE and COPY name a second database."""
        if self._all_databases:
            return command
        at: int | None = None
        if name == b"MOVE":
            at = 2
        elif name == b"COPY":
            at = next((n + 1 for n in range(3, len(command) - 1) if command[n].upper() == b"DB"), None)
        if at is None or not command[at].isdigit():
            return command
        other = int(command[at])
        if not self.databases.takes(other):
            raise PartlySelected(f"it moves a key to database {other}, which is not selected")
        return [*command[:at], b"%d" % self.databases.target(other), *command[at + 1 :]]
