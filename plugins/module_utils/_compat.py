# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What of an AOF a target would refuse, asked of the target without sending it anything that could write.

``COMMAND INFO`` tells which commands it knows, ``COMMAND DOCS`` (7.0 and newer) which options they have; for older
servers their version tells. ``ACL DRYRUN`` (7.0 and newer) tells what the account may run. What the target does not answer is
told as unchecked: it is no proof of anything.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._aof.data_commands import CONTAINERS, kind_of
from ansible_collections.redisops.tair.plugins.module_utils._aof.forms import Form
from ansible_collections.redisops.tair.plugins.module_utils._aof.places import Place
from ansible_collections.redisops.tair.plugins.module_utils._aof.tally import OTHER_NAMES, Tally
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, NoRedisError
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._replies import without_values
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply, Reply
from ansible_collections.redisops.tair.plugins.module_utils._target import Target
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

Kind = t.Literal["command", "syntax", "database", "permission"]

_TOGETHER = 100
_SCRIPTS = (b"EVAL", b"EVALSHA", b"FCALL")
#: Arguments that ACL DRYRUN takes for commands whose key is not simply their first; ``KEY`` stands for it.
_KEY = b"KEY"
_ARGUMENTS: dict[bytes, tuple[bytes, ...]] = {
    b"XGROUP": (b"CREATE", _KEY, b"g", b"$"),
    b"FUNCTION": (b"LOAD", b"x"),
    b"SCRIPT": (b"LOAD", b"x"),
    **dict.fromkeys(_SCRIPTS, (b"x", b"0")),
    b"BITOP": (b"AND", _KEY, _KEY),
    b"MSETEX": (b"1", _KEY, b"v"),
}


@dataclass(frozen=True)
class Refusal:
    """``what`` (a command, an option, a database) the target would refuse, ``count`` times, first at ``places``."""

    kind: Kind
    what: str
    reason: str
    count: int
    places: t.Sequence[Place]


@dataclass(frozen=True)
class Verdict:
    """``unchecked``: what the target did not tell, in words."""

    refusals: tuple[Refusal, ...]
    unchecked: tuple[str, ...]
    not_data: tuple[bytes, ...] = ()
    """Commands that the target knows and does not flag ``write``, beside those that no server does."""


def judge(tally: Tally, endpoint: Endpoint, target: Target) -> Verdict:
    """Ask the target. Raises :class:`ConnectError`, :class:`ReplyError`, :class:`TargetStateError`."""
    refused: list[Refusal] = []
    unchecked: list[str] = []
    questions = _Questions(endpoint)
    with contextlib.closing(questions):
        names = sorted(
            name
            for name in tally.by_name()
            if name != OTHER_NAMES and (name in CONTAINERS - {b"CLUSTER"} or kind_of(name) in ("data", "unknown"))
        )
        writes = (
            questions.writes([name for name in names if kind_of(name) == "unknown" and name not in CONTAINERS]) or {}
        )
        not_data = tuple(name for name, is_write in writes.items() if is_write is False)
        names = [name for name in names if name not in not_data]
        arities = questions.arities(names)
        if arities is None:
            unchecked.append("which commands it knows, as it does not answer COMMAND INFO")
        known = names if arities is None else [name for name in names if arities[name] is not None]
        refused += [_unknown(tally, name) for name in names if name not in known]
        _judge_forms(tally, questions, target.redis_version, known, refused, unchecked)
        refused += _databases(tally, target.databases)
        forbidden = None
        if arities is not None:
            forbidden = questions.forbidden(
                {name: (arity, _sample_key(tally, name)) for name, arity in arities.items() if arity is not None}
            )
        if forbidden is None:
            unchecked.append("what this account may run, as it does not answer ACL DRYRUN")
        else:
            refused += [_refusal("permission", tally, name, reason) for name, reason in forbidden.items()]
    scripts = sum(tally.by_name().get(name, (0, 0))[0] for name in _SCRIPTS)
    if scripts:
        unchecked.append(f"what the scripts of {scripts} commands call (EVAL, EVALSHA, FCALL)")
    return Verdict(tuple(refused), tuple(unchecked), not_data)


