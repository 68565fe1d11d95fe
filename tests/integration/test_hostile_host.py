# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that lies while an AOF is copied from it, through a real sshd: every answer ends in one message that names it.

The host is a script as forced command, which knows all that a host knows: the marker of a request is in what it is sent.
"""

from __future__ import annotations

import resource
import shlex
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError, TairError
from ansible_collections.redisops.tair.plugins.plugin_utils import _host_sftp, _host_shell, _host_stream
from ansible_collections.redisops.tair.plugins.plugin_utils._destination import Destination
from ansible_collections.redisops.tair.plugins.plugin_utils._fetch import Fetch, FetchResult
from ansible_collections.redisops.tair.plugins.plugin_utils._host import Host
from ansible_collections.redisops.tair.plugins.plugin_utils._host_sftp import SftpHost
from ansible_collections.redisops.tair.plugins.plugin_utils._host_shell import SshShellHost
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import resolve
from ansible_collections.redisops.tair.tests.support.ansible_cli import run_playbook
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

StartSshd = t.Callable[..., Sshd]

SRC = "/var/lib/redis/appendonlydir"
MANIFEST = f"{SRC}/appendonly.aof.manifest"
SINGLE = f"{SRC}/appendonly.aof"
ESCAPES = "\x1b]0;pwn\x07\x9b31m\u202e"

#: The forced command: which request it is, and an honest answer to each, unless the test gives another.
SCRIPT = r"""#!{python}
import os, re, sys, time, hashlib
request = sys.stdin.buffer.read().decode()
tag = re.search("^id=(\S+)$", request, re.M)[1]
def value(name):
    found = re.search("^" + name + "=(\S*)$", request, re.M)
    return found and found[1]
def out(data):
    data = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    try:
        sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(0)
def say(text):
    out(tag + " " + text + "\n")
