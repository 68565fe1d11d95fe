# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Reading an AOF by SFTP, for accounts that have no shell (``internal-sftp``).

SFTP knows neither inodes nor checksums, so every digest is a second read of the file, opened anew by its name: a file
that was replaced, cut or torn meanwhile gives another digest.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
import struct
import threading
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import (
    MANIFEST_MAX_SIZE,
    MANIFEST_SUFFIX,
    manifests_among,
    single_files_among,
    why_not_one,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError
from ansible_collections.redisops.tair.plugins.module_utils._file_names import name_problem
from ansible_collections.redisops.tair.plugins.module_utils._text import shown
from ansible_collections.redisops.tair.plugins.plugin_utils._host import (
    FileState,
    Found,
    Host,
    SourceChangedError,
    Stream,
    require_number,
    senseless,
)
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import ConnectionLostError, SshConnection

with contextlib.suppress(ImportError):  # a connection is needed to get here
    import paramiko

#: Bytes asked for at once. paramiko keeps them all in memory, so this bounds it.
_BATCH = 8 << 20
_REQUEST = 1 << 16  # every OpenSSH answers so much at once; paramiko's own 32 KB are half as fast
_CHUNK = 1 << 20
_LARGEST_PACKET = (1 << 18) + 1024  # OpenSSH's own limit
_MOST_NAMES = 100_000  # of a directory
#: Seconds for an answer about a file, and for a batch of its bytes, however it goes on in small pieces.
_ANSWER_WAIT, _BATCH_WAIT = 300.0, 3600.0
#: What the garbage of a server that is none makes of paramiko.
_NOT_UNDERSTOOD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, struct.error)
#: draft-ietf-secsh-filexfer-02: types of packets, and flags of attributes.
_OPENDIR, _READDIR, _CLOSE, _STAT, _HANDLE, _NAME, _ATTRS = 11, 12, 4, 17, 102, 104, 105
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 1, 2, 4, 8, 0x80000000


class SftpHost(Host):
    """``connect`` makes the connection again when it was lost."""

    def __init__(self, connection: SshConnection, connect: t.Callable[[], SshConnection]) -> None:
        self._connect = connect
        self._connection = connection
        self.name = str(connection)
        self._sftp = self._session()

    def reconnect(self) -> None:
        self._connection.close()
        self._connection = self._connect()
        self._sftp = self._session()

    def _session(self) -> t.Any:
        """Return an SFTP session. Its parts that paramiko calls private are used, so it has no type."""
        with self._speaking("the version of SFTP"):
            sftp: t.Any = self._connection.sftp()
        read_all = sftp._read_all

        def bounded(count: int) -> bytes:
            if count > _LARGEST_PACKET:
                raise paramiko.SFTPError(f"a packet of {count} bytes")
            return t.cast(bytes, read_all(count))

        sftp._read_all = bounded  # paramiko itself accepts 16 MB, as an answer to each of a hundred requests
        return sftp

    def close(self) -> None:
        self._connection.close()

    def find(self, path: str) -> Found:
        with self._speaking(path), self._within(_ANSWER_WAIT):
            if stat.S_ISDIR(self._attributes(path)[0]):
                path = self._only_aof_in(path)
            if not path.endswith(MANIFEST_SUFFIX):
                return Found(path, None)
            with self._sftp.open(os.fsencode(path), "rb") as manifest:
                content = manifest.read(MANIFEST_MAX_SIZE + 1)
        if len(content) > MANIFEST_MAX_SIZE:
            raise senseless(self.name, f"a manifest of more than {MANIFEST_MAX_SIZE} bytes for {path}")
        return Found(path, content)

    def _only_aof_in(self, directory: str) -> str:
        names = self._plain_names(directory)
        candidates = manifests_among(names)
        if not candidates:
            inner = [f"{name}/{found}" for name in names for found in manifests_among(self._names_in(directory, name))]
            candidates = [*inner, *single_files_among(names)]
        if len(candidates) == 1:
            return posixpath.join(directory, candidates[0])
        what, todo = why_not_one(directory, candidates, names)
        raise FetchError(f"On {self.name} {what}", todo=todo)

    def _names_in(self, directory: str, name: str) -> list[str]:
        """Return the names in a directory of ``directory``; none where it is something else, or may not be read."""
        path = posixpath.join(directory, name)
        try:
            return self._plain_names(path) if stat.S_ISDIR(self._attributes(path)[0]) else []
        except (PermissionError, FileNotFoundError):
            return []

    def _plain_names(self, directory: str) -> list[str]:
        return sorted(name for name in self._names(directory) if not name_problem(name))

    def _names(self, directory: str) -> t.Iterator[str]:
        """Yield the names in a directory. Read here, as paramiko keeps them all, and loops as often as a packet claims."""
        handle = _Fields(self._ask(_HANDLE, _OPENDIR, os.fsencode(directory))).text()
        count = 0
        try:
            while True:
                fields = _Fields(self._ask(_NAME, _READDIR, handle))
                entries = fields.number()
                for _entry in range(entries):
                    name, _long_name = fields.text(), fields.text()
                    fields.attributes()
                    count += 1
                    if count > _MOST_NAMES:
                        raise senseless(self.name, f"more than {_MOST_NAMES} names for {directory}")
                    yield os.fsdecode(name)
                if not entries:
                    raise paramiko.SFTPError("an answer without names")
        except EOFError:
            self._sftp._request(_CLOSE, handle)

    def _attributes(self, path: str) -> tuple[int, int]:
        """Return a file's mode and size."""
        return _Fields(self._ask(_ATTRS, _STAT, os.fsencode(path))).attributes()

    def _ask(self, expected: int, *request: t.Any) -> bytes:
        """Send a request and return the answer, which has to be of the type ``expected``."""
        kind, message = self._sftp._request(*request)
        if kind != expected:
            raise paramiko.SFTPError(f"an answer of type {kind}")
        return t.cast(bytes, message.get_remainder())

    def states(self, paths: t.Sequence[str]) -> list[FileState]:
        answer = []
        for path in paths:
            with self._speaking(path), self._within(_ANSWER_WAIT):
                size = self._attributes(path)[1]
            answer.append(FileState(path, "", require_number(self.name, "a size", str(size))))
        return answer

    def stream(self, file: FileState, offset: int, packers: t.Sequence[str] = ()) -> Stream:
        return _SftpStream(self, file, offset)

    @contextlib.contextmanager
    def _within(self, seconds: float) -> t.Iterator[None]:
        """Close the connection, which ends every wait for it, if the block takes longer. Raises :class:`FetchError` then."""
        late = threading.Event()
        connection = self._connection

        def cut() -> None:
            late.set()
            connection.close()

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as exc:
            if late.is_set():
                raise FetchError(
                    f"{self.name} has not answered completely within {seconds:.0f} s, though it went on sending",
                    todo="Check the load of the host and the network, and whether this host can still be trusted",
                ) from exc
            raise
        finally:
            timer.cancel()

    @contextlib.contextmanager
    def _speaking(self, path: str) -> t.Iterator[None]:
        try:
            yield
        except PermissionError as exc:
            raise FetchError(
                f"{self.name} may not read the AOF: {path}: Permission denied",
                todo="This account has SFTP only, so become can't help: use one with a shell and sudo, or let it read the file",
            ) from exc
        except FileNotFoundError as exc:
            raise SourceChangedError(f"{self.name} has no AOF there: {path} does not exist", todo="Check src") from exc
        except (paramiko.SFTPError, *_NOT_UNDERSTOOD) as exc:
            raise FetchError(
                f"{self.name} does not speak SFTP cleanly: {_brief(exc)} (about {path})",
                todo="Let the account's rc files print nothing when there is no terminal",
            ) from exc
        except (TimeoutError, EOFError, paramiko.SSHException) as exc:
            raise ConnectionLostError(
                f"The SSH connection to {self.name} was lost while reading {path}: {_brief(exc)}"
            ) from exc
        except OSError as exc:
            if exc.errno is None and "Failure" not in str(exc):  # paramiko: 'Socket is closed'
                raise ConnectionLostError(
                    f"The SSH connection to {self.name} was lost while reading {path}: {_brief(exc)}"
                ) from exc
            raise FetchError(f"{path} on {self.name} can't be read: {_brief(exc)}") from exc


