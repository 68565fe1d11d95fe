# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Servers: how to reach one, what it is, and its settings.

Everything here speaks RESP2, which all servers know.
"""

from __future__ import annotations

import contextlib
import errno
import platform
import re
import socket
import ssl
import traceback
import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._bounds import SMALL_REPLY, ReplyStream
from ansible_collections.redisops.tair.plugins.module_utils._errors import (
    ConnectError,
    MissingLibraryError,
    NoRedisError,
    ReplyError,
    TairError,
)
from ansible_collections.redisops.tair.plugins.module_utils._info import parse_info
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain, next_step
from ansible_collections.redisops.tair.plugins.module_utils._resp import BadReply, ErrorReply, Reply, encode

MINIMUM_REDIS_PY = "4.5.0"  # documented in doc_fragments/_redis.py too

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError:
    redis = None  # type: ignore[assignment]
    REDIS_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    REDIS_IMPORT_ERROR = None


@dataclass(frozen=True)
class Endpoint:
    """Where a server is and how to log in. Never printed whole: it holds the password."""

    host: str = "localhost"
    port: int = 6379
    user: str = ""
    password: str = ""
    unix_socket: str = ""
    tls: bool = False
    validate_certs: bool = True
    ca_certs: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""
    connect_timeout: float = 10.0
    renamed_commands: t.Mapping[str, str] = field(default_factory=dict)
    """What ``rename-command`` in its configuration file calls a command; as secret as a password."""

    @classmethod
    def from_params(cls, params: dict[str, t.Any]) -> Endpoint:
        """From a module's parameters (the names of the argument spec: ``login_host`` and so on)."""
        return cls(
            host=params["login_host"],
            port=params["login_port"],
            user=params["login_user"] or "",
            password=params["login_password"] or "",
            unix_socket=params["login_unix_socket"] or "",
            tls=params["tls"],
            validate_certs=params["validate_certs"],
            ca_certs=params["ca_certs"] or "",
            client_cert_file=params["client_cert_file"] or "",
            client_key_file=params["client_key_file"] or "",
            connect_timeout=params["connect_timeout"],
            # Only the modules for a source have this option. One that is not given is None.
            renamed_commands={name: new for name, new in (params.get("renamed_commands") or {}).items() if new},
        )

    def command(self, name: str) -> str:
        """What this server calls a command."""
        return self.renamed_commands.get(name, name)

    @property
    def reply_timeout(self) -> float:
        """Seconds that a reply may take where nothing else is said."""
        return 6 * self.connect_timeout

    def __str__(self) -> str:
        if self.unix_socket:
            return self.unix_socket
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    __repr__ = __str__


def require_redis() -> None:
    """Raise :class:`MissingLibraryError` unless a redis-py that we can work with is installed."""
    if REDIS_IMPORT_ERROR is not None:
        raise MissingLibraryError(
            missing_required_lib("redis", reason="to talk to the servers"),
            exception=REDIS_IMPORT_ERROR,
            missing_library="redis",  # the action plugins bring it along then
            python_version=platform.python_version(),
        )
    if LooseVersion(redis.__version__) < LooseVersion(MINIMUM_REDIS_PY):
        raise MissingLibraryError(
            f"redis-py {redis.__version__} is too old: {MINIMUM_REDIS_PY} or newer is needed",
            todo="Upgrade it (pip install --upgrade redis) for the Python that runs this module",
            missing_library="redis",
            python_version=platform.python_version(),
        )


