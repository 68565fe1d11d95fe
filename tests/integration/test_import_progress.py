# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The progress lines of ``aof_import``, and that the action plugin that shows them changes nothing else."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import Progress
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.plugins.plugin_utils import _progress
from ansible_collections.redisops.tair.plugins.plugin_utils._import_progress import ImportProgress, remote_file
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import resolve
from ansible_collections.redisops.tair.tests.support.accounts import python_for_accounts
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host, run_playbook
from ansible_collections.redisops.tair.tests.support.servers import Server, build
from ansible_collections.redisops.tair.tests.support.sshd import Sshd

Vars = t.Dict[str, t.Any]
StartServer = t.Callable[..., Server]
RunModule = t.Callable[..., Vars]

PASSWORD, VALUE = "the-target's-password", b"what-is-in-the-database"
KEYS = 2000
BUILD = "redis-7.0.15"
#: What ansible-core adds to every result.
CORE = {
    "invocation",
    "failed",
    "_ansible_no_log",
    "_ansible_parsed",
    "_ansible_delegated_vars",
    "warnings",
    "start",
    "end",
}


def write_aof(path: Path) -> Path:
    """2 MB."""
    value = VALUE + b"." * 1000
    path.write_bytes(b"".join(encode([b"SET", b"key:%d" % number, value]) for number in range(KEYS)))
    return path


def task(**keywords: t.Any) -> Vars:
    """An import that takes as long as the host's ``rate_limit`` says. Where the target is comes from module_defaults."""
    arguments = {"path": "{{ aof }}", "rate_limit": "{{ rate_limit | default(0) }}", "batch_bytes": 16384}
    return {"redisops.tair.aof_import": arguments, **keywords}


def play(*tasks: Vars) -> Vars:
    return {
        "hosts": "redis",
        "gather_facts": False,
        "module_defaults": {
            "group/redisops.tair.tair": {
                "login_host": "127.0.0.1",
                "login_port": "{{ target_port }}",
                "login_password": "{{ password }}",
            }
        },
        "tasks": list(tasks),
    }


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[PlaybookRun, dict[str, Server]]]:
    """One playbook, several hosts at once, an import of thirteen seconds each; and their targets."""
    aof = write_aof(tmp_path_factory.mktemp("aof") / "appendonly.aof")
    with contextlib.ExitStack() as stack:
        sshd = stack.enter_context(Sshd())
        # paramiko knows no cipher of this one; OpenSSH, which Ansible uses, does.
        unsuited = stack.enter_context(Sshd(options={"Ciphers": "chacha20-poly1305@openssh.com"}))
        here, python = local_host(), {"ansible_python_interpreter": sys.executable}
        hosts: dict[str, Vars] = {
            "local": {**here, "redisops_tair_progress": "{{ 1 == 1 }}"},
            "delegated": {"ansible_host": "192.0.2.1", "import_on": "localhost"},
            "remote": {**sshd.inventory_vars(), **python},
            "pipelined": {**sshd.inventory_vars(), **python, "ansible_pipelining": True},
            "elsewhere": {"ansible_host": "192.0.2.1", "import_on": "remote"},
            "unsuited": {**unsuited.inventory_vars(), **python},
            "off": {**here, "redisops_tair_progress": "{{ 'no' }}"},
            "hushed": {**here, "hush": True},
            "background": {**here, "seconds": 60},
        }
        targets = {name: stack.enter_context(Server(build(BUILD), password=PASSWORD)) for name in hosts}
        for name, variables in hosts.items():
            variables.update(aof=str(aof), target_port=targets[name].port, password=PASSWORD, rate_limit=160_000)
        run = run_playbook(
            [
                play(
                    task(
                        delegate_to="{{ import_on | default(omit) }}",
                        no_log="{{ hush | default(false) }}",
                        **{"async": "{{ seconds | default(0) }}", "poll": 1},
                    )
                )
            ],
            hosts,
            arguments=["-v", "--diff"],
            env={"ANSIBLE_FORKS": "10"},
            extra_vars={"ansible_python_interpreter": sys.executable},
        )
        yield run, targets


def lines(run: PlaybookRun, host: str) -> list[str]:
    return [line for line in run.output.splitlines() if line.startswith(f"{host} | aof_import: ") and "%" in line]


