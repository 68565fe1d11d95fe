# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which host keys are accepted, recorded and given a password: the same as by the real ``ssh``, run in the same test."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import subprocess
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.plugin_utils._known_hosts import HostKey
from ansible_collections.redisops.tair.plugins.plugin_utils._known_hosts_file import add_host_key
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import SshSettings, resolve
from ansible_collections.redisops.tair.tests.support.sshd import Sshd, make_key

KEYS = ("ed25519", "rsa", "other_ed25519", "other_rsa")
YES, ASK, NEW, NO, OFF = (f"StrictHostKeyChecking={value}" for value in ("yes", "ask", "accept-new", "no", "off"))


@dataclass(frozen=True)
class Case:
    """``known`` is the content of known_hosts. In it and in ``options``, ``{H}``, ``{P}`` and the names of KEYS are filled in.

    ``stricter``: why this collection refuses what ssh accepts. Nothing is ever accepted that ssh refuses.
    """

    name: str
    known: str
    options: tuple[str, ...] = (YES,)
    both_keys: bool = False
    stricter: str = ""
    files: t.Mapping[str, str] = field(default_factory=dict)
    host: str = Sshd.host


def each(name: str, known: str, *modes: str, stricter: t.Mapping[str, str] | None = None, **more: t.Any) -> list[Case]:
    """One case for each of the values of StrictHostKeyChecking."""
    extra = more.pop("options", ())
    return [
        Case(f"{name}, {mode.split('=')[1]}", known, (mode, *extra), stricter=(stricter or {}).get(mode, ""), **more)
        for mode in modes
    ]


