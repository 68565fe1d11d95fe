# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may happen while an AOF is copied, through a real sshd: lost connections, rewrites, lying and poor hosts.

The copy is run in this process, so that a fault comes at a known byte.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError
from ansible_collections.redisops.tair.plugins.plugin_utils import _pace
from ansible_collections.redisops.tair.plugins.plugin_utils._destination import Destination
from ansible_collections.redisops.tair.plugins.plugin_utils._fetch import Fetch, FetchResult
from ansible_collections.redisops.tair.plugins.plugin_utils._host import Chunk, FileState, Host, Stream
from ansible_collections.redisops.tair.plugins.plugin_utils._host_sftp import SftpHost
from ansible_collections.redisops.tair.plugins.plugin_utils._host_shell import SshShellHost, local_host
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import resolve
from ansible_collections.redisops.tair.tests.support.sshd import Sshd
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

StartSshd = t.Callable[..., Sshd]
Deed = t.Callable[[], object]

SIZE = 40_000_000  # more than the network, the window and the pipes hold
MANIFEST = "appendonly.aof.manifest"


class Interrupted(Stream):
    """A stream during which ``deed`` is done once, as soon as ``at`` bytes have been read."""

    def __init__(self, stream: Stream, at: int, deed: Deed) -> None:
        self._stream, self._at, self._deed = stream, at, deed
        self.whole, self.packer = stream.whole, stream.packer

    def close(self) -> None:
        self._stream.close()

    def __iter__(self) -> t.Iterator[Chunk]:
        done, pending = 0, True
        for chunk in self._stream:
            yield chunk
            done += len(chunk)
            if pending and done >= self._at:
                pending = False
                self._deed()
        self.digest = self._stream.digest


