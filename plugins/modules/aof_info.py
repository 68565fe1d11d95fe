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
slots:
  description: Of a node of a cluster, the slots whose keys it holds, as ranges; V(null) for any other server.
  returned: success
  type: list
  elements: str
  sample: [0-5460]
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
config_set_allowed:
  description: Whether C(CONFIG SET) may be used, too. It is tried with C(auto-aof-rewrite-percentage), which is given the value that it has.
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
  description:
    - The manifest (layout V(multi)) or the single file. To be given to M(redisops.tair.aof_fetch). V(null) without CONFIG.
    - If the file's name is not UTF-8, which Ansible can't pass, the directory that holds it.
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
last_save_ok:
  description: Whether the last RDB file could be written. A server where it could not usually refuses writes.
  returned: success
  type: bool
  sample: true
save_in_progress:
  description: Whether an RDB file is being written. A rewrite waits for it.
  returned: success
  type: bool
  sample: false
primary:
  description: What a replica knows of its primary; V(null) for a server that is not a replica.
  returned: success
  type: dict
  contains:
    address:
      description: Host and port.
      type: str
    link_up:
      description: Whether it is connected to it.
      type: bool
    syncing:
      description: Whether it is just receiving everything anew.
      type: bool
    silent_seconds:
      description: Seconds since it last heard of it; V(null) when it does not tell.
      type: int
  sample:
    address: 10.0.0.5:6379
    link_up: true
    syncing: false
    silent_seconds: 1
replicas:
  description: The replicas that are connected to it.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: Host and port.
      type: str
    in_sync:
      description: Whether it has received everything once and follows.
      type: bool
    lag:
      description: Seconds since it has last acknowledged what it got.
      type: int
  sample:
    - address: 10.0.0.6:6379
      in_sync: true
      lag: 0
host_memory:
  description:
    - What the server's host has for the fork of a rewrite. The limit of a container is not looked at.
    - V(null) where the module does not run on that host, as with O(via=control_node), or it is not Linux.
  returned: success
  type: dict
  contains:
    overcommit:
      description: The kernel's C(vm.overcommit_memory), V(0), V(1) or V(2).
      type: int
    available:
      description: Bytes that can still be used, C(MemAvailable).
      type: int
    total:
      description: Bytes altogether.
      type: int
  sample:
    overcommit: 1
    available: 3221225472
    total: 8589934592
unrewritable:
  description:
    - Keys that make every rewrite of the AOF fail, one of each such type (vector sets and JSON documents of Redis).
    - They are looked for with C(SCAN) for three seconds at most, where such a module is loaded. V(null) if that was not
      enough, or C(SCAN) is not allowed.
  returned: success
  type: list
  elements: dict
  contains:
    type:
      description: The type's name as C(TYPE) tells it.
      type: str
    database:
      description: Number of the database.
      type: int
    key:
      description: Name of the key.
      type: str
  sample: []
expiring_members:
  description:
    - Keys of KeyDB with members that expire (C(EXPIREMEMBER)), the first of each type. KeyDB writes broken commands for them when it
      rewrites its AOF without an RDB preamble, and reports success.
    - The search takes three seconds at most, and only databases with expiring keys are searched. V(null) if that was not enough.
    - Always empty for any other server.
  returned: success
  type: list
  elements: dict
  contains:
    type:
      description: The type's name as C(TYPE) returns it.
      type: str
    database:
      description: Number of the database.
      type: int
    key:
      description: Name of the key.
      type: str
  sample: []
rewrite_writes:
  description:
    - Examples of commands that a rewrite will write for what the server holds now, and that older targets may lack (functions, hash
      fields that expire, streams of 7.0 and 8.6, arrays of 8.10, expiring members of KeyDB).
    - To be given to M(redisops.tair.tair_info) as O(redisops.tair.tair_info#module:commands).
  returned: success
  type: list
  elements: str
  sample: [FUNCTION LOAD code]
rewrite_may_write:
  description:
    - Names of commands that a rewrite may write, and that older targets may lack. The search for keys that need them did not end
      within three seconds, or the server refused it.
  returned: success
  type: list
  elements: str
  sample: []
"""

from contextlib import closing

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, run, source_spec
from ansible_collections.redisops.tair.plugins.module_utils._cluster import own_slots
from ansible_collections.redisops.tair.plugins.module_utils._condition import describe_condition
from ansible_collections.redisops.tair.plugins.module_utils._keys import slots_as_text
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import server_facts
from ansible_collections.redisops.tair.plugins.module_utils._source import Files, describe_source
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire


def describe(module: AnsibleModule) -> Result:
    endpoint = Endpoint.from_params(module.params)
    files = Files(module.params["data_dir"] or "", here=module.params["via"] == "host")
    client = connect(endpoint, allow_misconf=True)
    facts = server_facts(client, endpoint)
    return {
        "changed": False,
        "slots": _slots(endpoint) if facts.mode == "cluster" else None,
        **describe_source(client, endpoint, facts, files),
        **describe_condition(endpoint, facts, here=files.here),
    }


def _slots(endpoint: Endpoint) -> list[str]:
    with closing(Wire(endpoint, allow_misconf=True)) as wire:
        return slots_as_text(own_slots(wire))


def main() -> None:
    module = AnsibleModule(argument_spec={**source_spec(), "data_dir": {"type": "path"}}, supports_check_mode=True)
    run(module, describe)


if __name__ == "__main__":
    main()
