# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How Ansible would reach a host by SSH: its connection plugin's options, as plain values.

What ``ssh_config``, ``-o``, ``-J`` and ``-F`` come to is asked of OpenSSH itself (``ssh -G``), with the arguments that
Ansible's ``ssh`` plugin would give it. So ``Include``, ``Match`` and every precedence are exact, jump hosts included.
"""

from __future__ import annotations

import getopt
import getpass
import os
import re
import shlex
import shutil
import socket
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.module_utils._text import shown
from ansible_collections.redisops.tair.plugins.plugin_utils._bounded import run_bounded
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_names import (
    require_host_name,
    require_user_name,
)

#: What to do about a host key that known_hosts does not have; ``ask`` counts as ``yes``: there is nobody to ask.
Strict = t.Literal["yes", "accept-new", "no"]

_SSH_OPTIONS = "1246AB:CD:E:F:GI:J:KL:MNO:P:Q:R:S:TVW:XYab:c:e:fgi:kl:m:no:p:qstvw:xy"  # getopt(3) string of ssh(1)
_MAX_JUMPS = 8
_RESOLVE_SECONDS, _RESOLVE_OUTPUT = 60.0, 1 << 20  # of 'ssh -G': a 'Match exec' in ssh_config may run anything
_PROXY_TOKENS = "hnpr"  # of ProxyCommand and ProxyJump, see TOKENS in ssh_config(5)
_DEFAULT_KEYS = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")
_DEFAULT_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True)
class SshSettings:
    """One host to log in to, and the way there (``jump`` or ``proxy_command``; neither: straight)."""

    host: str
    port: int
    user: str
    host_key_alias: str = ""
    known_hosts: tuple[Path, ...] = ()
    strict: Strict = "yes"
    record_file: Path | None = None
    """Where a new host key that is accepted is added; None: nowhere."""
    must_record: bool = False
    """Accept a new host key only where it can be added to a file, as OpenSSH does."""
    hash_known_hosts: bool = False
    check_host_ip: bool = False
    revoked_host_keys: Path | None = None
    keygen: str = "ssh-keygen"
    """The program that reads a key revocation list."""
    host_key_algorithms: tuple[str, ...] = ()
    """Those that may be used, the best first; none: all that paramiko has."""
    password_prompts: int = 3
    """How often a host may ask for the password."""
    identity_files: tuple[Path, ...] = ()
    identities_only: bool = False
    agent_socket: str = ""
    """Path of the SSH agent's socket; empty: no agent."""
    address_family: socket.AddressFamily = socket.AF_UNSPEC
    timeout: float = 10.0
    """Seconds to wait for the connection, for the greeting and for the login, each."""
    proxy_command: str = ""
    """Run by the user's shell, as OpenSSH does; its host and user names have been checked."""
    proxy_arguments: tuple[str, ...] = ()
    """The same without a shell: a program and its arguments."""
    jump: SshSettings | None = None
    private_key_file: Path | None = None
    """The key that the inventory names; it is one of ``identity_files``."""
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def proxied(self) -> bool:
        """Whether the connection is not made straight to the host's address."""
        return bool(self.jump or self.proxy_command or self.proxy_arguments)

    def __str__(self) -> str:
        where = f"{self.user}@{address(self.host, self.port)}"
        return f"{where} (through {self.jump})" if self.jump else where


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class ConnectionOptions(t.Protocol):
    """What is used of an Ansible connection plugin."""

    transport: str

    def get_option(self, option: str) -> t.Any:
        """An option's value; raises ``KeyError`` for one that it does not have."""


def settings_of(connection: ConnectionOptions, *, asked_password: str = "") -> SshSettings:
    """The settings of a host whose connection plugin is ``ssh`` or ``paramiko``.

    ``asked_password``: the answer to ``--ask-pass``. Raises :class:`ConnectError`.
    """
    if connection.transport == "paramiko":
        return _of_paramiko_plugin(connection, asked_password)
    return _of_ssh_plugin(connection, asked_password)


