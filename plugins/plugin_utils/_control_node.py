# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Running a module on the control node for a task whose host is another one."""

from __future__ import annotations

import contextlib
import typing as t

from ansible.plugins.loader import connection_loader

#: What belongs to the host's own Python and privileges, and must not follow the module here.
_OF_THE_HOST = ("ansible_become", "ansible_shell", "ansible_remote_tmp", "ansible_pipelining", "discovered_interpreter")


@contextlib.contextmanager
def on_control_node(action: t.Any, variables: dict[str, t.Any]) -> t.Iterator[dict[str, t.Any]]:
    """A module that ``action`` executes in the block with the variables that this gives runs in the Python that runs
    Ansible, as its user, without become."""
    local = connection_loader.get("ansible.builtin.local", action._play_context, "/dev/null")
    local.set_options(direct={"pipelining": True})  # no temporary files
    here = {name: value for name, value in variables.items() if not name.startswith(_OF_THE_HOST)}
    here.update(ansible_connection="local", ansible_python_interpreter=variables["ansible_playbook_python"])
    host_connection, action._connection = action._connection, local
    try:
        yield here
    finally:
        action._remove_tmp_path(local._shell.tmpdir)
        action._connection = host_connection
        local.close()