class Client:
    """A connection that is logged in, for one request at a time; ``timeout``: seconds for its reply, see :class:`ReplyStream`.

    Its methods raise :class:`ErrorReply` for an error reply, :class:`BadReply` for what is no reply, and :class:`OSError`;
    :func:`speaking_to` makes errors for people of them. redis-py connects and speaks TLS; it never reads a reply.
    """

    def __init__(self, endpoint: Endpoint, connection: t.Any, *, timeout: float) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._connection = connection  # keeps the socket open
        self.socket = _socket_of(connection)
        self.replies = ReplyStream(self.socket, timeout=endpoint.connect_timeout, limit=SMALL_REPLY)

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(Exception):  # whatever redis-py or the peer makes of it: there is nothing to be done
            self._connection.disconnect()

    def execute_command(self, *command: str | bytes | int) -> Reply:
        """Send a command and return its reply. A text of two words is the name of a command and of its subcommand."""
        words = [str(command[0]).split() if isinstance(command[0], str) else [command[0]], command[1:]]
        encoded = encode(
            word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")
            for some in words
            for word in some
        )
        self.socket.settimeout(self.replies.timeout)
        self.socket.sendall(encoded)
        (reply,) = self.replies.receive(1)
        self.replies.nothing_more()
        if isinstance(reply, ErrorReply):
            raise reply
        return reply

    def ping(self) -> None:
        """Ask for an answer, whatever it is."""
        self.execute_command("PING")

    def info(self, *sections: str) -> dict[str, t.Any]:
        """Return what INFO says, see :func:`parse_info`."""
        reply = self.execute_command("INFO", *sections)
        if not isinstance(reply, bytes):
            raise BadReply("its reply to INFO is no text")
        return parse_info(reply)


def connect(endpoint: Endpoint, *, timeout: float | None = None, allow_misconf: bool = False) -> Client:
    """Return a connection that has been made and logged in.

    ``timeout``: seconds to wait for any one reply, see :attr:`Endpoint.reply_timeout`. ``allow_misconf``: for who only
    looks or sets parameters: a server that can't save to its disk refuses PING as it refuses writes, and takes
    everything else. Raises :class:`ConnectError`.
    """
    require_redis()
    client: Client | None = None
    try:
        connection = _connection(endpoint)
        connection.connect()
        client = Client(endpoint, connection, timeout=timeout or endpoint.reply_timeout)
        _log_in(client, endpoint)
        client.ping()
    except (redis.RedisError, OSError, BadReply, ErrorReply) as exc:
        if client is None or not (allow_misconf and str(exc).startswith("MISCONF")):
            first = client.replies.first if client is not None else b""
            if client is not None:
                client.close()
            raise connect_error(endpoint, exc, first) from exc
    client.replies.timeout = client.timeout
    client.socket.settimeout(client.timeout)
    return client


def _connection(endpoint: Endpoint) -> t.Any:
    """redis-py's connection to a server, not connected. It does not log in and does not introduce itself."""
    options: dict[str, t.Any] = {
        "socket_timeout": endpoint.connect_timeout,  # the TLS handshake, too
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": lambda _connection: None,
    }
    if endpoint.unix_socket:
        unix: t.Any = redis.UnixDomainSocketConnection
        return unix(path=endpoint.unix_socket, **options)
    options.update(
        host=endpoint.host,
        port=endpoint.port,
        socket_keepalive=True,
        socket_connect_timeout=endpoint.connect_timeout,
    )
    if not endpoint.tls:
        return redis.Connection(**options)
    return redis.SSLConnection(
        ssl_cert_reqs="required" if endpoint.validate_certs else "none",
        ssl_check_hostname=endpoint.validate_certs,
        ssl_ca_certs=endpoint.ca_certs or None,
        ssl_certfile=endpoint.client_cert_file or None,
        ssl_keyfile=endpoint.client_key_file or None,
        **options,
    )


def _log_in(client: Client, endpoint: Endpoint) -> None:
    """Give user and password. Redis before 6 knows no users: there the password alone has to do."""
    if not (endpoint.user or endpoint.password):
        return
    try:
        client.execute_command("AUTH", *([endpoint.user] if endpoint.user else []), endpoint.password)
    except ErrorReply as exc:
        if not endpoint.user or "wrong number of arguments" not in str(exc):
            raise
        client.execute_command("AUTH", endpoint.password)


def _socket_of(connection: t.Any) -> socket.socket:
    """The socket of redis-py's connection: in a private attribute, the same in all versions from 4 to 8."""
    sock: socket.socket | None = getattr(connection, "_sock", None)
    if sock is None:
        raise MissingLibraryError(
            f"redis-py {redis.__version__} keeps its socket where this collection does not know it",
            todo="Use a redis-py release that the collection's README names, and report this",
        )
    return sock


def connected_socket(client: Client) -> socket.socket:
    """The logged-in socket of a client made by :func:`connect`, for an engine that speaks the protocol itself."""
    return client.socket


