# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which parameters of a server have to change, and changing them so that a failure leaves them as they were."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError, TairError
from ansible_collections.redisops.tair.plugins.module_utils._redis import Client, Endpoint, config_get, config_set

_UNITS = {"b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}

#: Parameters whose value is a secret: never in a message or a diff.
_SECRET = re.compile(r"pass|auth|secret|user", re.IGNORECASE)


@dataclass
class Plan:
    """Values before (``previous``) and after (``wanted``), both as the server writes them, in the order to set."""

    previous: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def changes(self) -> list[str]:
        return [name for name in self.wanted if _bytes(self.wanted[name]) != _bytes(self.previous[name])]

    @staticmethod
    def shown(values: dict[str, str], name: str) -> str:
        """A value as a diff may show it."""
        return "(not shown)" if _SECRET.search(name) else values[name]


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
            exc.changed = _put_back(client, endpoint, plan, done)
            raise
        done.append(name)


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
