#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aof_preflight
short_description: Judge a migration by what was found before it, and estimate how long it takes
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Takes what M(redisops.tair.aof_info) and M(redisops.tair.tair_info) returned, and a list of findings about them. Fails with all
    obstacles in one message, and returns the findings as data, with an estimate of the duration, whether it fails or not.
  - The role P(redisops.tair.aof_migrate#role) finds the findings; their ids are listed in its README.
  - Asks no server anything.
extends_documentation_fragment:
  - redisops.tair._attributes
  - redisops.tair._attributes.info_module
options:
  findings:
    description: What was found, with the keys that RV(findings) has.
    type: list
    elements: dict
    required: true
  source:
    description: What M(redisops.tair.aof_info) returned; whatever else where it failed.
    type: dict
    default: {}
  target:
    description: What M(redisops.tair.tair_info) returned; whatever else where it failed.
    type: dict
    default: {}
  source_address:
    description: What to call the source.
    type: str
    required: true
  target_address:
    description: What to call the target.
    type: str
    required: true
  transfer:
    description: How the AOF goes to the target, as the role's O(redisops.tair.aof_migrate#role:main:aof_migrate_transfer).
    type: str
    choices: [fetch, direct]
    default: fetch
  verify:
    description: How the two are compared, as the role's O(redisops.tair.aof_migrate#role:main:aof_migrate_verify).
    type: str
    choices: [full, meta, count, none]
    default: full
  done:
    description: Whether the target holds the data already.
    type: bool
    default: false
notes:
  - This is an action plugin and runs on the control node.
seealso:
  - module: redisops.tair.preflight_table
  - module: redisops.tair.aof_info
  - module: redisops.tair.tair_info
"""

EXAMPLES = r"""
---
- name: Look at the source
  redisops.tair.aof_info:
  register: source

- name: Look at the target
  redisops.tair.tair_info:
    login_host: r-bp1zxszhcgatnx0000.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
    measure_bandwidth: true
  delegate_to: localhost
  register: target

- name: Tell how long a migration takes
  redisops.tair.aof_preflight:
    source: "{{ source }}"
    target: "{{ target }}"
    source_address: "{{ inventory_hostname }}"
    target_address: r-bp1zxszhcgatnx0000.redis.rds.aliyuncs.com
    findings:
      - id: target.evicts
        severity: "{{ 'obstacle' if target.evicts else 'doubt' }}"
        side: target
        what: "The target's eviction policy is {{ target.eviction_policy }}."
        todo: Set it to noeviction.
  register: preflight
"""

RETURN = r"""
findings:
  description: What was found.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Stays the same over releases. The part before the dot is RV(findings[].side).
      type: str
    severity:
      description: An V(obstacle) makes the task fail, a V(doubt) does not.
      type: str
    side:
      description: V(source), V(target) or V(control_node).
      type: str
    what:
      description: What was found, in a sentence or two.
      type: str
    todo:
      description: What to do about it; may be empty.
      type: str
  sample:
    - id: target.databases
      severity: obstacle
      side: target
      what: The source uses database 5, the target has only 2.
      todo: Raise 'databases' on the target, or choose an instance that has as many.
doubts:
  description: The doubts among RV(findings), each with what to do about it. The obstacles are in RV(ignore:msg).
  returned: always
  type: list
  elements: str
  sample: ["The source is a replica, which may lag behind its primary."]
estimate:
  description: >-
    About how long the migration takes. V(null) where one side could not be looked at, or with O(done).
  returned: always
  type: dict
  contains:
    seconds:
      description: Of all steps together.
      type: int
    text:
      description: The same in words.
      type: str
    steps:
      description: Seconds of C(rewrite), C(transfer), C(import), C(comparison).
      type: dict
    bytes:
      description: Expected size of the AOF.
      type: int
    key_count:
      description: Keys of the source.
      type: int
    bandwidth:
      description: Bytes a second that were measured to the target, if they were.
      type: int
    assumptions:
      description: What the estimate rests on, measured or assumed.
      type: list
      elements: str
  sample:
    seconds: 94
    text: about 2 min
    steps: {rewrite: 12.0, transfer: 15.0, import: 15.0, comparison: 30.0}
    bytes: 600000000
    key_count: 1000000
    bandwidth: 96000000
    assumptions: ["transfer: 40 MB/s (assumed)"]
source:
  description: The source in short.
  returned: always
  type: dict
  sample: {address: "127.0.0.1:6379", version: 7.0.15, flavor: redis, key_count: 1000000, bytes: 600000000}
target:
  description: The target in short.
  returned: always
  type: dict
  sample: {address: "r-bp1.example.com:6379", version: 7.0.15, topology: standalone}
done:
  description: The option O(done).
  returned: always
  type: bool
  sample: false
"""
