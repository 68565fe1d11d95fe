# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private keys in every format that OpenSSH reads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("paramiko")

from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_auth import load_key

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


def generate(path: Path, kind: str, form: str, passphrase: str) -> bytes:
    command = ["ssh-keygen", "-q", "-t", kind, "-m", form, "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.read_bytes()


@pytest.mark.parametrize("passphrase", ["", "open sesame"])
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("ed25519", "RFC4716"),
        ("rsa", "RFC4716"),
        ("rsa", "PEM"),
        ("rsa", "PKCS8"),
        ("ecdsa", "PEM"),
        ("ecdsa", "PKCS8"),
    ],
)
def test_a_key_is_read_whatever_its_format(kind: str, form: str, passphrase: str, tmp_path: Path) -> None:
    content = generate(tmp_path / "key", kind, form, passphrase)
    public = (tmp_path / "key.pub").read_text().split()[1]

    # As it comes out of a YAML block or a vault: blanks around it, no newline at the end.
    assert load_key(b"\n  " + content.strip(), passphrase).get_base64() == public
    if passphrase:
        with pytest.raises(ValueError, match="it is encrypted"):
            load_key(content, "")
        with pytest.raises(ValueError, match="passphrase is wrong"):
            load_key(content, "another one")
    else:
        assert load_key(content, "not needed").get_base64() == public


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"]
)
def test_what_is_no_key_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ValueError, match="no private key"):
        load_key(content, "")
