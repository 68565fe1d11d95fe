# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes that a real sshd sends arrive as they are: whatever the cipher, over changes of the key, through a jump host."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shlex
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.plugin_utils._packets import BulkPacketizer, Pipe
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import SshSettings, resolve
from ansible_collections.redisops.tair.tests.support.sshd import Sshd
from paramiko.buffered_pipe import PipeTimeout
from paramiko.ssh_exception import SSHException

StartSshd = t.Callable[..., Sshd]
SIZE = 20_000_000


def settings_of(sshd: Sshd) -> SshSettings:
    arguments = ["-p", str(sshd.port), "-l", sshd.user, "-i", str(sshd.key_file)]
    return resolve("ssh", [*arguments, *shlex.split(sshd.inventory_vars()["ansible_ssh_common_args"])], sshd.host)


def read_all(connection: SshConnection, command: str) -> bytes:
    process = connection.run(command)
    return b"".join(iter(process.read, b""))


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"])
@pytest.mark.parametrize("jumps", [0, 1])
def test_bytes_arrive_as_they_are_by_every_cipher(
    cipher: str, jumps: int, start_sshd: StartSshd, content: Path
) -> None:
    sshd = start_sshd(options={"Ciphers": cipher})
    settings = settings_of(sshd)
    if jumps:
        settings = dataclasses.replace(settings, jump=settings_of(start_sshd()))
    with SshConnection(settings) as connection:
        assert read_all(connection, f"cat {content}") == content.read_bytes()
        assert read_all(connection, "echo out; echo err >&2").split() in ([b"out", b"err"], [b"err", b"out"])
        assert read_all(connection, "true") == b""


@pytest.mark.parametrize("asks", ["server", "client"])
def test_keys_may_be_changed_in_the_middle(
    asks: str, start_sshd: StartSshd, content: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[object] = []
    plain = BulkPacketizer.set_inbound_cipher

    def counted(self: BulkPacketizer, *args: t.Any, **kwargs: t.Any) -> None:
        changes.append(kwargs["iv_in"])
        plain(self, *args, **kwargs)

    monkeypatch.setattr(BulkPacketizer, "set_inbound_cipher", counted)
    if asks == "client":
        monkeypatch.setattr(BulkPacketizer, "REKEY_BYTES", SIZE // 10)
    sshd = start_sshd(options={"RekeyLimit": "2M" if asks == "server" else "default"})
    with SshConnection(settings_of(sshd)) as connection:
        # The command does not end: paramiko locks itself up when a channel is closed while keys are changed.
        process = connection.run(f"cat {content} {content} {content}; exec cat")
        arrived = b""
        while len(arrived) < 3 * SIZE:
            arrived += process.read()
    assert arrived == content.read_bytes() * 3
    assert len(set(changes)) > 1


def test_several_commands_may_print_at_once(start_sshd: StartSshd, content: Path) -> None:
    with SshConnection(settings_of(start_sshd())) as connection:
        digests: list[str] = []

        def read() -> None:
            digests.append(hashlib.sha256(read_all(connection, f"cat {content}")).hexdigest())

        readers = [threading.Thread(target=read) for _reader in range(3)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(60)
    assert digests == [hashlib.sha256(content.read_bytes()).hexdigest()] * 3


def test_a_pipe_gives_what_is_there_in_pieces_of_any_size() -> None:
    pipe = Pipe(1 << 20)
    pipe.feed_all([b"abcdef", memoryview(b"ghi")])
    pipe.feed(b"j")
    assert len(pipe) == 10 and pipe.read_ready()
    assert [pipe.read(4), pipe.read(4), pipe.read(4)] == [b"abcd", b"efgh", b"ij"]
    with pytest.raises(PipeTimeout):
        pipe.read(1, 0.01)
    pipe.feed(b"rest")
    pipe.close()
    assert pipe.empty() == b"rest" and pipe.read(1, 0.01) == b"" and not pipe.read_ready()


def test_a_host_that_ignores_the_window_is_not_kept_in_memory() -> None:
    pipe = Pipe(1000)
    pipe.feed(bytes(1000))
    with pytest.raises(SSHException, match="more than the 1000 bytes"):
        pipe.feed(b"x")
    assert len(pipe.read(1000)) == 1000
