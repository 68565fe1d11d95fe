#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_table
short_description: Print the preflights of a fleet as one table
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Prints a line a host - source, size, keys, target, estimated duration, verdict - and below them what was found about each host, in lines of
    96 characters at most.
  - Succeeds whatever the table says. Whom something stands in the way of is in RV(blocked).
extends_documentation_fragment:
  - redisops.tair._attributes
  - redisops.tair._attributes.info_module
options:
  reports:
    description:
      - By host, what M(redisops.tair.aof_preflight) returned. A host whose value has no C(findings) counts as one that could not be looked
        at, with its C(msg) as the reason.
    type: dict
    required: true
  plans:
    description:
      - By host, what a run would do. It is told where nothing stands in the way.
    type: dict
    default: {}
  dest:
    description:
      - A file on the control node that the same is written to as JSON, in check mode too. C(clear) says whether nothing stands in the way of any
        host; C(hosts) has for each C(clear), C(done), C(plan), C(source), C(target), C(estimate) and C(findings).
    type: path
notes:
  - This is an action plugin and runs on the control node, once for all hosts (C(run_once)).
seealso:
  - module: redisops.tair.aof_preflight
"""

EXAMPLES = r"""
---
- name: Print the table
  redisops.tair.preflight_table:
    reports: "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars, 'preflight'))) }}"
  run_once: true
"""

RETURN = r"""
blocked:
  description: The hosts that have obstacles.
  returned: success
  type: list
  elements: str
  sample: [redis-2.example.com]
lines:
  description: What was printed.
  returned: success
  type: list
  elements: str
  sample: ["1 of 2 hosts can be migrated."]
"""
