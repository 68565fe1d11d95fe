#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Write the report of all hosts of a migration
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Takes down how the host of the task has ended, with its own O(report) where that is given, reads C(<host>/report.json) of every host
    below O(directory), and writes C(report.html), one page for people, C(report.xml), JUnit for a CI system,
    and C(report.json), the outcome of every host for programs, beside the hosts' directories.
  - A host that this run of Ansible has not brought to an end is told as one without a report, whatever an earlier run has left, and is
    an error in the JUnit file.
  - Does not report C(changed), as no server is. In check mode nothing is written.
extends_documentation_fragment:
  - redisops.tair._attributes
  - redisops.tair._attributes.info_module
options:
  directory:
    description: The directory on the control node that has the hosts' directories, C(aof_migrate_artifacts_dir) of the role.
    type: path
    required: true
  hosts:
    description: The hosts, in the order in which they are told.
    type: list
    elements: str
    required: true
  outcome:
    description: How the host of the task has ended, V(migrated), V(already migrated) or V(failed).
    type: str
    required: true
  message:
    description: The same in a sentence.
    type: str
    required: true
  report:
    description: What the host's own C(<host>/report.json) is to hold. Where it is not given that file stays as it is.
    type: dict
  keep_report:
    description: Whether such a file that is there stays all the same.
    type: bool
    default: false
notes:
  - This is an action plugin and runs on the control node.
seealso:
  - module: redisops.tair.preflight_table
"""

EXAMPLES = r"""
---
- name: Write the report of all hosts
  redisops.tair.migration_report:
    directory: ./aof-migrate
    hosts: "{{ ansible_play_hosts_all }}"
    outcome: migrated
    message: "errors: 0, replies: 1200435"
"""

RETURN = r"""
json:
  description: The file with the outcome of every host.
  returned: success
  type: str
  sample: ./aof-migrate/report.json
html:
  description: The page.
  returned: success
  type: str
  sample: ./aof-migrate/report.html
junit:
  description: The JUnit file.
  returned: success
  type: str
  sample: ./aof-migrate/report.xml
"""
