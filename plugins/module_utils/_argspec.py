# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The connection options as an argument spec, and how a module ends.

Twin of the documentation in ``doc_fragments/_redis.py``: a test holds the two equal.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._masking import with_unmasked
from ansible_collections.redisops.tair.plugins.module_utils._text import clean_values, without_controls

#: What may be left out by name where a target does not know it; see :mod:`_import.compat`.
DROPPABLE = ("functions", "hash_field_ttl", "member_ttl", "stream_producers")
#: Administrators take these away from clients by ``rename-command``, and a source has to run them.
RENAMEABLE = ("CONFIG", "BGREWRITEAOF")


def connection_spec(*, fallbacks: bool = True) -> dict[str, t.Any]:
    """The options that tell where a server is. ``fallbacks``: take what is not given from the environment."""
    spec: dict[str, t.Any] = {
        "login_host": {"type": "str", "default": "localhost"},
        "login_port": {"type": "int", "default": 6379},
        "login_user": {"type": "str"},
        "login_password": {"type": "str", "no_log": True},
        "login_unix_socket": {"type": "path"},
        "tls": {"type": "bool", "default": False},
        "validate_certs": {"type": "bool", "default": True},
        "ca_certs": {"type": "path"},
        "client_cert_file": {"type": "path"},
        "client_key_file": {"type": "path"},
        "connect_timeout": {"type": "float", "default": 10.0},
    }
    if fallbacks:
        for name in ("login_host", "login_port", "login_user", "login_password", "ca_certs"):
            spec[name]["fallback"] = (env_fallback, [f"REDISOPS_{name.upper()}"])
    return spec


def server_spec() -> dict[str, t.Any]:
    """The options of a module for one server: those of the connection, and where the module runs."""
    return {**connection_spec(), "via": {"type": "str", "choices": ["host", "control_node"], "default": "host"}}


def source_spec() -> dict[str, t.Any]:
    """The same with what is asked of sources only."""
    return {**server_spec(), "renamed_commands": _renamed_commands()}


def compat_spec() -> dict[str, t.Any]:
    """What becomes of commands that an older target does not know."""
    return {
        "compat": {"type": "str", "choices": ["auto", "off"], "default": "auto"},
        "drop": {"type": "list", "elements": "str", "choices": list(DROPPABLE), "default": []},
    }


def catch_up_spec() -> dict[str, t.Any]:
    """The options of ``aof_catch_up``, which runs as a module or as an action plugin."""
    source = {**connection_spec(fallbacks=False), "renamed_commands": _renamed_commands()}
    return {
        **connection_spec(),
        "path": {"type": "path", "required": True},
        "dest": {"type": "path"},
        "aof_base_size": {"type": "int", "default": 0},
        "source": {"type": "dict", "required": True, "options": source},
        "fence": {"type": "str", "choices": ["none", "last"], "default": "none"},
        "fence_method": {"type": "str", "choices": ["auto", "min-replicas", "pause"], "default": "auto"},
        "pause_seconds": {"type": "int", "default": 300},
        **compat_spec(),
        "timeout": {"type": "float", "default": 60.0},
    }


def _renamed_commands() -> dict[str, t.Any]:
    return {"type": "dict", "no_log": True, "options": {name: {"type": "str"} for name in RENAMEABLE}}


Result = t.Dict[str, t.Any]


def run(module: AnsibleModule, body: t.Callable[[AnsibleModule], Result]) -> None:
    """End the module with what ``body`` returns, or with the message of the :class:`TairError` that it raises."""
    try:
        result = body(module)
    except TairError as exc:
        module.fail_json(msg=without_controls(str(exc)), **clean_values(exc.facts))
    module.exit_json(**with_unmasked(clean_values(result), module.no_log_values))
