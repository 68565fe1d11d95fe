# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Servers: how to reach one, what it is, and its settings.

Everything here speaks RESP2: Redis 5 and older answer redis-py's RESP3 greeting with ``unknown command HELLO``.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import platform
import re
import socket
import ssl
import traceback
import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._errors import (
    ConnectError,
    MissingLibraryError,
    ReplyError,
    TairError,
)
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain, next_step

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


def connect(
    endpoint: Endpoint, *, db: int = 0, timeout: float | None = 60.0, allow_misconf: bool = False
) -> redis.Redis:
    """A client whose connection has been made and logged in.

    ``timeout``: seconds to wait for any one reply. ``allow_misconf``: for who only looks or sets parameters: a server
    that can't save to its disk refuses PING as it refuses writes, and takes everything else. Raises :class:`ConnectError`.
    """
    require_redis()
    options: dict[str, t.Any] = {
        "db": db,
        "username": endpoint.user or None,
        "password": endpoint.password or None,
        "socket_timeout": endpoint.connect_timeout,  # until it is logged in: the TLS handshake and the greeting, too
        "socket_connect_timeout": endpoint.connect_timeout,
        "retry": Retry(NoBackoff(), 0),
        "single_connection_client": True,
        "redis_connect_func": _greet,
    }
    options.update(_dialect())
    if endpoint.unix_socket:
        options["unix_socket_path"] = endpoint.unix_socket
    else:
        options.update(host=endpoint.host, port=endpoint.port, socket_keepalive=True)
    if endpoint.tls:
        options.update(
            ssl=True,
            ssl_cert_reqs="required" if endpoint.validate_certs else "none",
            ssl_check_hostname=endpoint.validate_certs,
            ssl_ca_certs=endpoint.ca_certs or None,
            ssl_certfile=endpoint.client_cert_file or None,
            ssl_keyfile=endpoint.client_key_file or None,
        )
    try:
        client = redis.Redis(**options)
        client.ping()
    except (redis.RedisError, OSError) as exc:
        if not (allow_misconf and str(exc).startswith("MISCONF")):
            raise connect_error(endpoint, exc) from exc
    connected_socket(client).settimeout(timeout)
    if client.connection is not None:
        client.connection.socket_timeout = timeout  # when it has to connect again
    return client


def _greet(connection: t.Any) -> None:
    """Log in, and wait for one answer at least.

    A TLS server sends its session tickets after the handshake, and redis-py takes what is there to be read before anything
    was asked for a fault. What is wrong with the answer the first command will tell.
    """
    connection.on_connect()
    with contextlib.suppress(redis.ResponseError):
        connection.send_command("PING", check_health=False)
        connection.read_response()


def _dialect() -> dict[str, t.Any]:
    """Options that redis-py has by version: to speak RESP2, and not to introduce itself, as there are proxies that hang up on that.

    Its version would not tell: a copy without its metadata calls itself 99.99.99.
    """
    known = inspect.signature(redis.Redis.__init__).parameters
    wanted = {"protocol": 2, "driver_info": None}
    if "driver_info" not in known:
        wanted.update(lib_name=None, lib_version=None)
    return {name: value for name, value in wanted.items() if name in known}


def connected_socket(client: redis.Redis) -> socket.socket:
    """The logged-in socket of a client made by :func:`connect`, for an engine that speaks the protocol itself.

    redis-py keeps it in a private attribute, the same in all versions from 4 to 8.
    """
    sock: socket.socket | None = getattr(client.connection, "_sock", None)
    if sock is None:
        raise MissingLibraryError(
            f"redis-py {redis.__version__} keeps its socket where this collection does not know it",
            todo="Use a redis-py release that the collection's README names, and report this",
        )
    return sock


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


def connect_error(endpoint: Endpoint, exc: Exception) -> ConnectError:
    """What a failed connection attempt means, in words for the person who has to mend it."""
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
    if isinstance(exc, redis.TimeoutError):
        return ConnectError(
            f"{endpoint} did not answer within {endpoint.connect_timeout:g} s",
            changed=nothing,
            todo="Check the address and the firewall between, on Tair that the address of "
            f"{_this_machine(endpoint)} is on the whitelist"
            + ("; if this port does not speak TLS, set tls=false" if endpoint.tls else ""),
        )
    if isinstance(exc, redis.ConnectionError) and re.search(r"closed|reset|broken pipe", text, re.IGNORECASE):
        hint = "" if endpoint.tls else "; if it is a TLS port, set tls=true"
        return ConnectError(
            f"{endpoint} closed the connection before answering: {text}",
            changed=nothing,
            todo=f"Look at the server's log, and at the whitelist if it is a Tair instance{hint}",
        )
    return LoginRefusedError(
        f"{endpoint} refused to log in: {explain(text)}", text, changed=nothing, todo=next_step(text)
    )


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
    """Turn redis-py's errors while ``doing`` something into ours, with the server's name and the next step."""
    try:
        yield
    except redis.ResponseError as exc:
        text = str(exc)
        raise ReplyError(f"{endpoint} answered {explain(text)} while {doing}", todo=next_step(text)) from exc
    except redis.RedisError as exc:
        # redis-py gives replies such as NOAUTH, NOPERM, LOADING and READONLY classes of their own.
        text = str(exc)
        raise ConnectError(
            f"The connection to {endpoint} failed while {doing}: {explain(text)}", todo=next_step(text)
        ) from exc


class ConfigForbiddenError(ReplyError):
    """CONFIG is renamed on this server, or this user may not run it."""


def config_get(client: redis.Redis, endpoint: Endpoint, name: str) -> str | None:
    """The value of one parameter, or None where this version lacks it; bytes that are not UTF-8 as surrogates.

    Raises :class:`ConfigForbiddenError`.
    """
    try:
        with speaking_to(endpoint, f"reading the parameter {name}"):
            reply: list[bytes] = client.execute_command(endpoint.command("CONFIG"), "GET", name)
    except TairError as exc:
        raise _config_forbidden(endpoint, exc, "read") from exc
    texts = [part.decode("utf-8", "surrogateescape") for part in reply]
    return dict(zip(texts[::2], texts[1::2])).get(name)


def config_set(client: redis.Redis, endpoint: Endpoint, name: str, value: str) -> None:
    """Set one parameter. Raises :class:`ConfigForbiddenError`, or :class:`ReplyError` with the server's reason."""
    try:
        with speaking_to(endpoint, f"setting {name} to '{value}'"):
            client.execute_command(endpoint.command("CONFIG"), "SET", name, value.encode("utf-8", "surrogateescape"))
    except TairError as exc:
        raise _config_forbidden(endpoint, exc, "set") from exc


def _config_forbidden(endpoint: Endpoint, exc: TairError, verb: str) -> TairError:
    if not re.search(r"unknown command|NOPERM|no permissions", exc.what, re.IGNORECASE):
        return exc
    return ConfigForbiddenError(
        f"{exc.what}: CONFIG is renamed or forbidden here, so parameters can't be {verb}",
        todo="Give a user that may run CONFIG (ACL: +config), or the name that rename-command gave it: renamed_commands",
    )
