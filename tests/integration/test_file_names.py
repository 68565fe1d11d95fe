# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AOFs whose file names are not UTF-8, hold quotes and blanks, or are as long as they can be, from the source to the target."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.ansible_cli import local_host, run_playbook
from ansible_collections.redisops.tair.tests.support.servers import Server

StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., t.Dict[str, t.Any]]

#: The longest whose base file is copied: NAME.1.base.aof.part has 255 bytes.
LONG = "n" * (255 - len(".aof.1.base.aof.part")) + ".aof"


def config(name: bytes) -> dict[str, str]:
    quoted = "".join(f"\\x{byte:02x}" for byte in name)
    return {"appendonly": "yes", "appendfilename": f'"{quoted}"', "aof-use-rdb-preamble": "no"}


@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-7.0.15"])
@pytest.mark.parametrize(
    "name", [b"lat\xe9in.aof", b"two 'words' \"q\".aof", LONG.encode()], ids=["latin1", "quotes", "long"]
)
def test_an_aof_of_any_name_is_fetched_inspected_and_imported(
    name: bytes, build: str, start_server: StartServer, tmp_path: Path
) -> None:
    source, target = start_server(build, config(name)), start_server("redis-8.2.3")
    source.client().set("before", "1")
    play = {
        "hosts": "redis",
        "gather_facts": False,
        "tasks": [
            {"redisops.tair.aof_info": source.login(), "register": "info"},
            {
                "redisops.tair.aof_fetch": {"src": "{{ info.aof_path }}", "dest": str(tmp_path / "copy")},
                "register": "fetched",
            },
            {"redisops.tair.aof_inspect": {"path": "{{ fetched.dest }}"}, "register": "inspected"},
            {"redisops.tair.aof_import": {**target.login(), "path": "{{ fetched.dest }}"}},
        ],
    }
    run = run_playbook([play], {"source": local_host()}, timeout=120)
    assert run.returncode == 0, run.output
    info, fetched, imported = (run.result(module) for module in ("aof_info", "aof_fetch", "aof_import"))
    assert target.client().get("before") == b"1"
    assert imported["errors"] == 0 and imported["changed"]
    shown = name.decode("latin-1").replace("\xe9", "\\xe9")
    for files in (
        [file["path"] for file in info["files"]],
        [file["path"] for file in fetched["files"]],
        imported["files"],
    ):
        assert files and all(shown in file for file in files)
    assert any(os.fsencode(path.name).startswith(name) for path in (tmp_path / "copy").iterdir())


def test_a_result_is_text_that_ansible_accepts(
    start_server: StartServer, run_module: RunModule, tmp_path: Path
) -> None:
    base = os.fsdecode(b"lat\xe9in.aof.1.base.aof")
    (tmp_path / base).write_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n" + b"garbage")
    (tmp_path / os.fsdecode(b"lat\xe9in.aof.manifest")).write_bytes(b'file "lat\\xe9in.aof.1.base.aof" seq 1 type b\n')
    inspected = run_module("aof_inspect", {"path": str(tmp_path)})
    assert inspected["files"] == [f"{tmp_path}/lat\\xe9in.aof.1.base.aof"]
    assert inspected["damage"]["file"] == inspected["files"][0]
    failed = run_module("aof_import", {**start_server("redis-7.0.15").login(), "path": str(tmp_path)})
    assert failed["failed"] and "lat\\xe9in.aof.1.base.aof is damaged at byte 27" in failed["msg"]
    json.dumps([inspected, failed], ensure_ascii=False).encode()


def test_a_directory_whose_name_is_not_utf8_is_refused_before_anything_is_changed(
    start_server: StartServer, run_module: RunModule, tmp_path: Path
) -> None:
    data = tmp_path / os.fsdecode(b"lat\xe9in")
    data.mkdir()
    named = start_server("redis-6.2.14", {"appendonly": "yes"})
    named.client().execute_command("CONFIG", "SET", "dir", os.fsencode(data))
    for module in ("aof_info", "aof_rewrite"):
        refused = run_module(module, named.login())
        assert refused["failed"], refused
        assert "lat\\xe9in/appendonly.aof, is not UTF-8" in refused["msg"] and "symbolic link" in refused["msg"]
    assert not list(data.iterdir())
    assert named.client().info("persistence")["aof_last_rewrite_time_sec"] == -1
