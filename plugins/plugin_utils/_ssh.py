# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One SSH connection to a host: made, verified, logged in, and its failures in words.

It stands on paramiko's ``Transport``. The host key is checked by ``_known_hosts``, the login is done by ``_ssh_auth``.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import subprocess
import time
import traceback
import typing as t

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.compat.version import LooseVersion
from ansible.utils.display import Display
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, MissingLibraryError
from ansible_collections.redisops.tair.plugins.module_utils._text import shown
from ansible_collections.redisops.tair.plugins.plugin_utils._bounded import end_process
from ansible_collections.redisops.tair.plugins.plugin_utils._known_hosts import HostKey, Verdict, known_types, verify
from ansible_collections.redisops.tair.plugins.plugin_utils._known_hosts_file import add_host_key
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_auth import log_in
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_greeting import GreetingPacketizer
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import SshSettings, address

MINIMUM_PARAMIKO = "3.5.0"  # documented in modules/aof_fetch.py and meta/ee-requirements.txt too

try:
    import paramiko
except ImportError:
    PARAMIKO_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    PARAMIKO_IMPORT_ERROR = None

display = Display()

#: paramiko prints warnings and tracebacks of its own thread unless its logger has a handler.
_LOG = "redisops.tair.paramiko"
logging.getLogger(_LOG).addHandler(logging.NullHandler())
logging.getLogger(_LOG).propagate = False

#: Twice as fast as paramiko's default, aes128-ctr with a MAC beside it.
_FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_GREETING = 30.0
_KEEPALIVE = 15
_READ = 1 << 20
#: Bytes that the host may send ahead: what arrives at this rate during a round trip. They may all be in memory at once.
_WINDOW_RATE, _SMALLEST_WINDOW, _LARGEST_WINDOW = 800e6, 2 << 20, 24 << 20


class ConnectionLostError(ConnectError):
    """A connection that was there has gone, or could not be made again this time: trying again may help."""


def require_paramiko() -> None:
    """Raise :class:`MissingLibraryError` unless a paramiko that we can work with is installed."""
    if PARAMIKO_IMPORT_ERROR is not None:
        raise MissingLibraryError(
            missing_required_lib("paramiko", reason="to copy over SSH"),
            todo="It is needed on the control node, for the Python that runs ansible-playbook",
            exception=PARAMIKO_IMPORT_ERROR,
        )
    if LooseVersion(paramiko.__version__) < LooseVersion(MINIMUM_PARAMIKO):
        raise MissingLibraryError(
            f"paramiko {paramiko.__version__} is too old: {MINIMUM_PARAMIKO} or newer is needed",
            todo="Upgrade it (pip install --upgrade paramiko) for the Python that runs ansible-playbook",
        )