#: Where exceptions have the words for a person, the best first.
_SAID = ("verify_message", "reason", "strerror")
#: Causes of a failed connection, what they mean ("said" is what the cause says), and what to do. The first that fits counts.
_MEANINGS: t.Sequence[tuple[type[Exception], str, str]] = (
    (
        ssl.SSLCertVerificationError,
        "The TLS certificate of {endpoint} was not accepted: {said}",
        "Give the CA that signed it in ca_certs (Tair: ApsaraDB-CA-Chain.pem), and the host name that it is for",
    ),
    (
        ssl.SSLError,
        "{endpoint} does not speak TLS on this port, or no version of it in common: {said}",
        "Set tls=false for a port without TLS, or give the instance's TLS port",
    ),
    (socket.gaierror, "The name {endpoint.host} can't be resolved: {said}", "Check login_host"),
    (
        ConnectionRefusedError,
        "{endpoint} refuses the connection: nothing listens there",
        "Check login_host and login_port, and that the server runs and listens on this address",
    ),
    (
        FileNotFoundError,
        "A file is missing to connect to {endpoint}: {cause}",
        "Check login_unix_socket, ca_certs, client_cert_file and client_key_file",
    ),
)


def connect_error(endpoint: Endpoint, exc: Exception, first: bytes = b"") -> ConnectError:
    """What a failed connection attempt means, in words for the person who has to fix it.

    ``first``: the beginning of what the server sent, if it sent anything.
    """
    nothing = f"Nothing was changed on {endpoint}"
    text = str(exc)
    for cause in _chain(exc):
        for kind, what, todo in _MEANINGS:
            if isinstance(cause, kind):
                said = next((said for name in _SAID if (said := getattr(cause, name, None))), cause)
                return ConnectError(what.format(endpoint=endpoint, said=said, cause=cause), changed=nothing, todo=todo)
        if isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return ConnectError(
                f"There is no way to {endpoint} from {_this_machine(endpoint)}: {cause.strerror}",
                changed=nothing,
                todo="Check login_host, and the routes and the firewall between",
            )
    if "illegal address" in text:  # Tair's own
        return ConnectError(
            f"{endpoint} refused to log in: {explain(text)}",
            changed=nothing,
            todo=f"Add the address of {_this_machine(endpoint)} to the instance's IP whitelist (console: Whitelist Settings), then run again",
        )
    if isinstance(exc, BadReply):
        what, todo = _not_redis(first, endpoint)
        return NoRedisError(f"{endpoint} is {what}: {exc}", changed=nothing, todo=todo)
    if isinstance(exc, (redis.TimeoutError, socket.timeout)):
        return ConnectError(
            f"{endpoint} did not answer within {endpoint.connect_timeout:g} s",
            changed=nothing,
            todo="Check the address and the firewall between, on Tair that the address of "
            f"{_this_machine(endpoint)} is on the whitelist"
            + ("; if this port does not speak TLS, set tls=false" if endpoint.tls else ""),
        )
    if isinstance(exc, (redis.ConnectionError, OSError)):
        hint = "" if endpoint.tls else "; if it is a TLS port, set tls=true"
        return ConnectError(
            f"{endpoint} closed the connection before answering: {getattr(exc, 'strerror', None) or text}",
            changed=nothing,
            todo=f"Look at the server's log, and at the whitelist if it is a Tair instance{hint}",
        )
    return LoginRefusedError(
        f"{endpoint} refused to log in: {explain(text)}", text, changed=nothing, todo=next_step(text)
    )


#: What other servers begin with when they are spoken to as Redis is, or before they are.
_OTHER_SERVERS: t.Sequence[tuple[re.Pattern[bytes], str]] = (
    (re.compile(rb"HTTP/|<(?:!doctype|html)", re.IGNORECASE), "a web server (HTTP)"),
    (re.compile(rb"SSH-"), "an SSH server"),
    (re.compile(rb"(?:CLIENT_|SERVER_)?ERROR\b"), "a memcached server"),
    (re.compile(rb"...\x00(?:\x0a|\xff)", re.DOTALL), "a MySQL or MariaDB server"),
    (re.compile(rb"E\x00\x00\x00|R\x00\x00\x00"), "a PostgreSQL server"),
    (re.compile(rb"220[ -]"), "a mail or FTP server"),
)
_TLS_RECORD = re.compile(rb"[\x15\x16]\x03[\x00-\x04]")


