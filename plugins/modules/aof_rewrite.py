#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aof_rewrite
short_description: Rewrite the append-only file, wait for the end, and prove that it worked
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Sends C(BGREWRITEAOF), unless a rewrite is running that serves as well, and waits until it has ended.
  - What a rewrite writes is fixed when it starts. One that is already running, as C(appendonly yes) starts one by itself,
    is waited out. With AOF on its base is as good as another one's, since all that was written meanwhile stands behind it.
    Another one follows where the base is not what O(expect) wants, where it failed, with AOF off, and where the files
    can't be read, which alone can tell.
  - Proves that a new base was written, as a server calls a rewrite V(ok) even when its process was killed.
  - Looks at the first bytes of the new base, as its name does not tell whether it starts with an RDB.
  - Run it on the host of the server, as a user that may read the files. Where they can't be read, as with O(via=control_node),
    it goes by what INFO tells, which is a weaker proof.
  - Works with C(appendonly no) too; the files then are a snapshot.
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
    support: none
  idempotent:
    support: none
    details:
      - Every run rewrites the AOF, or waits for a rewrite that is running.
options:
  data_dir:
    description:
      - Where the server's data directory is on its host, if that is another path than the server's own C(dir), as it is
        for a server in a container.
    type: path
  timeout:
    description:
      - Seconds to wait in all, the time for a rewrite that was already running included. V(0) means no limit.
      - When the time is up the module fails; the rewrite goes on in the server.
    type: float
    default: 3600.0
  expect:
    description:
      - What the new base has to be.
    type: str
    choices:
      plain: Commands from the first byte. Anything else is a failure; with C(aof-use-rdb-preamble yes) nothing is started.
      any: Commands, or an RDB followed by commands.
    default: plain
seealso:
  - module: redisops.tair.aof_info
  - module: redisops.tair.redis_config
"""

EXAMPLES = r"""
---
- name: Turn the preamble off first, as the content is fixed when a rewrite starts
  redisops.tair.redis_config:
    login_host: 127.0.0.1
    settings:
      aof-use-rdb-preamble: false
      appendonly: true
    missing: ignore

- name: Write a new base
  redisops.tair.aof_rewrite:
    login_host: 127.0.0.1
    timeout: 1800
  become: true # the files usually belong to redis
  register: rewrite

- name: Tell what was written
  ansible.builtin.debug:
    msg: "{{ rewrite.size }} bytes ({{ rewrite.format }}) in {{ rewrite.elapsed }} s, proof: {{ rewrite.proof }}"
"""

RETURN = r"""
elapsed:
  description: Seconds from the start of the module to the end of the rewrite; V(0) in check mode.
  returned: success
  type: float
  sample: 12.3
aof_path:
  description: The manifest or the single file, as RV(redisops.tair.aof_info#module:aof_path). V(null) without CONFIG.
  returned: success
  type: str
  sample: /var/lib/redis/appendonlydir/appendonly.aof.manifest
files:
  description: The files after the rewrite, as RV(redisops.tair.aof_info#module:files).
  returned: success
  type: list
  elements: dict
  sample:
    - path: /var/lib/redis/appendonlydir/appendonly.aof.2.base.aof
      kind: base
      seq: 2
      size: 104857600
size:
  description: Bytes of all files together, by INFO where they can't be read; V(null) when neither tells.
  returned: success
  type: int
  sample: 104857600
base_size:
  description:
    - Bytes at the start of the AOF that the rewrite wrote, where every key stands once.
    - >-
      V(null) when it is not known. So it is for a single file when the source was written to during the rewrite, or could
      have been before this module came: those commands follow the base, and the server does not tell where.
  returned: success
  type: int
  sample: 104857600
format:
  description: V(plain) or V(hybrid), by the first bytes; V(null) where the file can't be read, and in check mode.
  returned: success
  type: str
  sample: plain
proof:
  description:
    - How it is known that there is a new base. V(null) in check mode.
    - V(manifest), by its name and sequence in the manifest (Redis 7.0 and newer, Valkey).
    - V(inode), by the inode of the file (Redis 6.2 and older, KeyDB).
    - V(info), by what INFO tells, where the files can't be read. A child process that somebody killed with SIGUSR1
      is not seen that way.
  returned: success
  type: str
  sample: manifest
start:
  description: When the task began, UTC, by the clock of the control node.
  returned: always
  type: str
  sample: "2026-11-26T02:00:00.000000Z"
end:
  description: When it ended.
  returned: always
  type: str
  sample: "2026-11-26T02:00:04.310000Z"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, run, source_spec
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint, connect
from ansible_collections.redisops.tair.plugins.module_utils._rewrite import Rewriter
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import server_facts
from ansible_collections.redisops.tair.plugins.module_utils._source import Files, describe_source, files_as_dicts


def rewrite(module: AnsibleModule) -> Result:
    endpoint = Endpoint.from_params(module.params)
    client = connect(endpoint, allow_misconf=True)
    files = Files(module.params["data_dir"] or "", here=module.params["via"] == "host")
    if module.check_mode:
        now = describe_source(client, endpoint, server_facts(client, endpoint), files)
        kept = {name: now[name] for name in ("aof_path", "files", "size", "base_size")}
        return {"changed": True, "elapsed": 0.0, "format": None, "proof": None, **kept}
    done = Rewriter(client, endpoint, files, timeout=module.params["timeout"]).run(module.params["expect"])
    return {
        "changed": True,
        "elapsed": done.elapsed,
        "aof_path": done.path,
        "files": files_as_dicts(done.disk),
        "size": done.size,
        "base_size": done.base_size,
        "format": done.format,
        "proof": done.proof,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **source_spec(),
            "data_dir": {"type": "path"},
            "timeout": {"type": "float", "default": 3600.0},
            "expect": {"type": "str", "choices": ["plain", "any"], "default": "plain"},
        },
        supports_check_mode=True,
    )
    run(module, rewrite)


if __name__ == "__main__":
    main()
