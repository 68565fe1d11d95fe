# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Is this host key the right one? As OpenSSH answers it (``check_host_key`` in sshconnect.c), from known_hosts files.

paramiko's own reader stops at ``@cert-authority`` and ``@revoked`` lines and checks one key type only.

Stricter than OpenSSH: a revoked key is refused by every ``StrictHostKeyChecking``, also when only the name
without the port revokes it. ``VerifyHostKeyDNS`` and ``NoHostAuthenticationForLocalhost`` accept nothing here.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import ipaddress
import re
import struct
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.plugin_utils._known_hosts_file import hash_of
from ansible_collections.redisops.tair.plugins.plugin_utils._revoked_keys import is_revoked
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import SshSettings, address

_SSH_PORT = 22
_MARKERS = ("@revoked", "@cert-authority")
_UNRECORDABLE = re.compile(r"""[@?*#\[\]|'"\\]""")  # check_host_key() in OpenSSH's sshconnect.c


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


@dataclass(frozen=True)
class Verdict:
    """What may be done with a host whose key is accepted."""

    send_password: bool = True
    """False for a changed key under ``StrictHostKeyChecking no``: OpenSSH then logs in with keys alone."""
    record: tuple[str, ...] = ()
    """The names under which the key is to be added to known_hosts; empty: it is not added."""


class _Status(enum.Enum):
    OK = "known"
    NEW = "no key of this name is known"
    CHANGED = "other keys of this name are known"
    REVOKED = "revoked"


def names_of(settings: SshSettings) -> list[str]:
    """Return what the host is called in known_hosts; like OpenSSH, a name with a port falls back to the bare name."""
    if settings.host_key_alias:
        return [settings.host_key_alias.lower()]
    host = settings.host.lower()
    return [host] if settings.port == _SSH_PORT else [_with_port(host, settings.port), host]


def _with_port(name: str, port: int) -> str:
    return name if port == _SSH_PORT else f"[{name}]:{port}"


def known_keys(files: t.Iterable[Path], name: str) -> list[KnownKey]:
    """Return the lines that name the host. Missing files, and lines that OpenSSH can't read either, are skipped."""
    found: list[KnownKey] = []
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            continue
        for number, line in enumerate(lines, start=1):
            fields = re.split("[ \t]+", line.strip(" \t\r"))
            marker = fields.pop(0) if fields[0].startswith("@") else ""
            if len(fields) < 3 or fields[0].startswith("#") or (marker and marker not in _MARKERS):
                continue
            if not _matches(fields[0], name):
                continue
            try:
                key = HostKey(fields[1], base64.b64decode(fields[2], validate=True))
            except (binascii.Error, ValueError):
                continue
            if key.blob.startswith(struct.pack(">I", len(key.kind)) + key.kind.encode()):
                found.append(KnownKey(key, marker, f"{path}, line {number}"))
    return found


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|"):
        _empty, version, salt, digest = (patterns.split("|") + ["", "", ""])[:4]
        try:
            return version == "1" and hmac.compare_digest(
                hash_of(name, base64.b64decode(salt)), base64.b64decode(digest)
            )
        except (binascii.Error, ValueError):
            return False
    matched = False
    for pattern in patterns.lower().split(","):
        regex = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(regex, name):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def known_types(settings: SshSettings) -> list[str]:
    """Return the types of the host's known keys, which OpenSSH asks for first: those under its first name alone."""
    lines = known_keys(settings.known_hosts, names_of(settings)[0])
    revoked = {line.key.blob for line in lines if line.marker == "@revoked"}
    return list(dict.fromkeys(line.key.kind for line in lines if not line.marker and line.key.blob not in revoked))


