#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aof_fetch
short_description: Copy an AOF from its host to the control node, exactly
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Copies the append-only file of a Redis, Valkey or KeyDB server, a single file or a manifest with its files,
    from the host of the task to a directory on the control node.
  - Uses the SSH settings that Ansible itself uses for the host, jump hosts, agent and C(ssh_config) included,
    and accepts only a host key that C(known_hosts) has (unless host key checking is switched off for the host).
  - The server may go on writing. Each file is copied up to the size it had when the copy started and verified by SHA-256;
    a rewrite during the copy is noticed, and the copy started over.
  - A lost connection is made again and the copy goes on where it stopped, in the same call and in a later one.
    A later call transfers only what is new.
extends_documentation_fragment:
  - redisops.tair._attributes
attributes:
  check_mode:
    support: full
    details:
      - RV(bytes_transferred) then tells what would be transferred.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  src:
    description:
      - Absolute path of the AOF on the host, of the single file, of the manifest, or of the directory that holds one of the two,
        such as C(appendonlydir).
    type: str
    required: true
  dest:
    description:
      - Directory on the control node. It belongs to this source alone, so each host needs one of its own.
        It must not exist, be empty, or be one that this module made for the same source.
      - It gets mode C(0700), the files in it C(0600). A directory that belongs to another user is refused, and links in it are not followed.
      - The file C(dest.aof_fetch) next to it, with the name of the directory for C(dest), records the source and the names of the
        files. It is needed to resume a copy. Remove it together with the directory.
    type: path
    required: true
  compress:
    description:
      - With V(auto), a large file that arrives slowly is compressed on its way, by C(zstd) or C(lz4), where both the host and
        the control node have that program and where the measured rate shows that it is faster.
        It takes a processor of the host meanwhile.
      - What is verified and written is the file itself either way.
    type: str
    choices: [auto, never]
    default: auto
  retries:
    description:
      - How often in a row to go on after a lost connection that brought nothing new, or to start over after a rewrite.
    type: int
    default: 5
  timeout:
    description:
      - Seconds without a byte from the host after which the connection counts as lost.
    type: float
    default: 60.0
requirements:
  - paramiko (Python library) >= 3.5.0, on the control node
  - OpenSSH's client on the control node, unless the connection plugin is paramiko
notes:
  - This is an action plugin and runs on the control node. Do not delegate the task. The connection plugins C(ssh),
    C(paramiko) and C(local) are supported.
  - Files that only the server's user may read are read through C(become) with a method that needs no terminal, such as C(sudo).
    Nothing is written, and no permission changed, on the host. It needs a POSIX shell and one of C(openssl), C(sha256sum),
    C(shasum) and C(sha256); Python is not needed.
  - Accounts without a shell are read by SFTP. Each file is then read a second time to verify it, and what is already here is
    read again before it is continued; RV(bytes_transferred) does not count these reads.
  - Host keys are judged as by OpenSSH, C(StrictHostKeyChecking), C(RevokedHostKeys), C(HostKeyAlias), C(HostKeyAlgorithms) and
    C(CheckHostIP) included; C(accept-new) and C(no) add a new key to C(UserKnownHostsFile). A revoked key is always refused.
    Host certificates, C(KnownHostsCommand) and C(VerifyHostKeyDNS) are not supported, so nothing is accepted by them.
  - The variable C(redisops_tair_progress) set to V(false) switches the progress lines off.
seealso:
  - module: redisops.tair.aof_info
  - module: redisops.tair.aof_rewrite
  - module: redisops.tair.aof_import
"""

EXAMPLES = r"""
---
- name: Copy the AOF of a Redis 7 server
  redisops.tair.aof_fetch:
    src: /var/lib/redis/appendonlydir
    dest: "/var/tmp/aof/{{ inventory_hostname }}"
  become: true
  become_user: redis
  register: aof

- name: Import it
  redisops.tair.aof_import:
    path: "{{ aof.dest }}"
    login_host: r-example.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
  delegate_to: localhost

- name: Copy the single file of a Redis 6.2 server
  redisops.tair.aof_fetch:
    src: /var/lib/redis/appendonly.aof
    dest: "/var/tmp/aof/{{ inventory_hostname }}-6379"
  become: true
  become_user: redis
"""

RETURN = r"""
dest:
  description:
    - Path of the copied manifest or single file on the control node, to be given to M(redisops.tair.aof_import).
    - If the file's name is not UTF-8, which Ansible can't pass, the directory that holds it.
  returned: success
  type: str
  sample: /var/tmp/aof/redis1/appendonly.aof.manifest
files:
  description: The AOF's files in the order in which they are read, without the manifest.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Absolute path on the control node.
      type: str
    kind:
      description: V(base), V(incr) or V(single).
      type: str
    seq:
      description: Sequence number by the manifest; 0 for a single file.
      type: int
    size:
      description: Bytes.
      type: int
  sample:
    - path: /var/tmp/aof/redis1/appendonly.aof.2.base.aof
      kind: base
      seq: 2
      size: 193046528
bytes:
  description: Size of these files together.
  returned: success
  type: int
  sample: 193046528
bytes_transferred:
  description: How many of these bytes, uncompressed, this call has transferred; in check mode, how many it would.
  returned: success
  type: int
  sample: 10485760
compression:
  description: The program that compressed a part of the way, V(zstd) or V(lz4), or V(none).
  returned: success
  type: str
  sample: none
sha256:
  description: SHA-256 of each file, by name. In check mode only of the files that are complete already.
  returned: success
  type: dict
  sample: {"appendonly.aof.2.incr.aof": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
elapsed:
  description: Seconds that the call took.
  returned: always
  type: float
  sample: 2.114
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
