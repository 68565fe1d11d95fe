#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: keyspace_compare
short_description: Compare the data of two servers, key by key and both ways
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Tells whether a target holds exactly what a source holds, and where it does not, which keys are missing, extra or other.
  - Values are compared by what they mean, so the two servers may be of different versions and flavors, and store them differently.
    Streams are compared with their identifiers, groups, consumers and pending entries, hashes with the expiries of their fields,
    and function libraries too where the servers have them.
  - What looks different is looked at once more at the end, and a key that is due by the clock of either server is no difference.
    So keys that expire meanwhile do no harm. Keys that are written meanwhile do, so stop the writers first.
  - A cluster is compared node by node. Through a proxy every key of the source is compared; keys that only the target has are found where the
    proxy answers C(SCAN) as one server does, else RV(one_way) is V(true).
  - Reads only, unless O(repair) is on, in small steps and in bounded memory, however large the values are. Both servers stay usable.
extends_documentation_fragment:
  - redisops.tair._redis
  - redisops.tair._attributes
  - redisops.tair._attributes.actiongroup_tair
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  source:
    description:
      - How to reach the source. The options at the top level are those of the target.
      - Nothing of it is taken from the environment.
    type: dict
    required: true
    suboptions:
      login_host:
        description:
          - Host name or address of the source.
        type: str
        default: localhost
      login_port:
        description:
          - Port of the source.
        type: int
        default: 6379
      login_user:
        description:
          - ACL user to log in as. Leave it out to log in with a password alone.
        type: str
      login_password:
        description:
          - Password, sent as it is.
        type: str
      login_unix_socket:
        description:
          - Path of the source's Unix socket. O(source.login_host), O(source.login_port) and O(source.tls) are not used then.
        type: path
      tls:
        description:
          - Whether to speak TLS.
        type: bool
        default: false
      validate_certs:
        description:
          - Whether to verify the source's certificate and the host name in it. Only to be turned off for tests.
        type: bool
        default: true
      ca_certs:
        description:
          - File with the certificates of the authorities to trust; the system's own when it is not given.
        type: path
      client_cert_file:
        description:
          - Client certificate, where the source asks for one.
        type: path
      client_key_file:
        description:
          - Private key of O(source.client_cert_file).
        type: path
      connect_timeout:
        description:
          - Seconds to wait for the connection.
        type: float
        default: 10.0
  source_via:
    description:
      - How the source of a host that is reached by SSH is reached. It makes no difference to other hosts, and for a delegated task.
    type: str
    choices:
      host: Through a tunnel; O(source.login_host) is seen from the host.
      control_node: Directly; O(source.login_host) is seen from the control node.
    default: host
  mode:
    description:
      - How closely to look.
    type: str
    choices:
      count: The number of keys in each database. Takes no time, and sees nothing but a wrong number.
      meta: Every key exists on both sides with the same type, expiry and length.
      full: The same, and every value is equal.
    default: full
  sample:
    description:
      - Look at so many keys of each database only, chosen at random on the source, and at so many of the target to find extra ones.
        V(0) is all keys.
      - RV(summary) tells how much such a sample proves. With O(mode=count) it has no effect.
    type: int
    default: 0
  ttl_tolerance:
    description:
      - Seconds that the expiry of a key may differ by. An expiry against none is always a difference.
      - Servers before Redis 7.0 only tell the time that is left, so below V(0.1) their answers are not exact enough.
    type: float
    default: 1.0
  databases:
    description:
      - The databases of the source to compare. If not given, all that hold keys on either side.
    type: list
    elements: int
  database_map:
    description:
      - Where in the target a database of the source is, for those that have another number there. The keys are numbers of the
        source's databases, the values those of the target's.
    type: dict
  include_keys:
    description:
      - Only compare keys that match one of these patterns, written as for C(SCAN) (C(*), C(?), C([a-z]), C(\) before a literal character).
    type: list
    elements: str
    default: []
  exclude_keys:
    description:
      - Do not compare keys that match one of these patterns. They win over O(include_keys).
    type: list
    elements: str
    default: []
  max_differences:
    description:
      - List so many differences at most in RV(differences). All are counted in any case.
    type: int
    default: 100
  fail_on_difference:
    description:
      - Whether a difference fails the task. The results are returned all the same.
      - Leave it off where a later task decides by RV(equal); turn it on in a pipeline that has nothing else to ask.
    type: bool
    default: false
  ignore:
    description:
      - What is not compared, because an older target can't hold it; what O(redisops.tair.aof_import#module:drop) has left out.
      - V(functions) are libraries of functions, V(hash_field_ttl) is when fields of hashes expire. The fields themselves are compared.
      - V(member_ttl) is when members expire on KeyDB. That is never compared, because no other server has it. V(stream_producers), the
        identifiers that a stream of Redis 8.6 has accepted, are not compared either.
    type: list
    elements: str
    choices: [functions, hash_field_ttl, member_ttl, stream_producers]
    default: []
  repair:
    description:
      - Whether to copy the keys and function libraries that are missing or other on the target once more, and to compare these again.
        What still differs then is what is reported; RV(repaired) tells how many were copied.
      - A key takes its place on the target whole, with its expiry. Extra keys are left alone and reported, and the source is only read.
      - In check mode nothing is copied, and RV(ignore:changed) tells whether there would be something to.
      - Not with O(mode=count), which does not look at keys. With O(mode=meta) only what that finds is copied.
    type: bool
    default: false