@pytest.mark.parametrize("host", ["local", "delegated", "remote", "pipelined", "elsewhere"])
def test_a_long_import_tells_how_far_it_is(slow: tuple[PlaybookRun, dict[str, Server]], host: str) -> None:
    run, _targets = slow
    assert run.returncode == 0, run.output
    shown = [
        re.fullmatch(
            rf"{host} \| aof_import: (\d+) % of 2\.1 MB, (\d\.\d) MB/s, ([\d,]+) commands, 0 errors, (\d):(\d\d) left",
            line,
        )
        for line in lines(run, host)
    ]
    assert len(shown) >= 2 and all(shown), run.output
    for earlier, later in zip(shown, shown[1:]):
        assert earlier is not None and later is not None
        assert int(earlier[1]) < int(later[1]) < 100
        assert int(earlier[3].replace(",", "")) < int(later[3].replace(",", "")) < KEYS
        assert int(earlier[5]) > int(later[5])
        assert later[2] in ("0.1", "0.2")


@pytest.mark.parametrize("host", ["off", "hushed", "background", "unsuited"])
def test_no_lines_where_they_are_not_wanted_or_can_not_be_had(
    slow: tuple[PlaybookRun, dict[str, Server]], host: str
) -> None:
    run, _targets = slow
    assert lines(run, host) == []
    if host == "unsuited":
        [why] = [line for line in run.output.splitlines() if line.startswith("unsuited | aof_import: no progress")]
        assert "no algorithm in common" in why
    else:
        assert f"{host} | aof_import" not in run.output


def test_every_import_returns_what_the_module_returns(
    slow: tuple[PlaybookRun, dict[str, Server]], run_module: RunModule, tmp_path: Path, start_server: StartServer
) -> None:
    run, targets = slow
    module = run_module(
        "aof_import", {**start_server(BUILD).login(), "path": str(write_aof(tmp_path / "appendonly.aof"))}
    )
    of_async = {
        "ansible_job_id",
        "finished",
        "started",
        "results_file",
        "stdout",
        "stderr",
        "stdout_lines",
        "stderr_lines",
    }
    for host, target in targets.items():
        assert target.client().dbsize() == KEYS, host
        if host == "hushed":
            continue
        result = run.result("aof_import", host)
        assert set(result) - CORE - (of_async if host == "background" else set()) == set(module) - CORE, host
        assert "warnings" not in result, result["warnings"]
        assert (result["changed"], result["summary"]) == (True, f"errors: 0, replies: {KEYS}"), host


def test_nothing_secret_is_shown(slow: tuple[PlaybookRun, dict[str, Server]]) -> None:
    run, _targets = slow
    assert PASSWORD not in run.output and VALUE.decode() not in run.output
    assert "\r" not in run.output and "Traceback" not in run.output


def test_nothing_is_left_behind_on_the_host(slow: tuple[PlaybookRun, dict[str, Server]]) -> None:
    run, _targets = slow
    paths = [
        Path(run.result("aof_import", host)["invocation"]["module_args"]["progress_path"])
        for host in ("local", "delegated", "remote", "pipelined", "elsewhere", "unsuited")
    ]
    assert not any(path.exists() or path.parent.exists() for path in paths)
    for host in ("off", "background"):
        assert run.result("aof_import", host)["invocation"]["module_args"]["progress_path"] is None


@pytest.mark.parametrize("become_user", ["root", "another"])
def test_the_lines_come_through_become_too(
    become_user: str, start_server: StartServer, start_sshd: t.Callable[..., Sshd], make_account: t.Callable[..., str]
) -> None:
    if become_user == "another":
        become_user = make_account("redis")
    sshd = start_sshd(user=make_account("deploy", sudo=f"({become_user}) NOPASSWD: ALL"))
    target = start_server(BUILD, password=PASSWORD)
    host = {
        **sshd.inventory_vars(),
        # Without pipelining Ansible would need setfacl to let one account run what another has brought.
        "ansible_pipelining": True,
        "ansible_python_interpreter": str(python_for_accounts(sshd.directory / "python")),
        "aof": str(write_aof(sshd.directory / "appendonly.aof")),
        "target_port": target.port,
        "password": PASSWORD,
        "rate_limit": 250_000,
    }
    run = run_playbook([play(task(become=True, become_user=become_user))], {"source": host})
    assert run.returncode == 0 and len(lines(run, "source")) >= 1, run.output
    result = run.result("aof_import")
    assert "warnings" not in result and target.client().dbsize() == KEYS
    assert not Path(result["invocation"]["module_args"]["progress_path"]).exists()