def _of_ssh_plugin(connection: ConnectionOptions, asked_password: str) -> SshSettings:
    def option(name: str) -> t.Any:
        try:
            return connection.get_option(name)
        except KeyError:  # private_key and its passphrase came with ansible-core 2.19
            return None

    require_host_name(str(option("host") or ""))
    if option("remote_user"):
        require_user_name(option("remote_user"))
    key_file = option("private_key_file")
    # In the order of the ssh plugin: for OpenSSH the first value given counts.
    arguments = shlex.split(option("ssh_args") or "")
    if option("host_key_checking") is False:
        arguments += ["-o", "StrictHostKeyChecking=no"]
    if option("port") is not None:
        arguments += ["-o", f"Port={option('port')}"]
    if key_file and not option("private_key"):
        arguments += ["-o", f'IdentityFile="{os.path.expanduser(key_file)}"']
    if option("remote_user"):
        arguments += ["-o", f'User="{option("remote_user")}"']
    arguments += ["-o", f"ConnectTimeout={option('timeout')}"]
    arguments += shlex.split(option("ssh_common_args") or "") + shlex.split(option("ssh_extra_args") or "")

    settings = resolve(option("ssh_executable") or "ssh", arguments, option("host"))
    settings = replace(settings, password=option("password") or asked_password)
    if option("private_key"):
        # The ssh plugin puts this key into the agent and lets ssh use no other.
        return replace(
            settings,
            private_key=option("private_key"),
            passphrase=option("private_key_passphrase") or "",
            identity_files=(),
            agent_socket="",
        )
    return replace(settings, private_key_file=Path(key_file).expanduser() if key_file else None)


def _of_paramiko_plugin(connection: ConnectionOptions, asked_password: str) -> SshSettings:
    """That plugin reads no ssh_config. A password is also the passphrase of the key, and keeps the agent out."""
    option = connection.get_option
    host, port, user = option("remote_addr"), int(option("port") or 22), option("remote_user") or getpass.getuser()
    require_host_name(str(host or ""))
    require_user_name(user)
    password = option("password") or asked_password
    key_file = Path(option("private_key_file")).expanduser() if option("private_key_file") else None
    defaults = [Path(name).expanduser() for name in _DEFAULT_KEYS] if option("look_for_keys") else []
    check = option("host_key_checking") and not option("host_key_auto_add")
    known_hosts = tuple(Path(name).expanduser() for name in _DEFAULT_KNOWN_HOSTS)
    return SshSettings(
        host=host,
        port=port,
        user=user,
        known_hosts=known_hosts,
        strict="yes" if check else "accept-new",
        record_file=known_hosts[0] if _records_keys(connection) else None,
        identity_files=tuple([key_file, *defaults] if key_file else defaults),
        agent_socket="" if password else os.environ.get("SSH_AUTH_SOCK", ""),
        timeout=float(option("timeout")),
        proxy_arguments=_proxy_arguments(option("proxy_command") or "", {"h": host, "p": str(port), "r": user}),
        private_key_file=key_file,
        passphrase=password,
        password=password,
    )


def _records_keys(connection: ConnectionOptions) -> bool:
    """Return whether the paramiko plugin would write new host keys down."""
    try:
        return bool(connection.get_option("host_key_checking") and connection.get_option("record_host_keys"))
    except KeyError:
        return False


def _proxy_arguments(command: str, tokens: dict[str, str]) -> tuple[str, ...]:
    """Split a proxy command of the paramiko plugin, which runs it without a shell, then fill in its tokens."""
    try:
        words = shlex.split(command)
    except ValueError as exc:
        raise ConnectError(
            f"The proxy command '{shown(command)}' can't be split into arguments: {exc}",
            todo="Check the quotes in ansible_paramiko_proxy_command",
        ) from exc
    return tuple(re.sub("%([hpr])", lambda match: tokens[match[1]], word) for word in words)


