#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_fence
short_description: Stop the writers of a Redis, Valkey or KeyDB server, and let them back
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Makes a running server take no writes, so that its data stand still while they are copied, and takes that back exactly.
    Reads go on, and so do replication, C(CONFIG), and C(BGREWRITEAOF).
  - The fence is proved by a write of the module's own that changes nothing (C(DEL redisops.tair:fence:probe)). If the server
    executes it, everything is put back and the module fails.
  - Nothing is written to the configuration file. A restart of the server takes the fence away, and C(CONFIG REWRITE) would
    make it last.
extends_documentation_fragment:
  - redisops.tair._redis
  - redisops.tair._redis.server
  - redisops.tair._redis.source
  - redisops.tair._attributes
  - redisops.tair._attributes.actiongroup_tair
attributes:
  check_mode:
    support: full
    details:
      - Nothing is set. For pauses the write that changes nothing is tried, to see whether there is one.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - A pause that is there already is made longer, to O(pause_seconds) from now. That is no change.
options:
  state:
    description:
      - V(present) stops the writers, V(absent) lets them back.
    type: str
    choices: [present, absent]
    default: present
  method:
    description:
      - How the writers are stopped.
      - With O(state=absent), which fence is taken away. V(auto) takes away what is there.
    type: str
    choices:
      auto: >-
        V(min-replicas). V(pause) where C(CONFIG) is renamed or forbidden, and where the server is older than Redis 6.2.7 (or KeyDB) and has
        scripts in its cache, as these could write nevertheless; both only from Redis 6.2 on, which brought the pause.
      min-replicas: >-
        The parameter C(min-replicas-to-write) (C(min-slaves-to-write) before Redis 5) is set higher than there can be
        replicas. Writers get the error C(NOREPLICAS) at once and can be pointed to another server. It lasts until it is taken
        away. Keys whose lifetime ends are still deleted, and logged as C(DEL) or C(UNLINK) in the AOF; C(PFCOUNT), a read, may log itself there when it
        keeps the count it has found. Up to Redis 6.2.6, and on KeyDB, scripts can still write (RV(scripts_stopped)).
      pause: >-
        C(CLIENT PAUSE) with C(WRITE), from Redis 6.2 on. Writers wait without an answer, and so do scripts that may write. No key expires
        meanwhile. It ends by itself after O(pause_seconds). When it ends or is taken away, the server executes the
        writes that have waited, so point the clients to the new server or stop them before that.
        Before Redis 6.2 a pause would stop reads as well, and is refused.
    default: auto
  pause_seconds:
    description:
      - For pauses, after how many seconds the server lets its writers go on by itself.
    type: int
    default: 300
  previous:
    description:
      - With O(state=absent), the parameters to set, as RV(previous) was when the fence was set.
      - Where it is not given, the fence itself tells what was there before it, and parameters without a fence are left as they are.
    type: dict
notes:
  - The value of C(min-replicas-to-write) is 1000000000 more than what was there before, so that a fence can be taken away exactly
    although the run that set it was killed. C(min-replicas-max-lag) is changed if it is V(0), as that switches the check off.
  - On a replica the module fails and names its master. V(absent) is possible there.
  - A fence belongs to one server. After a failover another one is the master, and has none.
seealso:
  - module: redisops.tair.redis_config
  - module: redisops.tair.aof_rewrite
"""

EXAMPLES = r"""
---
- name: Stop the writers
  redisops.tair.redis_fence:
    login_host: 127.0.0.1
    login_password: "{{ redis_password }}"
  register: fence

- name: Let them back
  redisops.tair.redis_fence:
    login_host: 127.0.0.1
    login_password: "{{ redis_password }}"
    state: absent
    previous: "{{ fence.previous }}"

- name: Let them wait for a minute at most, without the right to run CONFIG
  redisops.tair.redis_fence:
    login_host: 127.0.0.1
    login_password: "{{ redis_password }}"
    method: pause
    pause_seconds: 60
"""

RETURN = r"""
method:
  description:
    - V(min-replicas) or V(pause), how the writers are stopped; with O(state=absent) which fence was taken away, V(null) where
      there was none. V(min-replicas) where there were both.
  returned: success
  type: str
  sample: min-replicas
previous:
  description:
    - The parameters as they are without the fence, also when it was there already. Can be given as O(previous).
    - Empty for a pause.
  returned: success
  type: dict
  sample: {"min-replicas-max-lag": "10", "min-replicas-to-write": "0"}
scripts_stopped:
  description:
    - Whether scripts can't write either. V(false) for O(method=min-replicas) up to Redis 6.2.6 and on KeyDB, with a warning.
    - V(null) with O(state=absent).
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, run, source_spec
from ansible_collections.redisops.tair.plugins.module_utils._config import as_server_writes
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._fence import (
    PARAMETERS,
    choose_method,
    lift_fence,
    set_fence,
)
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import server_facts


def fence(module: AnsibleModule) -> Result:
    params = module.params
    endpoint = Endpoint.from_params(params)
    previous = parameters(params["previous"] or {})
    if params["pause_seconds"] < 1:
        raise TairError("pause_seconds must be at least 1")
    client = connect(endpoint, allow_misconf=True)
    if params["state"] == "present":
        facts = server_facts(client, endpoint)
        method = choose_method(client, endpoint, facts, params["method"])
        outcome = set_fence(
            client, endpoint, facts, method, pause_ms=params["pause_seconds"] * 1000, check=module.check_mode
        )
        if not outcome.scripts_stopped:
            module.warn(
                f"{endpoint} is older than Redis 7.0: scripts (EVAL) can still write. Stop clients that run some."
            )
    else:
        outcome = lift_fence(client, endpoint, params["method"], previous, check=module.check_mode)
    return {
        "changed": outcome.changed,
        "method": outcome.method,
        "previous": outcome.previous,
        "scripts_stopped": outcome.scripts_stopped if params["state"] == "present" else None,
        "diff": {
            "before_header": str(endpoint),
            "after_header": str(endpoint),
            "before": outcome.before,
            "after": outcome.after,
        },
    }


def parameters(previous: Result) -> dict[str, str]:
    strange = sorted(set(previous) - set(PARAMETERS))
    if strange:
        raise TairError(
            f"previous names {', '.join(strange)}, which no fence changes",
            todo="Give what redis_fence returned as previous",
        )
    return {name: as_server_writes(value) for name, value in previous.items()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **source_spec(),
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "method": {"type": "str", "choices": ["auto", "min-replicas", "pause"], "default": "auto"},
            "pause_seconds": {"type": "int", "default": 300},
            "previous": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    run(module, fence)


if __name__ == "__main__":
    main()
