# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``keyspace_compare`` of values that are larger than the memory it may take."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t

from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.paths import link_collection
from ansible_collections.redisops.tair.tests.support.servers import Server

MEMBERS = 250_000
MEMBER = "m" * 120

#: Compares (and repairs) with 32 MB more than the interpreter and the modules take, then tries to hold one set whole.
LIMITED = """
import json, re, resource, sys
from ansible_collections.redisops.tair.plugins.module_utils._bounds import VALUE_REPLY
from ansible_collections.redisops.tair.plugins.module_utils._compare.keyspace import compare_keyspaces
from ansible_collections.redisops.tair.plugins.module_utils._compare.report import Options
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire
source, target = (Endpoint("127.0.0.1", int(port)) for port in sys.argv[1:3])
Wire(source).close()  # what a first connection loads is there before the limit
size = int(re.search(r"VmSize:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + (32 << 20),) * 2)
reports = [compare_keyspaces(source, target, Options(repair=repair)) for repair in (False, True)]
try:
    Wire(source, limit=VALUE_REPLY).call(b"SMEMBERS", b"set")
    enough = True
except MemoryError:
    enough = False
print(json.dumps({"first": sorted(d.key for d in reports[0].differences), "repaired": reports[1].repaired,
                  "equal": reports[1].equal, "enough to hold a set whole": enough}))
"""


def fill(server: Server) -> None:
    """Five values, each of them larger than the limit."""
    with snapshot.Conn(server.host, server.port) as conn:
        for start in range(0, MEMBERS, 10_000):
            names = [f"{number}:{MEMBER}" for number in range(start, start + 10_000)]
            twice = [part for name in names for part in (name, name)]
            scored = [part for number, name in enumerate(names, start) for part in (number, name)]
            commands: list[tuple[t.Any, ...]] = [
                ("SADD", "set", *names),
                ("RPUSH", "list", *names),
                ("HSET", "hash", *twice),
                ("ZADD", "zset", *scored),
                ("APPEND", "string", MEMBER * 12_000),
            ]
            for reply in conn.pipeline(commands):
                assert not isinstance(reply, Exception), reply


def test_big_values_are_compared_and_copied_in_little_memory(start_server: t.Callable[..., Server]) -> None:
    source, target = start_server("redis-7.0.15"), start_server("valkey-8.1.8")
    for server in (source, target):
        fill(server)
    client = target.client()
    client.srem("set", f"{MEMBERS - 1}:{MEMBER}")
    client.sadd("set", "other")
    client.hset("hash", f"{MEMBERS - 1}:{MEMBER}", "other")

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(source.port), str(target.port)],
        env={"PYTHONPATH": str(link_collection())},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "first": ["hash", "set"],
        "repaired": 2,
        "equal": True,
        "enough to hold a set whole": False,
    }
