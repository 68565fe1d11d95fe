# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Forms of commands that came later than the commands: an older server knows the name and refuses the option.

Only what an AOF can hold is listed: servers do not write the options of reads, and rewrite many of the others (``SET EX``
as ``SET PXAT``, ``EXPIRE NX`` as ``PEXPIREAT``). ``since`` is the Redis version; forms that are older than Redis 5.0 are
left out. Source: the servers' command tables (``src/commands/*.json``, field ``history``, and the arguments' ``since``).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._resp import Command


@dataclass(frozen=True)
class Form:
    """An option of a command; ``command`` is the name that COMMAND DOCS knows (``XGROUP|CREATE`` for a subcommand).

    ``since``: the first version that has it, of Redis or of Valkey.
    """

    command: str
    option: str
    since: str

    @property
    def is_token(self) -> bool:
        """Whether the option is a word that COMMAND DOCS lists."""
        return self.option.isupper()

    def __str__(self) -> str:
        return f"{self.command.replace('|', ' ')} {self.option}".rstrip()


_REFERENCES = {b"KEEPREF": "8.2.0", b"DELREF": "8.2.0", b"ACKED": "8.2.0"}
_STREAM_TRIM = {b"MINID": "6.2.0", b"LIMIT": "6.2.0"}
_SETID = {b"ENTRIESADDED": "7.0.0", b"MAXDELETEDID": "7.0.0"}
_EXPIRE = {b"NX": "7.0.0", b"XX": "7.0.0", b"GT": "7.0.0", b"LT": "7.0.0"}
_CONDITIONS = {b"IFEQ": "8.1.0", b"IFNE": "8.4.0", b"IFDEQ": "8.4.0", b"IFDNE": "8.4.0"}

#: name: (options that came later, where options begin). Of the commands whose options stand at the end.
_TRAILING: dict[bytes, tuple[dict[bytes, str], int]] = {
    b"SET": ({b"KEEPTTL": "6.0.0", b"EXAT": "6.2.0", b"PXAT": "6.2.0", b"GET": "6.2.0", **_CONDITIONS}, 3),
    b"XSETID": (_SETID, 3),
    b"XTRIM": ({**_STREAM_TRIM, **_REFERENCES}, 2),
    **dict.fromkeys((b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT"), (_EXPIRE, 3)),
    **dict.fromkeys((b"FLUSHALL", b"FLUSHDB"), ({b"SYNC": "6.2.0"}, 1)),
}
#: name: options that came later, of the commands whose options stand between the key and the rest: name to arguments.
_LEADING: dict[bytes, tuple[dict[bytes, str], dict[bytes, int]]] = {
    b"ZADD": ({b"GT": "6.2.0", b"LT": "6.2.0"}, {b"NX": 1, b"XX": 1, b"GT": 1, b"LT": 1, b"CH": 1, b"INCR": 1}),
    b"XADD": (
        {b"NOMKSTREAM": "6.2.0", **_STREAM_TRIM, **_REFERENCES, b"IDMP": "8.6.0", b"IDMPAUTO": "8.6.0"},
        {
            **dict.fromkeys((b"NOMKSTREAM", *_REFERENCES), 1),
            **dict.fromkeys((b"MAXLEN", b"MINID", b"LIMIT", b"IDMPAUTO"), 2),
            b"IDMP": 3,
        },
    ),
}
_BITOPS = {b"DIFF": "8.2.0", b"DIFF1": "8.2.0", b"ANDOR": "8.2.0", b"ONE": "8.2.0"}

#: The commands that have such forms, and from how many arguments on (the name counted) they can be of one.
FEWEST_ARGUMENTS: dict[bytes, int] = {
    **{name: at + 1 for name, (_options, at) in _TRAILING.items()},
    b"XTRIM": 4,
    b"ZADD": 5,
    b"XADD": 6,
    b"XGROUP": 5,
    b"BITOP": 4,
    b"LPOP": 3,
    b"RPOP": 3,
}
#: Where the options of a form may stand: what comes later in a command need not be looked at.
MOST_ARGUMENTS = 16


def forms_of(command: Command) -> t.Iterator[Form]:
    """The later forms that a command uses. Its name may be in any case."""
    name = command[0].upper()
    if name in _TRAILING:
        options, at = _TRAILING[name]
        yield from _found(name, options, command[at:MOST_ARGUMENTS])
    elif name in _LEADING:
        options, arguments = _LEADING[name]
        yield from _found(name, options, _leading(command, arguments))
    elif name == b"XGROUP":
        subcommand = command[1].upper()
        if subcommand == b"CREATECONSUMER":
            yield Form("XGROUP|CREATECONSUMER", "", "6.2.0")
        elif subcommand in (b"CREATE", b"SETID"):
            yield from _found(b"XGROUP|" + subcommand, {b"ENTRIESREAD": "7.0.0"}, command[5:])
    elif name == b"BITOP":
        yield from _found(name, _BITOPS, command[1:2])
    elif name in (b"LPOP", b"RPOP") and len(command) > 2:
        yield Form(name.decode(), "with a count", "6.2.0")


def _found(name: bytes, options: dict[bytes, str], args: t.Iterable[bytes]) -> t.Iterator[Form]:
    for arg in args:
        option = arg.upper() if len(arg) <= 12 else b""
        if option in options:
            yield Form(name.decode(), option.decode(), options[option])


def _leading(command: Command, arguments: dict[bytes, int]) -> t.Iterator[bytes]:
    """The options after the key, without their arguments."""
    at = 2
    while at < len(command) and command[at].upper() in arguments:
        option = command[at].upper()
        yield option
        at += arguments[option]
        # 'MAXLEN ~ 1000': the sign is one argument more.
        if option in (b"MAXLEN", b"MINID") and at < len(command) and command[at - 1] in (b"=", b"~"):
            at += 1
