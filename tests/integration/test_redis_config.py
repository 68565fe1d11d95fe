# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import socket
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host
from ansible_collections.redisops.tair.tests.support.answering_proxy import AnsweringProxy
from ansible_collections.redisops.tair.tests.support.certs import issue
from ansible_collections.redisops.tair.tests.support.processes import free_port
from ansible_collections.redisops.tair.tests.support.servers import Build, Server
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

StartServer = t.Callable[..., Server]
Result = t.Dict[str, t.Any]
RunModule = t.Callable[..., Result]

LOG_EVERY_COMMAND = {"slowlog-log-slower-than": 0}
#: What the first run of the migration sets; none of it is the default of a server in these tests.
WANTED = {"aof-use-rdb-preamble": False, "auto-aof-rewrite-percentage": 0, "appendonly": True}


@pytest.fixture
def configure(run_module: RunModule) -> RunModule:
    """``configure(server, settings, ...)``: what redis_config returns."""

    def run(server: Server, settings: dict[str, t.Any], *, check: bool = False, **options: t.Any) -> Result:
        return run_module("redis_config", {**server.login(), "settings": settings, **options}, check=check, diff=True)

    return run


def values(server: Server, *names: str) -> list[str]:
    client = server.client(decode_responses=True)
    return [str(client.config_get(name)[name]) for name in names]


def settings_made(server: Server) -> list[str]:
    """The names that CONFIG SET was called with, in order."""
    commands = [entry["command"].decode().split() for entry in server.client().slowlog_get(100)]
    return [words[2] for words in reversed(commands) if [word.upper() for word in words[:2]] == ["CONFIG", "SET"]]


def test_settings_are_made_in_the_order_given_and_only_those_that_differ(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build, {**LOG_EVERY_COMMAND, "auto-aof-rewrite-percentage": 0})
    result = configure(server, WANTED)
    assert result["changed"]
    assert settings_made(server) == ["aof-use-rdb-preamble", "appendonly"]
    assert values(server, *WANTED) == ["no", "0", "yes"]
    assert result["settings"] == {"aof-use-rdb-preamble": "no", "auto-aof-rewrite-percentage": "0", "appendonly": "yes"}


def test_a_second_run_changes_nothing(any_build: Build, start_server: StartServer, configure: RunModule) -> None:
    server = start_server(any_build)
    assert configure(server, WANTED)["changed"]
    server.client().config_set("slowlog-log-slower-than", 0)
    server.client().slowlog_reset()
    again = configure(server, WANTED)
    assert not again["changed"]
    assert settings_made(server) == []
    assert again["diff"]["before"] == again["diff"]["after"] == {}
    assert again["previous"] == again["settings"]


def test_check_mode_predicts_the_run_and_changes_nothing(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build)
    before = values(server, *WANTED)
    predicted = configure(server, WANTED, check=True)
    assert values(server, *WANTED) == before
    done = configure(server, WANTED)
    for key in ("changed", "settings", "previous", "missing", "diff"):
        assert predicted[key] == done[key], key


def test_the_diff_shows_what_changes_and_nothing_else(start_server: StartServer, configure: RunModule) -> None:
    server = start_server("redis-7.0.15")
    diff = configure(server, {"appendonly": True, "maxmemory": "0", "maxmemory-policy": "volatile-lru"})["diff"]
    assert diff["before"] == {"appendonly": "no", "maxmemory-policy": "noeviction"}
    assert diff["after"] == {"appendonly": "yes", "maxmemory-policy": "volatile-lru"}
    assert diff["before_header"] == diff["after_header"] == str(server)


def test_previous_undoes_the_changes_last_one_first(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build, LOG_EVERY_COMMAND)
    before = values(server, *WANTED)
    previous = configure(server, WANTED)["previous"]
    assert list(previous) == list(reversed(WANTED))
    server.wait_for_rewrite()
    server.client().slowlog_reset()
    assert configure(server, previous)["changed"]
    assert settings_made(server) == list(reversed(WANTED))
    assert values(server, *WANTED) == before


def test_memory_sizes_are_compared_in_bytes(any_build: Build, start_server: StartServer, configure: RunModule) -> None:
    server = start_server(any_build, {"auto-aof-rewrite-min-size": "64mb"})
    assert not configure(server, {"auto-aof-rewrite-min-size": "64mb"})["changed"]
    assert not configure(server, {"auto-aof-rewrite-min-size": 67108864})["changed"]
    assert configure(server, {"auto-aof-rewrite-min-size": "65mb"})["changed"]
    assert values(server, "auto-aof-rewrite-min-size") == [str(65 * 2**20)]