def lacks(endpoint: Endpoint, forms: t.Sequence[Form], version: str | None) -> set[Form]:
    """Those of the forms that the target certainly does not know. ``version``: of Redis, that it is compatible with.

    Raises :class:`ConnectError`.
    """
    with contextlib.closing(_Questions(endpoint)) as questions:
        names = {form: form.command.split("|")[0].encode() for form in forms}
        arities = questions.arities(list(dict.fromkeys(names.values()))) or {}
        lacking = {form for form, name in names.items() if arities.get(name, 0) is None}
        known = [form for form in forms if form not in lacking and form.option]
        tokens = questions.tokens(sorted({form.command for form in known}))
        return lacking | {form for form in known if _lacks(form, tokens.get(form.command), version)}


def flagged_write(endpoint: Endpoint, names: t.Sequence[bytes]) -> dict[bytes, bool | None] | None:
    """Return whether the target flags each command ``write``; None for one that it does not know.

    None for all where it does not answer COMMAND INFO. Raises :class:`ConnectError`.
    """
    with contextlib.closing(_Questions(endpoint)) as questions:
        return questions.writes(list(names))


def _judge_forms(
    tally: Tally,
    questions: _Questions,
    version: str | None,
    known: list[bytes],
    refused: list[Refusal],
    unchecked: list[str],
) -> None:
    """The forms of commands that the target knows."""
    forms = {form: at for form, at in tally.forms.found.items() if form.command.split("|")[0].encode() in known}
    tokens = questions.tokens(sorted({form.command for form in forms}))
    for form, at in sorted(forms.items(), key=lambda item: str(item[0])):
        reason = _lacks(form, tokens.get(form.command), version)
        if reason is None:
            unchecked.append(f"whether it knows {form}")
        elif reason:
            refused.append(Refusal("syntax", str(form), reason, at.count, at.first))


def _refusal(kind: Kind, tally: Tally, name: bytes, reason: str) -> Refusal:
    return Refusal(kind, name.decode("utf-8", "replace"), reason, tally.by_name()[name][0], tally.samples[name])


def _unknown(tally: Tally, name: bytes) -> Refusal:
    reason = (
        "it has no module with this command"
        if b"." in name
        else "it does not know this command, or it is renamed there"
    )
    return _refusal("command", tally, name, reason)


def _sample_key(tally: Tally, name: bytes) -> bytes:
    return next((place.key for place in tally.samples[name] if place.key is not None), b"1")


def _lacks(form: Form, tokens: set[bytes] | None, version: str | None) -> str | None:
    """Why the target refuses a form; empty where it does not, None where that can't be told."""
    if tokens is not None and (form.is_token or not form.option):
        if not tokens or (form.option and form.option.encode() not in tokens):
            return "its COMMAND DOCS does not have this option"
        return ""
    if version is None:
        return None
    if LooseVersion(version) < LooseVersion(form.since):
        return f"it came with version {form.since[:3]}, and this server is compatible with {version}"
    return ""


def _databases(tally: Tally, databases: int) -> list[Refusal]:
    return [
        Refusal("database", str(number), f"it has {databases} database{'s' * (databases != 1)}", at.count, at.first)
        for number, at in sorted(tally.databases.items())
        if number >= databases
    ]


