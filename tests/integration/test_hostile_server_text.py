# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server whose errors hold terminal escapes, through the real playbooks: none reaches the terminal or a report raw."""

from __future__ import annotations

import socketserver
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.ansible_cli import local_host, run_playbook

ESCAPES = "\x1b]0;pwn\x07 \x9b31m \u202e"
FORBIDDEN = ("\x1b", "\x07", "\x9b", "\u202e")


class _Answers(socketserver.StreamRequestHandler):
    """Answers each command, whatever it is, with an error."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            for _argument in range(int(line[1:])):
                self.rfile.read(int(self.rfile.readline()[1:]) + 2)
            self.wfile.write(f"-ERR {ESCAPES}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def port() -> t.Iterator[int]:
    with _Server(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_no_escape_of_a_server_is_printed_or_reported(port: int, tmp_path: Path) -> None:
    host = local_host(
        aof_migrate_source_port=port,
        aof_migrate_target_host="127.0.0.1",
        aof_migrate_target_port=port,
        aof_migrate_artifacts_dir=str(tmp_path / "artifacts"),
    )
    for playbook in ("redisops.tair.preflight", "redisops.tair.migrate"):
        run = run_playbook(playbook, {"evil": host}, arguments=["-v"])
        assert run.returncode != 0 and "pwn" in run.output, run.output
        assert "Traceback" not in run.output, run.output
        assert [char for char in FORBIDDEN if char in run.output] == []
    reports = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert reports
    for path in reports:
        assert [char for char in FORBIDDEN if char in path.read_text(encoding="utf-8")] == [], path
