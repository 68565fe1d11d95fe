# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The largest commands there are, imported in little memory: the operating system gives the module no more."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support.ansible_cli import environment
from ansible_collections.redisops.tair.tests.support.paths import link_collection
from ansible_collections.redisops.tair.tests.support.servers import Server

LARGEST = 512 << 20  # bytes: what servers take as one value by default
ITEMS = 1_200_000
#: Of address space, of which Python and its libraries take a half before anything is read.
MEMORY = 300 << 20


def import_in_little_memory(params: dict[str, t.Any]) -> dict[str, t.Any]:
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.redisops.tair.plugins.modules.aof_import"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": params}),
        env=environment({"PYTHONPATH": str(link_collection())}),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    result: dict[str, t.Any] = json.loads(done.stdout)
    return result


def write_value(path: Path, *command: bytes, size: int) -> None:
    """Append a command whose last argument is ``size`` zeros; they take no room on disk."""
    head = encode([*command, b""])
    assert head.endswith(b"$0\r\n\r\n")
    with path.open("r+b") as file:  # in append mode there are no holes
        file.seek(0, os.SEEK_END)
        file.write(head[: -len(b"$0\r\n\r\n")] + b"$%d\r\n" % size)
        file.seek(size, os.SEEK_CUR)
        file.write(b"\r\n")


@pytest.mark.parametrize("base", [False, True], ids=["transactions", "plain"])
def test_the_largest_commands_need_little_memory(
    start_server: t.Callable[..., Server], tmp_path: Path, base: bool
) -> None:
    target = start_server("redis-7.0.15")
    path = tmp_path / "appendonly.aof"
    path.write_bytes(encode([b"SELECT", b"0"]) + encode([b"RPUSH", b"many", *[b"%d" % n for n in range(ITEMS)]]))
    write_value(path, b"SET", b"large", size=LARGEST)
    with path.open("ab") as file:
        file.write(encode([b"RPUSH", b"small", b"1"]))

    result = import_in_little_memory(
        {**target.login(), "path": str(path), "aof_base_size": path.stat().st_size if base else 0}
    )

    assert (result.get("errors"), result.get("replies")) == (0, 4), result
    client = target.client()
    assert client.llen("many") == ITEMS and client.lrange("many", -1, -1) == [b"%d" % (ITEMS - 1)]
    assert client.strlen("large") == LARGEST and client.getrange("large", -1000, -1) == bytes(1000)
    assert client.lrange("small", 0, -1) == [b"1"]
