#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aof_inspect
short_description: Tell what an append-only file holds, and what of it a target would refuse
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Reads the AOF of a Redis, Valkey or KeyDB server once, without any server, and tells what is in it and whether it is whole.
  - Damage and a command that is cut off are results, not failures.
  - An RDB preamble is read, too, and so is an RDB file by itself (C(dump.rdb)).
  - With O(login_host) or O(login_unix_socket) it also asks that server what of the AOF it would refuse. Nothing that writes is sent to it.
  - Values of keys are never returned. Names of keys are.
extends_documentation_fragment:
  - redisops.tair._redis
  - redisops.tair._redis.server
  - redisops.tair._attributes
  - redisops.tair._attributes.actiongroup_tair
  - redisops.tair._attributes.info_module
options:
  path:
    description:
      - The AOF. An AOF file, a manifest, or the directory that holds one of the two.
      - The data directory of a server is accepted if it holds one AOF only, be it a single file or in C(appenddirname).
    type: path
    required: true
  aof_base_size:
    description:
      - How many bytes at the beginning of a single-file AOF were written by the last rewrite, as C(aof_base_size) in C(INFO persistence)
        says right after it; M(redisops.tair.aof_rewrite) returns it. RV(rewritten_keys) counts there.
      - For the files of a manifest their names tell. Either counts only as far as the commands are those that a rewrite writes.
    type: int
    default: 0
  check_values:
    description:
      - Which values of an RDB are checked for damage; see RV(damage).
    type: str
    choices:
      auto: Those of an RDB without a checksum (C(rdbchecksum no)).
      always: Those of every RDB. It takes about 10 seconds for a million keys.
    default: auto
    version_added: 0.2.0
  prefixes:
    description:
      - How many key prefixes to return at most.
    type: int
    default: 20
  login_host:
    description:
      - Host name or address of the target to ask. Without it, and without O(login_unix_socket), no server is asked.
      - If not given, the environment variable E(REDISOPS_LOGIN_HOST) is used.
    type: str
    default: null
notes:
  - The Python library C(redis) is only needed to ask a target.
  - What a script (C(EVAL) in AOFs of Redis 3.2 and 4.0) calls is not looked at; with a target RV(unchecked) says so.
seealso:
  - module: redisops.tair.aof_fetch
  - module: redisops.tair.aof_import
  - module: redisops.tair.tair_info
"""

EXAMPLES = r"""
---
- name: See whether a fetched AOF is whole, and whether the target takes it
  redisops.tair.aof_inspect:
    path: "{{ fetched.dest }}"
    login_host: r-bp1example.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
  delegate_to: localhost
  register: inspected

- name: Stop before anything is imported
  ansible.builtin.assert:
    that:
      - inspected.damage is none
      - inspected.incompatible | length == 0
    fail_msg: "{{ inspected.incompatible | map(attribute='what') | join(', ') }}"

- name: See what fills a server, by the AOF on its own disk
  redisops.tair.aof_inspect:
    path: /var/lib/redis/appendonlydir
  become: true # the files usually belong to redis
"""

RETURN = r"""
files:
  description: The files, in the order in which they are read.
  returned: success
  type: list
  elements: str
  sample: [/var/tmp/aof/appendonly.aof.2.base.aof, /var/tmp/aof/appendonly.aof.2.incr.aof]
size:
  description: Bytes of all files, hybrids included.
  returned: success
  type: int
  sample: 192984740
read_bytes:
  description: Bytes that were read and counted. Less than RV(size) where a file has a preamble, is damaged or cut off.
  returned: success
  type: int
  sample: 192984740
rewritten_bytes:
  description:
    - Bytes at the beginning that are the work of a rewrite, where every key stands once.
    - V(0) where that is not known, as in a single file without O(aof_base_size).
  returned: success
  type: int
  sample: 192984740
commands:
  description: How often each command occurs. Names in capitals, the most frequent first. Those in an open transaction are counted.
  returned: success
  type: dict
  sample: {"SET": 700000, "HMSET": 100000, "SELECT": 1}
types:
  description:
    - C(commands) and C(bytes) of the AOF by data type; V(strings), V(lists), V(sets), V(hashes), V(zsets), V(streams), V(modules) and V(other).
    - V(other) is what fits keys of any type, such as C(DEL) and C(PEXPIREAT), what has no key, and types that are not listed here.
  returned: success
  type: dict
  sample: {"strings": {"commands": 700000, "bytes": 100800000}}
databases:
  description: Numbers of the databases that commands with keys are in, or that C(SELECT), C(SWAPDB), C(MOVE) and C(COPY) name.
  returned: success
  type: list
  elements: int
  sample: [0, 3]
