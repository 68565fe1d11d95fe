# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The directory on the control node that holds the copy of one AOF.

It belongs to one source: a journal in it names the source and every file that was put there, so that nothing else is
ever overwritten or removed. Files are written as ``NAME.part`` and renamed when the whole set has been verified.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError
from ansible_collections.redisops.tair.plugins.plugin_utils._progress import size

_JOURNAL = ".aof_fetch"
_PART = ".part"
_READ = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LocalCopy:
    """What is already here of one file: its first ``length`` bytes, in the finished file or in ``NAME.part``."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self._final = directory / name
        self._part = directory / (name + _PART)
        self._held = next((path for path in (self._part, self._final) if path.is_file()), None)
        self.length = 0
        self._hasher = hashlib.sha256()
        if self._held is not None:
            with _writing(self._held), self._held.open("rb") as file:
                while data := file.read(_READ):
                    self._hasher.update(data)
                    self.length += len(data)

    @property
    def digest(self) -> str:
        """SHA-256 of what is here."""
        return self._hasher.hexdigest()

    @property
    def finished(self) -> bool:
        """Whether the bytes stand under the file's own name: nothing was added by this call."""
        return self._held == self._final

    def discard(self) -> None:
        """What is here is of no use. A finished file stays until its successor is complete."""
        self._held = None
        self.length = 0
        self._hasher = hashlib.sha256()

    def append(self, chunks: t.Iterable[bytes | memoryview]) -> None:
        """Write on where the copy ends. What has been written stays, whatever happens. Raises :class:`FetchError`."""
        with _writing(self._part):
            if self._held == self._final:
                self._final.rename(self._part)  # no second copy of a big file for a few new bytes
            self._held = self._part
            with open(os.open(self._part, os.O_WRONLY | os.O_CREAT, 0o600), "wb", buffering=0) as file:
                file.truncate(self.length)
                file.seek(self.length)
                for data in chunks:
                    self._write(file, data)

    def _write(self, file: t.BinaryIO | t.Any, data: bytes | memoryview) -> None:
        """All of ``data``: an unbuffered write may take a part of it, on a disk that gets full."""
        view = memoryview(data)
        while view:
            written = file.write(view)
            self._hasher.update(view[:written])
            self.length += written
            view = view[written:]

    def publish(self) -> None:
        """Give the complete file its own name."""
        if self._held == self._part:
            with _writing(self._final):
                self._part.replace(self._final)
            self._held = self._final


class Destination:
    """The directory for ``source`` (host and path). With ``check_mode`` nothing is made or written.

    The constructor raises :class:`FetchError` where the directory is not free for it.
    """

    def __init__(self, directory: Path, source: str, *, check_mode: bool) -> None:
        self.directory = directory
        self._check_mode = check_mode
        self._journal: t.TextIO | None = None
        self._ours: set[str] = set()
        self._claim(source)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def copy_of(self, name: str) -> LocalCopy:
        """What is here of a file, which is ours from now on."""
        self._own(name)
        return LocalCopy(self.directory, name)

    def require_space(self, needed: int) -> None:
        """Raise :class:`FetchError` unless so many more bytes fit."""
        existing = next(path for path in (self.directory, *self.directory.parents) if path.is_dir())
        free = shutil.disk_usage(existing).free
        if needed > free:
            raise FetchError(
                f"The control node's disk is too small for the AOF: {self.directory} needs {size(needed)} more,"
                f" {size(free)} are free",
                changed="Nothing was copied",
                todo="Make room there, or give a dest on another file system",
            )

    def replace(self, name: str, content: bytes) -> bool:
        """Put a small file there at once, whole. Whether it differed."""
        path = self.directory / name
        if path.is_file() and path.read_bytes() == content:
            return False
        if not self._check_mode:
            self._own(name)
            part = path.with_name(name + _PART)
            with _writing(part), open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            part.replace(path)
        return True

    def remove_others(self, keep: t.Collection[str]) -> bool:
        """Remove what earlier calls put there and is no part of the AOF any more. Whether there was anything."""
        removed = False
        for name in sorted(self._ours):
            stale = [name + _PART] if name in keep else [name, name + _PART]
            for path in (self.directory / entry for entry in stale):
                if path.exists():
                    removed = True
                    if not self._check_mode:
                        path.unlink()
        return removed

    def _own(self, name: str) -> None:
        if self._journal is None or name in self._ours:  # there is none in check mode
            return
        self._journal.write(json.dumps(name) + "\n")
        self._journal.flush()
        self._ours.add(name)

    def _claim(self, source: str) -> None:
        path = self.directory / _JOURNAL
        todo = "Give each source a directory of its own as dest: one that does not exist, is empty, or was made for this source"
        with _writing(self.directory):
            if self.directory.exists() and not self.directory.is_dir():
                raise FetchError(f"{self.directory} is a file; dest must be a directory", todo=todo)
            lines = _journal_lines(path)
            if not lines and self.directory.is_dir():
                others = sorted(entry.name for entry in self.directory.iterdir() if entry.name != _JOURNAL)
                if others:
                    raise FetchError(f"{self.directory} holds other files ({', '.join(others[:3])})", todo=todo)
            if lines and lines[0] != source:
                raise FetchError(
                    f"{self.directory} holds the AOF of another source: {lines[0]}, not {source}", todo=todo
                )
            self._ours = set(lines[1:])
            if self._check_mode:
                return
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._journal = os.fdopen(descriptor, "a", encoding="utf-8")
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._journal.close()
            raise FetchError(
                f"Another aof_fetch is writing into {self.directory} at this moment",
                todo="Wait for it, or give another dest",
            ) from None
        if not lines:
            self._journal.truncate(0)
            self._journal.write(json.dumps(source) + "\n")
            self._journal.flush()


def _journal_lines(path: Path) -> list[str]:
    """The source, then the names of files. Empty where there is no journal; a torn last line does not count."""
    lines: list[str] = []
    with contextlib.suppress(FileNotFoundError, ValueError):
        for line in path.read_text(encoding="utf-8").splitlines():
            lines.append(str(json.loads(line)))
    return lines


@contextlib.contextmanager
def _writing(path: Path) -> t.Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise FetchError(
                f"The control node's disk is full: {path} can't be written on ({exc.strerror})",
                changed="What has been copied is kept; the next call goes on from there",
                todo="Make room there, or give a dest on another file system",
            ) from exc
        raise FetchError(
            f"On the control node {exc.filename or path} can't be used: {exc.strerror or exc}", todo="Check dest"
        ) from exc
