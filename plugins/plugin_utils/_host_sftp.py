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
import posixpath
import stat
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import MANIFEST_SUFFIX
from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError
from ansible_collections.redisops.tair.plugins.plugin_utils._host import (
    FileState,
    Found,
    Host,
    SourceChangedError,
    Stream,
)
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import ConnectionLostError, SshConnection

with contextlib.suppress(ImportError):  # a connection is needed to get here
    import paramiko

#: Bytes asked for at once. paramiko keeps them all in memory, so this bounds it.
_BATCH = 8 << 20
_REQUEST = 1 << 16  # every OpenSSH answers so much at once; paramiko's own 32 KB are half as fast
_CHUNK = 1 << 20


class SftpHost(Host):
    """``connect`` makes the connection again when it was lost."""

    def __init__(self, connection: SshConnection, connect: t.Callable[[], SshConnection]) -> None:
        self._connect = connect
        self._connection = connection
        self._sftp = connection.sftp()
        self.name = str(connection)

    def reconnect(self) -> None:
        self._connection.close()
        self._connection = self._connect()
        self._sftp = self._connection.sftp()

    def close(self) -> None:
        self._connection.close()

    def find(self, path: str) -> Found:
        with self._speaking(path):
            if stat.S_ISDIR(self._sftp.stat(path).st_mode or 0):
                path = self._only_aof_in(path)
            if not path.endswith(MANIFEST_SUFFIX):
                return Found(path, None)
            with self._sftp.open(path, "rb") as manifest:
                return Found(path, manifest.read())

    def _only_aof_in(self, directory: str) -> str:
        names = sorted(self._sftp.listdir(directory))
        candidates = [name for name in names if name.endswith(MANIFEST_SUFFIX)]
        candidates = candidates or [name for name in names if name.endswith(".aof")]
        if len(candidates) == 1:
            return posixpath.join(directory, candidates[0])
        raise FetchError(
            f"{directory} on {self.name} does not hold exactly one AOF, but {', '.join(candidates) or 'no manifest and no .aof file'}",
            todo="Name the AOF file or the manifest itself in src",
        )

    def states(self, paths: t.Sequence[str]) -> list[FileState]:
        answer = []
        for path in paths:
            with self._speaking(path):
                answer.append(FileState(path, "", self._sftp.stat(path).st_size or 0))
        return answer

    def stream(self, file: FileState, offset: int, packers: t.Sequence[str] = ()) -> Stream:
        return _SftpStream(self, file, offset)

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
        except paramiko.SFTPError as exc:
            raise FetchError(
                f"{self.name} does not speak SFTP cleanly: {exc}",
                todo="Let the account's rc files print nothing when there is no terminal",
            ) from exc
        except (TimeoutError, EOFError, paramiko.SSHException) as exc:
            raise ConnectionLostError(
                f"The SSH connection to {self.name} was lost while reading {path}: {exc}"
            ) from exc
        except OSError as exc:
            if exc.errno is None and "Failure" not in str(exc):  # paramiko: 'Socket is closed'
                raise ConnectionLostError(
                    f"The SSH connection to {self.name} was lost while reading {path}: {exc}"
                ) from exc
            raise FetchError(f"{path} on {self.name} can't be read: {exc}") from exc


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
            with self._host._speaking(path), self._host._sftp.open(path, "rb") as handle:
                handle.MAX_REQUEST_SIZE = _REQUEST
                for data in handle.readv(batch):
                    if not data:
                        break
                    position += len(data)
                    yield data
            if position < min(batch[-1][0] + batch[-1][1], end):
                raise SourceChangedError(f"On {self._host.name} {path} became shorter than it was")
