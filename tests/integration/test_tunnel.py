# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``keyspace_compare`` of a host behind SSH: a real sshd, real servers, the tunnel between."""

from __future__ import annotations

import shlex
import threading
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import resolve
from ansible_collections.redisops.tair.plugins.plugin_utils._tunnel import Tunnel
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host, run_playbook
from ansible_collections.redisops.tair.tests.support.certs import issue
from ansible_collections.redisops.tair.tests.support.processes import free_port
from ansible_collections.redisops.tair.tests.support.servers import RESP2, Server
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

Vars = t.Dict[str, t.Any]
StartServer = t.Callable[..., Server]
StartSshd = t.Callable[..., Sshd]


@pytest.fixture
def sshd(start_sshd: StartSshd) -> Sshd:
    """One that logs the connections made through it."""
    return start_sshd(options={"LogLevel": "DEBUG1"})


def compare(host: Vars, target: Vars, source: Vars, **task: t.Any) -> PlaybookRun:
    module = {**target, "source": source}
    play = {"hosts": "redis", "gather_facts": False, "tasks": [{"redisops.tair.keyspace_compare": module, **task}]}
    return run_playbook([play], {"redis1": host}, timeout=120)


def failure(run: PlaybookRun) -> str:
    assert run.returncode != 0 and "Traceback" not in run.output, run.output
    message: str = run.failures()[0]["result"]["msg"]
    return message


def tunnelled(sshd: Sshd, port: int) -> bool:
    return f"target 127.0.0.1 port {port}" in sshd.log or f"target localhost port {port}" in sshd.log


def test_a_source_behind_ssh_is_compared_from_the_control_node(start_server: StartServer, sshd: Sshd) -> None:
    source = start_server("redis-6.2.14", password="of the source")
    target = start_server("redis-7.0.15", password="of the target")
    for server in (source, target):
        server.client(db=2).mset({f"key:{n}": "v" * 100 for n in range(5000)})

    same = compare(sshd.inventory_vars(), target.login(), source.login())

    assert same.returncode == 0, same.output
    result = same.result("keyspace_compare")
    assert result["equal"] and result["compared"] == 5000
    assert f"127.0.0.1:{source.port} on redis1" in result["summary"]
    assert tunnelled(sshd, source.port) and not tunnelled(sshd, target.port)
    assert "of the source" not in same.output + sshd.log

    target.client(db=2).delete("key:17")
    other = compare(sshd.inventory_vars(), target.login(), source.login()).result("keyspace_compare")
    assert not other["equal"] and other["missing"] == 1 and other["differences"][0]["key"] == "key:17"


def test_privileges_of_the_play_stay_on_the_host(start_server: StartServer, sshd: Sshd) -> None:
    source, target = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    run = compare(sshd.inventory_vars(), target.login(), source.login(), become=True, become_user="nobody")
    assert run.returncode == 0, run.output


def test_a_local_or_delegated_task_has_no_tunnel(start_server: StartServer, sshd: Sshd) -> None:
    source, target = start_server("redis-7.0.15"), start_server("redis-7.0.15")
    local = compare(local_host(), target.login(), source.login())
    assert local.result("keyspace_compare")["equal"], local.output
    delegated = compare(
        sshd.inventory_vars(),
        target.login(),
        source.login(),
        delegate_to="localhost",
        vars={"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
    )
    assert delegated.result("keyspace_compare")["equal"], delegated.output
    assert "Accepted" not in sshd.log


def test_a_tls_certificate_is_verified_through_the_tunnel(
    start_server: StartServer, sshd: Sshd, tmp_path: Path
) -> None:
    source, target = start_server("redis-7.0.15", certificate=issue(tmp_path / "good")), start_server("redis-7.0.15")
    for name in ("127.0.0.1", "localhost"):
        run = compare(sshd.inventory_vars(), target.login(), {**source.login(), "login_host": name})
        assert run.returncode == 0 and run.result("keyspace_compare")["equal"], run.output

    stranger = {**source.login(), "ca_certs": str(issue(tmp_path / "other").ca_file)}
    assert "certificate" in failure(compare(sshd.inventory_vars(), target.login(), stranger))

    named = {**source.login(), "login_host": "redis1.internal"}
    message = failure(compare(sshd.inventory_vars(), target.login(), named))
    assert "The TLS certificate of redis1.internal can't be verified through an SSH tunnel" in message


def test_what_can_not_be_tunnelled_is_told_with_what_to_do(start_server: StartServer, start_sshd: StartSshd) -> None:
    target, sshd = start_server("redis-7.0.15"), start_sshd()
    port = free_port()

    closed = failure(compare(sshd.inventory_vars(), target.login(), {"login_port": port}))
    assert f"{sshd.user}@127.0.0.1:{sshd.port} can't connect to localhost:{port}" in closed

    unix = failure(compare(sshd.inventory_vars(), target.login(), {"login_unix_socket": "/run/redis.sock"}))
    assert "Unix socket /run/redis.sock" in unix and "source.login_port" in unix

    assert "is no port" in failure(compare(sshd.inventory_vars(), target.login(), {"login_port": "http"}))

    forbidding = start_sshd(options={"AllowTcpForwarding": "no"})
    forbidden = failure(compare(forbidding.inventory_vars(), target.login(), target.login()))
    assert "forbids connections through it" in forbidden and "AllowTcpForwarding" in forbidden


@pytest.fixture
def connection(sshd: Sshd) -> t.Iterator[SshConnection]:
    arguments = ["-p", str(sshd.port), "-l", sshd.user, "-i", str(sshd.key_file)]
    arguments += shlex.split(sshd.inventory_vars()["ansible_ssh_common_args"])
    with SshConnection(resolve("ssh", arguments, sshd.host)) as made:
        yield made


def test_a_tunnel_carries_several_connections_and_large_replies(
    start_server: StartServer, connection: SshConnection
) -> None:
    server = start_server("redis-7.0.15")
    large = bytes(range(256)) * 40_000
    with Tunnel(connection, server.host, server.port) as tunnel:
        clients = [redis.Redis(tunnel.host, tunnel.port, **RESP2) for _client in range(5)]
        threads = [
            threading.Thread(target=client.set, args=(f"key:{n}", large + bytes([n])))
            for n, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(clients[0].get(f"key:{n}") == large + bytes([n]) for n in range(5))
        for client in clients:
            client.close()
    with pytest.raises(redis.ConnectionError):
        redis.Redis(tunnel.host, tunnel.port, **RESP2).ping()


def test_a_cut_ssh_connection_ends_the_connections_through_it(
    start_server: StartServer, sshd: Sshd, connection: SshConnection
) -> None:
    server = start_server("redis-7.0.15")
    with Tunnel(connection, server.host, server.port) as tunnel:
        client = redis.Redis(tunnel.host, tunnel.port, **RESP2, socket_timeout=20)
        client.ping()
        sshd.kill_connections()
        with pytest.raises(redis.ConnectionError):
            client.ping()


def test_a_server_that_has_gone_is_an_ended_connection(start_server: StartServer, connection: SshConnection) -> None:
    server = start_server("redis-7.0.15")
    with Tunnel(connection, server.host, server.port) as tunnel:
        server.stop()
        with pytest.raises(redis.ConnectionError):
            redis.Redis(tunnel.host, tunnel.port, **RESP2, socket_timeout=20).ping()
    with pytest.raises(ConnectError, match="nothing listens there"):
        Tunnel(connection, server.host, server.port)
