# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Is this key in ``RevokedHostKeys``? The file is a list of public keys, or an OpenSSH key revocation list (KRL)."""

from __future__ import annotations

import base64
import binascii
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.module_utils._text import shown
from ansible_collections.redisops.tair.plugins.plugin_utils._bounded import run_bounded

if t.TYPE_CHECKING:
    from ansible_collections.redisops.tair.plugins.plugin_utils._known_hosts import HostKey

_KRL_MAGIC = b"SSHKRL\n\0"
_LARGEST = 64 << 20  # bytes
_KEYGEN_SECONDS, _KEYGEN_OUTPUT = 60.0, 1 << 16


def is_revoked(key: HostKey, path: Path, keygen: str) -> bool:
    """Return whether a file revokes a key. ``keygen``: the ``ssh-keygen`` that reads a KRL.

    Raises :class:`ConnectError` for a file that can't be read or understood: like OpenSSH, a key that can't be
    checked is not accepted.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as exc:
        raise _unusable(path, exc.strerror or type(exc).__name__) from exc
    if len(content) > _LARGEST:
        raise _unusable(path, f"it is larger than {_LARGEST} bytes")
    if content.startswith(_KRL_MAGIC):
        return _in_krl(key, path, keygen)
    return _in_list(key, path, content)


def _in_list(key: HostKey, path: Path, content: bytes) -> bool:
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            blob = base64.b64decode(fields[1], validate=True)
        except (IndexError, binascii.Error):
            raise _unusable(path, f"line {number} is no public key") from None
        if blob == key.blob:
            return True
    return False


def _in_krl(key: HostKey, path: Path, keygen: str) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".pub") as public:
        public.write(f"{key.kind} {base64.b64encode(key.blob).decode()}\n")
        public.flush()
        try:
            done = run_bounded(
                [keygen, "-Q", "-f", str(path), public.name], timeout=_KEYGEN_SECONDS, limit=_KEYGEN_OUTPUT
            )
        except (OSError, OverflowError) as exc:
            raise _unusable(path, f"it is a key revocation list, which '{keygen} -Q' can't read: {exc}") from exc
    if done.returncode == 0:
        return False
    if done.stdout.rstrip().endswith(": REVOKED"):
        return True
    raise _unusable(path, shown(done.stderr.strip()) or f"'{keygen} -Q' ended with {done.returncode}")


def _unusable(path: Path, reason: str) -> ConnectError:
    return ConnectError(
        f"RevokedHostKeys can't be checked, {path}: {reason}",
        changed="No host key is accepted without it, and nothing was sent to the host",
        todo="Fix the file, or the option RevokedHostKeys in ssh_config or the -o arguments",
    )
