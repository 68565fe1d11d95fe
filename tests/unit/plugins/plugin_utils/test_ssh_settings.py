# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible's connection options and OpenSSH's own answer come to."""

from __future__ import annotations

import getpass
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import (
    config_file,
    from_effective,
    parse_effective,
    resolve,
    settings_of,
)

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH's client is not installed")

# What an OpenSSH 7.4 (RHEL 7) prints, shortened.
OLD = """\
user deploy
hostname 10.0.0.5
port 2222
identitiesonly yes
stricthostkeychecking ask
identityfile ~/.ssh/%r_key
identityfile /etc/keys/%h
globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2
userknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2
connecttimeout 7
proxycommand nc -x 100%% %h %p %n
"""


class Plugin:
    """A connection plugin's options."""

    def __init__(self, transport: str = "ssh", **options: t.Any) -> None:
        self.transport = transport
        self._options = {
            "host": "redis1",
            "port": None,
            "remote_user": None,
            "password": None,
            "private_key_file": None,
            "ssh_args": "-C -o ControlMaster=auto -o ControlPersist=60s",
            "ssh_common_args": "-F /dev/null",
            "ssh_extra_args": "",
            "ssh_executable": "ssh",
            "host_key_checking": True,
            "timeout": 10,
            **options,
        }

    def get_option(self, option: str) -> t.Any:
        return self._options[option]


def test_the_lines_of_an_old_openssh_are_read_and_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")

    settings = from_effective(parse_effective(OLD), "redis1")

    assert (settings.host, settings.port, settings.user) == ("10.0.0.5", 2222, "deploy")
    assert settings.identity_files == (Path("/home/me/.ssh/deploy_key"), Path("/etc/keys/10.0.0.5"))
    assert settings.identities_only and settings.strict == "yes" and settings.timeout == 7
    assert settings.known_hosts[:2] == (Path("/home/me/.ssh/known_hosts"), Path("/home/me/.ssh/known_hosts2"))
    assert settings.known_hosts[2] == Path("/etc/ssh/ssh_known_hosts")
    assert settings.agent_socket == "/run/agent"
    assert settings.proxy_command == "nc -x 100% 10.0.0.5 2222 redis1"


