# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Logging in: which keys and passwords are tried, in which order.

What the inventory names comes first (the private key, then the password); then, as OpenSSH does, the agent's keys and
the other key files. paramiko's own order tries every key of the agent before a password, and a server that allows
six attempts then hangs up.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.module_utils._text import shown
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh_settings import SshSettings

with contextlib.suppress(ImportError):  # _ssh.require_paramiko() says so before anything here is called
    import paramiko
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def log_in(transport: paramiko.Transport, settings: SshSettings, *, send_password: bool) -> None:
    """Log in over a transport whose host key has been verified. Raises :class:`ConnectError` when nothing works."""
    tried: list[str] = []
    with contextlib.ExitStack() as stack:
        try:
            allowed = _ask_methods(transport, settings.user)
            for name, method, attempt in _credentials(settings, send_password, tried, stack):
                if not allowed:
                    return
                if method not in allowed:
                    continue
                try:
                    # Empty: logged in. Else what the server wants besides.
                    allowed = set(attempt(transport))
                except paramiko.BadAuthenticationType as exc:
                    allowed = set(exc.allowed_types)
                except paramiko.AuthenticationException:
                    if not transport.is_active():
                        raise
                    tried.append(name)
        except paramiko.SSHException as exc:
            raise _refused(settings, tried, f"the server ended the login ({shown(str(exc))})") from exc
    if allowed:
        raise _refused(settings, tried, f"it lets in by {shown(', '.join(sorted(allowed)))}")


def _refused(settings: SshSettings, tried: list[str], answer: str) -> ConnectError:
    named = "with " + ", ".join(tried) if tried else "with anything: there is no key, agent or password to try"
    return ConnectError(
        f"{settings} can't be logged in to {named}; {answer}",
        todo="Check ansible_user, ansible_ssh_private_key_file or ansible_password; 'ssh' with the same settings must work."
        + (" With many keys in the agent set '-o IdentitiesOnly=yes'" if len(tried) > 4 else ""),
    )


def _ask_methods(transport: paramiko.Transport, user: str) -> set[str]:
    """The login methods of the server; none: it lets everybody in."""
    try:
        return set(transport.auth_none(user))
    except paramiko.BadAuthenticationType as exc:
        return set(exc.allowed_types)


Attempt = t.Callable[["paramiko.Transport"], t.Iterable[str]]


def _credentials(
    settings: SshSettings, send_password: bool, unusable: list[str], stack: contextlib.ExitStack
) -> t.Iterator[tuple[str, str, Attempt]]:
    """Name, method and attempt, in order. Keys that can't be tried go to ``unusable``, with the reason."""
    user = settings.user

    def by_key(key: paramiko.PKey) -> Attempt:
        return lambda transport: transport.auth_publickey(user, key)

    if settings.private_key:
        try:
            yield "the private key", "publickey", by_key(load_key(settings.private_key.encode(), settings.passphrase))
        except ValueError as exc:
            unusable.append(f"the private key ({exc})")
    agent_keys = _agent_keys(settings, stack)
    if settings.private_key_file:
        for name, key in _keys_of_file(settings.private_key_file, settings, agent_keys, unusable, must_exist=True):
            yield name, "publickey", by_key(key)
    if settings.password and send_password:
        yield (
            "the password",
            "password",
            lambda transport: transport.auth_password(user, settings.password, fallback=False),
        )
        yield (
            "the password",
            "keyboard-interactive",
            lambda transport: transport.auth_interactive(user, _Answers(settings.password, settings.password_prompts)),
        )
    others = [path for path in settings.identity_files if path != settings.private_key_file]
    if not settings.identities_only:
        public = {blob for path in settings.identity_files if (blob := _public_blob(path))}
        for _blob, agent_key in sorted(agent_keys.items(), key=lambda item: item[0] not in public):
            yield f"the agent's key {agent_key.comment}", "publickey", by_key(agent_key)
    for path in others:
        for name, key in _keys_of_file(path, settings, agent_keys, unusable, must_exist=False):
            yield name, "publickey", by_key(key)


