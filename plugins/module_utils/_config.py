# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which parameters of a server have to change, and changing them so that a failure leaves them as they were."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, ReplyError, TairError
from ansible_collections.redisops.tair.plugins.module_utils._redis import (
    Client,
    ConfigForbiddenError,
    Endpoint,
    config_get,
    config_set,
)

_UNITS = {"b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}

#: Parameters whose value is a secret, in Redis, Valkey, KeyDB, Sentinel and Tair: requirepass, masterauth, primaryauth,
#: tls-key-file-pass, tls-client-key-file-pass, auth-pass, sentinel-pass, 'user' (rules of the ACL) and names like them.
_SECRET = re.compile(r"pass|auth|secret|token|credential|^user$", re.IGNORECASE)
#: Names that only look like one of these.
_NO_SECRET = frozenset(("tls-auth-clients", "tls-auth-clients-user"))
#: What Ansible shows instead of a secret; given back as a value, it would become the password.
_MASKS = ("VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "********")


def is_secret(name: str) -> bool:
    """Return whether the value of a parameter is a secret. The one place that decides it."""
    return name.lower() not in _NO_SECRET and bool(_SECRET.search(name))


def secret_values(settings: t.Mapping[str, t.Any]) -> set[str]:
    """Return the secrets among the values of parameters, as text, for Ansible to mask wherever they occur."""
    return {as_server_writes(value) for name, value in settings.items() if is_secret(name)} - {""}


@dataclass
class Plan:
    """Values before (``previous``) and after (``wanted``), both as the server writes them, in the order to set."""

    previous: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def changes(self) -> list[str]:
        return [name for name in self.wanted if self._differs(name)]

    def _differs(self, name: str) -> bool:
        wanted, previous = self.wanted[name], self.previous[name]
        return wanted != previous and (is_secret(name) or _bytes(wanted) != _bytes(previous))

    @property
    def hidden(self) -> list[str]:
        """The parameters whose values are not returned."""
        return [name for name in self.wanted if is_secret(name)]

    @staticmethod
    def returned(values: dict[str, str]) -> dict[str, str]:
        """Return the values without the secrets."""
        return {name: value for name, value in values.items() if not is_secret(name)}

    @staticmethod
    def shown(values: dict[str, str], name: str) -> str:
        """Return a value as a message may show it."""
        return "(not shown)" if is_secret(name) else values[name]

    def shown_change(self, name: str) -> tuple[str, str]:
        """Return the values before and after as a diff may show them."""
        if is_secret(name):
            return "(not shown)", "(not shown, changes)"
        return self.previous[name], self.wanted[name]


def as_server_writes(value: t.Any) -> str:
    """``True`` is ``yes``: YAML reads a bare ``yes`` as a boolean. Everything else is its text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _bytes(value: str) -> str:
    """A memory size with a unit as the number of bytes that CONFIG GET shows; other values as they are."""
    match = re.fullmatch(r"(\d+)([kmg]?b|[kmg])", value, re.IGNORECASE)
    return str(int(match[1]) * _UNITS[match[2].lower()]) if match else value


def plan_settings(client: Client, endpoint: Endpoint, settings: dict[str, t.Any], *, ignore_missing: bool) -> Plan:
    """Read the parameters and tell what would change. Changes nothing.

    Raises :class:`ReplyError` for a parameter that the server lacks, unless ``ignore_missing``.
    """
    plan = Plan()
    masked = [name for name in settings if is_secret(name) and as_server_writes(settings[name]) in _MASKS]
    if masked:
        raise TairError(
            f"The value given for {', '.join(masked)} is what Ansible shows instead of a secret, not the secret",
            changed=f"Nothing was changed on {endpoint}",
            todo="Give the value itself; it can't be taken from the result of an earlier task",
        )
    for name, value in settings.items():
        current = config_get(client, endpoint, name)
        if current is None:
            plan.missing.append(name)
            continue
        plan.previous[name] = current
        plan.wanted[name] = as_server_writes(value)
    if plan.missing and not ignore_missing:
        raise ReplyError(
            f"{endpoint} has no parameter {', '.join(plan.missing)}",
            changed=f"Nothing was changed on {endpoint}",
            todo="Leave it out, or set missing=ignore if this version of the server may lack it",
        )
    return plan


def apply_settings(client: Client, endpoint: Endpoint, plan: Plan) -> None:
    """Set what differs, in order. When one is refused the ones set before it are put back, and the error says so."""
    done: list[str] = []
    for name in plan.changes:
        try:
            config_set(client, endpoint, name, plan.wanted[name])
        except TairError as exc:
            error = _without_value(endpoint, name, exc) if is_secret(name) else exc
            error.changed = _put_back(client, endpoint, plan, done)
            raise error from None
        done.append(name)


def _without_value(endpoint: Endpoint, name: str, exc: TairError) -> TairError:
    """Return the error of a refused secret without the server's words, which repeat the value in a form of their own."""
    if isinstance(exc, ConfigForbiddenError):
        return ConfigForbiddenError(
            f"{endpoint} did not set {name}: CONFIG is renamed or forbidden here", todo=exc.todo
        )
    if isinstance(exc, ConnectError):
        return ConnectError(f"The connection to {endpoint} failed while setting {name}", todo=exc.todo)
    return ReplyError(
        f"{endpoint} refused the value of {name}; its reason is not shown, as it may hold the value",
        todo="Check the value, and that the parameter can be set while the server runs",
    )


def _put_back(client: Client, endpoint: Endpoint, plan: Plan, done: list[str]) -> str:
    kept: list[str] = []
    for name in reversed(done):
        try:
            config_set(client, endpoint, name, plan.previous[name])
        except TairError:  # the first error is the one to report; this one is told in its 'changed'
            kept.append(name)
    if kept:
        return f"Still changed on {endpoint}: {', '.join(f'{name} (was {plan.shown(plan.previous, name)})' for name in kept)}"
    return f"Nothing is changed on {endpoint}" + (f" ({', '.join(done)} put back)" if done else "")