REVOKED = "a revoked key is never accepted"
REVOKES = ("RevokedHostKeys={D}/revoked",)
CASES = [
    *each("nothing is known", "", YES, ASK, NEW, NO, OFF),
    *each("name and port", "[{H}]:{P} {ed25519}\n", YES, ASK, NEW, NO),
    *each("bare name", "{H} {ed25519}\n", YES, NEW),
    *each("port has another key, bare name matches", "[{H}]:{P} {other_ed25519}\n{H} {ed25519}\n", YES, NEW, NO),
    *each("bare name has another key, port matches", "{H} {other_ed25519}\n[{H}]:{P} {ed25519}\n", YES, NEW),
    *each("port has another key", "[{H}]:{P} {other_ed25519}\n", YES, ASK, NEW, NO, OFF),
    *each("bare name has another key", "{H} {other_ed25519}\n", YES, NEW, NO),
    *each("port has a key of another type", "[{H}]:{P} {other_rsa}\n", YES, NEW, NO),
    *each("bare name has a key of another type", "{H} {other_rsa}\n", YES, NEW, NO),
    *each("port has a key of another type, bare name matches", "[{H}]:{P} {other_rsa}\n{H} {ed25519}\n", YES, NEW, NO),
    *each(
        "revoked for the port",
        "[{H}]:{P} {ed25519}\n@revoked [{H}]:{P} {ed25519}\n",
        YES,
        NEW,
        NO,
        stricter={NO: REVOKED},
    ),
    *each("revoked for the bare name, port matches", "@revoked {H} {ed25519}\n[{H}]:{P} {ed25519}\n", YES, NEW),
    *each(
        "revoked for the bare name",
        "{H} {ed25519}\n@revoked {H} {ed25519}\n",
        YES,
        ASK,
        NEW,
        NO,
        stricter={NEW: REVOKED, NO: REVOKED},
    ),
    Case("revoked for another port, port matches", "@revoked [{H}]:1 {ed25519}\n[{H}]:{P} {ed25519}\n"),
    Case("revoked for another port, bare name matches", "@revoked [{H}]:1 {ed25519}\n{H} {ed25519}\n"),
    Case("revoked for every name", "[{H}]:{P} {ed25519}\n@revoked * {ed25519}\n"),
    Case("revoked for every host of the port", "[{H}]:{P} {ed25519}\n@revoked [*]:{P} {ed25519}\n"),
    Case("revoked for several names", "[{H}]:{P} {ed25519}\n@revoked a,[{H}]:{P},b {ed25519}\n"),
    Case("revoked for every name but this", "[{H}]:{P} {ed25519}\n@revoked *,![{H}]:{P} {ed25519}\n"),
    Case("another key is revoked", "[{H}]:{P} {ed25519}\n@revoked * {other_ed25519}\n"),
    Case("revoked in the hashed form", "[{H}]:{P} {ed25519}\n@revoked {hashed} {ed25519}\n"),
    Case("hashed name and port", "{hashed} {ed25519}\n"),
    Case("hashed bare name", "{hashed_bare} {ed25519}\n"),
    Case("hashed port with another key, bare name matches", "{hashed} {other_ed25519}\n{hashed_bare} {ed25519}\n"),
    Case("several names", "a,[{H}]:{P},b {ed25519}\n"),
    Case("pattern for the host", "127.0.0.* {ed25519}\n"),
    Case("pattern with a question mark", "[127.0.0.?]:{P} {ed25519}\n"),
    Case("pattern for host and port", "[127.*]:* {ed25519}\n"),
    Case("pattern that is too short", "127.0.0 {ed25519}\n"),
    Case("negated port", "*,![{H}]:{P} {ed25519}\n"),
    Case("negated bare name", "*,!{H} {ed25519}\n"),
    Case("negated twice", "*,!!{H} {ed25519}\n"),
    Case("negated by a pattern", "[{H}]:{P},!*:{P} {ed25519}\n"),
    Case("certificate authority only", "@cert-authority [{H}]:{P} {ed25519}\n"),
    Case("certificate authority and key", "@cert-authority [{H}]:{P} {other_ed25519}\n[{H}]:{P} {ed25519}\n"),
    Case("several keys of one type", "[{H}]:{P} {other_ed25519}\n[{H}]:{P} {ed25519}\n"),
    Case("several keys of one type, the right one first", "[{H}]:{P} {ed25519}\n[{H}]:{P} {other_ed25519}\n"),
    Case("two markers", "@revoked @cert-authority [{H}]:{P} {ed25519}\n[{H}]:{P} {ed25519}\n"),
    Case("unknown marker", "@trusted [{H}]:{P} {ed25519}\n"),
    Case("upper-case marker", "[{H}]:{P} {ed25519}\n@REVOKED [{H}]:{P} {ed25519}\n"),
    Case(
        "marker and a tab",
        "[{H}]:{P} {ed25519}\n@revoked\t[{H}]:{P} {ed25519}\n",
        stricter="ssh searches for a blank first, and ignores the line where the tab comes before it",
    ),
    Case("tabs and blanks", "  [{H}]:{P}\t {ed25519} a comment\n"),
    Case("CR LF", "[{H}]:{P} {ed25519} comment\r\n"),
    Case("CR LF without a comment", "[{H}]:{P} {ed25519}\r\n"),
    Case("no newline at the end", "[{H}]:{P} {ed25519}"),
    Case("commented out", "#[{H}]:{P} {ed25519}\n"),
    Case("wrong type before the key", "[{H}]:{P} ssh-rsa {ed25519_blob}\n"),
    Case("damaged key", "[{H}]:{P} ssh-ed25519 not*base64\n"),
    Case("damaged lines before", "\n@\n|1|x|y {ed25519}\n[{H}]:{P}\n[{H}]:{P} ssh-ed25519\n[{H}]:{P} {ed25519}\n"),
    Case("line separators of Unicode in a comment", "a {other_rsa} x\u2028[{H}]:{P} {ed25519}\n"),
    Case("alias", "alias {ed25519}\n", (YES, "HostKeyAlias=alias")),
    Case("alias in capitals", "alias {ed25519}\n", (YES, "HostKeyAlias=Alias")),
    Case("alias has no port", "[alias]:{P} {ed25519}\n", (YES, "HostKeyAlias=alias")),
    Case("alias instead of the name", "[{H}]:{P} {ed25519}\n", (YES, "HostKeyAlias=alias")),
    *each("alias unknown", "", NEW, options=("HostKeyAlias=alias",)),
    *each(
        "alias with another key",
        "alias {other_ed25519}\n[{H}]:{P} {ed25519}\n",
        YES,
        NO,
        options=("HostKeyAlias=alias",),
    ),
    *each("hashed when recorded", "", NEW, NO, options=("HashKnownHosts=yes",)),
    Case("server has two keys, RSA known", "[{H}]:{P} {rsa}\n", both_keys=True),
    *each("server has two keys, RSA known by the bare name", "{H} {rsa}\n", YES, NEW, NO, both_keys=True),
    Case(
        "server has two keys, RSA known, the other revoked", "[{H}]:{P} {rsa}\n@revoked * {ed25519}\n", both_keys=True
    ),
    Case("server has two keys, RSA revoked", "[{H}]:{P} {rsa}\n@revoked * {rsa}\n", both_keys=True),
    Case("server has two keys, another RSA known", "[{H}]:{P} {other_rsa}\n", both_keys=True),
    Case(
        "algorithm of an unknown key demanded",
        "[{H}]:{P} {rsa}\n",
        (YES, "HostKeyAlgorithms=ssh-ed25519"),
        both_keys=True,
    ),
    Case(
        "algorithm of a known key demanded",
        "[{H}]:{P} {rsa}\n",
        (YES, "HostKeyAlgorithms=rsa-sha2-512,ssh-ed25519"),
        both_keys=True,
    ),
    *each("first file of several is recorded in", "", NEW, options=("UserKnownHostsFile={K} {D}/second",)),
    Case(
        "second file",
        "",
        (YES, "UserKnownHostsFile={K} {D}/second"),
        files={"second": "[{H}]:{P} {ed25519}\n"},
    ),
    Case("global file", "", (YES, "GlobalKnownHostsFile={D}/global"), files={"global": "[{H}]:{P} {ed25519}\n"}),
    Case(
        "global file revokes",
        "[{H}]:{P} {ed25519}\n",
        (YES, "GlobalKnownHostsFile={D}/global"),
        files={"global": "@revoked * {ed25519}\n"},
    ),
    *each("no file", "", YES, NEW, NO, options=("UserKnownHostsFile=none",)),
    *each("null device", "", YES, NEW, NO, options=("UserKnownHostsFile=/dev/null",)),
    *each("file can't be written", "", NEW, NO, options=("UserKnownHostsFile={D}/no/such/directory/known_hosts",)),
    *each(
        "revoked by a list",
        "[{H}]:{P} {ed25519}\n",
        YES,
        NO,
        options=REVOKES,
        files={"revoked": "# x\n\n{ed25519} a\n"},
    ),
    Case("another key revoked by a list", "[{H}]:{P} {ed25519}\n", (YES, *REVOKES), files={"revoked": "{other_rsa}\n"}),
    Case("empty list of revoked keys", "[{H}]:{P} {ed25519}\n", (YES, *REVOKES), files={"revoked": ""}),
    *each(
        "damaged list of revoked keys", "[{H}]:{P} {ed25519}\n", YES, NO, options=REVOKES, files={"revoked": "what\n"}
    ),
    Case("no list of revoked keys", "[{H}]:{P} {ed25519}\n", (YES, *REVOKES)),
    *each("revoked by a KRL", "[{H}]:{P} {ed25519}\n", YES, NO, options=("RevokedHostKeys={D}/krl",)),
    Case("another key revoked by a KRL", "[{H}]:{P} {ed25519}\n", (YES, "RevokedHostKeys={D}/krl_other")),
    Case("damaged KRL", "[{H}]:{P} {ed25519}\n", (YES, "RevokedHostKeys={D}/krl_damaged")),
    Case("RevokedHostKeys none", "[{H}]:{P} {ed25519}\n", (YES, "RevokedHostKeys=none")),
    Case("RevokedHostKeys with tokens", "[{H}]:{P} {ed25519}\n", (YES, "RevokedHostKeys={D}/krl_%p")),
    Case(
        "KnownHostsCommand",
        "[{H}]:{P} {ed25519}\n",
        (YES, "KnownHostsCommand=/bin/true"),
        stricter="its keys are not asked for, and it may revoke some",
    ),
]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("keys")
    return {name: make_key(directory / name, kind=name.removeprefix("other_")) for name in KEYS}


