# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``aof_fetch`` run by Ansible, through a real sshd: logins, privileges, what arrives, what is refused."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible import __version__ as ansible_core
from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.tests.support.accounts import unix_account
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host, run_playbook
from ansible_collections.redisops.tair.tests.support.corpus import case
from ansible_collections.redisops.tair.tests.support.processes import free_port
from ansible_collections.redisops.tair.tests.support.servers import Server
from ansible_collections.redisops.tair.tests.support.sshd import Sshd, make_key

Vars = t.Dict[str, t.Any]
StartServer = t.Callable[..., Server]
StartSshd = t.Callable[..., Sshd]
MakeAccount = t.Callable[..., str]

core_version = LooseVersion(ansible_core)
MANIFEST = "appendonly.aof.manifest"
BASE, INCR = "appendonly.aof.1.base.aof", "appendonly.aof.1.incr.aof"
STALE = case("stale-single-file-beside-appenddir") / "data"


def fetch(
    host: Vars,
    src: Path | str,
    dest: Path | str,
    *,
    name: str = "source",
    check: bool = False,
    options: Vars | None = None,
    env: Vars | None = None,
    **task: t.Any,
) -> PlaybookRun:
    module = {"src": str(src), "dest": str(dest), "retries": 1, **(options or {})}
    play = {"hosts": "redis", "gather_facts": False, "tasks": [{"redisops.tair.aof_fetch": module, **task}]}
    return run_playbook([play], {name: host}, check=check, env=env, timeout=120)


def fetched(*args: t.Any, **kwargs: t.Any) -> Vars:
    run = fetch(*args, **kwargs)
    assert run.returncode == 0, run.output
    return run.result("aof_fetch")


def refused(*args: t.Any, **kwargs: t.Any) -> str:
    run = fetch(*args, **kwargs)
    assert run.returncode != 0 and "Traceback" not in run.output, run.output
    [failure] = run.failures()
    message: str = failure["result"]["msg"]
    return message


def refusals(hosts: t.Mapping[str, Vars], src: Path | str, dest: Path) -> dict[str, str]:
    """What each of several hosts is told in one run; a host's variable ``src`` is another than ``src``."""
    given = {name: {"src": str(src), **host} for name, host in hosts.items()}
    task = {
        "redisops.tair.aof_fetch": {"src": "{{ src }}", "dest": f"{dest}/{{{{ inventory_hostname }}}}", "retries": 1}
    }
    run = run_playbook([{"hosts": "redis", "gather_facts": False, "tasks": [task]}], given, timeout=120)
    assert "Traceback" not in run.output, run.output
    told = {failure["host"]: failure["result"]["msg"] for failure in run.failures()}
    assert set(told) == set(hosts) and not dest.exists(), run.output
    return told


@pytest.fixture
def aof(public_directory: Path) -> Path:
    """A multi-part AOF of 3 MB."""
    return write_aof(public_directory / "appendonlydir")