notes:
  - For a host that is reached by SSH the module runs on the control node, without C(become), and reaches the source through
    an SSH tunnel (but see O(source_via)). So O(source.login_host) is seen from that host, everything else, files included, from the control node.
    A source's Unix socket can't be reached this way, and a certificate is verified only where O(source.login_host) is
    V(localhost) or V(127.0.0.1). A task with a C(local) connection, and a delegated one, runs like any other module.
  - A key that C(SCAN) returns twice, as it may while the server shrinks its tables, is counted twice in RV(compared).
  - The position that M(redisops.tair.aof_import) keeps in the target (keys C(redisops.tair:checkpoint:*)) is left out everywhere.
  - What no AOF hands on is not compared. Of streams these are consumers that have nothing pending and are missing on the target
    (the next read brings them back), pending entries whose stream entry was deleted, and, from a source before Redis 7.4 or
    Valkey 8.0, how many entries a group has read.
  - A value of a module's type is compared by its C(DUMP). Between different versions other bytes prove nothing; such a key is
    reported as C(not_comparable), as its equality has not been shown. Use O(exclude_keys) to leave it out.
  - The user needs C(~* +@read +@connection +info +time +function|list) on both servers; for O(repair) also C(+@write +function|load)
    (C(RESTORE) among them) on the target.
seealso:
  - module: redisops.tair.aof_import
  - module: redisops.tair.tair_info
"""

EXAMPLES = r"""
---
- name: Compare everything after a migration
  redisops.tair.keyspace_compare:
    login_host: r-bp1zxszhcgatnx0000.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
    source:
      login_host: redis-1.example.com
      login_password: "{{ redis_password }}"
  register: comparison

- name: Say what differs
  ansible.builtin.debug:
    msg: "{{ item.reason }}: {{ item.key }} (source: {{ item.source }}, target: {{ item.target }})"
  loop: "{{ comparison.differences }}"

- name: Fail a pipeline unless the sessions have arrived in database 3
  redisops.tair.keyspace_compare:
    login_host: r-bp1zxszhcgatnx0000.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
    source:
      login_host: redis-1.example.com
    databases: [0]
    database_map:
      0: 3
    include_keys: ["session:*"]
    fail_on_difference: true

- name: Copy again what differs after a migration, and fail if that does not help
  redisops.tair.keyspace_compare:
    login_host: r-bp1zxszhcgatnx0000.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
    source:
      login_host: redis-1.example.com
    repair: true
    fail_on_difference: true

- name: Have a quick look at 10,000 keys of each database
  redisops.tair.keyspace_compare:
    login_host: r-bp1zxszhcgatnx0000.redis.rds.aliyuncs.com
    login_password: "{{ tair_password }}"
    source:
      login_host: redis-1.example.com
    sample: 10000
"""

RETURN = r"""
equal:
  description: Whether no difference was found.
  returned: when the comparison was made
  type: bool
  sample: false
summary:
  description: The outcome in a sentence.
  returned: when the comparison was made
  type: str
  sample: "DIFFERENT: 1 missing, 0 extra, 0 mismatched of 120000 keys compared between 10.0.0.5:6379 and 10.0.0.9:6379"
compared:
  description: Keys of the source that were looked at, or counted.
  returned: when the comparison was made
  type: int
  sample: 120000
missing:
  description: Keys and function libraries that the target lacks.
  returned: when the comparison was made
  type: int
  sample: 1
extra:
  description: Keys and function libraries that only the target has.
  returned: when the comparison was made
  type: int
  sample: 0
mismatched:
  description: Keys and function libraries that both have and that differ.
  returned: when the comparison was made
  type: int
  sample: 0
one_way:
  description: Whether keys that only the target has could not be looked for, as a proxy does not tell all of them. A warning tells, too.
  returned: when the comparison was made
  type: bool
  sample: false
