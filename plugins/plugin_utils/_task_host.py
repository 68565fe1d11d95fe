# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""From the task of an action plugin to the host it is for: connection plugin, become plugin, delegation."""

from __future__ import annotations

import typing as t

from ansible import constants as C
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, FetchError
from ansible_collections.redisops.tair.plugins.plugin_utils._host import Host
from ansible_collections.redisops.tair.plugins.plugin_utils._host_sftp import SftpHost
from ansible_collections.redisops.tair.plugins.plugin_utils._host_shell import (
    Become,
    NoShellError,
    SshShellHost,
    local_host,
)
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import settings_of

_SSH = ("ssh", "paramiko")


def is_ssh(action: t.Any) -> bool:
    """Whether the host of this task is reached by SSH."""
    return action._connection.transport in _SSH


def connector(action: t.Any, *, silence: float) -> t.Callable[[], SshConnection]:
    """Makes an SSH connection to the host of this task, as Ansible would."""
    settings = settings_of(action._connection, asked_password=action._play_context.password or "")
    return lambda: SshConnection(settings, silence=silence)


def host_of_task(action: t.Any, *, silence: float) -> Host:
    """The host to read files of, as the user that the task becomes. Raises :class:`FetchError` or :class:`ConnectError`."""
    if action._task.delegate_to:
        raise FetchError(
            f"The task is delegated to {action._task.delegate_to}, but it must run for the host that has the AOF",
            todo="Leave delegate_to out: it runs on the control node by itself, and takes the host's own SSH settings",
        )
    become, shell = _become_of_task(action), action._connection._shell
    if action._connection.transport == "local":
        return local_host(become, shell, silence=silence)
    if not is_ssh(action):
        raise FetchError(
            f"The connection plugin '{action._connection.ansible_name}' is not supported, only ssh, paramiko and local are",
            todo="Reach the host that has the files by ssh (for a container: the host of its data volume),"
            " or let the source import directly (aof_migrate_transfer: direct)",
        )
    connect = connector(action, silence=silence)
    host = SshShellHost(connect, become=become, shell=shell)
    try:
        host.states([])
    except NoShellError as no_shell:
        if become is not None:
            host.close()
            raise
        try:
            return SftpHost(host.connection, connect)
        except ConnectError as exc:
            host.close()
            raise FetchError(
                f"{no_shell.what.rstrip('.')}; and it has no SFTP either",
                todo="Let the account run commands, or give it the sftp subsystem",
            ) from exc
    except BaseException:
        host.close()
        raise
    return host


def _become_of_task(action: t.Any) -> Become | None:
    """The become plugin of the task, unless it would lead to the user who logs in anyway (as Ansible has it)."""
    become: t.Any = action._connection.become
    if become is None:
        return None
    user, login = become.get_option("become_user", playcontext=action._play_context), action._get_remote_user()
    if user and user == login and not C.BECOME_ALLOW_SAME_USER:
        return None
    return become  # type: ignore[no-any-return]
