#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aof_import
short_description: Import an append-only file into a Redis-compatible server, exactly once
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Sends the commands of an AOF to a Redis-compatible target such as Tair, pipelined, and counts the replies.
    Takes the place of C(redis-cli --pipe).
  - The target is a standalone server, or a cluster that is reached over its direct connection, any of whose nodes is named.
    On a cluster every command goes to the node that serves its key, wherever slots move meanwhile and whichever replica takes over
    from a failed master. Of C(DEL), C(UNLINK) and C(MSET) each node is sent the keys that it serves. A transaction of the AOF is divided
    by slots, which is told as a warning. Other commands with keys of several slots, and databases other than 0, are refused before
    anything is sent, with their places.
  - Reads the single file of Redis 6.2 and older and KeyDB, and the directory with a manifest of Redis 7.0 and newer and Valkey,
    base file first, then the incr files.
  - Reads what begins with an RDB too, a hybrid AOF (C(aof-use-rdb-preamble yes)) as well as a dump (C(dump.rdb)), of Redis, Valkey and KeyDB.
    Its checksum is verified first. Strings are sent as C(SET). Other keys are given to the target as they stand, by C(RESTORE ... REPLACE),
    where it takes that, which is tried with a key of our own that leaves nothing behind; else the commands that build them are sent.
    What no command builds, such as a value of a module, and the target does not take, is refused before anything is sent, with its keys.
    (Built by commands, a stream loses pending entries whose entry has been deleted, as it does by a rewrite.)
    The Python library C(anycrc) makes this fast; without it a checksum takes a second for every 20 MB.
  - Sends data only. Commands that the target does not flag C(write) in C(COMMAND INFO) are refused before anything is sent, with their
    places and without their arguments. The exceptions are C(SELECT), C(MULTI), C(EXEC), C(PUBLISH), C(SPUBLISH), C(EVAL), C(EVALSHA),
    C(FCALL), C(PFCOUNT), C(PING), and of C(SCRIPT) and C(FUNCTION) the subcommands that servers write to an AOF. C(MIGRATE) is refused
    as well. Databases that the target lacks are refused too.
  - The records that slot migrations leave in the AOF (C(CLUSTER SYNCSLOTS) of Valkey 9, C(TRIMSLOTS) of Redis 8.4) are left out and
    counted in RV(dropped) as V(slot_migration).
  - A script that the AOF holds is loaded on every master, and C(EVALSHA) is sent as C(EVAL) with the script's text. So it works on a
    cluster, with filters, and when an import resumes.
  - Never sends what is not a command. Annotation lines are skipped; a command that is cut off at the end of the AOF and an open
    C(MULTI) with all that follows it are left out and counted in RV(truncated_bytes). Damaged bytes stop the import with their place.
  - It can run on the host of the source, on the server's own files. An AOF that is rewritten meanwhile is imported as it was when
    the import began, and then the import fails, as nobody knows what the new one has more.
  - Exactly once, whatever happens. The position is kept in the target (in one key, C(redisops.tair:checkpoint:imports)), so that
    an import that was killed or lost its connection goes on where it was when it is run again, from any machine.
    Lists and counters come out right too, because what is not the work of a rewrite travels in transactions that carry
    their position. (On a cluster such a key is in every slot that is written to; all of them are removed at the end.)
  - What a killed import had sent may still be on its way when the next run begins. So the connections carry the import's name, and the next
    run has the target close them first. (Where the account may not run C(CLIENT LIST) and C(CLIENT KILL), or a proxy stands between, leave some
    seconds between the two runs.)
  - A target that is not empty is refused before anything is sent, unless O(if_not_empty) says otherwise.
extends_documentation_fragment:
  - redisops.tair._redis
  - redisops.tair._redis.server
  - redisops.tair._attributes
  - redisops.tair._attributes.actiongroup_tair
attributes:
  check_mode:
    support: partial
    details:
      - The AOF is opened and the target is asked as in a real run, and every reason to refuse is told. Nothing is sent.
      - RV(ignore:changed) tells whether there is something to import. Errors that commands would meet are not foreseen.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - With O(checkpoint=keep) an AOF that has been imported is recognized, and nothing is sent again.
      - With O(checkpoint=remove) nothing tells that the data in the target came from this AOF,
        and the second run finds a target that is not empty.
