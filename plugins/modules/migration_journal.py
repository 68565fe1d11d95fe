#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_journal
short_description: Keep on the control node what a migration has changed
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Writes a file on the control node before the first change on a source, so that a run that was killed can still be taken back,
    and removes it when all is as it should be.
  - A journal that is there stays as it is, as it has what there was before the first change. Only its user may read it.
extends_documentation_fragment:
  - redisops.tair._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  path:
    description:
      - The file. Directories above it are made where there are none, with mode C(0700).
      - A directory or file that belongs to another user, or a symbolic link, is refused.
    type: path
    required: true
  state:
    description: Whether there is to be a journal.
    type: str
    choices: [present, absent]
    default: present
  content:
    description: What it holds, with O(state=present).
    type: dict
  remove:
    description: With O(state=absent), files and directories that are not needed any more either.
    type: list
    elements: path
    default: []
notes:
  - This is an action plugin and runs on the control node.
seealso:
  - module: redisops.tair.redis_config
"""

EXAMPLES = r"""
---
- name: See what would change
  redisops.tair.redis_config:
    login_host: 127.0.0.1
    login_password: "{{ redis_password }}"
    settings:
      appendonly: true
  check_mode: true
  register: plan

- name: Write down what there is
  redisops.tair.migration_journal:
    path: "./aof-migrate/{{ inventory_hostname }}/journal.json"
    content:
      previous: "{{ plan.previous }}"

- name: Remove the journal, and the copy of the AOF
  redisops.tair.migration_journal:
    path: "./aof-migrate/{{ inventory_hostname }}/journal.json"
    state: absent
    remove:
      - "./aof-migrate/{{ inventory_hostname }}/aof"
      - "./aof-migrate/{{ inventory_hostname }}/aof.aof_fetch"
"""

RETURN = r"""
removed:
  description: What was removed.
  returned: success
  type: list
  elements: str
  sample: [./aof-migrate/redis1/journal.json]
"""
