# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Is this host key the right one? As OpenSSH answers it, from known_hosts files.

paramiko's own reader stops at ``@cert-authority`` and ``@revoked`` lines, looks at one key type only, and calls a key
that is known under another type a wrong one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import SshSettings, address

_SSH_PORT = 22


@dataclass(frozen=True)
class HostKey:
    """``kind`` is the key's type in known_hosts, such as ``ssh-ed25519``; ``blob`` its public half."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


@dataclass(frozen=True)
class KnownKey:
    """A line of a known_hosts file that names the host. ``marker``: empty, ``@revoked`` or ``@cert-authority``."""

    key: HostKey
    marker: str
    place: str


def names_of(settings: SshSettings) -> list[str]:
    """What the host is called in known_hosts; like OpenSSH, a name with a port falls back to the bare name."""
    if settings.host_key_alias:
        return [settings.host_key_alias.lower()]
    host = settings.host.lower()
    return [host] if settings.port == _SSH_PORT else [f"[{host}]:{settings.port}", host]


def known_keys(files: t.Iterable[Path], name: str) -> list[KnownKey]:
    """The lines that name the host. Files that are not there, and lines that make no sense, are passed over."""
    found: list[KnownKey] = []
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
            if len(fields) < 3 or fields[0].startswith("#") or not _matches(fields[0], name):
                continue
            try:
                key = HostKey(fields[1], base64.b64decode(fields[2], validate=True))
            except binascii.Error:
                continue
            found.append(KnownKey(key, marker, f"{path}, line {number}"))
    return found


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        _empty, _version, salt, digest = (patterns.split("|") + ["", ""])[:4]
        try:
            expected = hmac.new(base64.b64decode(salt), name.encode(), "sha1").digest()
            return hmac.compare_digest(expected, base64.b64decode(digest))
        except binascii.Error:
            return False
    matched = False
    for pattern in patterns.lower().split(","):
        regex = re.escape(pattern.lstrip("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(regex, name):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def known_types(settings: SshSettings) -> list[str]:
    """The types of the host's known keys: the ones to ask the host for."""
    for name in names_of(settings):
        kinds = [known.key.kind for known in known_keys(settings.known_hosts, name) if not known.marker]
        if kinds:
            return list(dict.fromkeys(kinds))
    return []


def verify(key: HostKey, settings: SshSettings) -> bool:
    """Whether a password may be sent to the host that showed ``key``.

    False only for a changed key under ``StrictHostKeyChecking no``: OpenSSH then logs in with keys alone.
    Raises :class:`ConnectError` for a key that must not be accepted.
    """
    names = names_of(settings)
    where = address(settings.host, settings.port)
    lines = known_keys(settings.known_hosts, names[0])
    for line in lines:
        if line.marker == "@revoked" and line.key.blob == key.blob:
            raise ConnectError(
                f"The host key of {where} is revoked ({line.place}): {key}",
                todo="Do not trust this host before somebody has looked at it",
            )
    plain = [line for name in names for line in known_keys(settings.known_hosts, name) if not line.marker]
    if any(line.key.blob == key.blob for line in plain):
        return True
    same_kind = [line for line in plain if line.key.kind == key.kind]
    if settings.strict == "no":
        return not same_kind
    add = f"{names[0]} {key.kind} {base64.b64encode(key.blob).decode()}"
    if same_kind:
        raise ConnectError(
            f"The host key of {where} has changed: it shows {key}, but {same_kind[0].place} has {same_kind[0].key}",
            todo="Somebody may be listening in. Only if the host is known to have a new key, replace that line by:"
            f"\n{add}\n",
        )
    if settings.strict == "accept-new":
        return True
    beside = ", ".join(sorted({str(line.key) for line in plain}))
    certified = any(line.marker == "@cert-authority" for line in lines)
    files = ", ".join(str(path) for path in settings.known_hosts) or "no file"
    raise ConnectError(
        f"The host key of {where} is unknown: it shows {key}; looked in {files}"
        + (f"; what is known is {beside}" if beside else "")
        + (
            "; the certificate authority named there can't be used, paramiko knows no host certificates"
            if certified
            else ""
        ),
        todo="Compare the fingerprint with the host's own (there: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub);"
        f" if it is the same, add this line to {settings.known_hosts[0] if settings.known_hosts else '~/.ssh/known_hosts'}:"
        f"\n{add}\n",
    )