class _Questions:
    """Asks one server. A proxy may hang up on what it does not know."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._wire = Wire(endpoint)

    def close(self) -> None:
        self._wire.close()

    def arities(self, names: list[bytes]) -> dict[bytes, int | None] | None:
        """The number of arguments of each command as COMMAND INFO tells it, None for those that are unknown."""
        rows = self._rows(names)
        return None if rows is None else {name: row[1] if row else None for name, row in rows.items()}

    def writes(self, names: list[bytes]) -> dict[bytes, bool | None] | None:
        """Whether each command, or one of its subcommands, is flagged ``write``; None for those that are unknown."""
        rows = self._rows(names)
        if rows is None:
            return None
        return {
            name: any(_is_write(one) for one in (row, *(row[9] if len(row) > 9 else ()))) if row else None
            for name, row in rows.items()
        }

    def _rows(self, names: list[bytes]) -> dict[bytes, list[t.Any]] | None:
        """What COMMAND INFO tells of each command, empty for those that are unknown; None where it is not answered."""
        rows: dict[bytes, list[t.Any]] = {}
        for start in range(0, len(names), _TOGETHER):
            some = names[start : start + _TOGETHER]
            (reply,) = self._ask([[b"COMMAND", b"INFO", *some]])
            if not isinstance(reply, list) or len(reply) != len(some):
                return None
            rows.update((name, row if isinstance(row, list) and len(row) > 2 else []) for name, row in zip(some, reply))
        return rows

    def tokens(self, commands: list[str]) -> dict[str, set[bytes]]:
        """The words that commands take, as COMMAND DOCS lists them, without those whose documentation it does not give."""
        if not commands:
            return {}
        replies = self._ask([[b"COMMAND", b"DOCS", command.lower().encode()] for command in commands])
        found: dict[str, set[bytes]] = {}
        for command, reply in zip(commands, replies):
            if isinstance(reply, list):
                flat = list(_flattened(reply))
                found[command] = {word for before, word in zip(flat, flat[1:]) if before == b"token"}
                if flat:
                    found[command].add(b"")  # documented, if without words
        return found

    def forbidden(self, commands: dict[bytes, tuple[int, bytes]]) -> dict[bytes, str] | None:
        """What the account may not run, and the server's words for it; ``commands``: arity and a key of each."""
        (user,) = self._ask([[b"ACL", b"WHOAMI"]])
        if isinstance(user, ErrorReply) and "unknown command" in str(user).lower():
            return {}  # older than ACLs: who is logged in may run everything
        if not isinstance(user, bytes):
            return None
        forbidden: dict[bytes, str] = {}
        answered = 0
        for name, (arity, key) in commands.items():
            given = _ARGUMENTS.get(name, (_KEY, *[b"1"] * abs(arity)))
            args = [key if arg == _KEY else arg for arg in given]
            count = max(abs(arity) - 1, len(args) if name in _ARGUMENTS else 0)
            (reply,) = self._ask([[b"ACL", b"DRYRUN", user, name, *args[:count]]])
            answered += isinstance(reply, bytes)
            if isinstance(reply, bytes) and reply != b"OK":
                forbidden[name] = without_values(reply.decode("utf-8", "replace"))
        if answered or not commands:
            return forbidden
        # Redis 6: no DRYRUN, but an account that may do everything can be told from others.
        (told,) = self._ask([[b"ACL", b"GETUSER", user]])
        return {} if {b"allcommands", b"allkeys"} <= set(_flattened(told)) else None

    def _ask(self, commands: t.Sequence[t.Sequence[bytes]]) -> list[Reply]:
        """The replies, or None for each where the peer hung up."""
        try:
            return self._wire.exchange(commands)
        except NoRedisError:
            raise
        except ConnectError:
            self._wire.close()
            self._wire = Wire(self._endpoint)  # raises where it is not only these commands
            return [None] * len(commands)


def _is_write(row: t.Any) -> bool:
    """Whether a row of COMMAND INFO has the flag."""
    return isinstance(row, list) and len(row) > 2 and isinstance(row[2], list) and b"write" in row[2]


def _flattened(reply: Reply) -> t.Iterator[Reply]:
    if isinstance(reply, list):
        for element in reply:
            yield from _flattened(element)
    else:
        yield reply
