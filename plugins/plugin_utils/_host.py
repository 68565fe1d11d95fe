# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a copy needs of the host that has the AOF; ``_host_shell`` and ``_host_sftp`` are the two kinds there are."""

from __future__ import annotations

import hashlib
import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError

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