def resolve(program: str, arguments: t.Sequence[str], host: str, *, jumps: int = 0) -> SshSettings:
    """What ``program arguments host`` would connect to, and how; nothing is connected. Raises :class:`ConnectError`."""
    if jumps > _MAX_JUMPS:
        raise ConnectError(f"The jump hosts on the way to {host} go round in a circle", todo="Check ProxyJump")
    require_host_name(host, "ProxyJump" if jumps else "ansible_host")
    try:
        done = run_bounded(
            [program, "-G", "-T", *arguments, "--", host], timeout=_RESOLVE_SECONDS, limit=_RESOLVE_OUTPUT
        )
    except (OSError, OverflowError) as exc:
        raise ConnectError(
            f"'{program} -G' can't tell the SSH settings of {host}: {exc}",
            todo="Install OpenSSH's client on the control node, or check ssh_executable"
            if isinstance(exc, FileNotFoundError)
            else "Check ssh_executable, and what 'Match exec' in ssh_config runs",
        ) from exc
    if done.returncode != 0:
        raise ConnectError(
            f"'{program} -G' does not accept the SSH settings of {host}: {shown(done.stderr.strip())}",
            todo="Check ansible_ssh_common_args, ansible_ssh_extra_args, ansible_ssh_args and ssh_config",
        )
    effective = parse_effective(done.stdout)
    settings = replace(from_effective(effective, host), keygen=_keygen_beside(program))
    jump = effective.get("proxyjump", ["none"])[0]
    if jump == "none":
        return settings
    tokens = {"h": settings.host, "n": host, "p": str(settings.port), "r": settings.user}
    return replace(
        settings,
        proxy_command="",
        jump=_resolve_jump(program, config_file(arguments), _expand("ProxyJump", jump, tokens), jumps=jumps + 1),
    )


def _keygen_beside(program: str) -> str:
    """Return the ``ssh-keygen`` of the same installation, or its bare name."""
    found = shutil.which(program)
    keygen = Path(found).with_name("ssh-keygen") if found else None
    return str(keygen) if keygen and keygen.exists() else "ssh-keygen"


def _resolve_jump(program: str, config: t.Sequence[str], jump: str, *, jumps: int) -> SshSettings:
    """Resolve the last of the hosts ``a,b``; OpenSSH reaches it with ``-J a``, and passes on none of its own arguments but -F."""
    *before, last = [_jump_host(each) for each in jump.split(",")]
    arguments = list(config)
    if before:
        arguments += ["-J", jump.rpartition(",")[0]]
    user, host, port = last
    if user:
        arguments += ["-l", user]
    if port:
        arguments += ["-p", port]
    return resolve(program, arguments, host, jumps=jumps)


def _jump_host(text: str) -> tuple[str, str, str]:
    """Split ``[user@]host[:port]`` and check its names. Raises :class:`ConnectError`."""
    match = re.fullmatch(
        r"(?:ssh://)?(?:(?P<user>.+)@)?(?:\[(?P<literal>.+)\]|(?P<host>[^:@]*))(?::(?P<port>\d+))?", text, re.DOTALL
    )
    if match is None:
        raise ConnectError(
            f"The jump host '{shown(text)}' can't be understood", todo="Check ProxyJump: [user@]host[:port]"
        )
    host = match["literal"] or match["host"]
    require_host_name(host, "ProxyJump")
    if match["user"]:
        require_user_name(match["user"], "ProxyJump")
    return match["user"] or "", host, match["port"] or ""


def config_file(arguments: t.Sequence[str]) -> list[str]:
    """The ``-F file`` among the arguments of ssh, as arguments."""
    options, _rest = getopt.getopt(list(arguments), _SSH_OPTIONS)
    return next((["-F", value] for name, value in options if name == "-F"), [])


def parse_effective(output: str) -> dict[str, list[str]]:
    """The lines of ``ssh -G``: a keyword in lower case, and its values in order."""
    effective: dict[str, list[str]] = {}
    for line in output.splitlines():
        keyword, _blank, value = line.partition(" ")
        effective.setdefault(keyword.lower(), []).append(value)
    return effective