def test_a_parameter_that_the_server_lacks_stops_it_before_anything_is_set(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build)
    result = configure(server, {"appendonly": True, "aof-use-no-preamble": True})
    assert result["failed"]
    assert f"{server} has no parameter aof-use-no-preamble. Nothing was changed" in result["msg"]
    assert values(server, "appendonly") == ["no"]


def test_a_parameter_that_the_server_lacks_can_be_left_out(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build)
    result = configure(server, {"aof-use-no-preamble": True, "appendonly": True}, missing="ignore")
    assert not result["failed"]
    assert result["missing"] == ["aof-use-no-preamble"]
    assert result["settings"] == {"appendonly": "yes"}
    assert values(server, "appendonly") == ["yes"]


def test_when_a_setting_is_refused_the_ones_before_it_are_put_back(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build)
    result = configure(
        server,
        {"maxmemory-policy": "allkeys-lru", "appendonly": True, "appendfsync": "now and then", "maxmemory": "1gb"},
    )
    assert result["failed"]
    assert "setting appendfsync to 'now and then'" in result["msg"]
    assert f"Nothing is changed on {server} (maxmemory-policy, appendonly put back)" in result["msg"]
    assert values(server, "maxmemory-policy", "appendonly", "appendfsync", "maxmemory") == [
        "noeviction",
        "no",
        "everysec",
        "0",
    ]


def test_a_parameter_that_can_only_be_read_is_refused_with_the_servers_reason(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build)
    result = configure(server, {"appendfilename": "other.aof"})
    assert result["failed"]
    assert "setting appendfilename to 'other.aof'" in result["msg"]
    assert f"Nothing is changed on {server}" in result["msg"]


def test_a_renamed_config_command_is_named_as_the_reason(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build, {"rename-command": ['CONFIG "b840fc02"']})
    result = configure(server, {"appendonly": True})
    assert result["failed"]
    assert "CONFIG is renamed or forbidden here" in result["msg"]
    assert "renamed_commands" in result["msg"]
    assert server.client().execute_command("b840fc02", "GET", "appendonly") == [b"appendonly", b"no"]


def test_config_is_called_by_the_name_that_it_has_been_given_and_nobody_is_told_it(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build, {"rename-command": ['CONFIG "b840fc02"']})

    done = configure(server, {"appendonly": True}, renamed_commands={"CONFIG": "b840fc02"})
    refused = configure(server, {"appendfilename": "other.aof"}, renamed_commands={"CONFIG": "b840fc02"})
    wrong = configure(server, {"appendonly": False}, renamed_commands={"CONFIG": "b840fc03"})

    assert done["changed"] and done["previous"] == {"appendonly": "no"}
    assert server.client().execute_command("b840fc02", "GET", "appendonly") == [b"appendonly", b"yes"]
    assert refused["failed"] and wrong["failed"] and "CONFIG is renamed or forbidden here" in wrong["msg"]
    assert "b840fc0" not in f"{done}{refused}{wrong}"


def test_only_the_commands_that_a_source_has_to_run_can_have_other_names(
    start_server: StartServer, configure: RunModule
) -> None:
    result = configure(start_server("redis-7.0.15"), {"appendonly": True}, renamed_commands={"FLUSHALL": "x"})

    assert result["failed"] and "FLUSHALL" in result["msg"] and "BGREWRITEAOF, CONFIG" in result["msg"]


def test_a_user_that_may_not_run_config_is_told_so(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build, {"user": ["default on nopass ~* &* +@all", "reader on >word ~* &* +@all -config"]})
    result = configure(server, {"appendonly": True}, login_user="reader", login_password="word")
    assert result["failed"]
    assert "CONFIG is renamed or forbidden here" in result["msg"]
    assert "+config" in result["msg"]
    assert values(server, "appendonly") == ["no"]


