#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_config
short_description: Set parameters of a running Redis, Valkey or KeyDB server
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Sets parameters with C(CONFIG SET), one by one in the order given, and only those that differ.
  - Tells what the values were, so that the caller can put them back.
  - The configuration file is not written; a restart of the server brings back what stands there.
extends_documentation_fragment:
  - redisops.tair._redis
  - redisops.tair._redis.server
  - redisops.tair._redis.source
  - redisops.tair._attributes
  - redisops.tair._attributes.actiongroup_tair
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  settings:
    description:
      - Parameters and the values they shall have. They are set in this order.
      - Values are compared the way the server writes them. C(yes) and C(no) may be given as booleans;
        memory sizes with a unit (V(64mb)) are compared in bytes.
      - The values of secret parameters, such as C(requirepass), C(masterauth) and C(tls-key-file-pass), are never shown or returned.
        In a C(loop) over them set C(no_log), as Ansible prints the items itself.
    type: dict
    required: true
  missing:
    description:
      - What to do about a parameter that this version of the server does not have,
        such as C(aof-use-rdb-preamble) on Redis 3.2.
    type: str
    choices:
      fail: Fail before anything is set.
      ignore: Leave it out; it is listed in RV(missing).
    default: fail
seealso:
  - module: redisops.tair.aof_info
  - module: redisops.tair.aof_rewrite
"""

EXAMPLES = r"""
---
- name: Make the next AOF one that redis-cli and aof_import can read
  redisops.tair.redis_config:
    login_host: 127.0.0.1
    login_password: "{{ redis_password }}"
    settings:
      aof-use-rdb-preamble: false
      auto-aof-rewrite-percentage: 0
      appendonly: true
    missing: ignore
  register: config

- name: Put back what was there
  redisops.tair.redis_config:
    login_host: 127.0.0.1
    login_password: "{{ redis_password }}"
    settings: "{{ config.previous }}"
"""

RETURN = r"""
settings:
  description:
    - The parameters asked for that the server has, with the values they have now (in check mode would have).
    - Secret parameters are left out, see RV(hidden).
  returned: success
  type: dict
  sample: {"aof-use-rdb-preamble": "no", "appendonly": "yes"}
previous:
  description:
    - The same parameters with the values they had before, in the order that undoes the changes (the last one set first).
    - Can be given as O(settings) to restore everything but secret parameters, which are left out; see RV(hidden).
  returned: success
  type: dict
  sample: {"appendonly": "no", "aof-use-rdb-preamble": "yes"}
hidden:
  description:
    - Parameters asked for whose values are secret, such as C(requirepass). Neither RV(settings) nor RV(previous) has them,
      so the caller must know the values that are to be restored.
  returned: success
  type: list
  elements: str
  sample: []
missing:
  description: Parameters asked for that this server does not have.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, run, source_spec
from ansible_collections.redisops.tair.plugins.module_utils._config import apply_settings, plan_settings, secret_values
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect


def configure(module: AnsibleModule) -> Result:
    # Before anything can fail: what is in here is masked in messages, warnings, the diff and the arguments, too.
    module.no_log_values.update(secret_values(module.params["settings"]))
    endpoint = Endpoint.from_params(module.params)
    client = connect(endpoint, allow_misconf=True)
    plan = plan_settings(
        client, endpoint, module.params["settings"], ignore_missing=module.params["missing"] == "ignore"
    )
    module.no_log_values.update(secret_values(plan.previous))
    if not module.check_mode:
        apply_settings(client, endpoint, plan)
    return {
        "changed": bool(plan.changes),
        "settings": plan.returned(plan.wanted),
        "previous": dict(reversed(list(plan.returned(plan.previous).items()))),
        "hidden": plan.hidden,
        "missing": plan.missing,
        "diff": {
            "before_header": str(endpoint),
            "after_header": str(endpoint),
            "before": {name: plan.shown_change(name)[0] for name in plan.changes},
            "after": {name: plan.shown_change(name)[1] for name in plan.changes},
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **source_spec(),
            "settings": {"type": "dict", "required": True, "no_log": False},
            "missing": {"type": "str", "choices": ["fail", "ignore"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    run(module, configure)


if __name__ == "__main__":
    main()
