# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What an older target can be sent instead of a command it would refuse.

One row a form: which commands are of it, what they become, or under which name they may be dropped. Which of them are
needed is asked of the target.
"""

from __future__ import annotations

import time
import typing as t
from collections import Counter
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.forms import Form
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._compat import lacks
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: The commands to send instead, or None where this command has no equivalent.
Rewriting = t.Callable[[Command], t.Optional[list[Command]]]

_COMPARISONS = frozenset((b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"))
_ABSOLUTE = {b"PXAT": b"PEXPIREAT", b"EXAT": b"EXPIREAT"}
#: The names under which expiries within a key may be given up: of a hash's fields, and of KeyDB's members.
FIELD_TTL, MEMBER_TTL = "hash_field_ttl", "member_ttl"
#: A group that is created with a stream, and destroyed at once.
_NO_GROUP = b"redisops.tair:none"


def _nothing(_command: Command) -> list[Command] | None:
    return []


@dataclass(frozen=True)
class Row:
    """A form that some targets lack.

    ``asked``: what the target is asked for. ``droppable``: the name under which what has no equivalent may be given up,
    empty where that would lose more than what the target lacks; ``rest``: what is sent of the command then.
    """

    asked: Form
    rewrite: Rewriting
    droppable: str = ""
    rest: Rewriting = _nothing
    fewest: int = 0
    """Arguments that a command of this form has at least, its name counted."""
    marker: bytes = b""
    """Bytes that every command of this form contains, and few others do: a block without them is not searched."""
    command: bytes = b""
    """The command that is of this form, where the target is asked for another one."""
    refused_by_all: bool = False
    """Whether every server refuses the form, so that no target is asked."""
    large: t.Callable[[int, LargeCommand], bool] | None = None
    """Whether a large command of a file may have to be another one; None: by its number of arguments."""
    of_clients: bool = False
    """Whether none of the commands that are made of an RDB has to be another one."""

    @property
    def form(self) -> str:
        """Its name for people."""
        return f"{self.name.decode()} {self.asked.option}".rstrip()

    @property
    def name(self) -> bytes:
        """The command's, in capitals."""
        return self.command or self.asked.command.split("|")[0].encode()


def _no_equivalent(_command: Command) -> list[Command] | None:
    return None


def _set_expiring(command: Command) -> list[Command] | None:
    """Servers write no other option beside the time; one that they would can't be judged."""
    if len(command) != 5 or command[3].upper() not in _ABSOLUTE:
        return None
    return [command[:3], [_ABSOLUTE[command[3].upper()], command[1], command[4]]]


def _set_if(command: Command) -> list[Command] | None:
    """Without a comparison: a server writes such a command only where it has come out well."""
    at = next((n for n in range(3, len(command) - 1) if command[n].upper() in _COMPARISONS), None)
    return None if at is None else [[*command[:at], *command[at + 2 :]]]


def _expiring_if(command: Command) -> list[Command] | None:
    """A server writes one with a condition only where that was met, and so it is met here."""
    if len(command) == 4 and command[3].upper() in (b"NX", b"XX", b"GT", b"LT"):
        return [command[:3]]
    return None


def _getex(command: Command) -> list[Command] | None:
    if len(command) == 3 and command[2].upper() == b"PERSIST":
        return [[b"PERSIST", command[1]]]
    if len(command) == 4 and command[2].upper() in _ABSOLUTE:
        return [[_ABSOLUTE[command[2].upper()], command[1], command[3]]]
    return None


def _getdel(command: Command) -> list[Command] | None:
    return [[b"DEL", command[1]]] if len(command) == 2 else None


def _lmove(command: Command) -> list[Command] | None:
    """Only from the one list's tail to the other's head is there an older command."""
    if len(command) == 5 and [end.upper() for end in command[3:]] == [b"RIGHT", b"LEFT"]:
        return [[b"RPOPLPUSH", command[1], command[2]]]
    return None


def _xsetid(command: Command) -> list[Command] | None:
    """Without the counters, which a target that lacks the options does not have either."""
    options = [word.upper() for word in command[3::2]]
    if len(command) < 5 or len(command) % 2 == 0 or not set(options) <= {b"ENTRIESADDED", b"MAXDELETEDID"}:
        return None
    return [command[:3]]


