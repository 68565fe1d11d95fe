#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tair_info
short_description: Tell whether a Tair, Redis or Valkey server is ready to be imported into
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Asks a target what it is, whether it can be written to, how much room it has, and what it holds already.
  - Only reads. A server that tells little (a proxy, a managed instance where C(CONFIG) is forbidden) is no error; what it does not
    tell is V(null).
extends_documentation_fragment:
  - redisops.tair._redis
  - redisops.tair._redis.server
  - redisops.tair._attributes
  - redisops.tair._attributes.actiongroup_tair
  - redisops.tair._attributes.info_module
options:
  commands:
    description:
      - Commands as they are typed, without quotes, such as M(redisops.tair.aof_info) returns in RV(redisops.tair.aof_info#module:rewrite_writes).
        Which of them the target would refuse is in RV(lacking). None of them is executed.
    type: list
    elements: str
    default: []
  compat:
    description:
      - As O(redisops.tair.aof_import#module:compat), for O(commands).
    type: str
    choices: [auto, 'off']
    default: auto
  drop:
    description:
      - As O(redisops.tair.aof_import#module:drop), for O(commands).
    type: list
    elements: str
    choices: [functions, hash_field_ttl, member_ttl, stream_producers]
    default: []
  slots:
    description:
      - Slots as M(redisops.tair.aof_info) returns them, of a source that is a master of a cluster. RV(empty) is then about keys
        of these.
    type: list
    elements: str
  measure_bandwidth:
    description:
      - Whether to measure RV(bandwidth). That sends and receives some megabytes with C(ECHO), for half a second or a little longer.
    type: bool
    default: false
notes:
  - To find out how many databases there are where C(CONFIG) is forbidden, databases are selected on a connection of its own.
seealso:
  - module: redisops.tair.aof_import
  - module: redisops.tair.aof_info
  - module: redisops.tair.keyspace_compare
"""

EXAMPLES = r"""
---
- name: Look at the target before anything is changed
  redisops.tair.tair_info:
    login_host: r-bp1zxszhcgatnx0000.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
  register: target

- name: Refuse a target that could lose what is imported
  ansible.builtin.assert:
    that:
      - target.writable
      - target.empty
      - not target.evicts
    fail_msg: >-
      Not ready: {{ target.obstacles | join('; ') }} keys: {{ target.keyspace }}, eviction policy: {{ target.eviction_policy }}
"""

RETURN = r"""
version:
  description: The server's own version. V(null) where a proxy does not tell.
  returned: success
  type: str
  sample: 7.0.15
redis_version:
  description: The Redis version that the server is compatible with; the same as RV(version) on Redis. V(null) where a proxy does not tell.
  returned: success
  type: str
  sample: 7.0.15
flavor:
  description: V(redis), V(valkey) or V(keydb). Tair calls itself V(redis). V(null) where a proxy does not tell.
  returned: success
  type: str
  sample: redis
topology:
  description:
    - V(standalone), V(cluster) (a node of a cluster, to which every key has to be routed), or V(proxy) (something that routes
      commands itself).
    - A proxy that passes everything on to one server can't be told from that server, and is V(standalone).
  returned: success
  type: str
  sample: standalone
role:
  description: V(master) or V(slave), as INFO spells it. V(null) where a proxy does not tell.
  returned: success
  type: str
  sample: master
writable:
  description: Whether nothing is known that would make the server refuse writes. A full memory is another matter, see RV(maxmemory).
  returned: success
  type: bool
  sample: true
obstacles:
  description: What makes it refuse writes. Empty if RV(writable).
  returned: success
  type: list
  elements: str
  sample: []
used_memory:
  description: Bytes in use, on a cluster of all masters together. V(null) where a proxy does not tell.
  returned: success
  type: int
  sample: 1073741824
maxmemory:
  description: Bytes that may be used, on a cluster by all masters together; V(0) is no limit. V(null) where a proxy does not tell.
  returned: success
  type: int
  sample: 8589934592
eviction_policy:
  description: The parameter C(maxmemory-policy). V(null) where a proxy does not tell.
  returned: success
  type: str
  sample: volatile-lru
evicts:
  description: Whether keys may be dropped when the memory is full. V(false) also where the policy is not told.
  returned: success
  type: bool
  sample: true
databases:
  description: How many databases there are; V(1) on a cluster.
  returned: success
  type: int
  sample: 256
keyspace:
  description:
    - Number of keys by database number (a string, as in JSON), on a cluster of all masters together. Empty databases are not listed.
    - In a database of few keys the position of an import (keys C(redisops.tair:checkpoint:*)) does not count.
  returned: success
  type: dict
  sample: {"0": 120000, "3": 12}
empty:
  description: Whether there are no keys and no libraries of functions. With O(slots), only keys count.
  returned: success
  type: bool
  sample: false
libraries:
  description: Number of libraries of functions (7.0 and newer). V(0) where the server does not tell.
  returned: success
  type: int
  sample: 0
unfinished_import:
  description: Whether M(redisops.tair.aof_import) has begun an import there that has not come to its end, or has kept its checkpoint.
  returned: success
  type: bool
  sample: false
round_trip_ms:
  description: Milliseconds that a PING takes, median of nine.
  returned: success
  type: float
  sample: 0.412
bandwidth:
  description:
    - Bytes a second between here and the target, a guess by C(ECHO) of growing size. What a longer transfer reaches may be more or less.
    - V(null) without O(measure_bandwidth), or where the target does not take C(ECHO).
  returned: success
  type: int
  sample: 104857600
lacking:
  description: What of O(commands) the target would refuse.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: The command or its option.
      type: str
    reason:
      description: Why, in words.
      type: str
    drop:
      description: The name in O(drop) under which it can be left out; V(null) where there is none.
      type: str
  sample:
    - what: FUNCTION
      reason: it does not know this command, or it is renamed there
      drop: functions
unchecked:
  description: What of O(commands) the target did not tell, in words.
  returned: success
  type: list
  elements: str
  sample: []
evicted_keys:
  description: Keys that were evicted since the server started. V(null) where a proxy does not tell.
  returned: success
  type: int
  sample: 0
expired_keys:
  description: Keys that have expired since the server started. V(null) where a proxy does not tell.
  returned: success
  type: int
  sample: 1312
modules:
  description: Names of the loaded modules, without Valkey's own C(lua).
  returned: success
  type: list
  elements: str
  sample: []
tls:
  description: Whether this connection is encrypted.
  returned: success
  type: bool
  sample: true
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, compat_spec, run, server_spec
from ansible_collections.redisops.tair.plugins.module_utils._bandwidth import measured_bandwidth
from ansible_collections.redisops.tair.plugins.module_utils._compat import Verdict
from ansible_collections.redisops.tair.plugins.module_utils._group import keys_within
from ansible_collections.redisops.tair.plugins.module_utils._import.compat import Compat, compat_for, remedies
from ansible_collections.redisops.tair.plugins.module_utils._keys import slots_from_text
from ansible_collections.redisops.tair.plugins.module_utils._needs import judge_examples
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._target import Target, describe_target


def describe(module: AnsibleModule) -> Result:
    endpoint, slots = Endpoint.from_params(module.params), slots_from_text(module.params["slots"])
    target = describe_target(endpoint)
    empty = target.empty
    if slots is not None and not empty:
        empty = not keys_within(endpoint, slots, cluster=target.topology == "cluster")
    verdict = _judged(module.params, endpoint, target) if module.params["commands"] else None
    return {
        "changed": False,
        "version": target.version,
        "redis_version": target.redis_version,
        "flavor": target.flavor,
        "topology": target.topology,
        "role": target.role,
        "writable": target.writable,
        "obstacles": list(target.obstacles),
        "used_memory": target.used_memory,
        "maxmemory": target.maxmemory,
        "eviction_policy": target.eviction_policy,
        "evicts": target.evicts,
        "databases": target.databases,
        "keyspace": {str(number): keys for number, keys in target.keyspace.items()},
        "empty": empty,
        "libraries": target.libraries,
        "unfinished_import": target.unfinished_import,
        "round_trip_ms": target.round_trip_ms,
        "bandwidth": measured_bandwidth(endpoint) if module.params["measure_bandwidth"] else None,
        "lacking": [
            {"what": one.what, "reason": one.reason, "drop": remedies(one.what)[1]}
            for one in (verdict.refusals if verdict else ())
        ],
        "unchecked": list(verdict.unchecked) if verdict else [],
        "evicted_keys": target.evicted_keys,
        "expired_keys": target.expired_keys,
        "modules": list(target.modules),
        "tls": target.tls,
    }


def _judged(params: dict[str, t.Any], endpoint: Endpoint, target: Target) -> Verdict:
    compat = Compat()
    if params["compat"] == "auto":
        compat = compat_for(endpoint, target.redis_version, params["drop"])
    return judge_examples(params["commands"], endpoint, target, compat)


def main() -> None:
    spec = {
        **server_spec(),
        "commands": {"type": "list", "elements": "str", "default": []},
        **compat_spec(),
        "slots": {"type": "list", "elements": "str"},
        "measure_bandwidth": {"type": "bool", "default": False},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    run(module, describe)


if __name__ == "__main__":
    main()
