# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Add host keys to a known_hosts file, as ``ssh`` does with ``StrictHostKeyChecking=accept-new``."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from ansible_collections.redisops.tair.plugins.plugin_utils._known_hosts import HostKey

_SALT = 20  # bytes of HMAC-SHA1, as OpenSSH has it
#: A name with one of these is a pattern, a list, a marker or several fields when the line is read again.
_UNSAFE = re.compile(r"[*?!,|#@\s\x00-\x1f\x7f]")


def add_host_key(path: Path, key: HostKey, names: t.Sequence[str], *, hashed: bool) -> None:
    """Append lines for a key to a known_hosts file, unless they are there already.

    The file is created with mode 0600 and ``~/.ssh`` with mode 0700. A lock keeps processes that call this at the same
    time apart. Raises :class:`OSError` when the file can't be written, :class:`ValueError` for a name that
    can't be in such a file.
    """
    for name in names:
        if _UNSAFE.search(name):
            raise ValueError(f"the name {name} has a meaning of its own in known_hosts")
    _create_ssh_directory(path)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        present = file.read() if os.fstat(descriptor).st_size else b""
        encoded = base64.b64encode(key.blob).decode()
        if hashed:
            lines = [f"{_hashed(name)} {key.kind} {encoded}\n" for name in names if not _has(present, name, encoded)]
        else:
            line = f"{','.join(names)} {key.kind} {encoded}\n"
            lines = [] if line.encode() in present.splitlines(keepends=True) else [line]
        if lines:
            newline = "\n" if present and not present.endswith(b"\n") else ""
            file.write((newline + "".join(lines)).encode())


def hash_of(name: str, salt: bytes) -> bytes:
    """Return the HMAC-SHA1 that stands for a name in a hashed known_hosts line."""
    return hmac.new(salt, name.encode(), hashlib.sha1).digest()


def _hashed(name: str) -> str:
    salt = os.urandom(_SALT)
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(hash_of(name, salt)).decode()}"


def _has(content: bytes, name: str, encoded: str) -> bool:
    """Return whether a hashed line for this name and key is in the file."""
    for line in content.decode("utf-8", "replace").split("\n"):
        fields = line.split(" ")
        if len(fields) < 3 or fields[2] != encoded or not fields[0].startswith("|1|"):
            continue
        with contextlib.suppress(ValueError):
            _empty, _version, salt, digest = fields[0].split("|")
            if hmac.compare_digest(hash_of(name, base64.b64decode(salt)), base64.b64decode(digest)):
                return True
    return False


def _create_ssh_directory(path: Path) -> None:
    directory = Path("~/.ssh").expanduser()
    if directory in path.parents and not directory.exists():
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
