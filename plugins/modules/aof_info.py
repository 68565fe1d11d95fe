#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aof_info
short_description: Tell where a server keeps its append-only file, and how it is
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Reads the persistence state of a running Redis, Valkey or KeyDB server, and the files of its AOF.
  - Refuses nothing and changes nothing. What the server or the file system does not let it see is V(null).
  - Run it on the host of the server, as the files are looked at there. With O(via=control_node) they are not looked at.
extends_documentation_fragment:
  - redisops.tair._redis
  - redisops.tair._redis.server
  - redisops.tair._redis.source
  - redisops.tair._attributes
  - redisops.tair._attributes.actiongroup_tair
  - redisops.tair._attributes.info_module
options:
  data_dir:
    description:
      - Where the server's data directory is on its host, if that is another path than the server's own C(dir), as it is
        for a server in a container.
    type: path
seealso:
  - module: redisops.tair.aof_rewrite
  - module: redisops.tair.tair_info
"""

EXAMPLES = r"""
---
- name: Look at the AOF of a Redis server
  redisops.tair.aof_info:
    login_host: 127.0.0.1
    login_password: "{{ redis_password }}"
  become: true # the files usually belong to redis
  register: aof

- name: Stop where the server could not write its AOF
  ansible.builtin.assert:
    that: aof.last_write_ok
    fail_msg: "The disk of {{ inventory_hostname }} is full: {{ aof.dir_free }} bytes are left in {{ aof.dir }}."

- name: Look at a server in a container, whose CONFIG is renamed
  redisops.tair.aof_info:
    login_host: 127.0.0.1
    renamed_commands:
      CONFIG: "{{ redis_config_command }}"
    data_dir: /srv/redis/data # the container's /data
  become: true
"""

RETURN = r"""
version:
  description: The server's own version.
  returned: success
  type: str
  sample: 8.1.8
redis_version:
  description: The Redis version that the server is compatible with; the same as RV(version) on Redis.
  returned: success
  type: str
  sample: 7.2.4
flavor:
  description: V(redis), V(valkey) or V(keydb).
  returned: success
  type: str
  sample: valkey
role:
  description: V(master) or V(slave), as INFO spells it.
  returned: success
  type: str
  sample: master
layout:
  description: V(single) for one file (up to Redis 6.2, and KeyDB), V(multi) for a manifest with base and incr files.
  returned: success
  type: str
  sample: multi
config_allowed:
  description: Whether CONFIG may be used. Without it RV(dir), RV(aof_path), RV(files) and RV(preamble) are not known.
  returned: success
  type: bool
  sample: true
dir:
  description: The server's data directory, absolute; O(data_dir) where that is given. V(null) without CONFIG.
  returned: success
  type: str
  sample: /var/lib/redis
dir_free:
  description: Bytes free in RV(dir); V(null) where the directory can't be seen from here.
  returned: success
  type: int
  sample: 24839405568
aof_path:
  description: The manifest (layout V(multi)) or the single file. To be given to M(redisops.tair.aof_fetch). V(null) without CONFIG.
  returned: success
  type: str
  sample: /var/lib/redis/appendonlydir/appendonly.aof.manifest
readable:
  description:
    - Whether this process could read every file.
    - As long as there is no AOF, whether it can list RV(dir).
  returned: success
  type: bool
  sample: true
files:
  description:
    - The files in the order in which they are read, without the manifest itself.
    - Empty where there is no AOF, or its manifest can't be read.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Absolute path.
      type: str
    kind:
      description: V(base), V(incr) or V(single).
      type: str
    seq:
      description: Sequence number by the manifest; 0 for a single file.
      type: int
    size:
      description: Bytes; V(null) where neither the file nor INFO tells.
      type: int
  sample:
    - path: /var/lib/redis/appendonlydir/appendonly.aof.1.base.aof
      kind: base
      seq: 1
      size: 104857600
size:
  description: Bytes of all files together, by INFO where they can't be read; V(null) when neither tells.
  returned: success
  type: int
  sample: 104861234
base_size:
  description: Bytes after the last rewrite, as INFO tells it (C(aof_base_size)); V(null) while AOF is off.
  returned: success
  type: int
  sample: 104857600
appendonly:
  description: Whether AOF is on.
  returned: success
  type: bool
  sample: true
rewrite_in_progress:
  description: Whether a rewrite is running.
  returned: success
  type: bool
  sample: false
last_rewrite_ok:
  description: Whether the last rewrite did not fail. A server also says so of one whose process was killed.
  returned: success
  type: bool
  sample: true
last_write_ok:
  description: Whether the last write to the AOF worked; V(false) usually means a full disk.
  returned: success
  type: bool
  sample: true
preamble:
  description: >-
    The parameter C(aof-use-rdb-preamble), V(yes) or V(no); V(null) where this version has none (Redis 3.2), or
    without CONFIG.
  returned: success
  type: str
  sample: "yes"
keyspace:
  description: Number of keys by database number (a string, as in JSON). Empty databases are not listed.
  returned: success
  type: dict
  sample: {"0": 120000, "3": 12}
modules:
  description: Names of the loaded modules, as INFO tells them (Redis 6.0 and newer), without Valkey's own C(lua).
  returned: success
  type: list
  elements: str
  sample: [vectorset]
used_memory:
  description: Bytes that the server uses.
  returned: success
  type: int
  sample: 1073741824
used_memory_dataset:
  description: Bytes of these that hold data; RV(used_memory) on Redis 3.2, which does not tell.
  returned: success
  type: int
  sample: 1063741824
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, run, source_spec
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect
from ansible_collections.redisops.tair.plugins.module_utils._source import Files, describe_source


def describe(module: AnsibleModule) -> Result:
    endpoint = Endpoint.from_params(module.params)
    files = Files(module.params["data_dir"] or "", here=module.params["via"] == "host")
    return {"changed": False, **describe_source(connect(endpoint, allow_misconf=True), endpoint, files)}


def main() -> None:
    module = AnsibleModule(argument_spec={**source_spec(), "data_dir": {"type": "path"}}, supports_check_mode=True)
    run(module, describe)


if __name__ == "__main__":
    main()