def test_a_user_that_may_only_read_the_configuration_changes_nothing(
    start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(
        "redis-7.0.15", {"user": ["default on nopass ~* &* +@all", "reader on >word ~* &* +@all -config +config|get"]}
    )
    result = configure(server, {"appendonly": True}, login_user="reader", login_password="word")
    assert result["failed"]
    assert "parameters can't be set" in result["msg"]
    assert values(server, "appendonly") == ["no"]


def test_a_named_user_logs_in_with_its_password(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build, {"user": ["default off", "operator on >word ~* &* +@all"]})
    result = configure(server, {"appendonly": True}, login_user="operator", login_password="word")
    assert not result["failed"]
    assert result["changed"]


# ------------------------------------------------------------------------------ servers that can't be talked to


@pytest.mark.parametrize(
    ("password", "given", "reason", "todo"),
    [
        ("s3cr3t", "n0t-th1s", "the user or the password is wrong", "Check login_user and login_password"),
        ("s3cr3t", "", "the server wants a password and none was given", "Set login_password"),
    ],
    ids=["wrong", "none"],
)
def test_a_password_that_does_not_fit_is_told_and_never_shown(
    any_build: Build, start_server: StartServer, configure: RunModule, password: str, given: str, reason: str, todo: str
) -> None:
    server = start_server(any_build, password=password)
    result = configure(server, {"appendonly": True}, login_password=given)
    assert result["failed"]
    assert reason in result["msg"]
    assert todo in result["msg"]
    assert f"Nothing was changed on {server}" in result["msg"]
    assert "s3cr3t" not in str(result)
    assert "n0t-th1s" not in str(result)


def test_a_password_for_a_server_without_one_is_told(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build)
    result = configure(server, {"appendonly": True}, login_password="superfluous")
    assert result["failed"]
    assert "a password was given, and the server has none" in result["msg"]
    assert "superfluous" not in str(result)


def test_a_port_where_nothing_listens_is_told(run_module: RunModule) -> None:
    port = free_port()
    result = run_module(
        "redis_config", {"login_host": "127.0.0.1", "login_port": port, "settings": {"appendonly": True}}
    )
    assert result["failed"]
    assert f"127.0.0.1:{port} refuses the connection: nothing listens there" in result["msg"]


def test_a_name_that_nobody_knows_is_told(run_module: RunModule) -> None:
    result = run_module("redis_config", {"login_host": "no-such-host.invalid", "settings": {"appendonly": True}})
    assert result["failed"]
    assert "The name no-such-host.invalid can't be resolved" in result["msg"]
    assert "Check login_host" in result["msg"]


def test_a_server_that_hangs_does_not_hang_the_module(start_server: StartServer, configure: RunModule) -> None:
    server = start_server("redis-6.2.14")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        result = configure(server, {"appendonly": True}, connect_timeout=0.5, tls=True)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert result["failed"]
    assert f"{server} did not answer within 0.5 s" in result["msg"]


def test_tls_to_a_port_that_does_not_speak_it_is_told(start_server: StartServer, configure: RunModule) -> None:
    server = start_server("redis-7.0.15")
    result = configure(server, {"appendonly": True}, tls=True, connect_timeout=2)
    assert result["failed"]
    assert "set tls=false" in result["msg"]


def test_no_tls_to_a_port_that_wants_it_is_told(
    tmp_path: Path, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server("redis-7.0.15", certificate=issue(tmp_path))
    result = configure(server, {"appendonly": True}, tls=False)
    assert result["failed"]
    assert "set tls=true" in result["msg"]


def test_a_trusted_certificate_is_accepted(tmp_path: Path, start_server: StartServer, configure: RunModule) -> None:
    server = start_server("redis-7.0.15", certificate=issue(tmp_path), password="secret")
    result = configure(server, {"appendonly": True})
    assert not result["failed"]
    assert values(server, "appendonly") == ["yes"]


@pytest.mark.parametrize(
    ("hosts", "days", "reason"),
    [
        (["127.0.0.1"], 30, "was not accepted: "),
        (["redis.example.com"], 30, "redis.example.com|127.0.0.1"),
        (["127.0.0.1"], -1, "certificate has expired"),
    ],
    ids=["unknown authority", "other host", "expired"],
)
def test_a_certificate_that_proves_nothing_is_refused(
    tmp_path: Path, start_server: StartServer, configure: RunModule, hosts: list[str], days: int, reason: str
) -> None:
    certificate = issue(tmp_path, hosts, days=days)
    server = start_server("redis-7.0.15", certificate=certificate)
    trusted = issue(tmp_path / "other").ca_file if days > 0 and hosts == ["127.0.0.1"] else certificate.ca_file
    result = configure(server, {"appendonly": True}, ca_certs=str(trusted))
    assert result["failed"]
    assert f"The TLS certificate of {server} was not accepted" in result["msg"]
    assert any(part in result["msg"] for part in reason.split("|"))
    assert f"Nothing was changed on {server}" in result["msg"]


# ------------------------------------------------------------------------------------------- how it is called


def test_a_unix_socket_is_used_when_it_is_given(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("valkey-8.1.8", {"port": 0, "unixsocketperm": "700"}, unix_socket=True, password="secret")
    login = {"login_unix_socket": str(server.unix_socket), "login_password": "secret"}
    result = run_module("redis_config", {**login, "settings": {"maxmemory": "1gb"}})
    assert not result["failed"], result
    assert result["settings"] == {"maxmemory": "1gb"}


def test_what_is_not_given_comes_from_the_environment(start_server: StartServer, run_module: RunModule) -> None:
    server = start_server("redis-6.2.14", password="secret")
    env = {
        "REDISOPS_LOGIN_HOST": server.host,
        "REDISOPS_LOGIN_PORT": str(server.port),
        "REDISOPS_LOGIN_PASSWORD": "secret",
    }
    result = run_module("redis_config", {"settings": {"appendonly": True}}, env=env)
    assert not result["failed"], result
    assert values(server, "appendonly") == ["yes"]


def test_an_empty_password_beats_the_environment(start_server: StartServer, configure: RunModule) -> None:
    os.environ["REDISOPS_LOGIN_PASSWORD"] = "stale"
    try:
        server = start_server("redis-6.2.14")
        assert not configure(server, {"appendonly": True}, login_password="")["failed"]
    finally:
        del os.environ["REDISOPS_LOGIN_PASSWORD"]


def test_a_playbook_sets_the_connection_once_for_the_action_group(
    start_server: StartServer, run_playbook: t.Callable[..., PlaybookRun]
) -> None:
    server = start_server("redis-6.2.14", password="very secret")
    play = {
        "hosts": "redis",
        "gather_facts": False,
        "module_defaults": {"group/redisops.tair.tair": server.login()},
        "tasks": [{"name": "Switch AOF on", "redisops.tair.redis_config": {"settings": {"appendonly": True}}}],
    }
    planned = run_playbook([play], {"one": local_host()}, check=True)
    assert planned.result("Switch AOF on")["changed"]
    assert '+    "appendonly": "yes"' in planned.output
    assert values(server, "appendonly") == ["no"]
    done = run_playbook([play], {"one": local_host()}, arguments=["-vvv"])
    assert done.returncode == 0, done.output
    assert done.stats["one"]["changed"] == 1
    assert values(server, "appendonly") == ["yes"]
    assert "very secret" not in done.output


# --------------------------------------------------------------------------------------------------------- secrets

OLD, NEW = "0ld-s3cret word", "n3w-s3cret\tword"
#: What of a secret must not occur anywhere, however it is written.
PARTS = ("0ld-s3cret", "n3w-s3cret")


def test_the_values_of_secret_parameters_are_not_returned(
    any_build: Build, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server(any_build, {"masterauth": '"old-secret"'})
    done = configure(server, {"masterauth": "new-secret", "appendonly": True})
    again = configure(server, {"masterauth": "new-secret"})

    assert done["changed"] and not again["changed"] and values(server, "masterauth") == ["new-secret"]
    assert done["settings"] == {"appendonly": "yes"} and done["previous"] == {"appendonly": "no"}
    assert done["hidden"] == again["hidden"] == ["masterauth"]
    assert done["diff"]["before"] == {"masterauth": "(not shown)", "appendonly": "no"}
    assert "old-secret" not in str(done) and "new-secret" not in f"{done}{again}"


def test_a_refused_secret_is_not_in_the_message(
    start_server: StartServer, configure: RunModule, run_module: RunModule
) -> None:
    server = start_server(
        "redis-7.0.15", {"user": ["default on nopass ~* &* +@all", "reader on >word ~* &* +@all -config +config|get"]}
    )
    forbidden = configure(server, {"masterauth": NEW}, login_user="reader", login_password="word")
    assert forbidden["failed"] and "did not set masterauth: CONFIG is renamed or forbidden" in forbidden["msg"]
    assert "n3w-s3cret" not in str(forbidden)

    # A server repeats the value in its own form, so that no mask finds it.
    refusal = b"-ERR Invalid argument 'n3w-s3cret word' for CONFIG SET 'requirepass'\r\n"

    def answer(_pending: int, command: list[bytes]) -> bytes | None:
        return refusal if b"requirepass" in command[2:3] and len(command) == 4 else None

    with AnsweringProxy(server.port, answer) as proxy:
        login = {"login_host": proxy.host, "login_port": proxy.port}
        refused = run_module("redis_config", {**login, "settings": {"appendonly": True, "requirepass": NEW}})
    assert refused["failed"] and "refused the value of requirepass" in refused["msg"], refused
    assert "(appendonly put back)" in refused["msg"] and values(server, "appendonly") == ["no"]
    assert "n3w-s3cret" not in str(refused)


@pytest.mark.parametrize("mask", ["VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "********"])
def test_what_ansible_shows_instead_of_a_secret_does_not_become_the_password(
    mask: str, start_server: StartServer, configure: RunModule
) -> None:
    server = start_server("redis-7.0.15")
    result = configure(server, {"requirepass": mask})
    assert result["failed"] and "is what Ansible shows instead of a secret" in result["msg"]
    assert values(server, "requirepass") == [""]


def test_no_secret_parameter_is_printed_at_any_verbosity(
    start_server: StartServer, run_playbook: t.Callable[..., PlaybookRun]
) -> None:
    server = start_server("redis-6.2.14", {"masterauth": f'"{OLD}"'})
    host = local_host(new=NEW)
    secrets = {"masterauth": "{{ new }}", "appendonly": True}
    tasks: list[dict[str, t.Any]] = [
        {"settings": secrets},
        {"settings": secrets, "missing": "no such choice"},
        {"settings": secrets, "no_such_option": 1},
        {"settings": secrets, "login_port": free_port()},
        {"settings": {"masterauth": "{{ new }}", "appendfilename": "other"}},
        {"settings": {"masterauth": "{{ new }}", "no-such-parameter": 1}},
        {"settings": "{{ {'masterauth': new} | to_json | string }}"},
    ]
    play = {
        "hosts": "redis",
        "gather_facts": False,
        "tasks": [
            {"redisops.tair.redis_config": {**server.login(), **options}, "ignore_errors": True} for options in tasks
        ],
    }
    for check in (True, False):
        run = run_playbook([play], {"one": host}, check=check, arguments=["-vvvvv", "--diff"])
        assert len(run.results("redis_config")) == len(tasks), run.output
        assert run.output.count("masterauth") > 10 and "appendonly" in run.output
        for part in PARTS:
            assert part not in run.output, [line for line in run.output.splitlines() if part in line][:3]
    assert values(server, "masterauth") == [NEW]


@pytest.fixture
def system_log() -> t.Iterator[t.Callable[[], str]]:
    """What programs of this machine have logged, where no other program reads it."""
    path, aside = Path("/dev/log"), Path(f"/dev/log.{os.getpid()}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        listened_to = probe.connect_ex(str(path)) == 0
    if os.geteuid() != 0 or listened_to:
        raise UnavailableError("only root can listen at /dev/log, where no other program does")
    if path.exists():
        path.rename(aside)
    received: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))

        def read() -> None:  # at once: a program that logs waits when nobody does
            while (data := listener.recv(1 << 16)) != b"end":
                received.append(data)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield lambda: b"\n".join(received[:]).decode(errors="replace")
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", str(path))
            reader.join()
            path.unlink()
            if aside.exists():
                aside.rename(path)


def test_no_secret_parameter_gets_into_the_system_log_of_the_host(
    start_server: StartServer, run_playbook: t.Callable[..., PlaybookRun], system_log: t.Callable[[], str]
) -> None:
    server = start_server("redis-6.2.14")
    tasks = [
        {"redisops.tair.redis_config": {**server.login(), "settings": settings}}
        for settings in ({"appendonly": True}, {"masterauth": NEW})
    ]
    run = run_playbook([{"hosts": "redis", "gather_facts": False, "tasks": tasks}], {"one": local_host()})
    assert run.returncode == 0, run.output
    assert "appendonly" in system_log() and "n3w-s3cret" not in system_log()
