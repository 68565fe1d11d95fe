# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host names, SSH servers and programs that mean harm: nothing runs, nothing hangs, nothing reaches the terminal raw."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
import typing as t
from pathlib import Path

import paramiko
import pytest
from ansible import __version__ as ansible_core
from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.plugin_utils import _ssh, _ssh_settings
from ansible_collections.redisops.tair.plugins.plugin_utils._bounded import run_bounded
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import SshSettings, resolve
from ansible_collections.redisops.tair.tests.support.ansible_cli import run_playbook
from ansible_collections.redisops.tair.tests.support.sshd import make_key
from paramiko.server import InteractiveQuery

Vars = t.Dict[str, t.Any]
PLUGINS = ["ansible.builtin.ssh"]
if LooseVersion(ansible_core) < LooseVersion("2.21"):  # which removed the plugin
    PLUGINS.append("ansible.builtin.paramiko_ssh")


# ------------------------------------------------------------------------------------------------- names that are code


@pytest.mark.parametrize("plugin", PLUGINS)
def test_names_from_the_inventory_never_reach_a_shell_or_an_option(plugin: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    hosts = {
        "substitution": (f"$(touch {marker})", "root"),
        "backticks": (f"`touch {marker}`", "root"),
        "separator": (f"a;touch {marker}", "root"),
        "quotes": (f"a';touch '{marker}", "root"),
        "blank": (f"a touch {marker}", "root"),
        "newline": (f"a\ntouch {marker}", "root"),
        "option": ("-oProxyCommand=touch", "root"),
        "escape": ("a\x1b[31m", "root"),
        "empty": ("", "root"),
        "user substitution": ("127.0.0.1", f"$(touch {marker})"),
        "user option": ("127.0.0.1", "-oProxyCommand=touch"),
        "user quote": ("127.0.0.1", f'a" ProxyCommand="touch {marker}'),
        "user newline": ("127.0.0.1", f"a\nProxyCommand touch {marker}"),
    }
    given = {
        name.replace(" ", "_"): {
            "ansible_connection": plugin,
            "ansible_host": host,
            "ansible_user": user,
            "ansible_ssh_common_args": "-F /dev/null -o ProxyCommand='true %h %r %n'",
            "ansible_paramiko_proxy_command": "sh -c 'true %h %r'",
        }
        for name, (host, user) in hosts.items()
    }
    task = {"redisops.tair.aof_fetch": {"src": "/nowhere", "dest": f"{tmp_path}/copy", "retries": 0}}

    run = run_playbook([{"hosts": "redis", "gather_facts": False, "tasks": [task]}], given, timeout=120)

    assert not marker.exists()
    messages = {failure["host"]: failure["result"]["msg"] for failure in run.failures()}
    assert set(messages) == set(given), run.output
    for name, message in messages.items():
        kind = "user" if name.startswith("user") else "host"
        assert f"The {kind} name '" in message and "can't be used: it" in message, (name, message)
        assert f"Set ansible_{kind} to" in message and message.isprintable(), (name, message)
    assert "\x1b[31m" not in run.output


@pytest.mark.parametrize(
    "config",
    [
        "ProxyJump $(touch {marker})",
        "ProxyJump a,`touch {marker}`@b",
        "ProxyJump -oProxyCommand=x",
        "HostName $(touch {marker})\n  ProxyCommand true %h",
        "User '$(touch {marker})'\n  ProxyCommand true %r",
    ],
)
def test_names_from_ssh_config_are_checked_before_they_are_used(config: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "config"
    path.write_text(f"Host redis1\n  {config.format(marker=marker)}\n")
    with pytest.raises(ConnectError):
        SshConnection(resolve("ssh", ["-F", str(path)], "redis1"))
    assert not marker.exists()


def test_a_match_exec_never_gets_a_hostile_name(tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "config"
    path.write_text(f'Match exec "touch {marker}; true %n"\n  User nobody\n')
    with pytest.raises(ConnectError, match="can't be used"):
        resolve("ssh", ["-F", str(path)], f"$(touch {marker})")
    assert not marker.exists()


@pytest.mark.parametrize("keyword", ["ProxyCommand", "UserKnownHostsFile", "RevokedHostKeys"])
def test_an_unknown_token_is_an_error_that_names_the_keyword(keyword: str) -> None:
    with pytest.raises(ConnectError, match=f"({keyword} has the token|unknown key) %z"):
        resolve("ssh", ["-F", "/dev/null", "-o", f"{keyword}=/a/%z"], "redis1")


# -------------------------------------------------------------------------------------------------- programs that hang


def test_a_program_is_bounded_in_time_and_output(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="did not end within"):
        run_bounded(["sh", "-c", f"(sleep 5; touch {marker}) & wait"], timeout=0.5, limit=1000)
    with pytest.raises(OverflowError, match="more than 1000 bytes"):
        run_bounded(["sh", "-c", "yes"], timeout=20, limit=1000)
    with pytest.raises(OverflowError, match="more than 1000 bytes"):
        run_bounded(["sh", "-c", "yes >&2"], timeout=20, limit=1000)
    assert time.monotonic() - start < 4
    time.sleep(max(0.0, 5.5 - (time.monotonic() - start)))
    assert not marker.exists()  # what it started was ended, too


def test_ssh_config_that_hangs_is_an_error_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ssh_settings, "_RESOLVE_SECONDS", 0.5)
    path = tmp_path / "config"
    path.write_text('Match exec "sleep 60"\n  User nobody\n')
    with pytest.raises(ConnectError, match="did not end within 0.5 s.*Match exec"):
        resolve("ssh", ["-F", str(path)], "redis1")


def test_a_proxy_command_that_ignores_the_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ssh, "_GREETING", 1.0)
    script = "trap '' TERM; echo $$ >&2; while :; do sleep 0.1; done"
    settings = SshSettings("redis1", 22, "me", timeout=1.0, proxy_arguments=("sh", "-c", script))
    start = time.monotonic()
    with pytest.raises(ConnectError, match="through the ProxyCommand"):
        SshConnection(settings)
    assert time.monotonic() - start < 10


# --------------------------------------------------------------------------------------------------- servers that hang


class HostileServer:
    """Accept connections and let ``serve`` have each, in a thread."""

    def __init__(self, serve: t.Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException), client:
            self._serve(client)

    def __enter__(self) -> HostileServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()


def _endless(data: bytes, pause: float = 0.0) -> t.Callable[[socket.socket], None]:
    def serve(client: socket.socket) -> None:
        while True:
            client.sendall(data)
            time.sleep(pause)

    return serve


def _silence(client: socket.socket) -> None:
    while client.recv(1 << 16):
        pass


def _greet_and(data: bytes) -> t.Callable[[socket.socket], None]:
    def serve(client: socket.socket) -> None:
        client.sendall(b"SSH-2.0-trap\r\n" + data)
        while client.recv(1 << 16):
            pass

    return serve


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (_endless(b"x" * 65536), "more than 65536 bytes, and no SSH version"),
        (_endless(b"a line\r\n" * 1000), "SSH"),
        (_endless(b"a", 0.2), "SSH"),
        (_endless(b"a line\r\n", 0.3), "SSH"),
        (_silence, "SSH"),
        (_greet_and(b""), "did not agree on keys"),
        (_greet_and(b"\xff" * 100), "SSH"),
        (_greet_and(b"\0\0\x7f\xff" + b"x" * 100), "SSH"),
    ],
    ids=[
        "a line without end",
        "lines at speed",
        "slow bytes",
        "slow lines",
        "silence",
        "no keys",
        "garbage",
        "packet without end",
    ],
)
def test_a_greeting_is_bounded_in_time_and_memory(
    serve: t.Callable[[socket.socket], None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ssh, "_GREETING", 2.0)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with HostileServer(serve) as server, pytest.raises(ConnectError) as failure:
        SshConnection(SshSettings("127.0.0.1", server.port, "me", timeout=1.0))
    assert words in str(failure.value) and f"127.0.0.1:{server.port}" in str(failure.value)
    assert time.monotonic() - start < 8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KB


def test_what_a_server_says_reaches_the_terminal_escaped() -> None:
    with (
        HostileServer(lambda client: client.sendall(b"SSH-9.9-\x1b]0;title\x07\r\n")) as server,
        pytest.raises(ConnectError) as failure,
    ):
        SshConnection(SshSettings("127.0.0.1", server.port, "me", timeout=1.0))
    assert str(failure.value).isprintable()


class _Asking(paramiko.ServerInterface):
    """Ask for the password again and again, whatever the answer."""

    def __init__(self, *, shown: bool, prompts: int) -> None:
        self.answers: list[list[str]] = []
        self._shown = shown
        self._prompts = prompts

    def get_allowed_auths(self, username: str) -> str:
        return "keyboard-interactive,\x1b[31mred"

    def _query(self) -> InteractiveQuery:
        prompts = [("Password: ", self._shown)] * self._prompts
        return InteractiveQuery("\x1b[31m", "", *prompts)

    def check_auth_interactive(self, username: str, submethods: str | bytes) -> int | InteractiveQuery:
        return self._query()

    def check_auth_interactive_response(self, responses: list[str]) -> int | InteractiveQuery:
        self.answers.append(list(responses))
        return self._query()


@pytest.mark.parametrize(
    ("shown", "prompts", "passwords"), [(False, 1, 3), (False, 1000, 0), (True, 1, 0), (False, 0, 0), (False, 2, 2)]
)
def test_a_server_gets_the_password_as_often_as_openssh_would_type_it(
    shown: bool, prompts: int, passwords: int, tmp_path: Path
) -> None:
    asking = _Asking(shown=shown, prompts=prompts)
    host_key = paramiko.Ed25519Key(filename=str(make_key(tmp_path / "host_key")))

    def serve(client: socket.socket) -> None:
        transport = paramiko.Transport(client)
        transport.add_server_key(host_key)
        transport.start_server(server=asking)
        transport.join(20)

    start = time.monotonic()
    with HostileServer(serve) as server:
        known = tmp_path / "known_hosts"
        known.write_text(f"[127.0.0.1]:{server.port} {host_key.get_name()} {host_key.get_base64()}\n")
        settings = SshSettings("127.0.0.1", server.port, "me", known_hosts=(known,), password="s3cret")
        with pytest.raises(ConnectError, match="asked for the password more than 3 times") as failure:
            SshConnection(settings)
    assert sum(answer == "s3cret" for answers in asking.answers for answer in answers) == passwords
    assert "s3cret" not in str(failure.value) and str(failure.value).isprintable()
    assert time.monotonic() - start < 10


# ------------------------------------------------------------------------------------------- nothing else uses a shell


def test_no_plugin_starts_a_program_by_a_shell_but_where_openssh_and_sudo_have_one() -> None:
    """Each of these has been checked; a further one has to be checked, and named here."""
    import ansible_collections.redisops.tair.plugins.plugin_utils as package

    root = Path(next(iter(package.__path__))).parent
    words = (
        "subprocess.run(",
        "subprocess.Popen(",
        "shell=True",
        "os.system(",
        "os.popen(",
        "/bin/sh",
        "exec_command(",
    )
    found = sorted(
        f"{path.relative_to(root)}: {word}"
        for path in root.rglob("*.py")
        for word in words
        if word in path.read_text(encoding="utf-8")
    )
    assert found == [
        "plugin_utils/_bounded.py: subprocess.Popen(",
        "plugin_utils/_host_shell.py: /bin/sh",
        "plugin_utils/_host_shell.py: subprocess.Popen(",
        "plugin_utils/_ssh.py: /bin/sh",
        "plugin_utils/_ssh.py: exec_command(",
        "plugin_utils/_ssh.py: subprocess.Popen(",
        "plugin_utils/_unpack.py: subprocess.Popen(",
    ]