def _xgroup(command: Command) -> list[Command] | None:
    """Without the number of entries read, which a target that lacks the option does not have either."""
    if len(command) < 7 or command[1].upper() not in (b"CREATE", b"SETID"):
        return None
    at = next((n for n in range(5, len(command) - 1) if command[n].upper() == b"ENTRIESREAD"), None)
    return None if at is None else [[*command[:at], *command[at + 2 :]]]


def _persist_member(command: Command) -> list[Command] | None:
    """Nothing of KeyDB's ``PERSIST key member``; the PERSIST of a key has no rest, as every server knows it."""
    return [] if len(command) == 3 else None


def _xadd_nothing(command: Command) -> list[Command] | None:
    """Create a stream that never had an entry.

    The rewrite of Redis 5.0 writes ``XADD key MAXLEN 0 0-0 x y`` for it, and no server accepts the ID 0-0.
    """
    if len(command) != 7 or command[2].upper() != b"MAXLEN" or command[3:5] != [b"0", b"0-0"]:
        return None
    return [
        [b"XGROUP", b"CREATE", command[1], _NO_GROUP, b"0", b"MKSTREAM"],
        [b"XGROUP", b"DESTROY", command[1], _NO_GROUP],
    ]


def _hgetdel(command: Command) -> list[Command] | None:
    fits = len(command) > 4 and command[2].upper() == b"FIELDS" and command[3] == b"%d" % (len(command) - 4)
    return [[b"HDEL", command[1], *command[4:]]] if fits else None


def _hgetex(command: Command) -> list[Command] | None:
    option = command[2].upper() if len(command) > 4 else b""
    if option == b"PXAT":
        return [[b"HPEXPIREAT", command[1], *command[3:]]]
    return [[b"HPERSIST", command[1], *command[3:]]] if option == b"PERSIST" else None


def _xdelex(command: Command) -> list[Command] | None:
    """Only where the groups keep their references to the entries, as without an option."""
    ids = _stream_ids(command, 2)
    return None if ids is None else [[b"XDEL", command[1], *ids]]


def _xackdel(command: Command) -> list[Command] | None:
    ids = _stream_ids(command, 3)
    return None if ids is None else [[b"XACK", *command[1:3], *ids], [b"XDEL", command[1], *ids]]


def _stream_ids(command: Command, at: int) -> list[bytes] | None:
    """What follows ``[KEEPREF] IDS number``; None where something else stands there."""
    at += len(command) > at and command[at].upper() == b"KEEPREF"
    return command[at + 2 :] if len(command) > at + 2 and command[at].upper() == b"IDS" else None


def _bitop(command: Command) -> list[Command] | None:
    """By the older operations, in the destination itself; none where that is one of the operands, which are needed to the end."""
    operation, into, *keys = command[1].upper(), *command[2:]
    if into in keys or len(keys) < 2:
        return None
    first, others = keys[0], keys[1:]
    steps: dict[bytes, list[Command]] = {
        # All with z = y1 | y2 ...: x & ~z is x ^ (x & z), and z & ~x is (x | z) ^ x.
        b"DIFF": [[b"OR", into, *others], [b"AND", into, first, into], [b"XOR", into, first, into]],
        b"DIFF1": [[b"OR", into, *keys], [b"XOR", into, into, first]],
        b"ANDOR": [[b"OR", into, *others], [b"AND", into, into, first]],
    }
    if operation == b"ONE" and len(keys) == 2:
        return [[b"BITOP", b"XOR", into, *keys]]
    return [[b"BITOP", *step] for step in steps[operation]] if operation in steps else None


def _msetex(command: Command) -> list[Command] | None:
    """Key by key. A server writes one with a condition only where that was met."""
    count = int(command[1]) if command[1].isdigit() else 0
    pairs, options = command[2 : 2 + 2 * count], [word.upper() for word in command[2 + 2 * count :]]
    options = [word for word in options if word not in (b"NX", b"XX")]
    if not count or len(pairs) != 2 * count or (options and options[0] not in (b"PXAT", b"EXAT", b"KEEPTTL")):
        return None
    return [[b"SET", key, value, *options] for key, value in zip(pairs[::2], pairs[1::2])]