def endless(data, limit=1 << 33):
    for _ in range(limit // len(data)):
        out(data)
content = b"test"
kind = "find" if value("src") else "stream" if value("packers") is not None else "digest" if value("length") else "states"
def find():
    say("start {single}"); say("end")
def states():
    say("start" + " 5 4" * len(re.findall("for file in (.+); do", request)[0].split()) if "for file in ;" not in request else "start")
def digest():
    say("start " + hashlib.sha256(content).hexdigest())
def stream():
    say("start"); out(content); say("end " + hashlib.sha256(content).hexdigest())
{lies}
globals()[kind]()
"""


@pytest.fixture
def lying(start_sshd: StartSshd, tmp_path: Path) -> t.Callable[[str], Sshd]:
    """``lying("def find(): ...")``: a host that answers as it should but for that."""

    def start(lies: str, **options: str) -> Sshd:
        script = tmp_path / "host.py"
        script.write_text(
            SCRIPT.replace("{python}", f"{sys.executable} -S").replace("{single}", SINGLE).replace("{lies}", lies)
        )
        script.chmod(0o755)
        return start_sshd(options={"ForceCommand": str(script), **options})

    return start


def connector(sshd: Sshd, *, silence: float = 10.0) -> t.Callable[[], SshConnection]:
    arguments = ["-p", str(sshd.port), "-l", sshd.user, "-i", str(sshd.key_file)]
    arguments += shlex.split(sshd.inventory_vars()["ansible_ssh_common_args"])
    settings = resolve("ssh", arguments, sshd.host)
    return lambda: SshConnection(settings, silence=silence)


def shell(sshd: Sshd) -> SshShellHost:
    return SshShellHost(connector(sshd), become=None, shell=None)


def copy(host: Host, dest: Path, *, src: str = SRC, packers: t.Sequence[str] = ()) -> FetchResult:
    def open_destination(path: str) -> Destination:
        return Destination(dest, f"evil:{path}", check_mode=False)

    try:
        return Fetch(
            host, src, open_destination, retries=2, check_mode=False, packers=packers, sleep=lambda _seconds: None
        ).run()
    finally:
        host.close()


def refused(host: Host, dest: Path, **options: t.Any) -> str:
    """The message, which names the host, shows no escape raw, and leaves nothing in the directory but what is verified."""
    with pytest.raises(TairError) as failure:
        copy(host, dest, **options)
    message = str(failure.value)
    assert message.isprintable() and host.name in message, message
    assert len(message) < 10_000
    return message


def test_the_script_serves_as_a_host_where_it_does_not_lie(lying: t.Callable[[str], Sshd], tmp_path: Path) -> None:
    result = copy(shell(lying("")), tmp_path / "copy")
    assert (tmp_path / "copy" / "appendonly.aof").read_bytes() == b"test" and result.bytes == 4


def manifest(*lines: str) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return f"def find():\n    say('start {MANIFEST}'); out({text!r}); say('end')"


LIES = {
    # The path that is found.
    "path elsewhere": ("def find():\n    say('start /etc/passwd'); say('end')", "a path that is not in src"),
    "path above": (f"def find():\n    say('start {SRC}/../x.aof'); say('end')", "a path that is not in src"),
    "path deeper": (f"def find():\n    say('start {SRC}/a/x.aof'); say('end')", "a path that is not in src"),
    "path is our journal": (f"def find():\n    say('start {SRC}/.aof_fetch'); say('end')", "a path that is not in src"),
    "path is a part": (f"def find():\n    say('start {SRC}/x.part'); say('end')", "a path that is not in src"),
    "path with escapes": (f"def find():\n    say('start {SRC}/' + {ESCAPES!r}); say('end')", r"\x1b]0;pwn\x07"),
    "no path": ("def find():\n    say('start'); say('end')", "a path that is not in src"),
    # The manifest.
    "journal in the manifest": (manifest("file .aof_fetch seq 1 type b"), "which aof_fetch uses itself"),
    "part in the manifest": (manifest("file x.part seq 1 type b"), "which aof_fetch uses itself"),
    "path in the manifest": (manifest("file ../x seq 1 type b"), "contains a slash"),
    "manifest in the manifest": (manifest("file appendonly.aof.manifest seq 1 type b"), "is used twice"),
    "one file twice": (manifest("file a seq 1 type b", "file a seq 1 type i"), "is used twice"),
    "escapes in the manifest": (manifest(f"file {ESCAPES} seq 1 type b"), r"\x1b]0;pwn\x07"),
    "huge sequence": (manifest(f"file a seq {'9' * 900} type b"), "'file NAME seq N type b|i|h' was expected"),
    "endless manifest": (f"def find():\n    say('start {MANIFEST}'); endless(b'#' * 65536)", "more than 1048576 bytes"),
    "endless small lines": (f"def find():\n    say('start {MANIFEST}'); endless(b'#\\n')", "more than 1048576 bytes"),
    # Lines.
    "endless noise": ("def find():\n    endless(b'noise\\n' * 10000)", "prints without end at login"),
    "endless line": ("def find():\n    out(tag + ' start '); endless(b'x' * 65536)", "a line of more than 65536 bytes"),
    "escapes as noise": (f"def find():\n    out({ESCAPES!r})", "runs no commands"),
    "unknown word": ("def find():\n    say('stop')", "an answer that does not exist: stop"),
    "error with escapes": (f"def find():\n    say('error ' + {ESCAPES!r} * 1000)", r"\x1b]0;pwn\x07"),
    "nothing": ("def find():\n    pass", "runs no commands"),
    # States.
    "fewer states": ("def states():\n    say('start')", "the states of other files than the 1 asked for"),
    "more states": ("def states():\n    say('start 1 2 3 4')", "the states of other files than the 1 asked for"),
    "negative size": ("def states():\n    say('start 5 -4')", "a size that is no number of bytes: -4"),
    "huge size": ("def states():\n    say('start 5 1' + '0' * 30)", "a size that is no number of bytes: 1000"),
    "very huge size": ("def states():\n    say('start 5 1' + '0' * 9000)", "a size that is no number of bytes: 1000"),
    "largest size": ("def states():\n    say('start 5 4611686018427387903')", None),
    "size in other digits": ("def states():\n    say('start 5 \u0664')", "a size that is no number of bytes"),
    "inode with escapes": (f"def states():\n    say('start ' + {ESCAPES!r} + ' 4')", "an inode that is no number"),
    "size is a word": ("def states():\n    say('start 5 four')", "a size that is no number of bytes: four"),
    "states without end": ("def states():\n    out(tag + ' start'); endless(b' 1' * 30000)", "a line of more than"),
    # The stream.
    "too few bytes": ("def stream():\n    say('start'); out(b'te'); say('end ')", "not as long as it should be"),
    "too many bytes": ("def stream():\n    say('start'); out(b'tests'); say('end ')", "not as long as it should be"),
    "endless bytes": ("def stream():\n    say('start'); endless(b'x' * 65536)", "not as long as it should be"),
    "digest is no hash": (
        "def stream():\n    say('start'); out(content); say('end xyz')",
        "a SHA-256 that is none: xyz",
    ),
    "digest with escapes": (
        f"def stream():\n    say('start'); out(content); say('end ' + {ESCAPES!r})",
        "a SHA-256 that",
    ),
    "another digest": (f"def stream():\n    say('start'); out(content); say('end {'0' * 64}')", "The SHA-256 of"),
    "no end": ("def stream():\n    say('start'); out(b'te')", "ended in the middle"),
    "unknown end": ("def stream():\n    say('start'); out(content); say('stop')", "something else than the end"),
    "short": ("def stream():\n    say('start'); out(b'te'); say('short')", "became shorter"),
    "start twice": ("def stream():\n    say('start'); say('start'); out(content); say('end ')", "not as long as"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_ends_in_one_message(lie: str, lying: t.Callable[[str], Sshd], tmp_path: Path) -> None:
    lies, told = LIES[lie]
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    start = time.monotonic()

    if told is None:  # no room for so much
        with pytest.raises(FetchError, match="disk is too small"):
            copy(shell(lying(lies)), tmp_path / "copy")
    else:
        assert told in refused(shell(lying(lies)), tmp_path / "copy")

    assert time.monotonic() - start < 30
    assert not (tmp_path / "copy" / "appendonly.aof").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"victim", "host.py", "copy", "copy.aof_fetch"}
    assert {path.name for path in tmp_path.glob("copy/*")} <= {"appendonly.aof.part"}


def test_no_program_runs_on_the_control_node_because_a_host_names_it(
    lying: t.Callable[[str], Sshd], tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {proof}\n")
    program.chmod(0o755)
    lies = f"def stream():\n    say('start {program}'); out(content); say('end ')"

    assert "a compressor that was not asked for" in refused(shell(lying(lies)), tmp_path / "copy")
    assert not proof.exists()


def test_a_digest_of_what_is_here_has_to_be_one(lying: t.Callable[[str], Sshd], tmp_path: Path) -> None:
    copy(shell(lying("")), tmp_path / "copy")
    lies = f"def digest():\n    say('start ' + {ESCAPES!r})"
    assert "a SHA-256 that is none" in refused(shell(lying(lies)), tmp_path / "copy")


@pytest.mark.parametrize("packer", ["zstd", "lz4"])
def test_what_unpacks_without_end_is_stopped(
    packer: str, lying: t.Callable[[str], Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_host_stream, "_SURPLUS", 1 << 16)
    bombs = {
        "zeros": f"import subprocess\n    subprocess.run('head -c 4000000000 /dev/zero | {packer} -1 -q -c', shell=True)",
        # Frames that are skipped: they unpack to nothing.
        "nothing": "endless(b'\\x50\\x2a\\x4d\\x18\\xf8\\xff\\x00\\x00' + bytes(65528))",
    }
    for bomb in bombs.values():
        sshd = lying(f"def stream():\n    say('start {packer}'); {bomb}")
        host = shell(sshd)
        state = host.states([SINGLE])[0]
        stream = host.stream(state, 0, [packer])
        try:
            with pytest.raises(TairError, match="not as long as it should be|more than the 4 bytes"):
                for chunk in stream:
                    assert len(chunk) <= 4
        finally:
            stream.close()
            host.close()


@pytest.mark.parametrize("words", ["wait", "x"])
def test_a_host_that_keeps_up_waiting_is_given_up_in_time(
    words: str, lying: t.Callable[[str], Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_host_shell, "_ANSWER_WAIT", 2.0)
    lies = f"def find():\n    while True:\n        {'say' if words == 'wait' else 'out'}({words!r}); time.sleep(0.2)"
    assert "has not answered completely within 2 s" in refused(shell(lying(lies)), tmp_path / "copy")


def test_a_manifest_that_trickles_is_given_up_in_time(
    lying: t.Callable[[str], Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_host_shell, "_ANSWER_WAIT", 2.0)
    lies = f"def find():\n    say('start {MANIFEST}')\n    while True:\n        out('#'); time.sleep(0.2)"
    assert "has not answered completely within 2 s" in refused(shell(lying(lies)), tmp_path / "copy")


def test_a_stream_that_trickles_is_given_up_in_time(
    lying: t.Callable[[str], Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_host_stream, "_WINDOW", 2.0)
    lies = (
        "def states():\n    say('start' + ' 5 1000000' * ('for file in ;' not in request))\n"
        "def stream():\n    say('start')\n    while True:\n        out('x'); time.sleep(0.2)"
    )
    assert "bytes of" in refused(shell(lying(lies)), tmp_path / "copy")


def test_a_host_that_cuts_the_line_after_every_byte_is_given_up(lying: t.Callable[[str], Sshd], tmp_path: Path) -> None:
    lies = (
        "def states():\n    say('start' + ' 5 1000000' * ('for file in ;' not in request))\n"
        "def digest():\n    length = int(value('length')); say('start ' + hashlib.sha256(b'x' * length).hexdigest())\n"
        "def stream():\n    say('start'); out('x' * 300)"
    )
    assert "Given up after 3 failures in a row" in refused(shell(lying(lies)), tmp_path / "copy")


def test_an_endless_manifest_takes_no_memory(lying: t.Callable[[str], Sshd], tmp_path: Path) -> None:
    lies, _told = LIES["endless manifest"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(shell(lying(lies)), tmp_path / "copy")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 40_000, f"{grown} kB"  # what the host may send ahead is a part of it


def test_the_real_task_prints_no_escape_of_a_host(lying: t.Callable[[str], Sshd], tmp_path: Path) -> None:
    for lies in (LIES["error with escapes"][0], LIES["path with escapes"][0], LIES["escapes in the manifest"][0]):
        host = lying(lies).inventory_vars()
        task = {"redisops.tair.aof_fetch": {"src": SRC, "dest": str(tmp_path / "copy"), "retries": 1}}
        run = run_playbook(
            [{"hosts": "evil", "gather_facts": False, "tasks": [task]}], {"evil": host}, arguments=["-v"]
        )
        assert run.returncode == 2 and "pwn" in run.output, run.output
        for char in ("\x1b", "\x07", "\x9b", "\u202e"):
            assert char not in run.output, repr(char)
        assert "Traceback" not in run.output


# ---------------------------------------------------------------------------------------------------------- SFTP

SFTP = r"""#!{python}
import os, struct, sys
INIT, VERSION, OPEN, CLOSE, READ, STAT, OPENDIR, READDIR = 1, 2, 3, 4, 5, 17, 11, 12
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
def exactly(count):
    data = sys.stdin.buffer.read(count)
    if len(data) < count:
        os._exit(0)
    return data
def out(data):
    sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
def text(data):
    return struct.pack(">I", len(data)) + data
def packet(kind, number, *fields):
    body = bytes([kind]) + struct.pack(">I", number) + b"".join(fields)
    out(text(body))
def status(number, code, words=b""):
    packet(STATUS, number, struct.pack(">I", code), text(words), text(b""))
def attributes(mode, size):
    return struct.pack(">IQI", 5, size, mode)
content = b"test"
listed = False
def version():
    out(text(bytes([VERSION]) + struct.pack(">I", 3)))
def stat(number, path):
    packet(ATTRS, number, attributes(0o40755 if path == b"{src}" else 0o100600, len(content)))
def opendir(number):
    global listed
    listed = False
    packet(HANDLE, number, text(b"d"))
def readdir(number):
    global listed
    if listed:
        return status(number, 1)
    listed = True
    packet(NAME, number, struct.pack(">I", 1), text(b"appendonly.aof"), text(b"-"), attributes(0o100600, 4))
def opened(number):
    packet(HANDLE, number, text(b"f"))
def read(number, offset, length):
    data = content[offset : offset + length]
    packet(DATA, number, text(data)) if data else status(number, 1)
def closed(number):
    status(number, 0)
{lies}
while True:
    (length,) = struct.unpack(">I", exactly(4))
    data = exactly(length)
    kind = data[0]
    if kind == INIT:
        version()
        continue
    (number,) = struct.unpack_from(">I", data, 1)
    (size,) = struct.unpack_from(">I", data, 5)
    name, rest = data[9 : 9 + size], data[9 + size :]
    if kind == STAT:
        stat(number, name)
    elif kind == OPENDIR:
        opendir(number)
    elif kind == READDIR:
        readdir(number)
    elif kind == OPEN:
        opened(number)
    elif kind == READ:
        read(number, *struct.unpack(">QI", rest))
    elif kind == CLOSE:
        closed(number)
    else:
        status(number, 8)
"""


@pytest.fixture
def lying_sftp(start_sshd: StartSshd, tmp_path: Path) -> t.Callable[[str], Sshd]:
    def start(lies: str) -> Sshd:
        script = tmp_path / "sftp.py"
        script.write_text(
            SFTP.replace("{python}", f"{sys.executable} -S").replace("{src}", SRC).replace("{lies}", lies)
        )
        script.chmod(0o755)
        return start_sshd(options={"Subsystem": f"sftp {script}"})

    return start


def open_sftp(sshd: Sshd) -> SftpHost:
    connect = connector(sshd, silence=3.0)
    connection = connect()
    try:
        return SftpHost(connection, connect)
    except BaseException:
        connection.close()
        raise


def test_the_sftp_script_serves_as_a_host_where_it_does_not_lie(
    lying_sftp: t.Callable[[str], Sshd], tmp_path: Path
) -> None:
    copy(open_sftp(lying_sftp("")), tmp_path / "copy")
    assert (tmp_path / "copy" / "appendonly.aof").read_bytes() == b"test"


UNCLEAN = "does not speak SFTP cleanly"
SFTP_LIES = {
    "stat of another type": ("def stat(number, path):\n    packet(NAME, number, struct.pack('>I', 0))", UNCLEAN),
    "stat is cut": ("def stat(number, path):\n    packet(ATTRS, number, b'\\0\\0')", UNCLEAN),
    "stat is empty": ("def stat(number, path):\n    packet(ATTRS, number)", UNCLEAN),
    "stat with four billion extensions": (
        "def stat(number, path):\n    packet(ATTRS, number, struct.pack('>II', 0x80000000, 0xffffffff))",
        UNCLEAN,
    ),
    "stat for another request": (
        "def stat(number, path):\n    packet(ATTRS, number + 1, attributes(0o40755, 4))",
        None,
    ),
    "huge size": (
        "def stat(number, path):\n    packet(ATTRS, number, attributes(0o100600, (1 << 64) - 1))",
        "a size that",
    ),
    "status with escapes": (
        "def stat(number, path):\n    status(number, 4, b'Failure \\x1b]0;pwn\\x07\\xc2\\x9b' * 1000)",
        r"\x1b]0;pwn\x07",
    ),
    "status that is no text": ("def stat(number, path):\n    status(number, 4, b'\\xff\\xfe')", UNCLEAN),
    "a packet too large": ("def stat(number, path):\n    out(struct.pack('>I', 1 << 23))", UNCLEAN),
    "noise instead of an answer": ("def stat(number, path):\n    out(b'Welcome to this host\\n')", UNCLEAN),
    "no handle": ("def opendir(number):\n    packet(DATA, number, text(b'd'))", UNCLEAN),
    "a name that is a path": (
        "def readdir(number):\n    packet(NAME, number, struct.pack('>I', 1), text(b'../x.aof'), text(b''), attributes(0, 0))\n"
        "    readdir.__code__ = (lambda number: status(number, 1)).__code__",
        "no manifest and no .aof file",
    ),
    "names without end": (
        "def readdir(number):\n    one = text(b'a') + text(b'') + attributes(0, 0)\n"
        "    packet(NAME, number, struct.pack('>I', 5000), one * 5000)",
        "more than 100000 names",
    ),
    "answers without names": ("def readdir(number):\n    packet(NAME, number, struct.pack('>I', 0))", UNCLEAN),
    "names that are not there": ("def readdir(number):\n    packet(NAME, number, struct.pack('>I', 1 << 31))", UNCLEAN),
    "many files": (
        "def readdir(number):\n    global listed\n    if listed:\n        return status(number, 1)\n    listed = True\n"
        "    packet(NAME, number, struct.pack('>I', 2000), *(text(b'%d\\xff.aof' % n) + text(b'') + attributes(0, 0) for n in range(2000)))",
        "does not hold exactly one AOF",
    ),
    "more data than asked for": (
        "def read(number, offset, length):\n    packet(DATA, number, text(b'x' * 300000))",
        UNCLEAN,
    ),
    "data of another type": ("def read(number, offset, length):\n    packet(NAME, number, text(content))", UNCLEAN),
    "endless manifest": (
        "content = b'#' * 200_000_000\n"
        "def readdir(number):\n    global listed\n    if listed:\n        return status(number, 1)\n    listed = True\n"
        "    packet(NAME, number, struct.pack('>I', 1), text(b'a.manifest'), text(b''), attributes(0, 0))",
        "a manifest of more than 1048576 bytes",
    ),
}


@pytest.mark.parametrize("lie", SFTP_LIES)
def test_a_lie_of_an_sftp_server_ends_in_one_message(
    lie: str, lying_sftp: t.Callable[[str], Sshd], tmp_path: Path
) -> None:
    lies, told = SFTP_LIES[lie]
    start = time.monotonic()
    message = refused(open_sftp(lying_sftp(lies)), tmp_path / "copy")
    assert (told or "was lost") in message, message
    assert time.monotonic() - start < 40
    assert not (tmp_path / "copy" / "appendonly.aof").exists()


@pytest.mark.parametrize(
    "lies",
    [
        "def version():\n    out(b'Welcome to this host\\n' * 10)",
        "def version():\n    out(b'\\0\\0\\0\\0')",
        "def version():\n    out(text(b'x'))",
    ],
)
def test_an_sftp_server_that_prints_is_a_failure_that_names_the_host(
    lies: str, lying_sftp: t.Callable[[str], Sshd]
) -> None:
    sshd = lying_sftp(lies)
    with pytest.raises(TairError, match="SFTP") as failure:
        open_sftp(sshd)
    assert f"{sshd.host}:{sshd.port}" in str(failure.value) and str(failure.value).isprintable()


def test_an_sftp_server_that_floods_with_other_answers_is_given_up_in_time(
    lying_sftp: t.Callable[[str], Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_host_sftp, "_ANSWER_WAIT", 2.0)
    lies = "import time\ndef stat(number, path):\n    while True:\n        status(number + 1000, 0); time.sleep(0.1)"
    assert "has not answered completely within 2 s" in refused(open_sftp(lying_sftp(lies)), tmp_path / "copy")
