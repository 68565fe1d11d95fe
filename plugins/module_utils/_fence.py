# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Stop the writers of a server, and let them back: a *fence*.

By ``min-replicas-to-write`` the server is told to want more replicas than there can be, and refuses writes. The number says
what stood there before (:data:`FENCE` added to it), so that a fence can be taken away exactly by whoever finds it,
also after the run that set it was killed. By ``CLIENT PAUSE WRITE`` writers have to wait; that ends by itself.
"""

from __future__ import annotations

import contextlib
import re
import socket
import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._config import Plan, apply_settings, plan_settings
from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError, TairError, TargetStateError
from ansible_collections.redisops.tair.plugins.module_utils._redis import (
    Client,
    ConfigForbiddenError,
    Endpoint,
    config_get,
    connect,
    connected_socket,
    speaking_to,
)
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain, next_step
from ansible_collections.redisops.tair.plugins.module_utils._resp import BadReply, ErrorReply, Reply, encode
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts

Method = t.Literal["min-replicas", "pause"]
#: What becomes of a write: it is executed, refused at once, or has to wait.
Fate = t.Literal["executed", "refused", "waiting"]

#: More replicas than any server has, and less than its largest number by more than any server is told to want.
FENCE = 1_000_000_000
#: Deleting a key that is not there: a write for the server, and nothing is written when it is executed.
_PROBE = (b"DEL", b"redisops.tair:fence:probe")
#: Seconds that an answer may come later than one on another connection to a question that was sent after it.
_GRACE = 0.5
_LAGS = ("min-replicas-max-lag", "min-slaves-max-lag")
_WANTED = ("min-replicas-to-write", "min-slaves-to-write")
#: The parameters that a fence changes; those with 'slaves' are the names before Redis 5.
PARAMETERS = (*_WANTED, *_LAGS)


@dataclass
class Outcome:
    """``before`` and ``after`` are for a diff; ``previous``: parameters as they were without a fence."""

    changed: bool = False
    method: Method | None = None
    previous: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    scripts_stopped: bool = True


def choose_method(client: Client, endpoint: Endpoint, facts: ServerFacts, wanted: str) -> Method:
    """The method for ``auto``: to refuse writes, unless scripts would get through or CONFIG can't be used.

    Raises :class:`ReplyError` where the server lacks ``CLIENT PAUSE WRITE`` and nothing else will do.
    """
    if wanted == "min-replicas":
        return "min-replicas"
    can_pause = LooseVersion(facts.redis_version) >= LooseVersion("6.2.0")
    if wanted == "auto":
        try:
            config_get(client, endpoint, _WANTED[0])
        except ConfigForbiddenError:
            if not can_pause:
                raise
            return "pause"
        runs_scripts = not _stops_scripts(facts, "min-replicas") and facts.info.get("number_of_cached_scripts", 0)
        return "pause" if runs_scripts and can_pause else "min-replicas"
    if not can_pause:
        raise ReplyError(
            f"{endpoint} is compatible with Redis {facts.redis_version}, and CLIENT PAUSE with WRITE came with Redis 6.2: "
            "before, a pause stops everything, reads and our own connection too",
            changed=f"Nothing was changed on {endpoint}",
            todo="Use method=min-replicas",
        )
    return "pause"


def _stops_scripts(facts: ServerFacts, method: Method) -> bool:
    """Up to Redis 6.2.6 a write that a script makes is not checked for replicas (redis/redis issue 9993); KeyDB is as old."""
    old = facts.flavor == "keydb" or LooseVersion(facts.redis_version) < LooseVersion("6.2.7")
    return method == "pause" or not old


def set_fence(
    client: Client, endpoint: Endpoint, facts: ServerFacts, method: Method, *, pause_ms: int, check: bool
) -> Outcome:
    """Stop the writers and prove it by a write of our own; where that fails what was set is taken back.

    Raises :class:`TargetStateError` for a replica, :class:`ConfigForbiddenError`, :class:`ReplyError`.
    """
    if facts.role == "slave":
        master = f"{facts.info.get('master_host', '?')}:{facts.info.get('master_port', '?')}"
        raise TargetStateError(
            f"{endpoint} is a replica of {master}: those who write write there",
            changed=f"Nothing was changed on {endpoint}",
            todo=f"Fence {master}",
        )
    outcome = (
        _refuse_writes(client, endpoint, check=check)
        if method == "min-replicas"
        else _pause_writes(client, endpoint, pause_ms, check=check)
    )
    outcome.scripts_stopped = _stops_scripts(facts, method)
    return outcome


def lift_fence(client: Client, endpoint: Endpoint, wanted: str, previous: dict[str, str], *, check: bool) -> Outcome:
    """Let the writers back. ``previous``: parameters to set in the place of what the fence itself tells.

    ``wanted``: ``auto`` for any fence that is there. Raises :class:`TairError` where writers have to wait still.
    """
    outcome = Outcome()
    if wanted != "pause":
        try:
            plan = plan_settings(
                client, endpoint, {**_without_fence(client, endpoint), **previous}, ignore_missing=False
            )
        except ConfigForbiddenError:
            if wanted != "auto" or previous:
                raise
            plan = Plan()  # no fence of parameters was set here either
        if plan.changes:
            outcome = _of_plan(plan, "min-replicas")
            outcome.previous = plan.wanted
            if not check:
                apply_settings(client, endpoint, plan)
    if wanted != "min-replicas":
        try:
            _lift_pause(client, endpoint, outcome, check=check)
        except TairError as exc:
            done = "" if check else ", ".join(outcome.after)
            exc.changed = f"Put back on {endpoint}: {done}" if done else f"Nothing is changed on {endpoint}"
            raise
    return outcome


# ----------------------------------------------------------------------------------------- min-replicas-to-write


def _refuse_writes(client: Client, endpoint: Endpoint, *, check: bool) -> Outcome:
    original = _original(client, endpoint)
    settings: dict[str, t.Any] = {
        # A lag of 0 switches the check off altogether.
        name: FENCE if name in _LAGS and value == "0" else FENCE + int(value) if name in _WANTED else value
        for name, value in original.items()
    }
    plan = plan_settings(client, endpoint, settings, ignore_missing=False)
    outcome = _of_plan(plan, "min-replicas")
    outcome.previous = original
    if check:
        return outcome
    apply_settings(client, endpoint, plan)
    try:
        fate = _fate_of_a_write(client, endpoint)
        if fate != "refused":
            raise ReplyError(
                f"{endpoint} does not refuse writes although it wants {FENCE} replicas (a write is {fate})",
                todo="Try method=pause, and report this",
            )
    except TairError as exc:
        exc.changed = _put_back(client, endpoint, plan)
        raise
    return outcome


def _put_back(client: Client, endpoint: Endpoint, plan: Plan) -> str:
    """Undo a plan after an error, and tell in its words how far that went."""
    shown = ", ".join(f"{name} (was {plan.previous[name]})" for name in plan.changes)
    if not shown:
        return f"Nothing was changed on {endpoint}"
    try:
        back = plan_settings(client, endpoint, plan.previous, ignore_missing=False)
        apply_settings(client, endpoint, back)
    except TairError:  # the first error is the one to report
        return f"Still changed on {endpoint}: {shown}; redis_fence with state=absent puts that back"
    return f"Nothing is changed on {endpoint} ({', '.join(plan.changes)} put back)"


def _original(client: Client, endpoint: Endpoint) -> dict[str, str]:
    """The parameters of the fence as they are without it, the one that makes it last."""
    original: dict[str, str] = {}
    for names in (_LAGS, _WANTED):
        for name in names:
            value = config_get(client, endpoint, name)
            if value is not None:
                if not re.fullmatch(r"[0-9]{1,10}", value):
                    raise ReplyError(
                        f"{endpoint} answered {value[:60]!r} to CONFIG GET {name}: that is no number",
                        changed=f"Nothing was changed on {endpoint}",
                        todo="Check that this is a Redis server and nothing else",
                    )
                original[name] = str(int(value) - FENCE) if int(value) >= FENCE else value
                break
        else:
            raise ReplyError(
                f"{endpoint} has no parameter {names[0]}",
                changed=f"Nothing was changed on {endpoint}",
                todo="Use method=pause, if this is a server of Redis 6.2 or newer",
            )
    return original


def _without_fence(client: Client, endpoint: Endpoint) -> dict[str, str]:
    """What takes the fence away: the one that makes it first."""
    return dict(reversed(list(_original(client, endpoint).items())))


def _of_plan(plan: Plan, method: Method) -> Outcome:
    return Outcome(
        changed=bool(plan.changes),
        method=method,
        before={name: plan.previous[name] for name in plan.changes},
        after={name: plan.wanted[name] for name in plan.changes},
    )


# -------------------------------------------------------------------------------------------- CLIENT PAUSE WRITE


def _pause_writes(client: Client, endpoint: Endpoint, pause_ms: int, *, check: bool) -> Outcome:
    try:
        before = _fate_of_a_write(client, endpoint)
    except TairError as exc:
        exc.changed = f"Nothing was changed on {endpoint}"
        raise
    outcome = Outcome(changed=before != "waiting", method="pause")
    if outcome.changed:
        outcome.before["writes"], outcome.after["writes"] = before, "paused"
    if check:
        return outcome
    with speaking_to(endpoint, "pausing its writers (CLIENT PAUSE)"):
        # A pause that is there already is only made longer.
        if client.execute_command("CLIENT PAUSE", pause_ms, "WRITE") != b"OK":
            raise BadReply("its reply to CLIENT PAUSE is not OK")
    try:
        if _fate_of_a_write(client, endpoint) == "executed":
            raise ReplyError(f"{endpoint} executes writes during a pause", todo="Report this")
    except TairError as exc:
        if outcome.changed:
            _unpause(client, endpoint)
            exc.changed = f"Nothing is changed on {endpoint}: its writers go on"
        raise
    return outcome


def _lift_pause(client: Client, endpoint: Endpoint, outcome: Outcome, *, check: bool) -> None:
    if _fate_of_a_write(client, endpoint) != "waiting":
        return
    outcome.before["writes"], outcome.after["writes"] = "paused", "executed"
    outcome.method = outcome.method or "pause"
    outcome.changed = True
    if check:
        return
    _unpause(client, endpoint)
    if _fate_of_a_write(client, endpoint) == "waiting":
        raise ReplyError(
            f"{endpoint} lets writes wait after CLIENT UNPAUSE, too: a failover may be under way",
            todo="Look at the server's log, and at paused_reason in INFO clients",
        )


def _unpause(client: Client, endpoint: Endpoint) -> None:
    with speaking_to(endpoint, "letting its writers go on (CLIENT UNPAUSE)"):
        client.execute_command("CLIENT UNPAUSE")


# ------------------------------------------------------------------------------------------------------- a write


def _fate_of_a_write(client: Client, endpoint: Endpoint) -> Fate:
    """Try a write that changes nothing, on a connection of its own. Raises :class:`ReplyError` where it can't be told."""
    reply: Reply = False
    with contextlib.closing(connect(endpoint, allow_misconf=True)) as probing:
        with speaking_to(endpoint, "trying a write that changes nothing"):
            connected_socket(probing).sendall(encode(_PROBE))
        with speaking_to(endpoint, "asking whether it answers"):
            client.execute_command("ECHO", "redisops.tair")
        probing.replies.timeout = _GRACE
        with speaking_to(endpoint, "trying a write that changes nothing"), contextlib.suppress(socket.timeout):
            (reply,) = probing.replies.receive(1)
    if reply is False:
        return "waiting"
    if isinstance(reply, int):
        return "executed"
    if not isinstance(reply, ErrorReply):
        raise ReplyError(
            f"{endpoint} answered {str(reply)[:60]!r} to DEL, so it can't be told whether writes are stopped",
            todo="Check that this is a Redis server and nothing else",
        )
    text = str(reply)
    # A server that can't save to its disk, or is a replica by now, says so first: it takes no writes either way.
    if text.startswith(("NOREPLICAS", "MISCONF", "READONLY")):
        return "refused"
    raise ReplyError(
        f"{endpoint} answered {explain(text)} to a write that changes nothing, so it can't be told whether writes are stopped",
        todo=next_step(text) or "Use an account that may run DEL",
    )