@pytest.fixture
def public_directory() -> t.Iterator[Path]:
    """One that every account may enter; those that pytest makes are closed."""
    with tempfile.TemporaryDirectory(prefix="aof_fetch-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def write_aof(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / BASE).write_bytes(os.urandom(3_000_000))
    (directory / INCR).write_bytes(os.urandom(1000))
    (directory / MANIFEST).write_text(f"file {BASE} seq 1 type b\nfile {INCR} seq 1 type i\n")
    return directory


def owned_by(directory: Path, owner: str) -> Path:
    """Closed to everybody else, as a server's package leaves it."""
    for path in (directory, *directory.iterdir()):
        subprocess.run(["chown", owner, str(path)], check=True)
        path.chmod(0o700 if path.is_dir() else 0o600)
    return directory


def same_files(copy: Path, source: Path) -> bool:
    names = {path.name for path in copy.iterdir()}
    return names == {path.name for path in source.iterdir()} and all(
        (copy / name).read_bytes() == (source / name).read_bytes() for name in names
    )


@pytest.mark.parametrize("build", ["redis-6.2.14", "redis-8.2.3", "valkey-8.1.8"])
@pytest.mark.parametrize("connection", ["ssh", "local"])
def test_the_aof_of_a_server_arrives_whole_and_a_later_call_brings_only_what_is_new(
    build: str, connection: str, start_server: StartServer, start_sshd: StartSshd, tmp_path: Path
) -> None:
    server = start_server(build, {"appendonly": "yes", "aof-use-rdb-preamble": "no", "appendfsync": "always"})
    server.client().set("key", "v" * 100_000)
    host = start_sshd().inventory_vars() if connection == "ssh" else local_host()
    source = server.aof_path()
    dest = tmp_path / "copy"
    size = sum(path.stat().st_size for path in ([source] if source.is_file() else source.glob("*.aof")))

    first = fetched(host, source, dest)

    assert first["changed"] and first["bytes"] == first["bytes_transferred"] == size
    assert Path(first["dest"]) == dest / (source.name if source.is_file() else MANIFEST)
    assert [file["kind"] for file in first["files"]] == (["single"] if source.is_file() else ["base", "incr"])
    assert sum(file["size"] for file in first["files"]) == size
    assert stat.S_IMODE(dest.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in dest.iterdir()} == {0o600}

    again = fetched(host, source, dest)

    assert not again["changed"] and again["bytes_transferred"] == 0
    assert again["sha256"] == first["sha256"] and again["dest"] == first["dest"]

    server.client().set("another", "value")
    grown = fetched(host, source, dest)

    assert grown["changed"] and 0 < grown["bytes_transferred"] < 200
    assert grown["bytes"] == size + grown["bytes_transferred"]
    for file in grown["files"]:
        path = Path(file["path"])
        assert path.read_bytes() == (source if source.is_file() else source / path.name).read_bytes()
        told = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout
        assert told.startswith(grown["sha256"][path.name])


def test_after_a_rewrite_the_new_set_replaces_the_old_one(
    start_server: StartServer, start_sshd: StartSshd, tmp_path: Path
) -> None:
    server = start_server("redis-7.0.15", {"appendonly": "yes", "aof-use-rdb-preamble": "no"})
    host = start_sshd().inventory_vars()
    dest = tmp_path / "copy"
    fetched(host, server.aof_path(), dest)
    (dest / "notes.txt").write_text("not from the source")
    server.client().set("key", "value")
    server.client().bgrewriteaof()
    server.wait_for_rewrite()

    result = fetched(host, server.aof_path(), dest)

    assert result["changed"]
    (dest / "notes.txt").unlink()  # it was left alone
    assert same_files(dest, server.aof_path())


def test_check_mode_writes_nothing_and_tells_what_would_be_transferred(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    host = start_sshd().inventory_vars()
    dest = tmp_path / "copy"

    new = fetched(host, aof, dest, check=True)
    assert new["changed"] and new["bytes_transferred"] == new["bytes"] == 3_001_000 and not dest.exists()

    fetched(host, aof, dest)
    same = fetched(host, aof, dest, check=True)
    assert not same["changed"] and same["bytes_transferred"] == 0 and len(same["sha256"]) == 2

    with (aof / INCR).open("ab") as incr:
        incr.write(b"x" * 77)
    before = {path.name: path.read_bytes() for path in dest.iterdir()}
    more = fetched(host, aof, dest, check=True)
    assert more["changed"] and more["bytes_transferred"] == 77
    assert {path.name: path.read_bytes() for path in dest.iterdir()} == before


def test_src_may_be_the_manifest_or_its_directory(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    host = start_sshd().inventory_vars()
    fetched(host, aof / MANIFEST, tmp_path / "copy")
    assert same_files(tmp_path / "copy", aof)
    assert not fetched(host, f"{aof}/", tmp_path / "copy")["changed"]


def test_src_may_be_the_data_directory_of_a_server(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(aof, data / "appendonlydir")
    for name in ("dump.rdb", "temp-rewriteaof-1.aof", "appendonlydir/temp-appendonly.aof.manifest"):
        (data / name).touch()
    fetched(start_sshd().inventory_vars(), data, tmp_path / "copy")
    assert same_files(tmp_path / "copy", aof)


def test_names_with_blanks_and_quotes_arrive(start_sshd: StartSshd, tmp_path: Path) -> None:
    source = tmp_path / 'it\'s a "dir"'
    source.mkdir()
    (source / "my $(aof)'.1.base.aof").write_bytes(b"*1\r\n$4\r\nPING\r\n")
    (source / "my.manifest").write_text('file "my $(aof)\'.1.base.aof" seq 1 type b\n')
    fetched(start_sshd().inventory_vars(), source, tmp_path / "copy")
    assert same_files(tmp_path / "copy", source)


def test_an_account_with_sftp_only_is_served(
    start_sshd: StartSshd, make_account: MakeAccount, aof: Path, tmp_path: Path
) -> None:
    sshd = start_sshd(user=make_account("sftp"), options={"ForceCommand": "internal-sftp"})

    stale = refused(sshd.inventory_vars(), STALE, tmp_path / "copy")
    assert "but appendonlydir/appendonly.aof.manifest, appendonly.aof. Redis 7 and Valkey load the manifest" in stale
    first = fetched(sshd.inventory_vars(), aof, tmp_path / "copy")
    assert same_files(tmp_path / "copy", aof) and first["bytes_transferred"] == 3_001_000

    with (aof / INCR).open("ab") as incr:
        incr.write(b"x" * 77)
    assert fetched(sshd.inventory_vars(), aof, tmp_path / "copy")["bytes_transferred"] == 77
    assert same_files(tmp_path / "copy", aof)
    assert not fetched(sshd.inventory_vars(), aof, tmp_path / "copy")["changed"]


def test_an_account_without_shell_and_sftp_is_a_clear_error(
    start_sshd: StartSshd, make_account: MakeAccount, aof: Path, tmp_path: Path
) -> None:
    user = make_account("nologin")
    subprocess.run(["usermod", "--shell", "/usr/sbin/nologin", user], check=True)
    message = refused(start_sshd(user=user, sftp=False).inventory_vars(), aof, tmp_path / "copy")
    assert (
        "runs no commands: This account is currently not available" in message
        and "; and it has no SFTP either" in message
    )


def test_what_rc_files_print_does_not_get_into_the_copy(
    start_sshd: StartSshd, make_account: MakeAccount, aof: Path, tmp_path: Path
) -> None:
    user = make_account("noisy")
    subprocess.run(["usermod", "--shell", "/bin/bash", user], check=True)
    Path(f"/home/{user}/.bashrc").write_text("touch ~/read; echo Welcome; echo to this host >&2; printf 'no newline'\n")
    sshd = start_sshd(user=user, options={"SetEnv": "SHLVL=0"})
    fetched(sshd.inventory_vars(), aof, tmp_path / "copy")
    assert Path(f"/home/{user}/read").exists()
    assert same_files(tmp_path / "copy", aof)


@pytest.mark.parametrize("password", ["", "a secret $word"])
def test_files_of_another_user_are_read_through_sudo(
    password: str,
    start_sshd: StartSshd,
    make_account: MakeAccount,
    aof: Path,
    public_directory: Path,
    tmp_path: Path,
) -> None:
    with unix_account("redis") as redis:
        owned_by(aof, redis)
        rule = f"({redis}) ALL" if password else f"({redis}) NOPASSWD: ALL"
        login = make_account("login", password=password, sudo=rule)
        arguments = public_directory / "sudo.log"
        arguments.touch()
        arguments.chmod(0o666)
        sudo = public_directory / "sudo"
        sudo.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{arguments}\nexec sudo "$@"\n')
        sudo.chmod(0o755)
        host = {
            **start_sshd(user=login).inventory_vars(),
            "ansible_become_password": password,
            "ansible_become_exe": str(sudo),
        }
        run = fetch(host, aof, tmp_path / "copy", become=True, become_user=redis)

        assert run.returncode == 0, run.output
        assert same_files(tmp_path / "copy", aof)
        assert redis in arguments.read_text()
        assert not password or (password not in arguments.read_text() and password not in run.output)


def test_what_sudo_has_against_it_is_told(
    start_sshd: StartSshd, make_account: MakeAccount, aof: Path, tmp_path: Path
) -> None:
    with unix_account("redis") as redis:
        owned_by(aof, redis)
        login = make_account("login", password="right", sudo=f"({redis}) ALL")
        host = start_sshd(user=login).inventory_vars()
        become = {**host, "ansible_become": True, "ansible_become_user": redis}

        told = refusals(
            {
                "without": host,
                "missing": become,
                "wrong": {**become, "ansible_become_password": "wrong"},
                "nobody": {**become, "ansible_become_password": "right", "ansible_become_user": "nobody"},
                "asked": {**become, "ansible_become_method": "ansible.builtin.su"},
            },
            aof,
            tmp_path / "copy",
        )

        assert "Permission denied" in told["without"] and "become" in told["without"]
        assert "a password is required" in told["missing"] and "ansible_become_password" in told["missing"]
        assert f"can't become {redis} by sudo" in told["wrong"] and "try again" in told["wrong"]
        assert "can't become nobody by sudo" in told["nobody"] and "not allowed" in told["nobody"]
        assert f"can't become {redis} by su: Password:" in told["asked"]


def test_su_with_the_password_of_the_other_user_serves_too(
    start_sshd: StartSshd, make_account: MakeAccount, aof: Path, tmp_path: Path
) -> None:
    with unix_account("redis", password="its own") as redis:
        owned_by(aof, redis)
        host = {**start_sshd(user=make_account("login")).inventory_vars(), "ansible_become_password": "its own"}
        fetched(host, aof, tmp_path / "copy", become=True, become_user=redis, become_method="ansible.builtin.su")
    assert same_files(tmp_path / "copy", aof)


def test_a_local_source_is_read_through_sudo_too(aof: Path, tmp_path: Path, make_account: MakeAccount) -> None:
    redis = make_account("redis")
    owned_by(aof, redis)
    fetched(local_host(), aof, tmp_path / "copy", become=True, become_user=redis)
    assert same_files(tmp_path / "copy", aof)


def test_a_password_logs_in_and_a_wrong_one_is_refused(
    start_sshd: StartSshd, make_account: MakeAccount, aof: Path, tmp_path: Path
) -> None:
    sshd = start_sshd(user=make_account("pass", password="let me in"), auth_methods=["password"])
    host = sshd.inventory_vars()
    del host["ansible_ssh_private_key_file"]
    fetched({**host, "ansible_password": "let me in"}, aof, tmp_path / "copy")
    assert same_files(tmp_path / "copy", aof)

    told = refusals({"wrong": {**host, "ansible_password": "wrong one"}, "none": host}, aof, tmp_path / "refused")
    assert f"{sshd.user}@127.0.0.1:{sshd.port} can't be logged in to with the password" in told["wrong"]
    assert "wrong one" not in told["wrong"]
    assert "there is no key, agent or password to try; it lets in by password" in told["none"]


def test_a_wrong_key_is_refused_with_what_was_tried(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    sshd = start_sshd()
    key = make_key(tmp_path / "other_key")
    message = refused({**sshd.inventory_vars(), "ansible_ssh_private_key_file": str(key)}, aof, tmp_path / "copy")
    assert f"{sshd.user}@127.0.0.1:{sshd.port} can't be logged in to with {key}" in message
    assert "it lets in by publickey" in message


def test_keys_that_can_not_be_used_are_named_with_the_reason(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    host = start_sshd().inventory_vars()
    encrypted = make_key(tmp_path / "encrypted", passphrase="open sesame")
    (tmp_path / "damaged").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    keys = {name: str(tmp_path / name) for name in ("encrypted", "damaged", "nowhere")}

    told = refusals(
        {name: {**host, "ansible_ssh_private_key_file": key} for name, key in keys.items()}, aof, tmp_path / "copy"
    )

    assert f"{encrypted} (it is encrypted: load it into the SSH agent)" in told["encrypted"]
    assert "it is no private key, or it is damaged" in told["damaged"]
    assert f"{tmp_path}/nowhere (No such file or directory)" in told["nowhere"]


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_every_kind_log_in(kind: str, start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    sshd = start_sshd()
    key = make_key(tmp_path / "key", kind=kind)
    sshd.authorize(key)
    fetched({**sshd.inventory_vars(), "ansible_ssh_private_key_file": str(key)}, aof, tmp_path / "copy")


def test_the_agent_logs_in_with_a_key_whose_file_is_encrypted(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    sshd = start_sshd()
    key = make_key(tmp_path / "key", passphrase="open sesame")
    sshd.authorize(key)
    askpass = tmp_path / "askpass"
    askpass.write_text("#!/bin/sh\necho open sesame\n")
    askpass.chmod(0o700)
    agent_socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(agent_socket)], stdout=subprocess.DEVNULL)
    try:
        env = {"SSH_AUTH_SOCK": str(agent_socket)}
        while not agent_socket.exists():
            assert agent.poll() is None
        asking = {**os.environ, **env, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
        subprocess.run(["ssh-add", "-q", str(key)], env=asking, stdin=subprocess.DEVNULL, check=True)
        host = {**sshd.inventory_vars(), "ansible_ssh_private_key_file": str(key)}

        fetched(host, aof, tmp_path / "copy", env=env)  # IdentitiesOnly=yes: found by its .pub

        del host["ansible_ssh_private_key_file"]
        host["ansible_ssh_common_args"] = host["ansible_ssh_common_args"].replace(
            "IdentitiesOnly=yes", "IdentitiesOnly=no"
        )
        fetched(host, aof, tmp_path / "copy", env=env)
    finally:
        agent.kill()
        agent.wait()


@pytest.mark.xfail(
    core_version < LooseVersion("2.19"), reason="ansible_private_key came with ansible-core 2.19", run=False
)
def test_a_key_in_the_inventory_logs_in(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    sshd = start_sshd()
    key = make_key(tmp_path / "key", passphrase="open sesame")
    sshd.authorize(key)
    host = sshd.inventory_vars()
    del host["ansible_ssh_private_key_file"]
    host.update(ansible_private_key=key.read_text(), ansible_private_key_passphrase="open sesame")
    run = fetch(host, aof, tmp_path / "copy")
    assert run.returncode == 0, run.output
    assert "open sesame" not in run.output


def test_an_unknown_host_key_is_refused_with_its_fingerprint_and_the_line_to_add(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()
    line = sshd.known_hosts.read_text().strip()
    sshd.known_hosts.write_text("")
    fingerprint = subprocess.run(
        ["ssh-keygen", "-lf", f"{sshd.host_key}.pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]

    message = refused(sshd.inventory_vars(), aof, tmp_path / "copy")

    assert f"The host key of 127.0.0.1:{sshd.port} is unknown" in message
    assert fingerprint.startswith("SHA256:") and fingerprint in message
    assert line in message.splitlines()
    assert "Accepted publickey" not in sshd.log

    sshd.known_hosts.write_text(line + "\n")
    fetched(sshd.inventory_vars(), aof, tmp_path / "copy")


def test_without_checking_an_unknown_host_key_is_added_as_by_ssh(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()
    line = sshd.known_hosts.read_text()
    sshd.known_hosts.write_text("")
    host = sshd.inventory_vars()
    host["ansible_ssh_common_args"] += " -o HashKnownHosts=no"
    fetched({**host, "ansible_host_key_checking": False}, aof, tmp_path / "copy")
    assert sshd.known_hosts.read_text() == line
    assert not fetched(sshd.inventory_vars(), aof, tmp_path / "copy")["changed"]


def test_a_changed_host_key_is_refused_whatever_else_is_known(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    sshd = start_sshd()
    other = make_key(tmp_path / "other_host")
    names, kind, _key = sshd.known_hosts.read_text().split()[:3]
    other_key = Path(f"{other}.pub").read_text().split()[1]
    sshd.known_hosts.write_text(f"# a comment\n@cert-authority * {kind} {other_key}\n{names} {kind} {other_key}\n")

    message = refused(sshd.inventory_vars(), aof, tmp_path / "copy")

    assert f"The host key of 127.0.0.1:{sshd.port} has changed" in message
    assert f"{sshd.known_hosts}, line 3" in message and "Somebody may be listening in" in message
    assert "Accepted" not in sshd.log


def test_a_revoked_host_key_is_refused_even_without_checking(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    sshd = start_sshd()
    names, kind, key = sshd.known_hosts.read_text().split()[:3]
    sshd.known_hosts.write_text(f"{names} {kind} {key}\n@revoked * {kind} {key}\n")
    host = {**sshd.inventory_vars(), "ansible_host_key_checking": False}
    assert "is revoked" in refused(host, aof, tmp_path / "copy")


def test_without_checking_a_changed_key_gets_no_password(
    start_sshd: StartSshd, make_account: MakeAccount, aof: Path, tmp_path: Path
) -> None:
    sshd = start_sshd(user=make_account("pass", password="let me in"), auth_methods=["password"])
    names, kind = sshd.known_hosts.read_text().split()[:2]
    other_key = Path(f"{make_key(tmp_path / 'other_host')}.pub").read_text().split()[1]
    sshd.known_hosts.write_text(f"{names} {kind} {other_key}\n")
    host = {**sshd.inventory_vars(), "ansible_host_key_checking": False, "ansible_password": "let me in"}
    del host["ansible_ssh_private_key_file"]
    assert "can't be logged in to" in refused(host, aof, tmp_path / "copy")
    assert "Failed password" not in sshd.log and "Accepted password" not in sshd.log


def test_hashed_names_in_known_hosts_are_found(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    sshd = start_sshd()
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(sshd.known_hosts)], check=True, capture_output=True)
    assert sshd.known_hosts.read_text().startswith("|1|")
    fetched(sshd.inventory_vars(), aof, tmp_path / "copy")


def test_a_host_that_can_not_be_reached_is_told_from_one_that_is_no_ssh_server(
    start_sshd: StartSshd, start_server: StartServer, aof: Path, tmp_path: Path
) -> None:
    host, port, redis = start_sshd().inventory_vars(), free_port(), start_server("redis-7.0.15")

    told = refusals(
        {
            "closed": {**host, "ansible_port": port},
            "nowhere": {**host, "ansible_host": "nowhere.invalid"},
            "no-ssh": {**host, "ansible_port": redis.port},
            "bad": {**host, "ansible_ssh_common_args": "-o NoSuchOption=yes"},
        },
        aof,
        tmp_path / "copy",
    )

    assert f"127.0.0.1:{port} refuses the SSH connection" in told["closed"]
    assert "nowhere.invalid can't be resolved" in told["nowhere"]
    assert f"127.0.0.1:{redis.port} hung up" in told["no-ssh"]
    assert "does not accept the SSH settings" in told["bad"] and "nosuchoption" in told["bad"].lower()


def test_an_old_sshd_without_a_common_algorithm_is_named(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    sshd = start_sshd(options={"Ciphers": "chacha20-poly1305@openssh.com"})
    message = refused(sshd.inventory_vars(), aof, tmp_path / "copy")
    assert "no algorithm in common" in message and "paramiko<5" in message


def _config(path: Path, *hosts: tuple[str, Sshd, str]) -> Path:
    """An ssh_config: name, server and further lines of each host."""
    blocks = [
        f"Host {name}\n  HostName {sshd.host}\n  Port {sshd.port}\n  User {sshd.user}\n  IdentityFile {sshd.key_file}\n"
        f"  UserKnownHostsFile {sshd.known_hosts}\n  GlobalKnownHostsFile /dev/null\n  {more}\n"
        for name, sshd, more in hosts
    ]
    path.write_text("".join(blocks))
    return path


def test_ssh_config_alone_tells_the_way_includes_and_two_jumps(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    first, second, last = start_sshd(), start_sshd(), start_sshd()
    _config(tmp_path / "included", ("inner", second, "ProxyJump outer"))
    config = _config(tmp_path / "config", ("outer", first, ""), ("source", last, "ProxyJump inner"))
    config.write_text(f"Include {tmp_path}/included\n{config.read_text()}")
    host = {"ansible_connection": "ssh", "ansible_ssh_common_args": f"-F {config}"}

    fetched(host, aof, tmp_path / "copy")

    assert same_files(tmp_path / "copy", aof)
    assert all("Accepted publickey" in sshd.log for sshd in (first, second, last))


def test_what_the_task_says_counts_before_the_inventory_and_that_before_ssh_config(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()
    right = sshd.inventory_vars()
    config = _config(tmp_path / "config", ("127.0.0.1", sshd, ""))
    config.write_text(config.read_text().replace(str(sshd.port), "1"))
    host = {**right, "ansible_ssh_common_args": f"{right['ansible_ssh_common_args']} -F {config}"}

    fetched(host, aof, tmp_path / "inventory")
    told = refused({**host, "ansible_port": 1}, aof, tmp_path / "wrong")
    fetched({**host, "ansible_port": 1}, aof, tmp_path / "task", vars={"ansible_port": sshd.port})

    assert "nothing listens there" in told
    assert same_files(tmp_path / "inventory", aof) and same_files(tmp_path / "task", aof)


@pytest.mark.parametrize(("compress", "compression"), [("auto", {"none", "zstd", "lz4"}), ("never", {"none"})])
def test_compression_is_an_option_and_what_was_done_is_told(
    compress: str, compression: set[str], start_sshd: StartSshd, public_directory: Path, tmp_path: Path
) -> None:
    path = public_directory / "appendonly.aof"
    path.write_bytes(b"easy to compress" * 4_000_000)
    result = fetched(start_sshd().inventory_vars(), path, tmp_path / "copy", options={"compress": compress})
    assert result["compression"] in compression
    assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()
    assert result["bytes_transferred"] == result["bytes"] == path.stat().st_size


@pytest.mark.parametrize("hops", [1, 2])
def test_jump_hosts_on_the_command_line(hops: int, start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    jumps, last = [start_sshd() for _hop in range(hops)], start_sshd()
    config = _config(tmp_path / "config", *((f"hop{number}", jump, "") for number, jump in enumerate(jumps)))
    host = last.inventory_vars()
    way = ",".join(f"{jump.user}@hop{number}:{jump.port}" for number, jump in enumerate(jumps))
    host["ansible_ssh_common_args"] += f" -F {config} -J {way}"
    fetched(host, aof, tmp_path / "copy")
    assert all("Accepted publickey" in sshd.log for sshd in (*jumps, last))


def test_what_is_wrong_at_a_jump_host_is_told_of_the_jump_host(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    closed, last = start_sshd(options={"AllowTcpForwarding": "no"}), start_sshd()
    config = _config(tmp_path / "config", ("hop", closed, ""))
    host = {**last.inventory_vars()}
    host["ansible_ssh_common_args"] += f" -F {config} -J hop"
    where = f"{closed.user}@127.0.0.1:{closed.port}"
    assert f"{where} forbids connections through it" in refused(host, aof, tmp_path / "copy")

    closed.known_hosts.write_text("")
    assert f"The host key of 127.0.0.1:{closed.port} is unknown" in refused(host, aof, tmp_path / "copy")

    jump = start_sshd()
    _config(config, ("hop", jump, ""))
    port = free_port()
    message = refused({**host, "ansible_port": port}, aof, tmp_path / "copy")
    assert f"{jump.user}@127.0.0.1:{jump.port} can't connect to 127.0.0.1:{port}" in message


def test_a_proxy_command_leads_there(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    jump, last = start_sshd(), start_sshd()
    config = _config(tmp_path / "config", ("hop", jump, ""))
    host = last.inventory_vars()
    host["ansible_ssh_common_args"] += f" -o ProxyCommand='ssh -F {config} -W %h:%p hop'"
    fetched(host, aof, tmp_path / "copy")
    assert "Accepted publickey" in jump.log

    host["ansible_ssh_common_args"] = host["ansible_ssh_common_args"].replace("ssh -F", "false ssh -F")
    assert "(through the ProxyCommand) hung up" in refused(host, aof, tmp_path / "copy")


@pytest.mark.xfail(core_version >= LooseVersion("2.21"), reason="ansible-core 2.21 removed the plugin", run=False)
def test_the_paramiko_connection_plugin_is_served(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    sshd = start_sshd()
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    host = {**sshd.inventory_vars(), "ansible_connection": "ansible.builtin.paramiko_ssh"}
    message = refused(host, aof, tmp_path / "copy", env={"HOME": str(home)})
    assert "is unknown" in message and str(home / ".ssh" / "known_hosts") in message
    (home / ".ssh" / "known_hosts").write_text(sshd.known_hosts.read_text())
    fetched(host, aof, tmp_path / "copy", env={"HOME": str(home)})
    assert same_files(tmp_path / "copy", aof)


@pytest.mark.xfail(core_version >= LooseVersion("2.21"), reason="ansible-core 2.21 removed the plugin", run=False)
def test_the_paramiko_plugin_adds_keys_where_its_options_have_it_so(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    sshd = start_sshd()
    host = {**sshd.inventory_vars(), "ansible_connection": "ansible.builtin.paramiko_ssh"}
    for name, options, added in (
        ("added", {"ansible_paramiko_host_key_auto_add": True}, True),
        (
            "not_recorded",
            {"ansible_paramiko_host_key_auto_add": True, "ansible_paramiko_record_host_keys": False},
            False,
        ),
        ("not_checked", {"ansible_host_key_checking": False}, False),
    ):
        home = tmp_path / name
        home.mkdir()
        env = {"HOME": str(home), "ANSIBLE_HOST_KEY_AUTO_ADD": "", **_as_environment(options)}
        fetched({**host, **options}, aof, tmp_path / f"copy_{name}", env=env)
        written = home / ".ssh" / "known_hosts"
        assert (written.read_text() if written.exists() else "") == (sshd.known_hosts.read_text() if added else "")


def _as_environment(options: Vars) -> Vars:
    """The options of the paramiko plugin that are no variables."""
    names = {
        "ansible_paramiko_host_key_auto_add": "ANSIBLE_PARAMIKO_HOST_KEY_AUTO_ADD",
        "ansible_paramiko_record_host_keys": "ANSIBLE_PARAMIKO_RECORD_HOST_KEYS",
    }
    return {names[name]: str(value) for name, value in options.items() if name in names}


@pytest.mark.xfail(core_version >= LooseVersion("2.21"), reason="ansible-core 2.21 removed the plugin", run=False)
def test_the_proxy_command_of_the_paramiko_plugin_runs_without_a_shell(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    jump, last = start_sshd(), start_sshd()
    config = _config(tmp_path / "config", ("hop", jump, ""))
    home, marker = tmp_path / "home", tmp_path / "a shell ran"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "known_hosts").write_text(last.known_hosts.read_text())
    host = {
        **last.inventory_vars(),
        "ansible_connection": "ansible.builtin.paramiko_ssh",
        "ansible_paramiko_proxy_command": f"ssh -F '{config}' -W %h:%p hop",
    }
    env = {"HOME": str(home)}
    fetched(host, aof, tmp_path / "copy", env=env)
    assert "Accepted publickey" in jump.log

    for command, words in (
        (f"ssh -F '{config}' -W %h:%p hop; touch '{marker}'", "hung up"),
        (f"nosuchprogram %h `touch '{marker}'`", "can't be started: nosuchprogram: No such file"),
        ("ssh 'unfinished", "can't be split into arguments: No closing quotation"),
    ):
        assert words in refused({**host, "ansible_paramiko_proxy_command": command}, aof, tmp_path / "other", env=env)
    assert not marker.exists()


def test_other_connections_and_delegated_tasks_are_refused_with_what_to_do(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    windows = refused({"ansible_connection": "ansible.builtin.winrm"}, aof, tmp_path / "copy")
    assert "'ansible.builtin.winrm' is not supported" in windows and "direct" in windows
    delegated = refused(start_sshd().inventory_vars(), aof, tmp_path / "copy", delegate_to="localhost")
    assert "delegated to localhost" in delegated and "Leave delegate_to out" in delegated


def test_without_paramiko_it_says_what_to_install_and_where(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    (tmp_path / "paramiko.py").write_text("raise ImportError('not here')\n")
    message = refused(start_sshd().inventory_vars(), aof, tmp_path / "copy", env={"PYTHONPATH": str(tmp_path)})
    assert "(paramiko)" in message and "on the control node" in message and sys.executable in message


def test_a_source_that_is_not_there_is_told_at_once(start_sshd: StartSshd, tmp_path: Path) -> None:
    host = start_sshd().inventory_vars()
    empty, several = tmp_path / "empty", tmp_path / "several"
    empty.mkdir()
    several.mkdir()
    for name in ("a.aof", "b.aof"):
        (several / name).touch()
    sources = {
        "nowhere": f"{tmp_path}/nowhere",
        "empty": empty,
        "several": several,
        "stale": STALE,
        "relative": "appendonlydir",
    }

    told = refusals({name: {**host, "src": str(src)} for name, src in sources.items()}, "", tmp_path / "copy")

    assert f"{tmp_path}/nowhere" in told["nowhere"]
    assert "holds no manifest and no .aof file" in told["empty"]
    assert "holds several AOFs" in told["several"]
    assert "appendonlydir/appendonly.aof.manifest" in told["stale"] and f"{STALE}/appendonly.aof" in told["stale"]
    assert "src is not absolute" in told["relative"]


def test_a_manifest_that_names_a_missing_file_is_an_error(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    (aof / BASE).unlink()
    assert str(aof / BASE) in refused(start_sshd().inventory_vars(), aof, tmp_path / "copy")


def test_a_directory_with_something_else_in_it_is_not_written_to(
    start_sshd: StartSshd, aof: Path, tmp_path: Path
) -> None:
    host = start_sshd().inventory_vars()
    dest = tmp_path / "busy"
    dest.mkdir(mode=0o755)
    (dest / "appendonly.aof").write_text("mine")
    for check in (True, False):
        message = refused(host, aof, dest, check=check)
        assert f"{dest} holds other files (appendonly.aof)" in message
    assert [path.name for path in dest.iterdir()] == ["appendonly.aof"]
    assert stat.S_IMODE(dest.stat().st_mode) == 0o755
    assert "holds other files" in refused(local_host(), aof, aof)


def test_two_sources_do_not_share_a_directory(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    host = start_sshd().inventory_vars()
    fetched(host, aof, tmp_path / "copy", name="redis1")
    message = refused(host, aof, tmp_path / "copy", name="redis2")
    assert f"redis1:{aof / MANIFEST}" in message and "a directory of its own" in message


def test_two_calls_do_not_write_into_one_directory_at_once(start_sshd: StartSshd, aof: Path, tmp_path: Path) -> None:
    host = start_sshd().inventory_vars()
    fetched(host, aof, tmp_path / "copy")
    with (tmp_path / "copy.aof_fetch").open("r+") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        assert "Another aof_fetch is writing" in refused(host, aof, tmp_path / "copy")


def test_too_small_a_disk_is_told_before_anything_is_copied(start_sshd: StartSshd, aof: Path, small_disk: Path) -> None:
    message = refused(start_sshd().inventory_vars(), aof, small_disk / "copy")
    assert "disk is too small" in message and "needs 3.0 MB more" in message and "Nothing was copied" in message
    assert list((small_disk / "copy").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> t.Iterator[Path]:
    """A file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], check=True)
    yield mount
    subprocess.run(["umount", str(mount)], check=True)