options:
  state:
    description:
      - With V(absent) an import of this AOF that has not come to its end is taken back, and the target is empty as it was before. That is done only
        where the import's checkpoint is in the target and says that it was empty when the import began, or was emptied by
        O(if_not_empty=flush). Anything else that the target holds is a failure, and nothing is deleted.
      - What others have written there since can't be told apart, and is deleted, too.
    type: str
    choices: [present, absent]
    default: present
  path:
    description:
      - The AOF. An AOF file, a manifest, or the directory that holds one of the two. Or an RDB file.
      - The data directory of a server is accepted if it holds one AOF only, be it a single file or in C(appenddirname).
    type: path
    required: true
  aof_base_size:
    description:
      - How many bytes at the beginning of a single-file AOF were written by the last rewrite, as C(aof_base_size) in C(INFO persistence)
        says right after it; M(redisops.tair.aof_rewrite) returns it.
      - That part needs no transactions, which is faster. Where it is not given all of a single file is imported in transactions.
        For the files of a manifest their names tell. Either counts only as far as the commands are those that a rewrite writes.
      - Commands at the end of that part that are not the work of a rewrite, such as those that Redis 6.2 and older append when clients
        write during the rewrite, are found and imported in transactions.
    type: int
    default: 0
  if_not_empty:
    description:
      - What to do when the target holds keys or libraries of functions, and no checkpoint of this AOF. With O(slots), only keys count.
    type: str
    choices:
      fail: Refuse.
      append: Import into what is there.
      flush: Delete everything in the target first, in all databases, functions too.
    default: fail
  resume:
    description:
      - Whether to go on with an earlier import of this AOF whose checkpoint is in the target.
    type: bool
    default: true
  checkpoint:
    description:
      - What becomes of the checkpoint when the AOF has been imported.
    type: str
    choices:
      remove: It is removed. The target holds the imported data and nothing else.
      keep: It stays, so that a later import of the same AOF sends only what has been appended since.
    default: remove
  on_error:
    description:
      - What to do when the target refuses a command. What is wrong with the target itself (no memory, no permission to log in)
        always stops the import.
    type: str
    choices:
      fail: Stop at the first.
      continue: Count it and go on. What the command would have done is missing in the target.
    default: fail
  max_errors:
    description:
      - With O(on_error=continue), stop after more refused commands than this. V(0) is no limit.
    type: int
    default: 0
  allow_eviction:
    description:
      - Import into a target whose eviction policy may throw away keys because its free memory is less than the AOF's size,
        and do not fail when it has evicted some.
    type: bool
    default: false
  until:
    description:
      - Import only what was written until this time, in seconds since the epoch. The AOF must have been written with
        C(aof-timestamp-enabled yes).
    type: int
  databases:
    description:
      - Import only these databases of the source. All of them where it is not given.
    type: list
    elements: int
  database_map:
    description:
      - Where databases of the source are in the target, as source to target. Those that are not named keep their number.
      - Two of them may go to one database, such as the only one of a cluster, unless a key is in both; that is looked for before anything
        is sent.
    type: dict
  include_keys:
    description:
      - Import only keys that match one of these patterns, written as for C(SCAN MATCH). All keys where none is given.
      - A command with several keys is sent when all of them are selected, and left out when none is. Of C(DEL), C(UNLINK) and C(MSET)
        the selected keys are sent. Any other command that touches selected and other keys (C(RENAME), C(SUNIONSTORE), C(FLUSHDB))
        can't be imported in part and counts as an error. So does C(FLUSHALL) in an import of a part, or into a target that
        was not empty.
    type: list
    elements: str
    default: []
  exclude_keys:
    description:
      - Leave out keys that match one of these patterns, even where O(include_keys) names them.
    type: list
    elements: str
    default: []
  check_values:
    description:
      - Which values of an RDB are checked for damage that would crash the target, before anything is sent. A damaged value is refused;
        O(exclude_keys) leaves it out.
    type: str
    choices:
      auto: >-
        Those of an RDB without a checksum (C(rdbchecksum no)). What has a checksum is as its server wrote it once the checksum is verified.
      always: Those of every RDB. It takes about 10 seconds for a million keys. Choose it for files of servers that you do not trust.
    default: auto
    version_added: 0.2.0
  compat:
    description:
      - What becomes of commands that the target does not know, being older than the server that wrote them.
    type: str
    choices:
      auto: >-
        The target is asked what it knows. Where other commands mean the same they are sent instead (C(SET) with C(PXAT), C(GETDEL),
        C(GETEX), C(HSETEX), C(LMOVE) from right to left), or the command without what the target could not keep anyway (counters of
        C(XSETID), C(ENTRIESREAD) of C(XGROUP)). Anything else is sent as it is, and is an error.
      'off': They are sent as they are.
    default: auto
  drop:
    description:
      - What may be left out where the target does not know it and nothing else means the same.
      - V(functions) leaves out libraries of functions. V(hash_field_ttl) leaves out when fields of hashes expire; the fields stay.
      - V(member_ttl) leaves out when members expire that KeyDB's C(EXPIREMEMBER) was used on; the members stay. Fields of hashes that a
        hybrid AOF or a dump of KeyDB holds are covered by V(hash_field_ttl), because a target with C(HPEXPIREAT) keeps their expiry.
      - V(stream_producers) leaves out which identifiers of producers a stream has accepted (C(XADD) with C(IDMP), Redis 8.6).
      - What was left out is counted in RV(dropped), and is missing in a comparison.
    type: list
    elements: str
    choices: [functions, hash_field_ttl, member_ttl, stream_producers]
    default: []
  rate_limit:
    description:
      - Bytes a second to send at most. V(0) is no limit.
    type: int
    default: 0
  batch_bytes:
    description:
      - Bytes of commands that travel together, and at first in one transaction. On lines with a long round trip transactions grow by themselves.
    type: int
    default: 65536
  window_bytes:
    description:
      - Bytes that may be on their way without an answer.
      - Some proxies refuse deep pipelines (C(too many pending request)); give 1048576 there.
    type: int
    default: 16777216
  workers:
    description:
      - Up to how many processes send what a rewrite wrote (a base file, an RDB, the first O(aof_base_size) bytes of a single file), each
        its own stretches of the file over its own connections. What follows is sent by one.
      - The first of it, at most O(window_bytes), is sent by one. As many more are started as processors are idle meanwhile, so that they never make it
        slower; RV(workers) tells how many there were. Where a O(rate_limit) is given, or the kernel does not tell how busy processors are, it is
        as many as asked for.
      - Worth it where one process, which sends 60 to 100 MB a second, is slower than the target, such as a cluster with several masters,
        and processors are free where the import runs. One standalone server is no faster for it.
      - Whatever is left of an import that was killed can be gone on with by any number of workers.
      - A part smaller than O(window_bytes) is sent by one process all the same.
    type: int
    default: 1
  slots:
    description:
      - Of a source that is a master of a cluster, the slots that it serves, as M(redisops.tair.aof_info) returns them in
        RV(redisops.tair.aof_info#module:slots).
      - The target is taken to be empty where it holds no key of these, so that the masters of a cluster can be imported into one target
        one by one or side by side. C(FLUSHALL) and C(FLUSHDB) in the AOF, which would take away what the other masters have, count as errors, and
        O(if_not_empty=flush) is refused.
      - To look for such keys a target that is no cluster is scanned.
    type: list
    elements: str
  topology:
    description:
      - What the target is.
    type: str
    choices:
      auto: It is asked.
      standalone: One server.
      cluster: The nodes of a cluster, which are connected to directly.
      proxy: A proxy in front of a cluster, over which everything goes. What is not the work of a rewrite travels in a transaction a slot, one
        after the other, as there are proxies that take transactions of several slots apart and others that mix up those of one connection.
    default: auto
  timeout:
    description:
      - Seconds to wait for any one answer, and for how long a target that can't be reached is tried again before the import fails.
    type: float
    default: 60.0
  progress_path:
    description:
      - A file that the module keeps up to date with how far it is, as JSON with the numbers C(position), C(size) (both in bytes of
        the AOF), C(commands) and C(errors). Everybody may read it, and it is removed when the import ends.
      - Where it is not given, and neither C(async) nor C(no_log) is set for the task, progress lines are shown every few seconds.
      - A file that can't be written is a warning, and no reason to fail.
    type: path
notes:
  - The payload of every C(RESTORE) among the commands is checked before anything is sent. Where the target does not take a payload, such as
    that of a newer server, the key is built by other commands, and RV(adapted) counts it. Fields whose expiry the target lacks need
    O(drop=hash_field_ttl).
  - The progress lines name the host of the task first, wherever the task is delegated to. They are shown where the module runs over the
    connection plugins C(local), C(ssh) and C(paramiko); over SSH they need the Python library paramiko on the control node,
    as M(redisops.tair.aof_fetch) does.
  - The variable C(redisops_tair_progress) set to V(false) switches the progress lines off.
seealso:
  - module: redisops.tair.aof_fetch
  - module: redisops.tair.keyspace_compare
"""

EXAMPLES = r"""
---
- name: Import what aof_fetch has fetched
  redisops.tair.aof_import:
    path: "{{ fetched.dest }}"
    login_host: r-bp1example.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
  delegate_to: localhost

- name: Import on the source's own host, so that the data goes straight to the target
  redisops.tair.aof_import:
    path: "{{ rewritten.aof_path }}"
    login_host: r-bp1example.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
  become: true # the files usually belong to redis

- name: Import a single file right after its rewrite, and keep the checkpoint for a second round
  redisops.tair.aof_import:
    path: "{{ fetched.dest }}"
    aof_base_size: "{{ rewritten.base_size }}"
    checkpoint: keep
    login_host: r-bp1example.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
  delegate_to: localhost

- name: Take back an import that has failed
  redisops.tair.aof_import:
    path: "{{ fetched.dest }}"
    state: absent
    login_host: r-bp1example.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
  delegate_to: localhost
"""

RETURN = r"""
deleted_keys:
  description: How many keys were deleted.
  returned: success with O(state=absent)
  type: int
  sample: 350112
keys_in_target:
  description: How many keys the target holds.
  returned: when it is refused because it is not empty
  type: int
  sample: 12
not_data:
  description:
    - Commands of the AOF that are no data and are never sent, such as C(CONFIG SET), C(ACL) or C(AUTH). Their arguments are not returned.
  returned: when the AOF is refused because of them
  type: list
  elements: dict
  contains:
    command:
      description: Name of the command, with its subcommand where that decides.
      type: str
      returned: always
    count:
      description: How often it occurs.
      type: int
      returned: always
    file:
      description: The file of the first one.
      type: str
      returned: always
    offset:
      description: Byte in the file where the first one begins.
      type: int
      returned: always
  sample: [{"command": CONFIG, "count": 1, "file": /var/tmp/aof/appendonly.aof, "offset": 4711}]
file:
  description: The file that is damaged.
  returned: when the AOF is damaged
  type: str
  sample: /var/tmp/aof/appendonly.aof.2.incr.aof
offset:
  description: Byte in the file where something else was expected.
  returned: when the AOF is damaged
  type: int
  sample: 4711
expected:
  description: What was expected there.
  returned: when the AOF is damaged
  type: str
  sample: "'*' and a number of arguments"
complete:
  description: Byte in the file where the last whole command before the damage ends; V(0) in an RDB.
  returned: when the AOF is damaged
  type: int
  sample: 4700
found:
  description:
    - What is there instead, in words, such as zero bytes to the end of the file, a compressed file or changed line ends.
    - Empty where nothing more is known than what was expected.
  returned: when the AOF is damaged
  type: str
  sample: the file is compressed with gzip
advice:
  description: What to do, also if the source does not exist any more.
  returned: when the AOF is damaged
  type: str
  sample: "Unpack it: gzip -dc /var/tmp/aof/appendonly.aof.gz > unpacked.aof"
replies:
  description: Commands of the AOF that the target has answered, one for each however they travelled, and one for each key of an RDB.
    Those of an earlier run that was gone on with are included.
  returned: success with O(state=present), and when an import that had begun fails
  type: int
  sample: 1200435
errors:
  description: How many of them it refused.
  returned: success with O(state=present), and when an import that had begun fails
  type: int
  sample: 0
damaged_keys:
  description: The keys of damaged values, a hundred at most; what can't be shown is escaped.
  returned: when an AOF is refused because of them
  type: list
  elements: str
  version_added: 0.2.0
  sample: ["user:42"]
error_samples:
  description: The first refused commands and where they stand. Never a value.
  returned: success with O(state=present), and when an import that had begun fails
  type: list
  elements: dict
  contains:
    file:
      description: The file.
      type: str
      returned: always
    offset:
      description: Byte in the file where the command begins.
      type: int
      returned: always
    database:
      description: The database that was selected.
      type: int
      returned: always
    command:
      description: Name of the command.
      type: str
      returned: always
    key:
      description: Its first key, empty where its arguments may be something else; what can't be shown is escaped.
      type: str
      returned: always
    reply:
      description: The server's error.
      type: str
      returned: always
  sample: []
summary:
  description: The line that C(redis-cli --pipe) ends with.
  returned: success with O(state=present)
  type: str
  sample: "errors: 0, replies: 1200435"
commands:
  description: Commands of the AOF sent by this call.
  returned: success with O(state=present)
  type: int
  sample: 1200435
bytes:
  description: Bytes of the AOF imported by this call.
  returned: success with O(state=present)
  type: int
  sample: 192984740
position:
  description: Bytes of the AOF, all files in order, that are in the target now.
  returned: success with O(state=present), and when an import that had begun fails
  type: int
  sample: 192984740
size:
  description: Bytes of the AOF.
  returned: success with O(state=present)
  type: int
  sample: 192984740
truncated_bytes:
  description: Bytes at the end of the AOF that were not sent, because a command or a transaction is cut off there.
  returned: success with O(state=present)
  type: int
  sample: 0
files:
  description: The files, in the order they were read.
  returned: success with O(state=present)
  type: list
  elements: str
  sample: [/var/tmp/aof/appendonly.aof.2.base.aof, /var/tmp/aof/appendonly.aof.2.incr.aof]
adapted:
  description: How many commands were sent as others that the target knows, by their form.
  returned: success with O(state=present)
  type: dict
  sample: {XSETID ENTRIESADDED: 12}
dropped:
  description:
    - How many commands were left out, in whole or in part, by the name in O(drop) that allowed it.
    - V(slot_migration) counts records of slot migrations, which are left out whatever O(drop) says.
    - V(own_keys) counts commands on keys of this collection, C(redisops.tair:checkpoint:*), which an import into the source has left there.
  returned: success with O(state=present)
  type: dict
  sample: {}
databases:
  description: The databases of the target that commands were sent to, by this call and by the earlier calls that it resumes.
  returned: success with O(state=present)
  type: list
  elements: int
  sample: [0]
resumed_from:
  description: Position at which an earlier import was gone on with; null where this was a new one.
  returned: success with O(state=present)
  type: int
  sample: null
evicted_keys:
  description: Keys that the target evicted meanwhile.
  returned: success with O(state=present)
  type: int
  sample: 0
expired_keys:
  description: Keys that ended their lifetime in the target meanwhile.
  returned: success with O(state=present)
  type: int
  sample: 0
reconnects:
  description: How often the connection was lost and made again.
  returned: success with O(state=present)
  type: int
  sample: 0
workers:
  description: How many processes have sent what a rewrite wrote.
  returned: success with O(state=present)
  type: int
  sample: 1
elapsed:
  description: Seconds.
  returned: success with O(state=present)
  type: float
  sample: 4.31
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

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof, was_rewritten
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, compat_spec, run, server_spec
from ansible_collections.redisops.tair.plugins.module_utils._errors import ImportFailedError, TairError
from ansible_collections.redisops.tair.plugins.module_utils._import.abandoned import end_when_abandoned
from ansible_collections.redisops.tair.plugins.module_utils._import.importer import check_import, import_aof
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import ProgressFile
from ansible_collections.redisops.tair.plugins.module_utils._import.selection import Selection
from ansible_collections.redisops.tair.plugins.module_utils._import.undo import undo_import
from ansible_collections.redisops.tair.plugins.module_utils._keys import DatabaseMap, KeyFilter, slots_from_text
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint


def options_of(params: dict[str, t.Any]) -> Options:
    if params["workers"] < 1:
        raise TairError("workers has to be 1 or more", changed="Nothing was changed")
    slots = slots_from_text(params["slots"])
    if slots is not None and params["if_not_empty"] == "flush":
        raise TairError(
            "if_not_empty=flush deletes what the other masters of the source's cluster have imported",
            changed="Nothing was changed",
            todo="Empty the target before the first of them, and leave if_not_empty at fail",
        )
    return Options(
        if_not_empty=params["if_not_empty"],
        resume=params["resume"],
        keep_checkpoint=params["checkpoint"] == "keep",
        stop_at_error=params["on_error"] == "fail",
        max_errors=params["max_errors"],
        allow_eviction=params["allow_eviction"],
        until=params["until"],
        selection=Selection(
            KeyFilter(params["include_keys"], params["exclude_keys"]),
            DatabaseMap.from_params(params["databases"], params["database_map"]),
            protect=params["if_not_empty"] == "append" or slots is not None,
        ),
        slots=slots,
        check_values=params["check_values"] == "always",
        compat=params["compat"] == "auto",
        drop=tuple(params["drop"]),
        rate_limit=params["rate_limit"],
        batch_bytes=params["batch_bytes"],
        window_bytes=params["window_bytes"],
        workers=params["workers"],
        topology=params["topology"],
        timeout=params["timeout"],
    )


def import_(module: AnsibleModule) -> Result:
    params = module.params
    endpoint, options = Endpoint.from_params(params), options_of(params)
    end_when_abandoned()
    found = find_aof(Path(params["path"]))
    if params["state"] == "absent":
        with open_aof(found, base_size=params["aof_base_size"]) as aof:
            keys = undo_import(aof, endpoint, options, dry_run=module.check_mode)
        return {"changed": keys > 0, "deleted_keys": keys}
    with open_aof(found, base_size=params["aof_base_size"]) as aof:
        if module.check_mode:
            outcome = check_import(aof, endpoint, options)
        elif params["progress_path"]:
            with ProgressFile(Path(params["progress_path"]), warn=module.warn) as file:
                outcome = import_aof(aof, endpoint, options, file.write)
        else:
            outcome = import_aof(aof, endpoint, options)
        size, files = aof.size, [str(path) for path in aof.files]
        rewritten = was_rewritten(found, aof)
    for warning in outcome.warnings:
        module.warn(warning)
    errors = outcome.errors
    result: Result = {
        "changed": outcome.changed,
        "replies": outcome.commands,
        "errors": errors.count,
        "error_samples": [error.sample() for error in errors.samples],
        "summary": f"errors: {errors.count}, replies: {outcome.commands}",
        "commands": outcome.commands - outcome.commands_before,
        "bytes": outcome.bytes,
        "position": outcome.position,
        "size": size,
        "truncated_bytes": outcome.truncated_bytes,
        "files": files,
        "adapted": dict(outcome.adapted),
        "dropped": dict(outcome.dropped),
        "databases": sorted(outcome.databases),
        "resumed_from": outcome.resumed_from,
        "evicted_keys": outcome.evicted_keys,
        "expired_keys": outcome.expired_keys,
        "reconnects": outcome.reconnects,
        "workers": outcome.workers,
        "elapsed": round(outcome.elapsed, 3),
    }
    if rewritten and not module.check_mode:
        raise ImportFailedError(
            f"{params['path']} was rewritten while it was imported",
            changed=f"{endpoint} holds the AOF as it was before, all {outcome.commands} commands",
            todo="Find out who rewrites it (auto-aof-rewrite-percentage 0 keeps the server from doing so by itself) and whether it is "
            "still written to, then import again with if_not_empty=flush",
            **{name: result[name] for name in ("replies", "errors", "error_samples", "position")},
        )
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **server_spec(),
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "path": {"type": "path", "required": True},
            "aof_base_size": {"type": "int", "default": 0},
            "if_not_empty": {"type": "str", "choices": ["fail", "append", "flush"], "default": "fail"},
            "resume": {"type": "bool", "default": True},
            "checkpoint": {"type": "str", "choices": ["remove", "keep"], "default": "remove"},
            "on_error": {"type": "str", "choices": ["fail", "continue"], "default": "fail"},
            "max_errors": {"type": "int", "default": 0},
            "allow_eviction": {"type": "bool", "default": False},
            "until": {"type": "int"},
            "databases": {"type": "list", "elements": "int"},
            "database_map": {"type": "dict"},
            "include_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "exclude_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "check_values": {"type": "str", "choices": ["auto", "always"], "default": "auto"},
            **compat_spec(),
            "rate_limit": {"type": "int", "default": 0},
            "batch_bytes": {"type": "int", "default": 64 * 1024},
            "window_bytes": {"type": "int", "default": 16 << 20},
            "workers": {"type": "int", "default": 1},
            "slots": {"type": "list", "elements": "str"},
            "topology": {"type": "str", "choices": ["auto", "standalone", "cluster", "proxy"], "default": "auto"},
            "timeout": {"type": "float", "default": 60.0},
            "progress_path": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run(module, import_)


if __name__ == "__main__":
    main()