@pytest.mark.parametrize(
    ("line", "socket"),
    [
        ("identityagent none", ""),
        ("identityagent SSH_AUTH_SOCK", "/run/agent"),
        ("identityagent $OTHER", "/run/other"),
        ("identityagent /run/%r.sock", "/run/deploy.sock"),
    ],
)
def test_the_agent_is_the_one_that_ssh_config_names(line: str, socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("OTHER", "/run/other")
    assert from_effective(parse_effective(OLD + line), "redis1").agent_socket == socket


@pytest.mark.parametrize(
    ("value", "strict"),
    [("ask", "yes"), ("true", "yes"), ("yes", "yes"), ("accept-new", "accept-new"), ("false", "no"), ("off", "no")],
)
def test_only_a_clear_no_weakens_the_check_of_host_keys(value: str, strict: str) -> None:
    assert from_effective({"stricthostkeychecking": [value]}, "redis1").strict == strict


def test_the_options_of_the_inventory_are_what_counts() -> None:
    settings = settings_of(
        Plugin(
            port=2200,
            remote_user="deploy",
            private_key_file="~/keys/a key",
            password="secret",
            host_key_checking=False,
            timeout=33,
            ssh_common_args="-F /dev/null -o 'UserKnownHostsFile=/etc/known'",
            ssh_extra_args="-oHostKeyAlias=alias -4",
        )
    )
    assert (settings.host, settings.port, settings.user, settings.timeout) == ("redis1", 2200, "deploy", 33)
    assert settings.private_key_file == settings.identity_files[0] == Path("~/keys/a key").expanduser()
    assert settings.known_hosts[0] == Path("/etc/known") and settings.host_key_alias == "alias"
    assert settings.strict == "no" and settings.password == "secret"
    assert "secret" not in repr(settings) and str(settings) == "deploy@redis1:2200"


def test_without_options_it_is_the_present_user_on_port_22_with_the_usual_keys() -> None:
    settings = settings_of(Plugin(), asked_password="from --ask-pass")
    assert (settings.user, settings.port, settings.strict) == (getpass.getuser(), 22, "yes")
    assert Path("~/.ssh/id_ed25519").expanduser() in settings.identity_files
    assert settings.private_key_file is None and settings.jump is None and settings.proxy_command == ""
    assert settings.password == "from --ask-pass"


def test_a_key_in_the_inventory_is_the_only_one_to_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    settings = settings_of(Plugin(private_key="-----BEGIN", private_key_passphrase="sesame", private_key_file="/other"))
    assert settings.identity_files == () and settings.agent_socket == "" and settings.private_key_file is None
    assert settings.private_key == "-----BEGIN" and "BEGIN" not in repr(settings) and "sesame" not in repr(settings)


def test_the_paramiko_plugin_has_its_own_names_and_no_ssh_config() -> None:
    options = {
        "remote_addr": "redis1",
        "look_for_keys": False,
        "host_key_auto_add": None,
        "proxy_command": "nc %h %p",
        "remote_user": "deploy",
    }
    settings = settings_of(Plugin("paramiko", **options))
    assert str(settings) == "deploy@redis1:22" and settings.strict == "yes" and settings.identity_files == ()
    assert settings.proxy_arguments == ("nc", "redis1", "22") and settings.proxy_command == ""
    assert settings_of(Plugin("paramiko", **{**options, "host_key_auto_add": True})).strict == "accept-new"


@pytest.mark.parametrize(
    "arguments",
    [["-J", "a@one:2201,ssh://b@two:2202"], ["-Ja@one:2201,b@two:2202"], ["-o", "ProxyJump a@one:2201,b@two:2202"]],
    ids=" ".join,
)
def test_jump_hosts_are_passed_in_the_order_given(arguments: list[str]) -> None:
    settings = resolve("ssh", ["-F", "/dev/null", *arguments], "redis1")
    assert settings.jump is not None and settings.jump.jump is not None
    assert (settings.jump.user, settings.jump.host, settings.jump.port) == ("b", "two", 2202)
    assert (settings.jump.jump.user, settings.jump.jump.host, settings.jump.jump.port) == ("a", "one", 2201)
    assert settings.jump.jump.jump is None


def test_a_jump_host_gets_its_settings_from_the_config_file_and_none_of_the_target(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host hop\n  HostName fd00::1\n  User jumper\n  Port 2022\n  UserKnownHostsFile /hop/known\n")
    arguments = ["-F", str(config), "-o", "User=me", "-o", "UserKnownHostsFile=/mine", "-o", "StrictHostKeyChecking=no"]
    settings = resolve("ssh", [*arguments, "-J", "hop"], "redis1")
    assert settings.jump is not None
    assert str(settings) == "me@redis1:22 (through jumper@[fd00::1]:2022)"
    assert settings.strict == "no" and settings.jump.strict == "yes"
    assert settings.jump.known_hosts[0] == Path("/hop/known")


def test_an_ipv6_jump_host_is_understood() -> None:
    jump = resolve("ssh", ["-F", "/dev/null", "-J", "me@[fd00::1]:2022"], "redis1").jump
    assert jump is not None and (jump.user, jump.host, jump.port) == ("me", "fd00::1", 2022)


def test_jump_hosts_that_go_round_in_a_circle_are_an_error(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host one\n  ProxyJump two\nHost two\n  ProxyJump one\n")
    with pytest.raises(ConnectError, match="round in a circle"):
        resolve("ssh", ["-F", str(config)], "one")


def test_a_missing_ssh_program_is_named() -> None:
    with pytest.raises(ConnectError, match="no-such-ssh.*Install OpenSSH"):
        resolve("no-such-ssh", [], "redis1")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["-C", "-F", "a file", "-o", "User=x"], ["-F", "a file"]),
        (["-4CFconfig"], ["-F", "config"]),
        (["-o", "-F", "-p", "22"], []),
        ([], []),
    ],
)
def test_the_config_file_is_found_among_the_arguments(arguments: list[str], found: list[str]) -> None:
    assert config_file(arguments) == found