def _hsetex(command: Command) -> list[Command] | None:
    """Only without a condition and without KEEPTTL: HSET takes the time that a field had away."""
    if len(command) < 8 or command[2].upper() != b"PXAT" or command[4].upper() != b"FIELDS":
        return None
    pairs = command[6:]
    if command[5] != b"%d" % (len(pairs) // 2) or len(pairs) % 2:
        return None
    return [[b"HSET", command[1], *pairs], [b"HPEXPIREAT", command[1], command[3], b"FIELDS", command[5], *pairs[::2]]]


def _is_past(milliseconds: bytes) -> bool:
    return milliseconds.isdigit() and int(milliseconds) <= time.time() * 1000


def _expired_fields(command: Command) -> list[Command] | None:
    """The fields stay, but for those whose time is over: they would be gone."""
    at = next((n for n in range(3, len(command) - 2) if command[n].upper() == b"FIELDS"), None)
    return [[b"HDEL", command[1], *command[at + 2 :]]] if at is not None and _is_past(command[2]) else []


def _hset(command: Command) -> list[Command] | None:
    """The fields without their time, unless it is over. With a condition it has no rest."""
    at = {b"PXAT": 4, b"KEEPTTL": 3, b"FIELDS": 2}.get(command[2].upper()) if len(command) > 5 else None
    if at is None or command[at].upper() != b"FIELDS":
        return None
    pairs = command[at + 2 :]
    if command[at + 1] != b"%d" % (len(pairs) // 2) or len(pairs) % 2:
        return None
    if command[2].upper() == b"PXAT" and _is_past(command[3]):
        return [[b"HDEL", command[1], *pairs[::2]]]
    return [[b"HSET", command[1], *pairs]]


#: In the order of the versions that brought the forms.
ROWS: tuple[Row, ...] = (
    Row(
        Form("XADD", "0-0", "5.0.0"),
        _xadd_nothing,
        fewest=7,
        marker=b"\r\n$1\r\n0\r\n$3\r\n0-0\r\n",
        refused_by_all=True,
    ),
    Row(Form("SET", "PXAT", "6.2.0"), _set_expiring, fewest=5),
    Row(Form("GETEX", "", "6.2.0"), _getex),
    Row(Form("GETDEL", "", "6.2.0"), _getdel),
    Row(Form("LMOVE", "", "6.2.0"), _lmove),
    Row(Form("COPY", "", "6.2.0"), _no_equivalent),
    Row(Form("PEXPIREAT", "NX", "7.0.0"), _expiring_if, fewest=4),
    Row(Form("XSETID", "ENTRIESADDED", "7.0.0"), _xsetid, fewest=5),
    Row(Form("XGROUP|CREATE", "ENTRIESREAD", "7.0.0"), _xgroup, fewest=7),
    Row(Form("FUNCTION", "", "7.0.0"), _no_equivalent, "functions"),
    Row(Form("HPEXPIREAT", "", "7.4.0"), _no_equivalent, FIELD_TTL, _expired_fields),
    Row(Form("HPERSIST", "", "7.4.0"), _no_equivalent, FIELD_TTL),
    Row(Form("HSETEX", "", "8.0.0"), _hsetex, FIELD_TTL, _hset),
    Row(Form("HGETEX", "", "8.0.0"), _hgetex),
    Row(Form("HGETDEL", "", "8.0.0"), _hgetdel),
    Row(Form("SET", "IFEQ", "8.1.0"), _set_if, fewest=5),
    Row(Form("XDELEX", "", "8.2.0"), _xdelex),
    Row(Form("XACKDEL", "", "8.2.0"), _xackdel),
    Row(Form("BITOP", "DIFF", "8.2.0"), _bitop),
    Row(Form("MSETEX", "", "8.4.0"), _msetex),
    # KeyDB's: the AOF does not say whether the key is a hash, so nothing stands for them.
    Row(Form("PEXPIREMEMBERAT", "", ""), _no_equivalent, MEMBER_TTL),
    Row(Form("EXPIREMEMBERAT", "", ""), _no_equivalent, MEMBER_TTL),
    Row(Form("EXPIREMEMBER", "", ""), _no_equivalent, MEMBER_TTL),
    Row(Form("PEXPIREMEMBERAT", "", ""), _no_equivalent, MEMBER_TTL, _persist_member, fewest=3, command=b"PERSIST"),
    # What a stream remembers of its producers; an import from an RDB leaves it out as well.
    Row(Form("XCFGSET", "", "8.6.0"), _no_equivalent, "stream_producers"),
    Row(Form("XIDMPRECORD", "", "8.6.0"), _no_equivalent, "stream_producers"),
)
DROPPABLE = tuple(sorted({row.droppable for row in ROWS if row.droppable}))


class Compat:
    """What is done to the commands of one import. ``drop``: names under which what has no equivalent is given up."""

    def __init__(self, rows: t.Sequence[Row] = (), drop: t.Container[str] = ()) -> None:
        self.rewritten: Counter[str] = Counter()
        """Commands that were sent as others, by form."""
        self.dropped: Counter[str] = Counter()
        """Commands that were left out, whole or in part, by the name under which they were."""
        self._drop = drop
        self._rows: dict[bytes, list[Row]] = {}
        self._fewest: dict[bytes, int] = {}
        self.add(rows)

    def add(self, rows: t.Iterable[Row]) -> None:
        """Take more forms into account."""
        for row in rows:
            self._rows.setdefault(row.name, []).append(row)
        self._fewest = {name: min(row.fewest for row in rows) for name, rows in self._rows.items()}
        # Of several rows of a name one without a marker concerns every block.
        self._markers = {name: min(row.marker for row in rows) for name, rows in self._rows.items()}
        self._of_clients = {name for name, rows in self._rows.items() if all(row.of_clients for row in rows)}

    def lacks(self, name: bytes) -> bool:
        """Whether the target does not know a command, of those that have a row; never where nothing is adapted."""
        return any(row.name == row.asked.command.encode() for row in self._rows.get(name, ()))

    def drops(self, name: str) -> bool:
        """Whether what has this name may be left out."""
        return name in self._drop

    @property
    def needed(self) -> bool:
        """Whether there is anything that the target does not know."""
        return bool(self._rows)

    def concerns_large(self, command: LargeCommand, fd: int) -> bool:
        """Whether a large command of the file ``fd`` may have to be another one. A form with a marker is never large."""
        rows = [row for row in self._rows.get(command.name.upper(), ()) if not row.marker]
        return any(row.large(fd, command) if row.large else command.args >= row.fewest for row in rows)

    def concerns(self, block: Block, *, of_rdb: bool = False) -> bool:
        """Whether any of its commands may have to be another one. Most are of forms that every server knows.

        ``of_rdb``: whether they are made of an RDB.
        """
        for name in self._fewest.keys() & {name.upper() for name in block.names}:
            fewest = self._fewest[name]
            if of_rdb and name in self._of_clients:
                continue
            if self._markers[name] not in block.data:
                continue
            if not fewest or any(len(command) >= fewest and command[0].upper() == name for command in block.commands):
                return True
        return False

    def adapted(self, command: Command, *, count: bool = True) -> list[Command]:
        """The commands to send: itself, where it is taken or nothing else means the same."""
        for row in self._rows.get(command[0].upper(), ()):
            instead, tally, name = row.rewrite(command), self.rewritten, row.form
            if instead is None and row.droppable in self._drop:
                instead, tally, name = row.rest(command), self.dropped, row.droppable
            if instead is not None:
                tally[name] += count
                return [last for one in instead for last in self.adapted(one, count=count)]
        return [command]


def remedies(what: str) -> tuple[bool, str | None]:
    """For a command, or a command and its option, that a target lacks: whether other commands may stand for it, and the name under
    which it may be dropped.
    """
    if what == "RESTORE":
        return True, None  # keys of an RDB are built by other commands where it can't be used
    name, _blank, option = what.partition(" ")
    rows = [
        row
        for row in ROWS
        if row.name.decode() == name and bool(row.asked.option) == bool(option) and not row.refused_by_all
    ]
    return (
        any(row.rewrite is not _no_equivalent for row in rows),
        next((row.droppable for row in rows if row.droppable), None),
    )


def compat_for(endpoint: Endpoint, redis_version: str | None, drop: t.Collection[str]) -> Compat:
    """What the target needs. Raises :class:`ConnectError`, and :class:`TairError` for a name that nothing has."""
    unknown = [name for name in drop if name not in DROPPABLE]
    if unknown:
        raise TairError(
            f"Nothing is called '{unknown[0]}' that could be dropped", todo=f"Choose among {', '.join(DROPPABLE)}"
        )
    missing = lacks(endpoint, [row.asked for row in ROWS if not row.refused_by_all], redis_version)
    return Compat([row for row in ROWS if row.refused_by_all or row.asked in missing], frozenset(drop))