def from_effective(effective: dict[str, list[str]], given_host: str) -> SshSettings:
    """The settings that ``ssh -G given_host`` names, without its jump hosts. ``~``, ``%`` and ``${}`` are filled in."""

    def value(keyword: str, default: str = "") -> str:
        found = effective.get(keyword, [default])[0]
        return "" if found == "none" else found

    host, port, user = value("hostname", given_host), int(value("port", "22")), value("user") or getpass.getuser()
    require_host_name(host, "ansible_host, or HostName in ssh_config,")
    require_user_name(user, "ansible_user, or User in ssh_config,")
    if value("knownhostscommand"):
        raise ConnectError(
            f"KnownHostsCommand is set for {host}, and this collection does not run it",
            changed="Nothing was connected",
            todo="Put the host keys into a known_hosts file, and set KnownHostsCommand to none for this host",
        )
    alias = value("hostkeyalias")
    tokens = {
        "h": host,
        "n": given_host,
        "p": str(port),
        "r": user,
        "k": alias or given_host,
        "u": getpass.getuser(),
        "i": str(os.getuid()),
        "d": str(Path.home()),
        "l": socket.gethostname(),
        "L": socket.gethostname().partition(".")[0],
        "j": value("proxyjump"),
    }

    def path(keyword: str, text: str) -> Path:
        return Path(_expand(keyword, text, tokens, environment=True)).expanduser()

    user_files, global_files = (
        [path(keyword, name) for name in _paths(value(keyword))]
        for keyword in ("userknownhostsfile", "globalknownhostsfile")
    )

    agent = value("identityagent", "SSH_AUTH_SOCK") if effective.get("identityagent") != ["none"] else ""
    if agent == "SSH_AUTH_SOCK" or agent.startswith("$"):
        agent = os.environ.get(agent.strip("${}"), "")
    elif agent:
        agent = str(path("IdentityAgent", agent))
    strict = value("stricthostkeychecking", "ask")
    families = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
    return SshSettings(
        host=host,
        port=port,
        user=user,
        host_key_alias=alias,
        known_hosts=(*user_files, *global_files),
        strict="no" if strict in ("false", "no", "off") else "accept-new" if strict == "accept-new" else "yes",
        record_file=user_files[0] if user_files else None,
        must_record=True,
        hash_known_hosts=value("hashknownhosts") in ("yes", "true"),
        check_host_ip=value("checkhostip") in ("yes", "true"),
        revoked_host_keys=path("RevokedHostKeys", value("revokedhostkeys")) if value("revokedhostkeys") else None,
        host_key_algorithms=tuple(value("hostkeyalgorithms").split(",")) if value("hostkeyalgorithms") else (),
        password_prompts=int(value("numberofpasswordprompts") or 3),
        identity_files=tuple(
            path("IdentityFile", name) for name in effective.get("identityfile", []) if name != "none"
        ),
        identities_only=value("identitiesonly") in ("yes", "true"),
        agent_socket=agent,
        address_family=families.get(value("addressfamily"), socket.AF_UNSPEC),
        timeout=float(value("connecttimeout") or 10),
        proxy_command=_expand("ProxyCommand", value("proxycommand"), {name: tokens[name] for name in _PROXY_TOKENS}),
    )


def _paths(names: str) -> list[str]:
    """Split the paths that ``ssh -G`` writes on one line without quotes: one that exists as a whole is one path."""
    return [names] if names and Path(names).exists() else [name for name in names.split() if name != "none"]


def _expand(keyword: str, text: str, tokens: dict[str, str], *, environment: bool = False) -> str:
    """Fill in ``%h`` and so on. Raises :class:`ConnectError` for an unknown token, as OpenSSH does."""

    def token(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        if match[1] not in tokens:
            raise ConnectError(
                f"{keyword} has the token %{shown(match[1])}, which has no meaning there, or none for this collection:"
                f" '{shown(text)}'",
                changed="Nothing was connected",
                todo=f"Check {keyword} in ssh_config and in the -o arguments; a % itself is written %%",
            )
        return tokens[match[1]]

    if environment:
        text = re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], match[0]), text)
    return re.sub("%(.?)", token, text, flags=re.DOTALL)
