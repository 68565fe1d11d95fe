# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a copy needs of the host that has the AOF; ``_host_shell`` and ``_host_sftp`` are the two kinds there are."""

from __future__ import annotations

import hashlib
import re
import time
import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import MANIFEST_SUFFIX
from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError
from ansible_collections.redisops.tair.plugins.module_utils._file_names import name_problem
from ansible_collections.redisops.tair.plugins.module_utils._text import shown

Chunk = t.Union[bytes, memoryview]


class Process(t.Protocol):
    """A running command."""

    def send(self, data: bytes) -> None:
        """Write to its standard input. Where it has ended already, reading shows what it said."""

    def end_input(self) -> None:
        """Nothing more is sent."""

    def read(self) -> bytes:
        """At least one byte of what it prints, or nothing at the end."""

    def close(self) -> None:
        """Let go of it, ended or not."""


#: More than any file system stores, and what sums of it stay exact with.
_LARGEST_FILE = 1 << 62
_SHA256 = re.compile("[0-9a-f]{64}")


class SourceChangedError(FetchError):
    """A file was replaced, removed or cut while it was copied: a rewrite did it, so start again."""


@dataclass(frozen=True)
class Found:
    """Where the AOF is: ``path`` of its manifest, whose ``content`` it is, or of its single file (``None``)."""

    path: str
    content: bytes | None


@dataclass(frozen=True)
class FileState:
    """A file as it stands on the host. ``inode`` is empty where it can't be asked for; ``size`` in bytes."""

    path: str
    inode: str
    size: int


class Stream(ABC):
    """Bytes of a file, in chunks."""

    digest: str | None = None
    """Once all have been read: SHA-256 as the host has computed it, where it can."""
    whole: bool = True
    """Whether that is the digest of the file from its beginning on, or only of these bytes."""
    packer: str = ""
    """The program that compresses them on the way; empty: none."""

    @abstractmethod
    def __iter__(self) -> t.Iterator[Chunk]:
        """The bytes, in order, once."""

    @abstractmethod
    def close(self) -> None:
        """Read or not, nothing more is wanted."""


class Host(ABC):
    """Every method raises :class:`FetchError`, :class:`SourceChangedError` or ``ConnectionLostError``."""

    name: str
    """For messages: what the host is and as whom it is read."""
    can_pack: bool = False
    """Whether bytes may be compressed on the way from it."""

    @abstractmethod
    def find(self, path: str) -> Found:
        """Look at ``path``: an AOF file, a manifest, or the directory that holds one of the two."""

    @abstractmethod
    def states(self, paths: t.Sequence[str]) -> list[FileState]:
        """The files as they are now. A file that is not there raises :class:`SourceChangedError`."""

    @abstractmethod
    def stream(self, file: FileState, offset: int, packers: t.Sequence[str] = ()) -> Stream:
        """The bytes of the file from ``offset`` up to ``file.size``.

        ``packers``: programs to compress them with; the first one that the host has is used.
        """

    @abstractmethod
    def reconnect(self) -> None:
        """After a ``ConnectionLostError``."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the host."""

    def digest(self, file: FileState, length: int) -> str:
        """SHA-256 of the file's first ``length`` bytes; by reading them, where the host can't compute it."""
        hasher = hashlib.sha256()
        stream = self.stream(FileState(file.path, file.inode, length), 0)
        try:
            for chunk in stream:
                hasher.update(chunk)
        finally:
            stream.close()
        return hasher.hexdigest()


class Deadline:
    """The time that a host has for an answer: ``seconds``, however it goes on in small pieces."""

    def __init__(self, host: str, seconds: float) -> None:
        self._host, self._seconds = host, seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise :class:`FetchError` once the time is over."""
        if time.monotonic() > self._end:
            raise FetchError(
                f"{self._host} has not answered completely within {self._seconds:.0f} s, though it went on sending",
                todo="Check the load of the host and the network, and whether this host can still be trusted",
            )


def senseless(host: str, what: str, answer: str = "") -> FetchError:
    """Return the error for an answer that no host of ours gives: ``what`` names it, ``answer`` is a part of it."""
    told = f": {shown(answer[:80])}" if answer else ""
    return FetchError(
        f"{host} sent {what}{told}",
        todo="Check what its shell or SFTP server prints, and whether this host can still be trusted",
    )


def require_found(host: str, asked: str, answer: str) -> str:
    """Return the path that a host has found: the one asked for, a file in it, or a manifest one directory below; with plain names."""
    if answer != asked:
        inside = asked.rstrip("/") + "/"
        names = answer[len(inside) :].split("/")
        deep = len(names) > 1 and not (len(names) == 2 and answer.endswith(MANIFEST_SUFFIX))
        if not answer.startswith(inside) or deep or any(map(name_problem, names)):
            raise senseless(host, "a path that is not in src", answer)
    return answer


def require_number(host: str, what: str, text: str) -> int:
    """Return the number of bytes that a host sent as ``text``."""
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) >= _LARGEST_FILE:
        raise senseless(host, f"{what} that is no number of bytes", text)
    return int(text)


def require_digest(host: str, text: str) -> str:
    """Return the SHA-256 that a host sent as ``text``, empty where it has no program for it."""
    if text and not _SHA256.fullmatch(text):
        raise senseless(host, "a SHA-256 that is none", text)
    return text
