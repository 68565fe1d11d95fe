# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A loopback port on the control node that leads to a server as the source host sees it, through SSH.

So a Redis that listens on its host's loopback only can be talked to from here. As with ``ssh -L``, whoever can log in
to the control node can connect to the port while it is open.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection

if t.TYPE_CHECKING:
    import paramiko

_LOOPBACK = ("localhost", "127.0.0.1")
_READ = 1 << 18
_LOOK_UP = 0.2  # seconds after which the accepting thread sees that it shall end


class Tunnel:
    """``with Tunnel(connection, "127.0.0.1", 6379) as tunnel``: ``tunnel.port`` leads to that address, seen from the host.

    Raises :class:`ConnectError` where the host can't connect to it.
    """

    host = "127.0.0.1"

    def __init__(self, connection: SshConnection, host: str, port: int) -> None:
        self._connection = connection
        self._to = (host, port)
        self._ends = threading.Event()
        self._open: list[socket.socket | paramiko.Channel] = []
        connection.warm_up()
        connection.open_tcp(host, port).close()
        self._listener = socket.create_server((self.host, 0))
        self._listener.settimeout(_LOOK_UP)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Tunnel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port and every connection through it."""
        self._ends.set()
        self._acceptor.join()
        self._listener.close()
        for end in self._open:
            with contextlib.suppress(OSError, EOFError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
            end.close()

    def _accept(self) -> None:
        while not self._ends.is_set():
            try:
                client, _address = self._listener.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                channel = self._connection.open_tcp(*self._to)
            except ConnectError:
                client.close()  # the client tells its user that the server hung up
                continue
            self._open += [client, channel]
            threading.Thread(target=_pump, args=(client, channel), daemon=True).start()
            threading.Thread(target=_pump, args=(channel, client), daemon=True).start()


@contextlib.contextmanager
def tunnelled(
    connection: SshConnection, source: t.Mapping[str, t.Any], name: str
) -> t.Iterator[tuple[dict[str, t.Any], t.Callable[[str], str]]]:
    """The connection options of a server as its host sees it, ``source``, turned into those of a tunnel to it; and what
    turns the tunnel's address in a message into the server's own, on the host called ``name``.

    Raises :class:`ConnectError` for what can't be reached through a tunnel.
    """
    host, given_port = str(source.get("login_host") or "localhost"), str(source.get("login_port") or 6379)
    _require_tunnelable(source, host, given_port)
    port = int(given_port)
    with Tunnel(connection, host, port) as tunnel:
        # A certificate is checked against login_host, so a name that means the loopback here too stays.
        here = host if host in _LOOPBACK else tunnel.host
        yield (
            {**source, "login_host": here, "login_port": tunnel.port},
            lambda text: text.replace(f"{here}:{tunnel.port}", f"{host}:{port} on {name}"),
        )


def _require_tunnelable(source: t.Mapping[str, t.Any], host: str, port: str) -> None:
    """Raise :class:`ConnectError` for what can't be reached through a tunnel."""
    if source.get("login_unix_socket"):
        raise ConnectError(
            f"The Unix socket {source['login_unix_socket']} of the source can't be reached from the control node",
            todo="Let the source listen on a port of its loopback too, and give source.login_host and source.login_port",
        )
    if not port.isdigit():
        raise ConnectError(f"source.login_port is no port: {port}")
    if _is_true(source.get("tls", False)) and _is_true(source.get("validate_certs", True)) and host not in _LOOPBACK:
        raise ConnectError(
            f"The TLS certificate of {host} can't be verified through an SSH tunnel, which ends at {Tunnel.host}",
            todo="Give source.login_host=localhost with a certificate that names it; or set source.validate_certs=false:"
            " the SSH connection has verified the host already",
        )


def _is_true(value: t.Any) -> bool:
    """As the module's own option has it, which is not read yet."""
    return bool(boolean(value, strict=False))


def _pump(source: socket.socket | paramiko.Channel, sink: socket.socket | paramiko.Channel) -> None:
    """Bytes one way, until their end, which is passed on; the other way may still be open."""
    with contextlib.suppress(OSError, EOFError):  # either side has gone: so goes the other
        while data := source.recv(_READ):
            sink.sendall(data)
    with contextlib.suppress(OSError, EOFError):
        sink.shutdown(socket.SHUT_WR)