def test_a_second_connection_that_is_cut_is_no_failure(
    start_sshd: t.Callable[..., Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_progress, "EVERY", 0.1)
    sshd, path = start_sshd(), tmp_path / "it's $(progress).json"
    host = sshd.inventory_vars()
    arguments = shlex.split(host["ansible_ssh_common_args"])
    arguments += ["-p", str(sshd.port), "-i", str(sshd.key_file), "-l", sshd.user]
    settings = resolve("ssh", arguments, sshd.host)
    shown: list[str] = []
    told: list[str] = []
    with ImportProgress(
        "redis1", lambda: remote_file(lambda: SshConnection(settings), str(path)), shown.append, told.append
    ):
        for percent in range(0, 90, 10):
            path.write_bytes(Progress(percent, 100, percent, 0).to_json())
            time.sleep(0.5)
        sshd.kill_connections()
        time.sleep(0.5)
        path.write_bytes(Progress(95, 100, 95, 0).to_json())
        time.sleep(0.5)
    assert [line.split()[1] for line in shown][-1] == "80"
    [why] = told
    assert why.startswith(f"redis1: no progress lines: The SSH connection to {settings} was ")


def test_check_mode_shows_no_lines_and_imports_nothing(start_server: StartServer, tmp_path: Path) -> None:
    target = start_server(BUILD, password=PASSWORD)
    host = local_host(aof=str(write_aof(tmp_path / "appendonly.aof")), target_port=target.port, password=PASSWORD)
    run = run_playbook([play(task())], {"source": host}, check=True)
    result = run.result("aof_import")
    assert result["changed"] and result["invocation"]["module_args"]["progress_path"] is None
    assert "source | aof_import" not in run.output
    assert target.client().dbsize() == 0


@pytest.mark.parametrize("background", [False, True])
def test_a_failing_import_tells_what_the_module_tells(
    start_server: StartServer, run_module: RunModule, tmp_path: Path, background: bool
) -> None:
    target = start_server(BUILD, password=PASSWORD)
    target.client().set("theirs", "1")
    aof = write_aof(tmp_path / "appendonly.aof")
    module = run_module("aof_import", {**target.login(), "path": str(aof)})
    host = local_host(aof=str(aof), target_port=target.port, password=PASSWORD)
    run = run_playbook([play(task(**({"async": 60, "poll": 1} if background else {})))], {"source": host})
    result = run.result("aof_import")
    assert run.returncode == 2 and [event["outcome"] for event in run.failures()] == ["failed"]
    assert result["msg"] == module["msg"] and "is not empty" in result["msg"]
    assert result["keys_in_target"] == module["keys_in_target"] == 1
    assert "Traceback" not in run.output


def test_a_progress_path_of_ones_own_is_kept_up_to_date_and_removed(start_server: StartServer, tmp_path: Path) -> None:
    """By another task, while the import runs in the background."""
    target = start_server(BUILD, password=PASSWORD)
    progress = tmp_path / "progress.json"
    host = local_host(
        aof=str(write_aof(tmp_path / "appendonly.aof")), target_port=target.port, password=PASSWORD, rate_limit=700_000
    )
    begin = task(**{"async": 60, "poll": 0}, register="job")
    begin["redisops.tair.aof_import"]["progress_path"] = str(progress)
    look = {
        "name": "look",
        "ansible.builtin.slurp": {"src": str(progress)},
        "register": "seen",
        "until": "seen is success and (seen.content | b64decode | from_json).position > 100000",
        "retries": 50,
        "delay": 0.1,
    }
    end = {
        "name": "end",
        "ansible.builtin.async_status": {"jid": "{{ job.ansible_job_id }}"},
        "register": "ended",
        "until": "ended is finished",
        "retries": 60,
        "delay": 0.2,
    }
    run = run_playbook([play(begin, look, end)], {"source": host})
    assert run.returncode == 0, run.output
    assert run.result("end")["summary"] == f"errors: 0, replies: {KEYS}"
    assert not progress.exists()
