# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The directory on the control node that holds the copy of one AOF.

It belongs to one source: a journal next to it names the source and every file that was put there, so that nothing else is
ever overwritten or removed. Files are written as ``NAME.part`` and renamed when the whole set has been verified.

The names of the files come from the host. So the journal is not among them, only plain file names are accepted, and every
file is opened by its name in the directory that was checked, without following links.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError
from ansible_collections.redisops.tair.plugins.module_utils._file_names import JOURNAL, PART, name_problem
from ansible_collections.redisops.tair.plugins.module_utils._text import shown
from ansible_collections.redisops.tair.plugins.plugin_utils import _private as private
from ansible_collections.redisops.tair.plugins.plugin_utils._progress import size

_READ = 1 << 20
_LARGEST_JOURNAL = 16 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Directory:
    """An open directory, and what is done in it by plain file names. ``descriptor`` is ``None`` as long as there is none."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path, self.descriptor = path, descriptor

    def open(self, name: str, flags: int) -> int:
        return private.open_file(name, flags, directory=self.descriptor, shown_as=self.path / name)

    def has_file(self, name: str) -> bool:
        """Return whether there is such a file. Raises :class:`FetchError` for anything else of that name."""
        try:
            state = os.lstat(name, dir_fd=self.descriptor) if self.descriptor is not None else None
        except FileNotFoundError:
            state = None
        if state is not None and not stat.S_ISREG(state.st_mode):
            raise FetchError(
                f"{self.path / name} is not a regular file",
                changed="Nothing in the directory was changed",
                todo="Remove it, if nobody needs it, or give another dest",
            )
        return state is not None

    def read(self, name: str) -> t.Iterator[bytes]:
        with open(self.open(name, os.O_RDONLY), "rb") as file:
            while data := file.read(_READ):
                yield data

    def rename(self, old: str, new: str) -> None:
        os.replace(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def unlink(self, name: str) -> None:
        os.unlink(name, dir_fd=self.descriptor)


class LocalCopy:
    """What is already here of one file: its first ``length`` bytes, in the finished file or in ``NAME.part``."""

    def __init__(self, directory: _Directory, name: str) -> None:
        self.name = name
        self._directory = directory
        self._final, self._part = name, name + PART
        self._held: str | None = None
        self.length = 0
        self._hasher = hashlib.sha256()
        with _writing(directory.path / name):
            self._held = next((each for each in (self._part, self._final) if directory.has_file(each)), None)
            if self._held is not None:
                for data in directory.read(self._held):
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
        with _writing(self._directory.path / self._part):
            if self._held == self._final:
                self._directory.rename(self._final, self._part)  # no second copy of a big file for a few new bytes
            self._held = self._part
            with open(self._directory.open(self._part, os.O_WRONLY | os.O_CREAT), "wb", buffering=0) as file:
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
            with _writing(self._directory.path / self._final):
                self._directory.rename(self._part, self._final)
            self._held = self._final


class Destination:
    """The directory for ``source`` (host and path). With ``check_mode`` nothing is made or written.

    The constructor raises :class:`FetchError` where the directory is not free for it, or is not this user's alone.
    """

    def __init__(self, directory: Path, source: str, *, check_mode: bool) -> None:
        # As it is written: which links are on the way is checked.
        self.directory = Path(os.path.normpath(Path.cwd() / directory))
        self._directory = _Directory(self.directory, None)
        self._check_mode = check_mode
        self._journal_path = self.directory.with_name(self.directory.name + JOURNAL)
        self._journal: t.TextIO | None = None
        self._ours: set[str] = set()
        try:
            self._claim(source)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        if self._directory.descriptor is not None:
            os.close(self._directory.descriptor)
            self._directory.descriptor = None

    def copy_of(self, name: str) -> LocalCopy:
        """What is here of a file, which is ours from now on."""
        self._own(name)
        return LocalCopy(self._directory, name)

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
        directory = self._directory
        with _writing(self.directory / name):
            if directory.has_file(name) and b"".join(directory.read(name)) == content:
                return False
            if not self._check_mode:
                self._own(name)
                if directory.has_file(name + PART):
                    directory.unlink(name + PART)
                with open(directory.open(name + PART, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                    file.write(content)
                directory.rename(name + PART, name)
        return True

    def remove_others(self, keep: t.Collection[str]) -> bool:
        """Remove what earlier calls put there and is no part of the AOF any more. Whether there was anything."""
        removed = False
        for name in sorted(self._ours):
            for entry in [name + PART] if name in keep else [name, name + PART]:
                if self._directory.has_file(entry):
                    removed = True
                    if not self._check_mode:
                        self._directory.unlink(entry)
        return removed

    def _own(self, name: str) -> None:
        problem = name_problem(name)
        if problem:
            raise FetchError(f"A plain file name was expected for the copy, but '{shown(name)}' {problem}")
        if self._journal is None or name in self._ours:  # there is none in check mode
            return
        with _writing(self._journal_path):
            self._journal.write(json.dumps(name) + "\n")
            self._journal.flush()
        self._ours.add(name)

    def _claim(self, source: str) -> None:
        todo = "Give each source a directory of its own as dest: one that does not exist, is empty, or was made for this source"
        if self.directory.exists() and not self.directory.is_dir():
            raise FetchError(f"{self.directory} is a file; dest must be a directory", todo=todo)
        if not self.directory.name:
            raise FetchError(f"dest is {self.directory}, the root of all files", todo=todo)
        with _writing(self.directory):
            private.check_way(self.directory)
            exists = self.directory.is_dir()
            if exists:
                self._directory.descriptor = private.open_directory(self.directory)
        with _writing(self._journal_path, "It is the journal of the copy; " + todo):
            # A journal whose directory has gone is void.
            owner, names, whole = self._read_journals() if exists else ("", set(), False)
        if exists and not owner:
            others = sorted(set(os.listdir(self._directory.descriptor)) - {JOURNAL})
            if others:
                raise FetchError(f"{self.directory} holds other files ({', '.join(map(shown, others[:3]))})", todo=todo)
        if owner and owner != source:
            raise FetchError(f"{self.directory} holds the AOF of another source: {owner}, not {source}", todo=todo)
        self._ours = names
        if self._check_mode:
            return
        if not exists:
            with _writing(self.directory):
                private.make_directory(self.directory)
                self._directory.descriptor = private.open_directory(self.directory)
        with _writing(self.directory):
            os.fchmod(t.cast(int, self._directory.descriptor), 0o700)
        with _writing(
            self._journal_path,
            "The copy's journal is kept next to dest: give a dest in a directory that you may write to, such as a new one in it",
        ):
            descriptor = private.open_file(str(self._journal_path), os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._journal = os.fdopen(descriptor, "a", encoding="utf-8")
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError(
                f"Another aof_fetch is writing into {self.directory} at this moment",
                todo="Wait for it, or give another dest",
            ) from None
        with _writing(self._journal_path):
            os.fchmod(descriptor, 0o600)
            if not whole:
                self._journal.truncate(0)
                self._journal.write("".join(json.dumps(line) + "\n" for line in (source, *sorted(names))))
                self._journal.flush()
            if self._directory.has_file(JOURNAL):
                self._directory.unlink(JOURNAL)

    def _read_journals(self) -> tuple[str, set[str], bool]:
        """Return the source, the names of the files, and whether that is in the journal already and its last line is whole.

        The journal of 0.1.0 was in the directory.
        """
        with contextlib.suppress(FileNotFoundError):
            content = private.read_file(self._journal_path, _LARGEST_JOURNAL)
            source, names = self._parsed(content, self._journal_path)
            if source:
                return source, names, content.endswith(b"\n")
        if not self._directory.has_file(JOURNAL):
            return "", set(), False
        return *self._parsed(b"".join(self._directory.read(JOURNAL)), self.directory / JOURNAL), False

    def _parsed(self, content: bytes, path: Path) -> tuple[str, set[str]]:
        """Return the source and the names of a journal; a torn last line does not count."""
        lines = content.split(b"\n")[:-1]
        try:
            entries = [json.loads(line) for line in lines]
        except (ValueError, RecursionError):
            entries = [None]
        problem = next(("is no text" for entry in entries if not isinstance(entry, str)), "") or next(
            (f"'{shown(name)}' {why}" for name in entries[1:] if (why := name_problem(name))), ""
        )
        if problem:
            raise FetchError(
                f"The journal {path} was not written by aof_fetch: {problem}",
                changed="Nothing was copied or removed",
                todo=f"Check who else writes there; then remove {path} and {self.directory}, or give another dest",
            )
        return (entries[0], set(entries[1:])) if entries else ("", set())


@contextlib.contextmanager
def _writing(path: Path, todo: str = "Check dest") -> t.Iterator[None]:
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
            f"On the control node {exc.filename or path} can't be used: {exc.strerror or exc}", todo=todo
        ) from exc