def _not_redis(first: bytes, endpoint: Endpoint) -> tuple[str, str]:
    """What a server looks like that does not speak the protocol, and what to do."""
    if _TLS_RECORD.match(first) and not endpoint.tls:
        return "a port that speaks TLS", "Set tls=true, and ca_certs"
    todo = "Check login_host and login_port: no Redis server answers there"
    for pattern, name in _OTHER_SERVERS:
        if pattern.match(first):
            return f"{name}, not a Redis server", todo
    return "not a Redis server, or a broken one", todo


class LoginRefusedError(ConnectError):
    """The server was reached, and answered ``reply`` instead of letting us in."""

    def __init__(self, what: str, reply: str, *, changed: str, todo: str) -> None:
        super().__init__(what, changed=changed, todo=todo)
        self.reply = reply


def _this_machine(endpoint: Endpoint) -> str:
    """Where this runs, be it the control node or a source host, and the address that it sends from to the server."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        family, kind, _protocol, _name, address = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # chooses a route, and sends nothing
            return f"{name} ({probe.getsockname()[0]}, if nothing translates it on the way)"
    return name


def _chain(exc: BaseException | None) -> list[BaseException]:
    """The exception, its causes and its contexts: redis-py wraps the operating system's errors."""
    chain: list[BaseException] = []
    while exc is not None and exc not in chain:
        chain.append(exc)
        exc = exc.__cause__ or exc.__context__
    return chain


@contextlib.contextmanager
def speaking_to(endpoint: Endpoint, doing: str) -> t.Iterator[None]:
    """Turn the errors of a :class:`Client` while ``doing`` something into ours, with the server's name and the next step."""
    try:
        yield
    except ErrorReply as exc:
        text = str(exc)
        raise ReplyError(f"{endpoint} answered {explain(text)} while {doing}", todo=next_step(text)) from exc
    except BadReply as exc:
        raise NoRedisError(
            f"{endpoint} does not answer as a Redis server does, while {doing}: {exc}",
            todo="Check that this is a Redis server and nothing else, and look at its log",
        ) from exc
    except socket.timeout as exc:
        raise NoRedisError(
            f"{endpoint} has not answered in time while {doing}",
            todo="Look at the server's log and load, and at the network between, then run again",
        ) from exc
    except OSError as exc:
        raise ConnectError(f"The connection to {endpoint} failed while {doing}: {exc.strerror or exc}") from exc


class ConfigForbiddenError(ReplyError):
    """CONFIG is renamed on this server, or this user may not run it."""


def config_get(client: Client, endpoint: Endpoint, name: str) -> str | None:
    """The value of one parameter, or None where this version lacks it; bytes that are not UTF-8 as surrogates.

    Raises :class:`ConfigForbiddenError`.
    """
    try:
        with speaking_to(endpoint, f"reading the parameter {name}"):
            reply = client.execute_command(endpoint.command("CONFIG"), "GET", name)
            if not isinstance(reply, list) or len(reply) % 2 or not all(isinstance(part, bytes) for part in reply):
                raise BadReply("its reply to CONFIG GET is no list of names and values")
    except TairError as exc:
        raise _config_forbidden(endpoint, exc, "read") from exc
    texts = [part.decode("utf-8", "surrogateescape") for part in reply]
    return dict(zip(texts[::2], texts[1::2])).get(name)


def config_set(client: Client, endpoint: Endpoint, name: str, value: str) -> None:
    """Set one parameter. Raises :class:`ConfigForbiddenError`, or :class:`ReplyError` with the server's reason."""
    try:
        with speaking_to(endpoint, f"setting {name} to '{value}'"):
            if client.execute_command(endpoint.command("CONFIG"), "SET", name, value) != b"OK":
                raise BadReply("its reply to CONFIG SET is not OK")
    except TairError as exc:
        raise _config_forbidden(endpoint, exc, "set") from exc


def _config_forbidden(endpoint: Endpoint, exc: TairError, verb: str) -> TairError:
    if not re.search(r"unknown command|NOPERM|no permissions", exc.what, re.IGNORECASE):
        return exc
    return ConfigForbiddenError(
        f"{exc.what}: CONFIG is renamed or forbidden here, so parameters can't be {verb}",
        todo="Give a user that may run CONFIG (ACL: +config), or the name that rename-command gave it: renamed_commands",
    )
