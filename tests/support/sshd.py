# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real OpenSSH server on a loopback high port, with keys and a configuration of its own.

    with Sshd() as sshd:                      # logs in as the user who runs this, with sshd.key_file
        sshd.host, sshd.port, sshd.user, sshd.key_file, sshd.known_hosts
        sshd.inventory_vars()                 # the same as Ansible variables

Other forms: ``Sshd(user="redis")`` (another account; needs root), ``Sshd(sftp=False)``,
``Sshd(auth_methods=["password"])``, ``Sshd(options={"AllowTcpForwarding": "no"})`` (any sshd_config directive).
A further key is made by :func:`make_key` and let in by :meth:`Sshd.authorize`.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.processes import descendants, die_with_parent, free_port
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

_AUTHENTICATION = {
    "publickey": "PubkeyAuthentication",
    "password": "PasswordAuthentication",
    "keyboard-interactive": "KbdInteractiveAuthentication",
}


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new key pair: ``path`` and ``path`` + ``.pub``, in OpenSSH's own format. ``kind`` as ``ssh-keygen -t``."""
    subprocess.run(
        [_program("ssh-keygen"), "-q", "-t", kind, "-N", passphrase, "-C", "redisops.tair test", "-f", str(path)],
        stdin=subprocess.DEVNULL,
        check=True,
    )
    return path


class Sshd:
    """A running sshd. Raises :class:`UnavailableError` where OpenSSH is not installed.

    ``user``: whom to log in as, this process's user when not given. ``auth_methods``: the methods that are let in.
    ``options``: further lines of ``sshd_config``; a list of values gives several lines.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        user: str | None = None,
        sftp: bool = True,
        auth_methods: t.Sequence[str] = ("publickey",),
        options: t.Mapping[str, str | t.Sequence[str]] | None = None,
    ) -> None:
        self._program = _program("sshd")
        self.user = user or getpass.getuser()
        self.port = 0
        self.directory = Path(tempfile.mkdtemp(prefix="sshd-"))
        self.directory.chmod(0o755)  # sshd reads authorized_keys as the user
        self.host_key = make_key(self.directory / "host_key")
        self.key_file = make_key(self.directory / "user_key")
        self.known_hosts = self.directory / "known_hosts"
        self._process: subprocess.Popen[bytes] | None = None
        self._config: dict[str, str | t.Sequence[str]] = {
            "ListenAddress": self.host,
            "HostKey": str(self.host_key),
            "AuthorizedKeysFile": str(self.directory / "authorized_keys"),
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PermitRootLogin": "yes",
            "MaxStartups": "200",
            "LogLevel": "VERBOSE",
            "SetEnv": "SHLVL=2",  # bash then reads no rc file: whoever runs the tests may have slow or noisy ones
            **{directive: "yes" if name in auth_methods else "no" for name, directive in _AUTHENTICATION.items()},
        }
        if self.version >= (9, 8):
            self._config["PerSourcePenalties"] = "no"
        if sftp:
            self._config["Subsystem"] = "sftp internal-sftp"
        self._config.update(options or {})
        self.authorize(self.key_file)

    @property
    def version(self) -> tuple[int, int]:
        told = subprocess.run(
            [self._program, "-V"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        match = re.search(r"OpenSSH_(\d+)\.(\d+)", told.stderr + told.stdout)
        assert match, f"{self._program} does not tell its version"
        return int(match[1]), int(match[2])

    @property
    def log(self) -> str:
        path = self.directory / "sshd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None, "sshd is not running"
        return self._process.pid

    @property
    def connections(self) -> list[int]:
        """The processes that serve connections."""
        return descendants(self.pid)

    def __enter__(self) -> Sshd:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def authorize(self, key_file: Path) -> None:
        """Let in who holds this key."""
        path = self.directory / "authorized_keys"
        with path.open("a") as keys:
            keys.write(key_file.with_name(key_file.name + ".pub").read_text())
        path.chmod(0o644)

    def start(self, timeout: float = 20.0) -> None:
        """Start it and wait for its banner. The port and the host key stay the same over restarts."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks its unprivileged half up
        for _attempt in range(20):
            port = self.port or free_port()
            if self._launch(port, timeout):
                self.port = port
                key = " ".join((self.directory / "host_key.pub").read_text().split()[:2])
                self.known_hosts.write_text(f"[{self.host}]:{port} {key}\n")
                return
            if "ddress already in use" not in self.log:
                break
        raise RuntimeError(f"sshd did not start:\n{self.log[-2000:]}")

    def kill_connections(self) -> None:
        """Cut every connection, as a dying network would; the server goes on."""
        for pid in self.connections:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server and every connection."""
        process, self._process = self._process, None
        if process is None:
            return
        children = descendants(process.pid)
        process.kill()
        process.wait()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Stop it and remove its files."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def inventory_vars(self) -> dict[str, t.Any]:
        """Ansible variables for a host that is reached through this server."""
        return {
            "ansible_connection": "ansible.builtin.ssh",
            "ansible_host": self.host,
            "ansible_port": self.port,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.key_file),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.known_hosts} -o GlobalKnownHostsFile=/dev/null"
            " -o IdentitiesOnly=yes -o ControlMaster=no",
        }

    def _launch(self, port: int, timeout: float) -> bool:
        lines = []
        for name, value in {"Port": str(port), **self._config}.items():
            for one in [value] if isinstance(value, str) else value:
                lines.append(f"{name} {one}\n")
        config = self.directory / "sshd_config"
        config.write_text("".join(lines))
        with (self.directory / "sshd.log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        end = time.monotonic() + timeout
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((self.host, port), timeout=2) as probe:
                if probe.recv(4) == b"SSH-":
                    return True
            time.sleep(0.01)
        self.stop()
        return False


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise UnavailableError(f"there is no {name} here: apt-get install openssh-server")
    return found  # sshd wants to be called by its full path