def interrupt(host: Host, *deeds: Deed, at: int = SIZE // 3) -> Host:
    """The host, whose streams meet with one of the deeds each, as long as there are any."""
    left, plain = list(deeds), host.stream

    def stream(file: FileState, offset: int, packers: t.Sequence[str] = ()) -> Stream:
        opened = plain(file, offset, packers)
        return Interrupted(opened, at, left.pop(0)) if left else opened

    host.stream = stream  # type: ignore[method-assign]
    return host


def connector(sshd: Sshd, *, silence: float = 60.0) -> t.Callable[[], SshConnection]:
    variables = sshd.inventory_vars()
    arguments = ["-p", str(sshd.port), "-l", sshd.user, "-i", str(sshd.key_file)]
    arguments += shlex.split(variables["ansible_ssh_common_args"])
    settings = resolve("ssh", arguments, sshd.host)
    return lambda: SshConnection(settings, silence=silence)


def shell(sshd: Sshd, **options: t.Any) -> SshShellHost:
    return SshShellHost(connector(sshd, **options), become=None, shell=None)


def sftp(sshd: Sshd, **options: t.Any) -> SftpHost:
    connect = connector(sshd, **options)
    return SftpHost(connect(), connect)


def run(host: Host, src: Path, dest: Path, *, retries: int = 3, packers: t.Sequence[str] = ()) -> FetchResult:
    try:
        return Fetch(
            host,
            str(src),
            lambda path: Destination(dest, path, check_mode=False),
            retries=retries,
            check_mode=False,
            packers=packers,
            sleep=lambda _seconds: None,
        ).run()
    finally:
        host.close()


@pytest.fixture
def single(tmp_path: Path) -> Path:
    """A single-file AOF."""
    path = tmp_path / "source" / "appendonly.aof"
    path.parent.mkdir()
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def multi(tmp_path: Path) -> Path:
    directory = tmp_path / "source" / "appendonlydir"
    directory.mkdir(parents=True)
    rewrite(directory, 1)
    return directory


def rewrite(directory: Path, seq: int) -> None:
    """What a server does when a rewrite ends: new files, another manifest, the old files gone."""
    old = list(directory.glob("*.aof"))
    base, incr = f"appendonly.aof.{seq}.base.aof", f"appendonly.aof.{seq}.incr.aof"
    (directory / base).write_bytes(os.urandom(SIZE))
    (directory / incr).write_bytes(os.urandom(1000))
    fresh = directory / "temp-manifest"
    fresh.write_text(f"file {base} seq {seq} type b\nfile {incr} seq {seq} type i\n")
    fresh.replace(directory / MANIFEST)
    for path in old:
        path.unlink()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("open_host", [shell, sftp])
def test_connections_that_are_cut_in_the_middle_are_resumed_without_sending_anything_twice(
    open_host: t.Callable[..., Host], start_sshd: StartSshd, single: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()
    host = interrupt(open_host(sshd), sshd.kill_connections, sshd.kill_connections, at=SIZE // 4)

    result = run(host, single, tmp_path / "copy")

    assert sshd.log.count("Accepted publickey") == 3
    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}
    assert result.bytes_transferred == result.bytes == SIZE


def test_a_host_that_stays_away_is_given_up_and_a_later_call_goes_on(
    start_sshd: StartSshd, single: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()

    with pytest.raises(FetchError) as failure:
        run(interrupt(shell(sshd), sshd.stop), single, tmp_path / "copy", retries=2)

    assert f"127.0.0.1:{sshd.port} refuses the SSH connection" in str(failure.value)
    assert "Given up after 3 failures in a row" in str(failure.value)
    held = (tmp_path / "copy" / "appendonly.aof.part").stat().st_size
    assert SIZE // 3 <= held < SIZE and not (tmp_path / "copy" / "appendonly.aof").exists()

    sshd.start()
    later = run(shell(sshd), single, tmp_path / "copy")
    assert later.bytes_transferred == SIZE - held
    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}


@pytest.mark.parametrize("open_host", [shell, sftp])
def test_a_host_that_stops_answering_is_noticed(
    open_host: t.Callable[..., Host], start_sshd: StartSshd, single: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()

    def freeze() -> None:
        for pid in sshd.connections:
            os.kill(pid, signal.SIGSTOP)

    result = run(interrupt(open_host(sshd, silence=2.0), freeze), single, tmp_path / "copy")

    assert result.bytes_transferred == SIZE
    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}


@pytest.mark.parametrize("open_host", [shell, sftp])
def test_a_rewrite_during_the_copy_is_noticed_and_the_new_set_is_copied(
    open_host: t.Callable[..., Host], start_sshd: StartSshd, multi: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()

    result = run(interrupt(open_host(sshd), lambda: rewrite(multi, 2)), multi, tmp_path / "copy")

    assert contents(tmp_path / "copy") == contents(multi)
    assert [file["seq"] for file in result.files] == [2, 2]


@pytest.mark.parametrize("open_host", [shell, sftp])
def test_a_single_file_that_is_replaced_during_the_copy_is_copied_anew(
    open_host: t.Callable[..., Host], start_sshd: StartSshd, single: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()
    fresh = single.with_name("temp-rewriteaof.aof")
    fresh.write_bytes(os.urandom(SIZE + 5))

    run(interrupt(open_host(sshd), lambda: fresh.replace(single)), single, tmp_path / "copy")

    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}


@pytest.mark.parametrize("open_host", [shell, sftp])
def test_a_file_that_is_cut_during_the_copy_is_noticed(
    open_host: t.Callable[..., Host], start_sshd: StartSshd, single: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()

    run(interrupt(open_host(sshd), lambda: os.truncate(single, SIZE // 2)), single, tmp_path / "copy")

    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}
    assert single.stat().st_size == SIZE // 2


@pytest.mark.parametrize("open_host", [shell, sftp])
def test_a_file_that_is_cut_after_it_was_copied_is_noticed(
    open_host: t.Callable[..., Host], start_sshd: StartSshd, multi: Path, tmp_path: Path
) -> None:
    base = next(multi.glob("*.base.aof"))
    host = interrupt(open_host(start_sshd()), lambda: None, lambda: os.truncate(base, SIZE // 2), at=1)

    run(host, multi, tmp_path / "copy")

    assert base.stat().st_size == SIZE // 2
    assert contents(tmp_path / "copy") == contents(multi)


def test_a_server_that_never_stops_rewriting_is_given_up_with_the_remedy(
    start_sshd: StartSshd, multi: Path, tmp_path: Path
) -> None:
    seqs = iter(range(2, 100))
    host = interrupt(shell(start_sshd()), *[lambda: rewrite(multi, next(seqs))] * 20)

    with pytest.raises(FetchError, match="3 times in a row.*auto-aof-rewrite-percentage 0"):
        run(host, multi, tmp_path / "copy", retries=2)

    assert not (tmp_path / "copy" / MANIFEST).exists()


def test_a_file_that_grows_during_the_copy_is_copied_up_to_the_size_it_had(
    start_sshd: StartSshd, single: Path, tmp_path: Path
) -> None:
    before = single.read_bytes()

    def grow() -> None:
        with single.open("ab") as file:
            file.write(os.urandom(5000))

    result = run(interrupt(shell(start_sshd()), grow), single, tmp_path / "copy")

    assert result.bytes == SIZE and contents(tmp_path / "copy") == {"appendonly.aof": before}


@pytest.mark.parametrize("open_host", [shell, sftp])
def test_a_part_that_is_not_the_beginning_of_the_file_is_not_built_upon(
    open_host: t.Callable[..., Host], start_sshd: StartSshd, single: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()
    with pytest.raises(FetchError):
        run(interrupt(shell(sshd), sshd.stop), single, tmp_path / "copy", retries=0)
    with (tmp_path / "copy" / "appendonly.aof.part").open("r+b") as part:
        part.write(b"spoilt")

    sshd.start()
    result = run(open_host(sshd), single, tmp_path / "copy")

    assert result.bytes_transferred == SIZE
    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}


def test_the_disk_of_the_control_node_gets_full_and_what_is_there_is_kept(
    start_sshd: StartSshd, single: Path, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    sshd = start_sshd()
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE + 2_000_000}", "tmpfs", str(disk)], check=True)
    try:
        filler = disk / "filler"
        with pytest.raises(FetchError, match="disk is full.*No space left.*kept.*Make room"):
            run(interrupt(shell(sshd), lambda: filler.write_bytes(b"x" * (SIZE // 3))), single, disk / "copy")
        held = (disk / "copy" / "appendonly.aof.part").stat().st_size
        assert held > SIZE // 3

        filler.unlink()
        assert run(shell(sshd), single, disk / "copy").bytes_transferred == SIZE - held
        assert (disk / "copy" / "appendonly.aof").read_bytes() == single.read_bytes()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def userland() -> t.Iterator[t.Callable[..., Sshd]]:
    """``userland("ls", "dd", openssl="echo lies")``: an sshd whose accounts have only these programs, and such scripts."""
    with tempfile.TemporaryDirectory(prefix="userland-") as directory:
        started: list[Sshd] = []

        def start(*programs: str, **scripts: str) -> Sshd:
            for name in ("sh", "ls", "cat", "sleep", *programs):
                found = shutil.which(name)
                assert found, name
                Path(directory, name).symlink_to(found)
            for name, script in scripts.items():
                path = Path(directory, name)
                path.write_text(f"#!/bin/sh\n{script}\n")
                path.chmod(0o755)
            started.append(Sshd(options={"SetEnv": f"SHLVL=2 PATH={directory}"}))
            return started[-1].__enter__()

        yield start
        for sshd in started:
            sshd.close()


@pytest.mark.parametrize(
    "programs",
    [
        ("dd", "tee", "openssl"),
        ("dd", "tee", "sha256sum"),
        ("dd", "tee", "shasum", "perl"),
        ("dd",),
        ("tail", "head", "tee", "sha256sum"),
        ("tail", "head"),
    ],
    ids=" ".join,
)
def test_few_programs_are_enough_on_the_host(
    programs: tuple[str, ...], userland: t.Callable[..., Sshd], single: Path, tmp_path: Path
) -> None:
    sshd = userland(*programs)
    host = interrupt(shell(sshd), sshd.kill_connections)

    result = run(host, single, tmp_path / "copy")

    assert result.bytes_transferred == SIZE
    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}


def test_busybox_is_enough_on_the_host(single: Path, tmp_path: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        raise UnavailableError("there is no busybox here: apt-get install busybox")
    with tempfile.TemporaryDirectory(prefix="busybox-") as directory:
        subprocess.run([busybox, "--install", "-s", directory], check=True)
        with Sshd(options={"SetEnv": f"SHLVL=2 PATH={directory}"}) as sshd:
            run(interrupt(shell(sshd), sshd.kill_connections), single, tmp_path / "copy")
    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}


def test_a_digest_that_differs_is_never_accepted(userland: t.Callable[..., Sshd], single: Path, tmp_path: Path) -> None:
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    lie = "0" * 64
    # Right about nothing at all, which is how the tool is tried out.
    openssl = f"read -r line && cat >/dev/null && echo '{lie} *stdin' || echo '{nothing} *stdin'"
    sshd = userland("dd", "tee", openssl=openssl)

    with pytest.raises(FetchError, match=f"The SHA-256 of .* is {lie}, of what arrived it is"):
        run(shell(sshd), single, tmp_path / "copy", retries=1)

    assert not (tmp_path / "copy" / "appendonly.aof").exists()


@pytest.fixture
def always_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first piece, whatever the measured rates are."""
    monkeypatch.setattr(_pace, "FAST", float("inf"))
    monkeypatch.setattr(_pace, "_GAIN", 0.0)


@pytest.mark.usefixtures("always_packed")
@pytest.mark.parametrize("packer", ["zstd", "lz4"])
def test_a_compressed_copy_is_exact_and_resumed_in_the_middle(
    packer: str, start_sshd: StartSshd, single: Path, tmp_path: Path
) -> None:
    if shutil.which(packer) is None:
        raise UnavailableError(f"there is no {packer} here: apt-get install {packer}")
    single.write_bytes(b"".join(os.urandom(500) + b"x" * 500 for _block in range(SIZE // 1000)))
    sshd = start_sshd()
    host = interrupt(shell(sshd), lambda: None, lambda: None, sshd.kill_connections)

    result = run(host, single, tmp_path / "copy", packers=[packer])

    assert result.compression == packer
    assert sshd.log.count("Accepted publickey") == 2
    assert result.bytes_transferred == SIZE
    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}


@pytest.mark.usefixtures("always_packed")
def test_a_host_without_a_compressor_sends_plain_bytes(
    userland: t.Callable[..., Sshd], single: Path, tmp_path: Path
) -> None:
    result = run(shell(userland("dd", "tee", "sha256sum")), single, tmp_path / "copy", packers=["zstd", "lz4"])
    assert result.compression == "none" and result.bytes_transferred == SIZE
    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}


@pytest.mark.usefixtures("always_packed")
def test_a_compressor_that_fails_is_done_without(userland: t.Callable[..., Sshd], single: Path, tmp_path: Path) -> None:
    sshd = userland("dd", "tee", "sha256sum", zstd="cat >/dev/null; echo broken")
    run(shell(sshd), single, tmp_path / "copy", packers=["zstd"])
    assert contents(tmp_path / "copy") == {"appendonly.aof": single.read_bytes()}


def test_a_local_copy_notices_a_rewrite_too(multi: Path, tmp_path: Path) -> None:
    host = interrupt(local_host(None, None, silence=60), lambda: rewrite(multi, 2))
    run(host, multi, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(multi)