class _Answers:
    """Answer the questions of ``keyboard-interactive``: a hidden one with the password, a shown one with nothing.

    A server may ask as often as it likes; after ``most`` passwords the login ends.
    """

    def __init__(self, password: str, most: int) -> None:
        self._password = password
        self._most = most
        self._rounds = self._given = 0

    def __call__(self, _title: str, _text: str, prompts: t.Sequence[tuple[str, bool]]) -> list[str]:
        self._rounds += 1
        hidden = sum(not echoed for _prompt, echoed in prompts)
        if self._given + hidden > self._most or self._rounds > 2 * self._most:
            raise paramiko.AuthenticationException(f"it asked for the password more than {self._most} times")
        self._given += hidden
        return ["" if echoed else self._password for _prompt, echoed in prompts]


def _keys_of_file(
    path: Path,
    settings: SshSettings,
    agent_keys: dict[bytes, paramiko.AgentKey],
    unusable: list[str],
    *,
    must_exist: bool,
) -> t.Iterator[tuple[str, paramiko.PKey]]:
    """The key of a file, with its certificate first where there is one; the agent's where the agent holds it."""
    in_agent = agent_keys.pop(_public_blob(path) or b"", None)
    if in_agent is not None:
        yield f"{path} (from the agent)", in_agent
        return
    try:
        content = path.read_bytes()
    except OSError as exc:
        if must_exist or not isinstance(exc, FileNotFoundError):
            unusable.append(f"{path} ({exc.strerror})")
        return
    try:
        certificate = path.with_name(path.name + "-cert.pub")
        if certificate.exists():
            certified = load_key(content, settings.passphrase)
            certified.load_certificate(str(certificate))
            yield f"{path} with its certificate", certified
        yield str(path), load_key(content, settings.passphrase)
    except ValueError as exc:
        unusable.append(f"{path} ({exc})")


def _public_blob(private: Path) -> bytes | None:
    """The public half that stands beside a private key's file."""
    try:
        return base64.b64decode(Path(f"{private}.pub").read_text(encoding="utf-8").split()[1])
    except (OSError, ValueError, IndexError):
        return None


def load_key(content: bytes, passphrase: str) -> paramiko.PKey:
    """A private key in any format that OpenSSH reads. Raises :class:`ValueError` with the reason, for a message."""
    content = content.strip() + b"\n"  # pasted keys have blanks around them, YAML drops the last newline
    load = serialization.load_ssh_private_key if b"BEGIN OPENSSH" in content else serialization.load_pem_private_key
    try:
        try:
            loaded = load(content, None)
        except TypeError:  # it is encrypted
            if not passphrase:
                raise ValueError("it is encrypted: load it into the SSH agent") from None
            try:
                loaded = load(content, passphrase.encode())
            except ValueError as exc:
                raise ValueError("the passphrase is wrong") from exc
        except ValueError as exc:
            raise ValueError("it is no private key, or it is damaged") from exc
    except UnsupportedAlgorithm as exc:
        raise ValueError(f"its type is not supported: {exc}") from exc
    kinds: list[tuple[type, type[paramiko.PKey]]] = [
        (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
        (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
        (rsa.RSAPrivateKey, paramiko.RSAKey),
    ]
    for loaded_kind, key_kind in kinds:
        if isinstance(loaded, loaded_kind):
            # Through OpenSSH's format, in memory: the one that every key class of every paramiko reads.
            plain = loaded.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
            return key_kind.from_private_key(io.StringIO(plain.decode()))
    raise ValueError("its type is not supported by paramiko")


def _agent_keys(settings: SshSettings, stack: contextlib.ExitStack) -> dict[bytes, paramiko.AgentKey]:
    """The keys of the SSH agent by their public half. The connection to it is closed with ``stack``."""
    if not settings.agent_socket:
        return {}
    with _environment("SSH_AUTH_SOCK", settings.agent_socket):  # the only way to tell paramiko
        try:
            agent = paramiko.Agent()
        except (paramiko.SSHException, OSError):
            return {}
    stack.callback(agent.close)
    return {key.asbytes(): key for key in agent.get_keys()}


@contextlib.contextmanager
def _environment(name: str, value: str) -> t.Iterator[None]:
    previous = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if previous is None:
            del os.environ[name]
        else:
            os.environ[name] = previous