repaired:
  description: Keys and function libraries that were copied again. V(0) without O(repair).
  returned: when the comparison was made
  type: int
  sample: 0
differences:
  description: What differs, O(max_differences) at most. A key may be there more than once, with another reason each. Values are never shown.
  returned: when the comparison was made
  type: list
  elements: dict
  contains:
    database:
      description: Number of the database on the source (of an extra key, on the target); V(null) for a function library.
      type: int
    key:
      description: >-
        The key, or the name of the library. What can't be shown is escaped with a backslash, and what is longer than 200 bytes is cut.
        Empty for a count.
      type: str
    reason:
      description:
        - V(missing) or V(extra).
        - V(type), V(ttl), V(length), V(value), V(field_ttl) (the expiries of a hash's fields), V(stream) (its last identifier and
          its counters), V(groups) (its consumer groups, their consumers and pending entries).
        - V(count) with O(mode=count), V(not_comparable) for a module's type between two versions.
      type: str
    source:
      description: What the source has, in a few words.
      type: str
    target:
      description: What the target has.
      type: str
  sample:
    - database: 0
      key: "user:17"
      reason: missing
      source: hash, no expiry
      target: absent
databases:
  description: The databases that were compared, with the number of keys in each of them at the end.
  returned: when the comparison was made
  type: list
  elements: dict
  contains:
    source:
      description: Number of the database on the source; V(null) where nothing of the source belongs into this one of the target.
      type: int
    target:
      description: Number of the database on the target.
      type: int
    source_keys:
      description: Keys on the source. With key patterns and O(mode=count), those that match.
      type: int
    target_keys:
      description: Keys on the target, in the same way.
      type: int
  sample:
    - source: 0
      target: 0
      source_keys: 120000
      target_keys: 119999
elapsed:
  description: Seconds.
  returned: when the comparison was made
  type: float
  sample: 1.472
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

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._argspec import DROPPABLE, Result, connection_spec, run
from ansible_collections.redisops.tair.plugins.module_utils._compare.keyspace import compare_keyspaces
from ansible_collections.redisops.tair.plugins.module_utils._compare.report import Options, summary
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._keys import DatabaseMap, KeyFilter
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint


def compare(module: AnsibleModule) -> Result:
    params = module.params
    source, target = Endpoint.from_params(params["source"]), Endpoint.from_params(params)
    for name in ("sample", "ttl_tolerance", "max_differences"):
        if params[name] < 0:
            raise TairError(f"{name} can't be negative")
    if params["repair"] and params["mode"] == "count":
        raise TairError("A count finds no keys that repair could copy", todo="Use mode full or meta with repair")
    options = Options(
        mode=params["mode"],
        sample=params["sample"],
        tolerance=params["ttl_tolerance"] * 1000,
        databases=DatabaseMap.from_params(params["databases"], params["database_map"]),
        keys=KeyFilter(params["include_keys"], params["exclude_keys"]),
        max_differences=params["max_differences"],
        ignore=params["ignore"],
        repair=params["repair"] and not module.check_mode,
    )
    report = compare_keyspaces(source, target, options)
    for warning in report.warnings:
        module.warn(warning)
    would_repair = params["repair"] and module.check_mode
    result: Result = {
        "changed": bool(report.repaired or (would_repair and report.missing + report.mismatched)),
        "equal": report.equal,
        "summary": summary(report, options, source, target),
        "compared": report.compared,
        "missing": report.missing,
        "extra": report.extra,
        "mismatched": report.mismatched,
        "repaired": report.repaired,
        "one_way": report.one_way,
        "differences": [asdict(difference) for difference in report.differences],
        "databases": [asdict(database) for database in report.databases],
        "elapsed": report.elapsed,
    }
    if params["fail_on_difference"] and not report.equal:
        module.fail_json(msg=result["summary"], **result)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **connection_spec(),
            "source": {"type": "dict", "required": True, "options": connection_spec(fallbacks=False)},
            "source_via": {"type": "str", "choices": ["host", "control_node"], "default": "host"},
            "mode": {"type": "str", "choices": ["count", "meta", "full"], "default": "full"},
            "sample": {"type": "int", "default": 0},
            "ttl_tolerance": {"type": "float", "default": 1.0},
            "databases": {"type": "list", "elements": "int"},
            "database_map": {"type": "dict"},
            "include_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "exclude_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "max_differences": {"type": "int", "default": 100},
            "fail_on_difference": {"type": "bool", "default": False},
            "ignore": {"type": "list", "elements": "str", "choices": list(DROPPABLE), "default": []},
            "repair": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, compare)


if __name__ == "__main__":
    main()