class SshConnection:
    """A logged-in connection. ``silence``: seconds without a byte after which it counts as lost.

    The constructor raises :class:`ConnectError` where something is wrong, and :class:`ConnectionLostError` where the
    host just does not answer.
    """

    def __init__(self, settings: SshSettings, *, silence: float = 60.0) -> None:
        require_paramiko()
        self.settings = settings
        self.silence = silence
        self.round_trip = float("inf")
        """The shortest answer to an opened channel, in seconds."""
        self._stack = contextlib.ExitStack()
        try:
            self._transport = self._connect()
        except BaseException:
            self._stack.close()  # a transport that is left open counts against the server's MaxStartups
            raise

    def __str__(self) -> str:
        return str(self.settings)

    def __enter__(self) -> SshConnection:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def run(self, command: str) -> ChannelProcess:
        """Start a command by the login shell of the host. Raises :class:`ConnectionLostError`."""
        with self._speaking("starting a command"):
            channel = self._open_session()
            channel.settimeout(self.silence)
            channel.set_combine_stderr(True)
            channel.exec_command(command)
        return ChannelProcess(channel, self)

    def sftp(self) -> paramiko.SFTPClient:
        """An SFTP session. Raises :class:`ConnectError` where the host has none."""
        try:
            with self._speaking("starting SFTP"):
                channel = self._open_session()
                channel.settimeout(self.silence)
                channel.invoke_subsystem("sftp")
                return paramiko.SFTPClient(channel)
        except ConnectionLostError as exc:
            if self._transport.is_active():
                raise ConnectError(f"{self} offers no SFTP: {shown(str(exc.__cause__))}") from exc
            raise

    def open_tcp(self, host: str, port: int) -> paramiko.Channel:
        """A TCP connection that the host makes to ``host:port``. Raises :class:`ConnectError` where it can't."""
        try:
            return self._transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), window_size=self._window, timeout=_GREETING
            )
        except paramiko.ChannelException as exc:
            where = address(host, port)
            if exc.code == 1:  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED
                raise ConnectError(
                    f"{self} forbids connections through it (to {where})",
                    todo="Allow them there: AllowTcpForwarding and PermitOpen in its sshd_config",
                ) from exc
            raise ConnectError(
                f"{self} can't connect to {where}: nothing listens there, or a firewall is between",
                todo="Check the address, as it is seen from that host",
            ) from exc
        except (paramiko.SSHException, OSError, EOFError) as exc:
            raise self._lost("opening a connection through it", exc) from exc

    def warm_up(self) -> None:
        """Open and close a session: only then sshd switches TCP's delay off, and small messages flow three times faster."""
        with self._speaking("opening a session"):
            self._open_session().close()

    @property
    def _window(self) -> int:
        if self.round_trip == float("inf"):
            return _SMALLEST_WINDOW
        return min(max(int(_WINDOW_RATE * self.round_trip), _SMALLEST_WINDOW), _LARGEST_WINDOW)

    def _open_session(self) -> paramiko.Channel:
        start = time.monotonic()
        channel = self._transport.open_session(window_size=self._window, timeout=self.silence)
        self.round_trip = min(self.round_trip, time.monotonic() - start)
        self._packets.take_over(channel)  # before it is asked for anything, so before any data
        return channel

    @contextlib.contextmanager
    def _speaking(self, doing: str) -> t.Iterator[None]:
        try:
            yield
        except (paramiko.SSHException, OSError, EOFError) as exc:
            raise self._lost(doing, exc) from exc

    def _lost(self, doing: str, exc: Exception) -> ConnectionLostError:
        timed_out = isinstance(exc, TimeoutError)
        reason = f"nothing came for {self.silence:g} s" if timed_out else shown(str(exc)) or type(exc).__name__
        return ConnectionLostError(f"The SSH connection to {self} was lost while {doing}: {reason}")

    def _connect(self) -> paramiko.Transport:
        settings = self.settings
        greeting = max(_GREETING, settings.timeout)
        try:
            sock = self._socket()
            transport = paramiko.Transport(sock, packetizer_class=GreetingPacketizer)
            self._packets = t.cast("GreetingPacketizer", transport.packetizer)
            self._stack.callback(transport.close)
            transport.set_log_channel(_LOG)
            transport.banner_timeout = transport.auth_timeout = greeting
            _prefer(transport, settings.host_key_algorithms, known_types(settings))
            transport.start_client(timeout=greeting)
            if not transport.initial_kex_done:  # paramiko returns without an error when the time is over
                raise ConnectionLostError(
                    f"{_where(settings)} did not agree on keys for the SSH connection within {greeting:g} s",
                    todo="Check that it is an SSH server, and the load of the host",
                )
            server_key = transport.get_remote_server_key()
        except (paramiko.SSHException, OSError, EOFError) as exc:
            raise connect_error(settings, exc) from exc
        key = HostKey(server_key.get_name(), server_key.asbytes())
        verdict = verify(key, settings, peer=_peer(sock))
        _record(key, settings, verdict)
        try:
            log_in(transport, settings, send_password=verdict.send_password)
        except (OSError, EOFError) as exc:
            raise connect_error(settings, exc) from exc
        transport.set_keepalive(_KEEPALIVE)
        return transport

    def _socket(self) -> socket.socket | paramiko.Channel:
        settings = self.settings
        if settings.jump:
            jump = self._stack.enter_context(SshConnection(settings.jump, silence=self.silence))
            jump.warm_up()
            return jump.open_tcp(settings.host, settings.port)
        if settings.proxy_arguments:
            return self._proxy_socket(settings.proxy_arguments)
        if settings.proxy_command:
            shell = os.environ.get("SHELL") or "/bin/sh"
            return self._proxy_socket((shell, "-c", f"exec {settings.proxy_command}"))
        error: OSError = OSError("no address")
        for family, kind, protocol, _name, where in socket.getaddrinfo(
            settings.host, settings.port, settings.address_family, socket.SOCK_STREAM
        ):
            try:
                tcp = socket.socket(family, kind, protocol)
                tcp.settimeout(settings.timeout)
                tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small requests must not wait for ACKs
                if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: with keepalives it ends what waits on a dead link
                    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * self.silence))
                tcp.connect(where)
            except OSError as exc:
                tcp.close()
                error = exc
            else:
                self._stack.callback(tcp.close)
                return tcp
        raise error

    def _proxy_socket(self, command: t.Sequence[str]) -> socket.socket:
        """Return the other end of a proxy command's standard input and output. Raises :class:`ConnectError`."""
        ours, theirs = socket.socketpair()
        self._stack.callback(ours.close)
        with theirs:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except (OSError, ValueError) as exc:  # ValueError: a NUL in an argument
                raise ConnectError(
                    f"The proxy command for {address(self.settings.host, self.settings.port)} can't be started:"
                    f" {shown(command[0])}: {getattr(exc, 'strerror', None) or exc}",
                    todo="Check ansible_paramiko_proxy_command, or ProxyCommand in ssh_config",
                ) from exc
        self._stack.callback(end_process, process)
        return ours


def _peer(sock: socket.socket | paramiko.Channel) -> str:
    """Return the address that a socket is connected to; empty behind a proxy or a jump host."""
    if isinstance(sock, socket.socket) and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            return str(sock.getpeername()[0])
    return ""