@pytest.fixture(scope="module", params=[False])
def servers(keys: dict[str, Path]) -> t.Iterator[dict[bool, Sshd]]:
    """One sshd with an Ed25519 key, and one that has an RSA key too. Both let in by key or password, on every address."""
    common = {"ListenAddress": "0.0.0.0", "MaxAuthTries": "20"}
    methods = ("publickey", "password")
    with (
        Sshd(options={**common, "HostKey": str(keys["ed25519"])}, auth_methods=methods) as one,
        Sshd(options={**common, "HostKey": [str(keys["ed25519"]), str(keys["rsa"])]}, auth_methods=methods) as both,
    ):
        yield {False: one, True: both}


class Known:
    """A directory for one of the two programs: its known_hosts and the other files of a case."""

    def __init__(self, directory: Path, case: Case, sshd: Sshd, keys: dict[str, Path]) -> None:
        directory.mkdir()
        self.path = directory / "known_hosts"
        words = {"H": case.host, "P": sshd.port, "D": directory, "K": self.path}
        for name, path in keys.items():
            kind, blob = path.with_name(path.name + ".pub").read_text().split()[:2]
            words.update({name: f"{kind} {blob}", f"{name}_blob": blob})
        for name, plain in (("hashed", f"[{case.host}]:{sshd.port}"), ("hashed_bare", case.host)):
            words[name] = _hashed(directory, plain)
        for krl, revoked in (("krl", "ed25519"), ("krl_other", "other_rsa"), (f"krl_{sshd.port}", "ed25519")):
            subprocess.run(
                ["ssh-keygen", "-q", "-k", "-f", str(directory / krl), f"{keys[revoked]}.pub"],
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
        (directory / "krl_damaged").write_bytes((directory / "krl").read_bytes()[:-10])
        for name, content in case.files.items():
            (directory / name).write_text(content.format(**words))
        self.before = case.known.format(**words)
        self.path.write_text(self.before, newline="")
        files = [f"UserKnownHostsFile={self.path}", "GlobalKnownHostsFile=/dev/null"]
        options = [option.format(**words) for option in case.options]
        defaults = [each for each in files if each.partition("=")[0] not in [one.partition("=")[0] for one in options]]
        self.arguments = ["-F", "/dev/null"]
        for option in (*options, *defaults, "UpdateHostKeys=no", "IdentitiesOnly=yes", f"Port={sshd.port}"):
            self.arguments += ["-o", option]

    def recorded(self) -> list[str]:
        """The lines that were added, with the name of a hashed one left out."""
        now = self.path.read_bytes().decode()
        assert now.startswith(self.before)
        return [
            line if not line.startswith("|1|") else "|1| " + line.split(" ", 1)[1]
            for line in now[len(self.before) :].split("\n")
        ]


def _hashed(directory: Path, name: str) -> str:
    path = directory / "to_hash"
    path.write_text(f"{name} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    return path.read_text().split()[0]


def ssh_accepts(known: Known, sshd: Sshd, host: str) -> bool:
    done = subprocess.run(
        ["ssh", *known.arguments, "-i", str(sshd.key_file), "-o", "BatchMode=yes", f"{sshd.user}@{host}", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode in (0, 255), done
    return done.returncode == 0


def ssh_sends_password(known: Known, sshd: Sshd, host: str) -> bool:
    ask = known.path.with_name("ask")
    ask.write_text("#!/bin/sh\necho wrong\n")
    ask.chmod(0o755)
    return _sends_password(
        sshd,
        lambda: subprocess.run(
            [
                "ssh",
                *known.arguments,
                "-o",
                "IdentityFile=none",
                "-o",
                "NumberOfPasswordPrompts=1",
                f"{sshd.user}@{host}",
                "true",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=30,
            env={**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"},
        ),
    )


def _sends_password(sshd: Sshd, log_in: t.Callable[[], object]) -> bool:
    before = sshd.log.count("Failed password for")
    log_in()
    return sshd.log.count("Failed password for") > before


def settings_of(known: Known, sshd: Sshd, host: str) -> SshSettings:
    return resolve("ssh", [*known.arguments, "-o", f"User={sshd.user}"], host)


def we_accept(known: Known, sshd: Sshd, host: str) -> bool:
    try:
        settings = replace(settings_of(known, sshd, host), private_key_file=sshd.key_file, agent_socket="")
        with SshConnection(settings) as connection:
            assert connection.run("true").read() == b""
    except ConnectError as exc:
        words = ("host key", "RevokedHostKeys", "KnownHostsCommand")
        assert any(word.lower() in str(exc).lower() for word in words), exc
        return False
    return True


def we_send_password(known: Known, sshd: Sshd, host: str) -> bool:
    def log_in() -> None:
        settings = replace(settings_of(known, sshd, host), password="wrong", agent_socket="", identity_files=())
        with pytest.raises(ConnectError, match="can't be logged in to"):
            SshConnection(settings)

    return _sends_password(sshd, log_in)


def require_same_as_ssh(case: Case, sshd: Sshd, keys: dict[str, Path], tmp_path: Path) -> None:
    theirs, ours = (Known(tmp_path / name, case, sshd, keys) for name in ("ssh", "collection"))
    expected = ssh_accepts(theirs, sshd, case.host)
    if case.stricter:
        assert expected, f"ssh refuses this too, so it is not '{case.stricter}'"
        assert not we_accept(ours, sshd, case.host)
        return
    assert we_accept(ours, sshd, case.host) == expected
    assert ours.recorded() == theirs.recorded()
    if expected:
        theirs, ours = (Known(tmp_path / f"{name}-password", case, sshd, keys) for name in ("ssh", "collection"))
        assert we_send_password(ours, sshd, case.host) == ssh_sends_password(theirs, sshd, case.host)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_host_key_is_accepted_and_recorded_as_by_ssh(
    case: Case, servers: dict[bool, Sshd], keys: dict[str, Path], tmp_path: Path
) -> None:
    require_same_as_ssh(case, servers[case.both_keys], keys, tmp_path)


def _own_address() -> str:
    """This machine's address, or nothing where it has none but the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return ""
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("mode", [YES, NEW, NO])
@pytest.mark.parametrize(
    "known",
    [
        "",
        "[{H}]:{P} {ed25519}\n",
        "[{H}]:{P} {ed25519}\n[{A}]:{P} {ed25519}\n",
        "[{H}]:{P} {ed25519}\n[{A}]:{P} {other_ed25519}\n",
        "[{A}]:{P} {other_ed25519}\n",
        "{H} {ed25519}\n",
    ],
)
def test_the_address_of_a_name_is_checked_as_by_ssh(
    known: str, mode: str, servers: dict[bool, Sshd], keys: dict[str, Path], tmp_path: Path
) -> None:
    address = _own_address()
    if not address or address.startswith("127."):
        address = Sshd.host  # the check is off for the loopback
    name = str(int.from_bytes(socket.inet_aton(address), "big"))  # resolved to the address, and another text
    case = Case("", known.replace("{A}", address), (mode, "CheckHostIP=yes"), host=name)
    require_same_as_ssh(case, servers[False], keys, tmp_path)


# ---------------------------------------------------------------------------------------- the file that is recorded in


KEY = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519\0\0\0 " + b"k" * 32)


def _add(path: Path, number: int, hashed: bool) -> None:
    add_host_key(path, KEY, [f"host{number}"], hashed=hashed)


@pytest.mark.parametrize("hashed", [False, True])
def test_processes_that_record_at_once_lose_and_double_nothing(hashed: bool, tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("old ssh-ed25519 AAAA")
    numbers = [number % 20 for number in range(60)]
    context = multiprocessing.get_context("fork")
    with context.Pool(8) as pool:
        pool.starmap(_add, [(path, number, hashed) for number in numbers])

    lines = path.read_text().splitlines()
    assert lines[0] == "old ssh-ed25519 AAAA" and len(lines) == 21 and all(len(line.split()) == 3 for line in lines)
    for number in range(20):
        command = ["ssh-keygen", "-F", f"host{number}", "-f", str(path)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.stdout.count("found: line") == 1


def test_the_file_and_its_directory_are_created_for_their_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    previous = os.umask(0)
    try:
        add_host_key(tmp_path / ".ssh" / "known_hosts", KEY, ["redis1"], hashed=False)
    finally:
        os.umask(previous)
    assert (tmp_path / ".ssh").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".ssh" / "known_hosts").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["*", "a,b", "!a", "a b", "a\nb", "|1|", "#a", "@revoked"])
def test_a_name_that_means_more_than_itself_is_not_recorded(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a meaning of its own"):
        add_host_key(tmp_path / "known_hosts", KEY, [name], hashed=False)
    assert not (tmp_path / "known_hosts").exists()


def test_the_table_is_checked_against_a_real_ssh() -> None:
    assert shutil.which("ssh") and shutil.which("ssh-keygen")