rewritten_keys:
  description:
    - By database number (a string, as in JSON), the keys that the rewritten part creates. It is exact for that part.
    - What follows it may add and delete keys; how many are left can't be known without executing it. If RV(rewritten_bytes) is RV(size)
      these are the keys of the AOF, those whose lifetime has ended since included.
    - Empty where nothing is known to be rewritten.
    - The same is returned as C(keys), which templates reach as C(inspected['keys']) only.
  returned: success
  type: dict
  sample: {"0": 120000, "3": 12}
prefixes:
  description:
    - The key prefixes with the most bytes. A prefix is what a key begins with up to its first V(:), that included, if it is
      within the first 128 bytes. An empty prefix stands for all other keys.
    - A command counts for its first key, with all of its bytes in the file.
  returned: success
  type: list
  elements: dict
  contains:
    prefix:
      description: The prefix; what can't be shown is escaped.
      type: str
    bytes:
      description: Bytes of the commands.
      type: int
  sample: [{"prefix": "session:", "bytes": 88310212}]
prefixes_uncertain:
  description:
    - Bytes by which any number in RV(prefixes) may be too small. V(0), unless there are more than 20,000 prefixes and small ones had
      to be forgotten.
  returned: success
  type: int
  sample: 0
largest_command:
  description: The command with the most bytes; V(null) where there is none.
  returned: success
  type: dict
  contains:
    file:
      description: The file.
      type: str
    offset:
      description: Byte in the file where the command begins.
      type: int
    database:
      description: The database that is selected there.
      type: int
    command:
      description: Its name, in capitals.
      type: str
    key:
      description: Its first key, V(null) where it has none; what can't be shown is escaped.
      type: str
    bytes:
      description: Its size in the file.
      type: int
  sample:
    file: /var/tmp/aof/appendonly.aof.2.base.aof
    offset: 76026
    database: 0
    command: SET
    key: "session:42"
    bytes: 20527
has_preamble:
  description: Whether a file begins with an RDB preamble (C(aof-use-rdb-preamble yes)), or is an RDB as a whole.
  returned: success
  type: bool
  sample: false
preamble:
  description:
    - The RDB that a file begins with; V(null) where there is none.
    - Each of its keys is told as one C(RESTORE) in RV(commands), with the bytes of its record, and by what it holds in RV(types).
  returned: success
  type: dict
  contains:
    file:
      description: The file.
      type: str
    bytes:
      description: Bytes of the RDB.
      type: int
    version:
      description: The version of the RDB's format. Those of Valkey begin at 80.
      type: int
    key_count:
      description: How many keys there are, those whose lifetime has ended since included.
      type: int
    unbuildable:
      description:
        - Keys that no command builds, such as values of modules. Where the target has the module it takes them as they stand.
        - C(what) they are, their C(count), and the first C(places) as in RV(largest_command).
      type: list
      elements: dict
    modules:
      description: Modules that keep something beside their keys. It can't be imported.
      type: list
      elements: str
  sample: null
