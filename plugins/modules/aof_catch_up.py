#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aof_catch_up
short_description: Bring a target up to what its source has written since, until nothing is left
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - To be used after M(redisops.tair.aof_import) with O(redisops.tair.aof_import#module:checkpoint=keep). Brings what the source has
    appended to its AOF since and imports it, round by round, until nothing is left. Then the checkpoint is removed.
  - With O(fence=last) the writers of the source go on during the first rounds. When another round would not get shorter they
    are stopped as by M(redisops.tair.redis_fence), and one more round brings the rest. RV(downtime) tells for how long the target lagged
    behind them. The fence stays.
  - With O(fence=none) the writers must have been stopped before. A source that clients still write to is a failure, which tells at what rate.
    Keys that expire are no clients' writes.
  - A rewrite of the AOF meanwhile is a failure.
extends_documentation_fragment:
  - redisops.tair._redis
  - redisops.tair._attributes
  - redisops.tair._attributes.actiongroup_tair
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - When it is done the checkpoint is gone, and the target is no longer known to hold this AOF.
options:
  path:
    description:
      - The AOF on the host of the task. An AOF file, a manifest, or the directory that holds one of the two.
      - The data directory of a server is accepted if it holds one AOF only, be it a single file or in C(appenddirname).
    type: path
    required: true
  dest:
    description:
      - The directory on the control node that M(redisops.tair.aof_fetch) has copied O(path) to. Everything runs on the control node then, and
        the source is reached through the SSH connection to its host.
      - Where it is not given, everything runs on the host.
    type: path
  aof_base_size:
    description:
      - As for M(redisops.tair.aof_import).
    type: int
    default: 0
  source:
    description:
      - How to reach the source from its host. The options at the top level are those of the target.
      - Nothing of it is taken from the environment.
    type: dict
    required: true
    suboptions:
      login_host:
        description: Host name or address of the source.
        type: str
        default: localhost
      login_port:
        description: Port of the source.
        type: int
        default: 6379
      login_user:
        description: ACL user to log in as.
        type: str
      login_password:
        description: Password, sent as it is.
        type: str
      login_unix_socket:
        description: Path of the source's Unix socket. O(source.login_host), O(source.login_port) and O(source.tls) are not used then.
        type: path
      tls:
        description: Whether to speak TLS.
        type: bool
        default: false
      validate_certs:
        description: Whether to check the certificate of the source.
        type: bool
        default: true
      ca_certs:
        description: File with the certificates of the authorities to trust.
        type: path
      client_cert_file:
        description: Certificate to show to the source.
        type: path
      client_key_file:
        description: Its private key.
        type: path
      connect_timeout:
        description: Seconds to wait for a connection.
        type: float
        default: 10.0
      renamed_commands:
        description: What C(rename-command) has called commands on the source.
        type: dict
        suboptions:
          CONFIG:
            description: Name of C(CONFIG).
            type: str
          BGREWRITEAOF:
            description: Name of C(BGREWRITEAOF).
            type: str
  fence:
    description:
      - Who stops the writers.
    type: str
    choices:
      none: Others have done so.
      last: This module, before the last round.
    default: none
  fence_method:
    description:
      - As O(redisops.tair.redis_fence#module:method).
    type: str
    choices: [auto, min-replicas, pause]
    default: auto
  pause_seconds:
    description:
      - As O(redisops.tair.redis_fence#module:pause_seconds).
    type: int
    default: 300
  compat:
    description:
      - As O(redisops.tair.aof_import#module:compat).
    type: str
    choices: [auto, 'off']
    default: auto
  drop:
    description:
      - As O(redisops.tair.aof_import#module:drop).
    type: list
    elements: str
    choices: [functions, hash_field_ttl, member_ttl, stream_producers]
    default: []
  timeout:
    description:
      - Seconds to wait for any one answer, and for how long a target that can't be reached is tried again.
    type: float
    default: 60.0
seealso:
  - module: redisops.tair.aof_import
  - module: redisops.tair.redis_fence
"""

EXAMPLES = r"""
---
- name: Stop the writers of the source, and bring what they have written since the import
  redisops.tair.aof_catch_up:
    path: "{{ rewritten.aof_path }}"
    dest: /var/tmp/aof
    fence: last
    source:
      login_host: 127.0.0.1
      login_password: "{{ redis_password }}"
    login_host: r-bp1example.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
  become: true
"""

RETURN = r"""
rounds:
  description: What each round brought.
  returned: success
  type: list
  elements: dict
  contains:
    bytes:
      description: Bytes of the AOF.
      type: int
      returned: always
    elapsed:
      description: Seconds.
      type: float
      returned: always
  sample:
    - bytes: 1204412
      elapsed: 0.4
fence:
  description: How the writers were stopped, V(min-replicas) or V(pause); V(null) where others did it.
  returned: success
  type: str
  sample: min-replicas
downtime:
  description: Seconds from the moment before the writers were stopped until their last command was imported; V(null) with O(fence=none).
  returned: success
  type: float
  sample: 0.31
written_bytes_per_second:
  description: How much the source writes.
  returned: when it is still written to
  type: int
  sample: 52000
replies:
  description: Commands of the AOF that the target has answered, those of the import before included.
  returned: success
  type: int
  sample: 1200435
errors:
  description: How many of them it refused.
  returned: success
  type: int
  sample: 0
summary:
  description: The line that C(redis-cli --pipe) ends with.
  returned: success
  type: str
  sample: "errors: 0, replies: 1200435"
position:
  description: Bytes of the AOF that are in the target.
  returned: success
  type: int
  sample: 192984740
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

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, catch_up_spec, run
from ansible_collections.redisops.tair.plugins.module_utils._catch_up import bring_up_to_date
from ansible_collections.redisops.tair.plugins.module_utils._import.abandoned import end_when_abandoned


def catch_up(module: AnsibleModule) -> Result:
    end_when_abandoned()
    return bring_up_to_date(module.params, lambda: Path(module.params["path"]), warn=module.warn)


def main() -> None:
    run(AnsibleModule(argument_spec=catch_up_spec()), catch_up)


if __name__ == "__main__":
    main()