class _Fields:
    """The fields of a packet, one after another. Raises ``struct.error`` where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, form: str = ">I") -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def text(self) -> bytes:
        (value,) = struct.unpack_from(f">{self.number()}s", self._data, self._at)
        self._at += len(value)
        return bytes(value)

    def attributes(self) -> tuple[int, int]:
        """Return the mode and the size; 0 for what is not there."""
        flags = self.number()
        size = self.number(">Q") if flags & _HAS_SIZE else 0
        if flags & _HAS_OWNER:
            self.number(">Q")
        mode = self.number() if flags & _HAS_MODE else 0
        if flags & _HAS_TIMES:
            self.number(">Q")
        for _extension in range(self.number() if flags & _HAS_MORE else 0):
            self.text(), self.text()
        return mode, size


def _brief(exc: Exception) -> str:
    """Return what an exception says, which may be the host's own words."""
    return shown(str(exc)[:300]) or type(exc).__name__


class _SftpStream(Stream):
    def __init__(self, host: SftpHost, file: FileState, offset: int) -> None:
        self._host, self._file, self._offset = host, file, offset

    def close(self) -> None:
        """The file is open only while it is read."""

    def __iter__(self) -> t.Iterator[bytes]:
        path, position, end = self._file.path, self._offset, self._file.size
        while position < end:
            batch = [(at, min(_CHUNK, end - at)) for at in range(position, min(position + _BATCH, end), _CHUNK)]
            # Opened for every batch: paramiko may forget what it has prefetched, and keeps it as long as the file.
            with (
                self._host._speaking(path),
                self._host._within(_BATCH_WAIT),
                self._host._sftp.open(os.fsencode(path), "rb") as handle,
            ):
                handle.MAX_REQUEST_SIZE = _REQUEST
                for data, (_at, asked) in zip(handle.readv(batch), batch, strict=True):
                    if not data:
                        break
                    if len(data) > asked:
                        raise paramiko.SFTPError(f"{len(data)} bytes where {asked} were asked for")
                    position += len(data)
                    yield data
            if position < min(batch[-1][0] + batch[-1][1], end):
                raise SourceChangedError(f"On {self._host.name} {path} became shorter than it was")