annotations:
  description: C(count) of annotation lines (C(#TS:)), and C(first) and C(last) time in seconds since the epoch, V(null) where there are none.
  returned: success
  type: dict
  sample: {"count": 2, "first": 1700000000, "last": 1700003600}
truncated_bytes:
  description: Bytes at the end of the last file that a server leaves out when it loads it, because a command or a transaction is cut off there.
  returned: success
  type: int
  sample: 0
open_transaction:
  description: The C(MULTI) that has no C(EXEC), as in RV(largest_command); V(null) where there is none.
  returned: success
  type: dict
  sample: null
damage:
  description:
    - Where the bytes are no AOF any more. Everything before is counted and nothing after it. V(null) where there is none.
    - The payload of a C(RESTORE) among the commands is checked as well, and is reported with its C(key).
    - An RDB without a checksum (C(rdbchecksum no)) may hold values that crash a server which reads them. Each value is checked
      (see O(check_values)). The first damaged one is returned here with its C(key), and everything in the file is counted.
  returned: success
  type: dict
  contains:
    file:
      description: The file.
      type: str
    offset:
      description: Byte in the file.
      type: int
    expected:
      description: What was expected there.
      type: str
    key:
      description: The key of a damaged value, V(null) for any other damage; what can't be shown is escaped.
      type: str
      version_added: 0.2.0
    database:
      description: The database of the key, V(null) for any other damage.
      type: int
      version_added: 0.2.0
    count:
      description: The number of damaged values, V(1) for any other damage.
      type: int
      version_added: 0.2.0
    found:
      description:
        - What is there instead, in words, such as zero bytes to the end of the file, a compressed file or changed line ends.
        - Empty where nothing more is known than what was expected.
      type: str
      version_added: 0.2.0
    advice:
      description: What to do, also if the source does not exist any more. Empty where there is nothing to say.
      type: str
      version_added: 0.2.0
  sample: null
not_data:
  description:
    - Commands of the AOF that are no data and are never sent, such as C(CONFIG SET), C(ACL) or C(AUTH). Their arguments are not returned, or counted as keys.
    - M(redisops.tair.aof_import) refuses an AOF that holds one. Without a target only commands that Redis, Valkey or KeyDB know are listed;
      with one also those that it does not flag C(write).
  returned: success
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
  sample: []
slot_migrations:
  description:
    - How many records of slot migrations there are (C(CLUSTER SYNCSLOTS) of Valkey 9, C(TRIMSLOTS) of Redis 8.4).
      M(redisops.tair.aof_import) leaves them out.
  returned: success
  type: int
  sample: 0
incompatible:
  description:
    - What the target would refuse. Empty where nothing is known, V(null) where no target was given.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(command), the target does not know the command; V(syntax), it knows the command without this option;
          V(database), it has no database of this number; V(permission), the account may not run it;
          V(value), its C(RESTORE) does not take what one among the commands holds.
      type: str
    what:
      description: The command, the option, the database or the kind of value.
      type: str
    reason:
      description: Why.
      type: str
    count:
      description: How many commands are concerned.
      type: int
    rewritten:
      description: Whether M(redisops.tair.aof_import) knows other commands that mean the same for it, or for most of its forms, and sends these.
      type: bool
    drop:
      description: The name in O(redisops.tair.aof_import#module:drop) under which it can be left out; V(null) where there is none.
      type: str
    places:
      description: The first five of them, each as in RV(largest_command); for a database the commands that select or name it.
      type: list
      elements: dict
  sample:
    - kind: syntax
      what: SET PXAT
      reason: it came with version 6.2, and this server is compatible with 6.0.20
      count: 11
      rewritten: true
      drop: null
      places:
        - file: /var/tmp/aof/appendonly.aof.2.incr.aof
          offset: 8113
          database: 0
          command: SET
          key: "session:42"
          bytes: 81
unchecked:
  description:
    - What the target did not tell, in words. C(COMMAND) or C(ACL) may be forbidden. What an account with few permissions may run is told by
      Redis 7.0 and newer.
    - V(null) where no target was given. If the AOF holds C(RESTORE) commands, they are named here without a target, too.
  returned: success
  type: list
  elements: str
  sample: []
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._aof.inspect import Inspection, RdbFound, inspect
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.places import Place
from ansible_collections.redisops.tair.plugins.module_utils._aof.tally import Tally
from ansible_collections.redisops.tair.plugins.module_utils._aof.types import TYPES, type_of
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, run, server_spec
from ansible_collections.redisops.tair.plugins.module_utils._compat import Refusal, judge
from ansible_collections.redisops.tair.plugins.module_utils._import.compat import remedies
from ansible_collections.redisops.tair.plugins.module_utils._import.payloads import RefusedRestores, foretell
from ansible_collections.redisops.tair.plugins.module_utils._keys import printable
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._target import describe_target


def place_of(place: Place | None) -> Result | None:
    if place is None:
        return None
    return {
        "file": place.file,
        "offset": place.offset,
        "database": place.database,
        "command": printable(place.name),
        "key": None if place.key is None else printable(place.key),
        "bytes": place.size,
    }


def refusal_of(refusal: Refusal) -> Result:
    places = [place_of(place) for place in refusal.places]
    rewritten, drop = remedies(refusal.what)
    return {
        "kind": refusal.kind,
        "what": refusal.what,
        "reason": refusal.reason,
        "count": refusal.count,
        "rewritten": rewritten,
        "drop": drop,
        "places": places,
    }


def refused_restores_of(refused: RefusedRestores) -> Result:
    found = refused.found
    return {
        "kind": "value",
        "what": f"RESTORE of {found.kind}",
        "reason": refused.reason,
        "count": found.places.count,
        "rewritten": refused.rewritten,
        "drop": refused.drop,
        "places": [place_of(place) for place in found.places.first],
    }


#: As this module calls what a key of an RDB holds.
_TYPE_OF_KIND = {
    "string": "strings",
    "list": "lists",
    "set": "sets",
    "hash": "hashes",
    "zset": "zsets",
    "stream": "streams",
    "module": "modules",
}


def preamble_of(rdb: RdbFound) -> Result:
    return {
        "file": str(rdb.path),
        "bytes": rdb.size,
        "version": rdb.version,
        "key_count": sum(count for count, _size in rdb.kinds.values()),
        "unbuildable": [
            {"what": what, "count": places.count, "places": [place_of(place) for place in places.first]}
            for what, places in sorted(rdb.unbuildable.items())
        ],
        "modules": sorted(rdb.modules),
    }


def not_data_of(tally: Tally, by_target: t.Iterable[bytes]) -> list[Result]:
    """The commands that are no data: as all servers have them, and as the target says."""
    found = [(name, places.count, places.first[0]) for name, places in tally.not_data.items()]
    found += [(name, tally.by_name()[name][0], tally.samples[name][0]) for name in by_target]
    return [
        {"command": printable(name, 64), "count": count, "file": place.file, "offset": place.offset}
        for name, count, place in sorted(found, key=lambda item: item[0])
    ]


def findings(inspection: Inspection, prefixes: int) -> Result:
    tally, damage = inspection.tally, inspection.damage
    by_name = sorted(tally.by_name().items(), key=lambda item: (-item[1][0], item[0]))
    types = {name: {"commands": 0, "bytes": 0} for name in TYPES}
    for name, (count, size) in by_name:
        types[type_of(name)]["commands"] += count
        types[type_of(name)]["bytes"] += size
    rdb = inspection.rdb
    for kind, (count, size) in rdb.kinds.items() if rdb is not None else ():
        of_kind = types[_TYPE_OF_KIND.get(kind, "other")]
        for counted, number in (("commands", count), ("bytes", size)):
            types["other"][counted] -= number  # RESTORE fits keys of any type
            of_kind[counted] += number
    annotations = inspection.annotations
    rewritten_keys = {str(number): count for number, count in sorted(tally.keys.items())}
    return {
        "read_bytes": inspection.read_bytes,
        "rewritten_bytes": inspection.rewritten_bytes,
        "commands": {printable(name): count for name, (count, _size) in by_name},
        "types": types,
        "databases": sorted(tally.databases),
        "rewritten_keys": rewritten_keys,
        "keys": rewritten_keys,  # the name that it had first
        "prefixes": [
            {"prefix": printable(found.prefix), "bytes": found.size} for found in tally.prefixes.top(prefixes)
        ],
        "prefixes_uncertain": tally.prefixes.uncertain,
        "largest_command": place_of(tally.largest),
        "preamble": rdb and preamble_of(rdb),
        "annotations": {"count": annotations.count, "first": annotations.first, "last": annotations.last},
        "truncated_bytes": inspection.truncated_bytes,
        "open_transaction": place_of(tally.transaction),
        "damage": damage
        and {
            "file": str(damage.path),
            "offset": damage.offset,
            "expected": damage.expected,
            "key": None if damage.key is None else printable(damage.key),
            "database": damage.database,
            "count": damage.count,
            "found": damage.found,
            "advice": damage.advice,
        },
    }


def inspect_(module: AnsibleModule) -> Result:
    params: dict[str, t.Any] = module.params
    segments = find_aof(Path(params["path"]))
    with open_aof(segments, base_size=params["aof_base_size"], even_damaged=True) as aof:
        inspection = inspect(aof, check_values=params["check_values"] == "always")
        files = [str(path) for path in aof.files]
        size = aof.size
    verdict = None
    restores = inspection.restores
    foretold: list[RefusedRestores] = []
    if params["login_host"] or params["login_unix_socket"]:
        endpoint = Endpoint.from_params({**params, "login_host": params["login_host"] or "localhost"})
        target = describe_target(endpoint)
        verdict = judge(inspection.tally, endpoint, target)
        foretold = foretell(restores, endpoint, target)
    unchecked = list(verdict.unchecked) if verdict else []
    if verdict is None and restores.count:
        kinds = ", ".join(sorted(found.kind for found in restores.kinds.values()))
        unchecked.append(f"whether a target takes the payloads of {restores.count} RESTORE commands ({kinds})")
    not_data = not_data_of(inspection.tally, verdict.not_data if verdict else ())
    return {
        "changed": False,
        "not_data": not_data,
        "slot_migrations": inspection.tally.slot_migrations,
        "files": files,
        "size": size,
        "has_preamble": inspection.rdb is not None,
        **findings(inspection, params["prefixes"]),
        "incompatible": verdict and [*map(refusal_of, verdict.refusals), *map(refused_restores_of, foretold)],
        "unchecked": unchecked if verdict or unchecked else None,
    }


def main() -> None:
    spec = server_spec()
    del spec["login_host"]["default"]  # no host, no target
    module = AnsibleModule(
        argument_spec={
            **spec,
            "path": {"type": "path", "required": True},
            "aof_base_size": {"type": "int", "default": 0},
            "check_values": {"type": "str", "choices": ["auto", "always"], "default": "auto"},
            "prefixes": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    run(module, inspect_)


if __name__ == "__main__":
    main()