def verify(key: HostKey, settings: SshSettings, *, peer: str = "") -> Verdict:
    """Return what may be done with the host that showed ``key``. ``peer``: the address that was connected to.

    Raises :class:`ConnectError` for a key that must not be accepted.
    """
    if settings.revoked_host_keys and is_revoked(key, settings.revoked_host_keys, settings.keygen):
        raise _revoked(key, settings, str(settings.revoked_host_keys))
    names = names_of(settings)
    status, line = _status(key, settings, names[0])
    if status is _Status.NEW and len(names) > 1:
        bare, line = _status(key, settings, names[1])
        if bare in (_Status.OK, _Status.REVOKED):
            status = bare
            names = names[1:]
    if status is _Status.REVOKED:
        raise _revoked(key, settings, line.place if line else "")
    if status is _Status.CHANGED and settings.strict != "no":
        raise _refused(key, settings, names[0])
    if status is _Status.NEW and (settings.strict == "yes" or _can_not_record(settings)):
        raise _refused(key, settings, names[0])
    record = [names[0]] if status is _Status.NEW else []
    by_address = _address_name(settings, peer)
    if by_address:
        address_status, line = _status(key, settings, by_address)
        if address_status is _Status.REVOKED:
            raise _revoked(key, settings, line.place if line else "")
        if address_status is _Status.CHANGED and status is not _Status.CHANGED and settings.strict != "no":
            raise _address_differs(key, settings, by_address, line)
        if address_status is _Status.NEW and (record or (status is _Status.OK and names == names_of(settings))):
            record.append(by_address)
    return Verdict(send_password=status is not _Status.CHANGED, record=tuple(record))


def _can_not_record(settings: SshSettings) -> bool:
    """Return whether a new key is refused because it can't be added: OpenSSH has no file, or the name is no name there."""
    return settings.must_record and (settings.record_file is None or bool(_UNRECORDABLE.search(settings.host)))


def _status(key: HostKey, settings: SshSettings, name: str) -> tuple[_Status, KnownKey | None]:
    """Return what the files say about a key of this name, and the line that says so."""
    lines = known_keys(settings.known_hosts, name)
    for line in lines:
        if line.marker == "@revoked" and line.key.blob == key.blob:
            return _Status.REVOKED, line
    plain = [line for line in lines if not line.marker]
    for line in plain:
        if line.key.blob == key.blob:
            return _Status.OK, line
    return (_Status.CHANGED, plain[-1]) if plain else (_Status.NEW, None)


def _address_name(settings: SshSettings, peer: str) -> str:
    """Return the address as known_hosts has it, where ``CheckHostIP`` has it checked; else nothing."""
    if not settings.check_host_ip or not peer or settings.proxied or peer == settings.host:
        return ""
    if ipaddress.ip_address(peer.partition("%")[0]).is_loopback:
        return ""
    return _with_port(peer, settings.port)


def _revoked(key: HostKey, settings: SshSettings, place: str) -> ConnectError:
    return ConnectError(
        f"The host key of {address(settings.host, settings.port)} is revoked ({place}): {key}",
        changed="Nothing was sent to the host",
        todo="Do not trust this host before it has been inspected and has a new key",
    )


def _address_differs(key: HostKey, settings: SshSettings, name: str, line: KnownKey | None) -> ConnectError:
    return ConnectError(
        f"The host key of {address(settings.host, settings.port)}, {key}, is not the key that is known for its address {name}"
        + (f" ({line.place})" if line else ""),
        changed="Nothing was sent to the host",
        todo="Somebody may be listening in. If the address was given to another host, remove that line; or set CheckHostIP no",
    )


def _refused(key: HostKey, settings: SshSettings, name: str) -> ConnectError:
    """Return the error for a key that is unknown, or not the known one."""
    where = address(settings.host, settings.port)
    names = names_of(settings)
    plain = [line for each in names for line in known_keys(settings.known_hosts, each) if not line.marker]
    add = f"{names[0]} {key.kind} {base64.b64encode(key.blob).decode()}"
    same_kind = [line for line in plain if line.key.kind == key.kind]
    if same_kind:
        return ConnectError(
            f"The host key of {where} has changed: it shows {key}, but {same_kind[0].place} has {same_kind[0].key}",
            todo="Somebody may be listening in. Only if the host is known to have a new key, replace that line by:"
            f"\n{add}\n",
        )
    files = ", ".join(str(path) for path in settings.known_hosts) or "no file"
    others = ", ".join(sorted({str(line.key) for line in plain}))
    certified = any(line.marker == "@cert-authority" for line in known_keys(settings.known_hosts, name))
    return ConnectError(
        f"The host key of {where} is unknown: it shows {key}; checked {files}"
        + (f"; what is known is {others}" if others else "")
        + (
            "; the certificate authority named there can't be used, paramiko knows no host certificates"
            if certified
            else ""
        ),
        todo="Compare the fingerprint with the host's own (there: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub);"
        f" if it is the same, add this line to {settings.known_hosts[0] if settings.known_hosts else '~/.ssh/known_hosts'}:"
        f"\n{add}\n",
    )
