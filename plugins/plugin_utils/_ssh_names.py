# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check host and user names before a program, a shell or a known_hosts file gets them.

The rules are OpenSSH's ``valid_hostname`` and ``valid_ruser`` (misc.c): names come from inventories that cloud tags and
other people can write to, and OpenSSH older than 9.6 puts them into shell commands unchecked (CVE-2023-51385).
"""

from __future__ import annotations

import unicodedata

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.module_utils._text import shown

_NOT_IN_HOSTS = frozenset("'`\"$\\;&<>|(){},")
#: OpenSSH allows ``$``. It has no use in a user name, and a shell expands it.
_NOT_IN_USERS = frozenset("'`\"$;&<>|(){}")


def require_host_name(host: str, option: str = "ansible_host") -> None:
    """Raise :class:`ConnectError` for what OpenSSH does not accept as a host name or an address."""
    reason = _fault(host, _NOT_IN_HOSTS) or ("it contains a blank" if any(map(str.isspace, host)) else "")
    if reason:
        raise ConnectError(
            f"The host name '{shown(host)}' can't be used: {reason}",
            changed="Nothing was started and nothing was connected",
            todo=f"Set {option} to a host name or an address",
        )


def require_user_name(user: str, option: str = "ansible_user") -> None:
    """Raise :class:`ConnectError` for what OpenSSH does not accept as a user name."""
    reason = _fault(user, _NOT_IN_USERS)
    if not reason and any(before.isspace() and after == "-" for before, after in zip(user, user[1:])):
        reason = "it contains '-' after a blank"
    if not reason and user.endswith("\\"):
        reason = "it ends with a backslash"
    if reason:
        raise ConnectError(
            f"The user name '{shown(user)}' can't be used: {reason}",
            changed="Nothing was started and nothing was connected",
            todo=f"Set {option} to a user name",
        )


def _fault(name: str, forbidden: frozenset[str]) -> str:
    if not name:
        return "it is empty"
    if name.startswith("-"):
        return "it begins with '-', so a program would read it as an option"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "it contains a control character"
    found = next((character for character in name if character in forbidden), "")
    return f"it contains the character {found}" if found else ""