def _record(key: HostKey, settings: SshSettings, verdict: Verdict) -> None:
    """Add a new host key that was accepted to known_hosts. Like ssh, go on with a warning where that fails."""
    if not verdict.record or settings.record_file is None:
        return
    names = ", ".join(verdict.record)
    try:
        add_host_key(settings.record_file, key, verdict.record, hashed=settings.hash_known_hosts)
    except (OSError, ValueError) as exc:
        display.warning(
            f"The host key of {names}, {key}, was accepted and can't be added to {settings.record_file}: {exc}."
            " The next connection accepts any other key as new, too."
        )
    else:
        display.vv(f"The host key of {names}, {key}, was added to {settings.record_file}")


class ChannelProcess:
    """A command on the host: what it is sent and what it prints, standard error included."""

    def __init__(self, channel: paramiko.Channel, connection: SshConnection) -> None:
        self._channel = channel
        self._connection = connection

    def send(self, data: bytes) -> None:
        with self._connection._speaking("sending to it"), self._unless_it_has_ended():
            self._channel.sendall(data)

    def end_input(self) -> None:
        with self._connection._speaking("sending to it"), self._unless_it_has_ended():
            self._channel.shutdown_write()

    @contextlib.contextmanager
    def _unless_it_has_ended(self) -> t.Iterator[None]:
        """A command that ends without taking its input is no lost connection: reading shows what it said."""
        try:
            yield
        except OSError:
            if not (self._channel.closed and self._connection._transport.is_active()):
                raise

    def read(self) -> bytes:
        """At least one byte; nothing at the end of what it prints. Raises :class:`ConnectionLostError`."""
        with self._connection._speaking("reading from it"):
            data = self._channel.recv(_READ)
        if not data and not self._connection._transport.is_active():
            raise ConnectionLostError(f"The SSH connection to {self._connection} was cut")
        return data

    def close(self) -> None:
        with contextlib.suppress(EOFError):  # the connection was lost: nothing is left to close
            self._channel.close()
        self._connection._packets.let_go(self._channel)


def _prefer(transport: paramiko.Transport, allowed: t.Sequence[str], known: t.Sequence[str]) -> None:
    """Ask for fast ciphers first; and of the host's keys for one that is allowed, a known one first.

    Raises :class:`ConnectError` where paramiko has none of the allowed ones.
    """
    security = transport.get_security_options()
    ciphers = [name for name in _FAST_CIPHERS if name in security.ciphers]
    security.ciphers = [*ciphers, *(name for name in security.ciphers if name not in ciphers)]
    names = [name for name in allowed if name in security.key_types] if allowed else list(security.key_types)
    if not names:
        raise ConnectError(
            f"paramiko {paramiko.__version__} has none of the host key algorithms that are allowed: {', '.join(allowed)}",
            changed="Nothing was sent to the host",
            todo="Add one of these to HostKeyAlgorithms: " + ", ".join(security.key_types),
        )
    first = [
        name
        for kind in known
        for name in (("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa") if kind == "ssh-rsa" else (kind,))
        if name in names
    ]
    # As OpenSSH: the order stays where the best algorithm's key is known.
    security.key_types = names if names[0] in first else [*first, *(name for name in names if name not in first)]


def _where(settings: SshSettings) -> str:
    """Return the address of a host for a message, with the way that leads there."""
    way = f" (through {settings.jump})" if settings.jump else " (through the ProxyCommand)" if settings.proxied else ""
    return address(settings.host, settings.port) + way


def connect_error(settings: SshSettings, exc: Exception) -> ConnectError:
    """What a failed attempt to connect means, in words for the person who has to mend it."""
    where = _where(settings)
    if isinstance(exc, socket.gaierror):
        return ConnectError(f"The name {settings.host} can't be resolved: {exc.strerror}", todo="Check ansible_host")
    if isinstance(exc, ConnectionRefusedError):
        return ConnectionLostError(
            f"{where} refuses the SSH connection: nothing listens there",
            todo="Check ansible_host and ansible_port, and that sshd runs there",
        )
    if isinstance(exc, TimeoutError):
        return ConnectionLostError(
            f"{where} did not answer within {settings.timeout:g} s",
            todo="Check the address and the firewall between; ANSIBLE_TIMEOUT makes the wait longer",
        )
    if isinstance(exc, paramiko.ssh_exception.IncompatiblePeer):
        return ConnectError(
            f"{where} and paramiko {paramiko.__version__} have no algorithm in common: {shown(str(exc))}",
            todo="If its sshd is an old one that can only SHA-1, install 'paramiko<5' on the control node, or upgrade the sshd",
        )
    if isinstance(exc, OSError) and exc.errno not in (None, errno.ECONNRESET, errno.EPIPE):
        return ConnectionLostError(
            f"{where} can't be reached: {exc.strerror}", todo="Check the address and the network"
        )
    return ConnectionLostError(
        f"{where} hung up before the SSH connection was made: {shown(str(exc)) or type(exc).__name__}",
        todo="Check that it is an SSH port, that this address is let in (firewall, fail2ban, MaxStartups)"
        + (", and that the ProxyCommand works by itself" if settings.proxied and not settings.jump else ""),
    )
