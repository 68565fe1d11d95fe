# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a server's error reply means, and what to do about it.

One table for all modules. Texts as Redis 3.2 to 8.10, Valkey, KeyDB and Tair send them; where Tair's own
error reference names a cause that Redis lacks, Tair's is told, as Tair is what people import into.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

#: What an error is about: this one command; the server or the account, so that the next command fails alike; a state of
#: the server that ends by itself; or more commands on their way than the server takes.
About = t.Literal["command", "server", "passing", "pipeline"]


@dataclass(frozen=True)
class Meaning:
    """What an error reply means (``cause``), what to do next (``todo``), and what it is about."""

    cause: str
    todo: str
    about: About


def _row(pattern: str, cause: str, todo: str, about: About = "command") -> tuple[re.Pattern[str], Meaning]:
    return re.compile(pattern, re.IGNORECASE), Meaning(cause, todo, about)


#: redis-py leaves out the first word of some replies, as it has classes for them: so the text alone must do, too.
_TABLE: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    _row(
        r"illegal address",
        "the client's address is not on the instance's whitelist",
        "Add the address this runs from to the instance's IP whitelist (console: Whitelist Settings), then run again",
        "server",
    ),
    _row(
        r"^NOAUTH|Authentication required",
        "the server wants a password and none was given",
        "Set login_password; for an account that is not the default one, set login_user too or give 'user:password'",
        "server",
    ),
    _row(
        r"^WRONGPASS|invalid password|invalid username-password",
        "the user or the password is wrong, or the user is disabled",
        "Check login_user and login_password; Tair takes 'password', 'user:password', or the two apart",
        "server",
    ),
    _row(
        r"without any password configured|no password is set",
        "a password was given, and the server has none",
        "Leave login_password empty for this server",
        "server",
    ),
    _row(
        r"^NOPERM|not support for normal user|has no permissions",
        "the account may not run this command",
        "Use an account with read and write permission, or allow the command for this user",
    ),
    _row(
        r"^OOM",
        "the server is at its maxmemory; on a cluster one full shard is enough",
        "Choose a larger instance class or free memory on the target, then run again: the import resumes where it stopped",
        "server",
    ),
    _row(
        r"^READONLY|^NOWRITE|^DISABLE|against a read only (replica|slave)",
        "the server takes no writes: it is a read-only replica, or the instance is disabled or being switched over",
        "Give the address of the writable primary; if a switch-over is under way, wait for its end and run again",
        "passing",
    ),
    _row(
        r"^NOREPLICAS",
        "the server wants more replicas than it has (min-replicas-to-write), or redis_fence has stopped its writers",
        "Run redis_fence with state=absent on it if it is a fence, or see to its replicas, then run again",
        "server",
    ),
    _row(
        r"^MISCONF",
        "the server has stopped writes because it can't save to its own disk",
        "Free disk space on that server and look at its log, then run again",
        "server",
    ),
    _row(
        r"^LOADING|is loading the dataset in memory",
        "the server is loading its data set",
        "Wait until it is loaded, then run again",
        "passing",
    ),
    _row(r"^BUSY ", "the server runs a long script", "Wait for it, or SCRIPT KILL it, then run again", "passing"),
    _row(
        r"^MASTERDOWN|^CLUSTERDOWN|^TRYAGAIN|^Link with MASTER is down",
        "the cluster is not whole at the moment",
        "Wait until CLUSTER INFO says cluster_state:ok, then run again",
        "passing",
    ),
    _row(
        r"max number of clients",
        "the server is at its limit of connections",
        "Close connections that are not needed or raise maxclients, then run again",
        "passing",
    ),
    _row(
        r"too many pending request",
        "the proxy refuses a pipeline this deep",
        "Set window_bytes lower (1 MB, say) and run again",
        "pipeline",
    ),
    _row(
        r"^MOVED|^ASK ",
        "the server is a node of a cluster and this key lives on another one",
        "Connect to the cluster's proxy endpoint",
    ),
    _row(
        r"^CROSSSLOT|keys must in same slot",
        "a command has keys in several slots of a cluster",
        "Import into a standalone instance, or exclude these keys",
    ),
    _row(
        r"too big (inline|mbulk count) ?(request|string)?|unbalanced quotes|Protocol error",
        "the server was sent bytes that are no command",
        "Check that this is the port of a Redis server, and that nothing in between changes what is sent",
        "server",
    ),
    _row(
        r"unknown command|unknown subcommand",
        "the server does not know this command: it is older than the server that wrote it, lacks a module, "
        "or the command is renamed there",
        "Choose a target of the source's version or newer, or exclude these keys",
    ),
    _row(
        r"syntax error|wrong number of arguments|Unrecognized .*option",
        "the server does not know this form of the command: it is older than the server that wrote it",
        "Choose a target of the source's version or newer",
    ),
    _row(
        r"^BUSYGROUP|BUSYKEY|already exists",
        "the target already holds an object of this name",
        "Empty the target (if_not_empty=flush does) and import again",
    ),
    _row(
        r"^WRONGTYPE",
        "the target holds a key of this name and another type",
        "Empty the target (if_not_empty=flush does) and import again",
    ),
    _row(
        r"DB index is out of range|invalid DB index|SELECT is not allowed",
        "the target has fewer databases than the source uses",
        "Raise 'databases' on the target, or choose an instance that has as many",
    ),
)


#: What EXEC is answered with in front of the reason why the whole transaction can't be.
_ABORTED = re.compile(r"^EXECABORT Transaction discarded because of: ")


def without_values(reply: str) -> str:
    """An error reply without what it repeats of the command: ``with args beginning with:`` is followed by values."""
    return re.sub(r",?\s*with args beginning with:.*", "", reply, flags=re.DOTALL)


def meaning(reply: str) -> Meaning | None:
    """The meaning of an error reply (without its leading ``-``), or None for one that explains itself."""
    reason = _ABORTED.sub("", reply)
    for pattern, row in _TABLE:
        if pattern.search(reason):
            return row
    return None


def explain(reply: str) -> str:
    """The reply and, where the table knows it, what it means: ``NOAUTH ... (the server wants a password ...)``."""
    row, shown = meaning(reply), without_values(reply)
    return f"'{shown}' ({row.cause})" if row else f"'{shown}'"


def next_step(reply: str) -> str:
    """What to do about an error reply; empty where the table does not know it."""
    row = meaning(reply)
    return row.todo if row else ""
