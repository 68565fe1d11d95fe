# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``keyspace_compare`` of a host that is reached by SSH: on the control node, the source through a tunnel.

The target is often reachable from the control node only, and the source from its own host only.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, TairError
from ansible_collections.redisops.tair.plugins.plugin_utils._control_node import on_control_node
from ansible_collections.redisops.tair.plugins.plugin_utils._module_action import ModuleAction
from ansible_collections.redisops.tair.plugins.plugin_utils._task_host import connector, is_ssh
from ansible_collections.redisops.tair.plugins.plugin_utils._tunnel import Tunnel

_LOOPBACK = ("localhost", Tunnel.host)
_SILENCE = 60.0


class ActionModule(ModuleAction):
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables, source = task_vars or {}, self._task.args.get("source")
        if self._task.delegate_to or not is_ssh(self) or not isinstance(source, Mapping):
            return super().run(tmp, variables)
        result: dict[str, t.Any] = ActionBase.run(self, tmp, variables)
        try:
            if self._task.args.get("source_via") == "control_node":
                result.update(self._on_control_node(self._task.args, variables))
            else:
                result.update(self._through_tunnel(source, variables))
        except TairError as exc:
            result.update(failed=True, msg=str(exc), **exc.facts)
        return result

    def _through_tunnel(self, source: Mapping[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        host, given_port = str(source.get("login_host") or "localhost"), str(source.get("login_port") or 6379)
        name = variables.get("inventory_hostname", "the host")
        _require_tunnelable(source, host, given_port)
        port = int(given_port)
        with connector(self, silence=_SILENCE)() as connection, Tunnel(connection, host, port) as tunnel:
            # A certificate is checked against login_host, so a name that means the loopback here too stays.
            here = host if host in _LOOPBACK else tunnel.host
            arguments = {**self._task.args, "source": {**source, "login_host": here, "login_port": tunnel.port}}
            result = self._on_control_node(arguments, variables)
            return {
                key: value.replace(f"{here}:{tunnel.port}", f"{host}:{port} on {name}")
                if key in ("msg", "summary")
                else value
                for key, value in result.items()
            }

    def _on_control_node(self, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        with on_control_node(self, variables) as here:
            return self._execute_module(module_args=arguments, task_vars=here)


def _require_tunnelable(source: Mapping[str, t.Any], host: str, port: str) -> None:
    """Raise :class:`ConnectError` for what can't be reached through a tunnel."""
    if source.get("login_unix_socket"):
        raise ConnectError(
            f"The Unix socket {source['login_unix_socket']} of the source can't be reached from the control node",
            todo="Let the source listen on a port of its loopback too, and give source.login_host and source.login_port",
        )
    if not port.isdigit():
        raise ConnectError(f"source.login_port is no port: {port}")
    if _is_true(source.get("tls", False)) and _is_true(source.get("validate_certs", True)) and host not in _LOOPBACK:
        raise ConnectError(
            f"The TLS certificate of {host} can't be verified through an SSH tunnel, which ends at {Tunnel.host}",
            todo="Give source.login_host=localhost with a certificate that names it; or set source.validate_certs=false:"
            " the SSH connection has verified the host already",
        )


def _is_true(value: t.Any) -> bool:
    """As the module's own option has it, which is not read yet."""
    return bool(boolean(value, strict=False))
