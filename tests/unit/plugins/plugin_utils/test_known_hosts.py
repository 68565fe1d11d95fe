# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which host keys are accepted, by lines that OpenSSH itself reads the same way."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.plugin_utils._known_hosts import (
    HostKey,
    Verdict,
    known_keys,
    known_types,
    names_of,
    verify,
)
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import SshSettings

KEY = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519\0\0\0 " + b"k" * 32)
OTHER = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519\0\0\0 " + b"o" * 32)
RSA = HostKey("ssh-rsa", b"\0\0\0\x07ssh-rsa and so on")


def line(names: str, key: HostKey, marker: str = "") -> str:
    return f"{marker} {names} {key.kind} {base64.b64encode(key.blob).decode()} a comment\n".lstrip()


def settings(path: Path, host: str = "redis1", port: int = 22, **more: object) -> SshSettings:
    return SshSettings(host, port, "me", known_hosts=(Path("/nowhere"), path), **more)  # type: ignore[arg-type]


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


@pytest.mark.parametrize(
    ("names", "host", "port", "accepted"),
    [
        ("redis1", "redis1", 22, True),
        ("REDIS1", "Redis1", 22, True),
        ("db,redis1,10.0.0.1", "10.0.0.1", 22, True),
        ("redis?", "redis1", 22, True),
        ("*.example.com", "a.b.example.com", 22, True),
        ("*,!redis1", "redis1", 22, False),
        ("redis10", "redis1", 22, False),
        ("[redis1]:2222", "redis1", 2222, True),
        ("[redis1]:2222", "redis1", 22, False),
        ("redis1", "redis1", 2222, True),
        ("[redis*]:2222", "redis1", 2222, True),
    ],
)
def test_names_match_as_openssh_has_it(names: str, host: str, port: int, accepted: bool, known_hosts: Path) -> None:
    known_hosts.write_text(line(names, KEY))
    if accepted:
        assert verify(KEY, settings(known_hosts, host, port)) == Verdict()
    else:
        with pytest.raises(ConnectError, match="is unknown"):
            verify(KEY, settings(known_hosts, host, port))


@pytest.mark.parametrize("port", [22, 2222])
def test_hashed_names_of_ssh_keygen_match(port: int, known_hosts: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    real = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32)))
    known_hosts.write_text(line(names_of(settings(known_hosts, port=port))[0], real))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known_hosts)], check=True, capture_output=True)
    assert "redis1" not in known_hosts.read_text()
    assert verify(real, settings(known_hosts, port=port)) == Verdict()
    with pytest.raises(ConnectError, match="is unknown"):
        verify(real, settings(known_hosts, "redis2", port))


def test_one_of_several_keys_of_a_host_is_enough(known_hosts: Path) -> None:
    known_hosts.write_text(line("redis1", OTHER) + line("redis1", RSA) + line("redis1", KEY))
    assert verify(KEY, settings(known_hosts)) == Verdict()
    assert known_types(settings(known_hosts)) == ["ssh-ed25519", "ssh-rsa"]


def test_another_key_of_the_same_type_means_that_it_has_changed(known_hosts: Path) -> None:
    known_hosts.write_text("# the old one\n" + line("redis1", OTHER))
    with pytest.raises(ConnectError) as refusal:
        verify(KEY, settings(known_hosts))
    assert f"has changed: it shows {KEY}, but {known_hosts}, line 2 has {OTHER}" in str(refusal.value)
    assert f"redis1 ssh-ed25519 {base64.b64encode(KEY.blob).decode()}" in str(refusal.value).splitlines()


def test_a_key_of_another_type_is_unknown_but_not_changed(known_hosts: Path) -> None:
    known_hosts.write_text(line("redis1", RSA))
    with pytest.raises(ConnectError, match=r"is unknown.*what is known is ssh-rsa SHA256:"):
        verify(KEY, settings(known_hosts))


def test_accept_new_records_an_unknown_key_and_accepts_no_changed_one(known_hosts: Path) -> None:
    known_hosts.write_text("")
    assert verify(KEY, settings(known_hosts, port=2222, strict="accept-new")) == Verdict(record=("[redis1]:2222",))
    for other in (OTHER, RSA):
        known_hosts.write_text(line("redis1", other))
        with pytest.raises(ConnectError, match="has changed" if other is OTHER else "what is known is ssh-rsa"):
            verify(KEY, settings(known_hosts, strict="accept-new"))


def test_without_checking_a_changed_key_is_not_good_enough_for_a_password(known_hosts: Path) -> None:
    known_hosts.write_text("")
    assert verify(KEY, settings(known_hosts, strict="no")) == Verdict(record=("redis1",))
    known_hosts.write_text(line("redis1", OTHER))
    assert verify(KEY, settings(known_hosts, strict="no")) == Verdict(send_password=False)


def test_a_certificate_authority_is_no_host_key(known_hosts: Path) -> None:
    known_hosts.write_text(line("*", KEY, "@cert-authority"))
    with pytest.raises(ConnectError, match="certificate authority named there can't be used"):
        verify(KEY, settings(known_hosts))


def test_a_revoked_key_is_refused_by_every_setting(known_hosts: Path) -> None:
    known_hosts.write_text(line("redis1", KEY) + line("*", KEY, "@revoked"))
    for strict in ("yes", "accept-new", "no"):
        with pytest.raises(ConnectError, match="is revoked"):
            verify(KEY, settings(known_hosts, strict=strict))


def test_an_alias_is_looked_up_instead_of_the_name_and_has_no_port(known_hosts: Path) -> None:
    known_hosts.write_text(line("alias", KEY))
    assert verify(KEY, settings(known_hosts, port=2222, host_key_alias="Alias")) == Verdict()


def test_lines_that_make_no_sense_are_passed_over(known_hosts: Path) -> None:
    known_hosts.write_bytes(
        b"\xff\xfe\nredis1\nredis1 ssh-ed25519 not*base64\n|1|a|b ssh-rsa AAAA\n|1| ssh-rsa AAAA\n@what\n"
        + line("redis1", KEY).encode()
    )
    assert [known.key for known in known_keys([known_hosts], "redis1")] == [KEY]
