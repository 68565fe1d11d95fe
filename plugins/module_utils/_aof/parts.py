# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""An AOF as one sequence of bytes: its files opened, fixed at their size, and told apart by how they may be replayed.

A *position* counts bytes from the start of the first file through all files in reading order. It stays the same when
files grow or more incr files follow, so it can be kept and used again later.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import AofSet, Segment, find_aof, has_preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.preamble import Preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rewritten import head_until
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError, LayoutError

#: Small enough to stay in a processor's cache from the reading to the summing.
_READ_BYTES = 128 * 1024


@dataclass(frozen=True)
class Part:
    """A stretch of one file, from ``start`` to ``end`` (offsets in the file)."""

    path: Path
    fd: int
    start: int
    end: int
    position: int
    """Of ``start``, in the whole AOF."""
    rewritten: bool
    """Whether this is the work of a rewrite alone: every key stands once, its commands together."""
    last: bool
    """Whether nothing comes after it: the only place where a command may be cut off."""
    preamble: Preamble | None = None
    """Where this is an RDB, what is known of it."""
    behind_preamble: bool = False
    """Whether such a part ends where this one begins."""

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def begins_anew(self) -> bool:
        """Whether a server begins it in database 0."""
        return self.start == 0 or self.behind_preamble

    def position_of(self, offset: int) -> int:
        """The position in the AOF of an offset in the file."""
        return self.position + offset - self.start

    def windows(self, overlap: int, start: int | None = None) -> t.Iterator[bytes]:
        """Yield the bytes from offset ``start`` on in pieces, each with the last ``overlap`` bytes of the one before."""
        offset, tail = self.start if start is None else start, b""
        while offset < self.end:
            data = os.pread(self.fd, min(_READ_BYTES, self.end - offset), offset)
            if not data:
                return  # it became shorter: whatever reads its commands reports that
            offset += len(data)
            yield tail + data
            tail = data[-overlap:]

    def offset_of(self, position: int) -> int:
        """The offset in the file of a position in the AOF."""
        return position - self.position + self.start


@dataclass(frozen=True)
class OpenAof:
    """The parts of an AOF in reading order. Sizes are those at the time of opening: what is appended later is not seen."""

    parts: tuple[Part, ...]
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def first_file_size(self) -> int:
        return sum(part.size for part in self.parts if part.path == self.parts[0].path)

    @property
    def rewritten_size(self) -> int:
        """Bytes at the beginning that a rewrite wrote and that never change."""
        return sum(part.size for part in self.parts if part.rewritten)

    def rewritten_until(self, position: int) -> OpenAof:
        """The same, with what is before ``position``, and nothing else, taken to be rewritten; it is inside of the first file."""
        first, *others = self.parts
        while others and others[0].path == first.path:
            following = others.pop(0)
            first = replace(first, end=following.end, last=following.last)
        split = first.offset_of(position)
        before = replace(first, end=split, last=False, rewritten=True)
        after = replace(first, start=split, position=position, rewritten=False)
        return OpenAof((*([before] if before.size else []), after, *others), self.files)

    def where(self, position: int) -> tuple[Part, int]:
        """The part that a position is in and its offset in that file; the end of a part belongs to the next one."""
        for part in self.parts:
            if position < part.position + part.size or part.last:
                return part, part.offset_of(position)
        raise ValueError(position)

    def checksum(self, end: int, start: int = 0, value: int = 0) -> int:
        """CRC-32 of the bytes from position ``start`` to ``end``, continuing from ``value``."""
        buffer = memoryview(bytearray(_READ_BYTES))
        for part in self.parts:
            low, high = max(start, part.position), min(end, part.position + part.size)
            offset, stop = part.offset_of(low), part.offset_of(high)
            while offset < stop:
                read = os.preadv(part.fd, [buffer[: min(_READ_BYTES, stop - offset)]], offset)
                if not read:
                    raise AofFormatError(f"{part.path} became shorter while it was read", todo="Fetch the AOF again")
                value = zlib.crc32(buffer[:read], value)
                offset += read
        return value


@contextlib.contextmanager
def open_aof(
    aof: AofSet, *, base_size: int = 0, even_damaged: bool = False, rewritten: int | None = None
) -> t.Iterator[OpenAof]:
    """Open the files of an AOF, or a dump, for reading.

    ``base_size``: how many bytes at the start of a *single* file a rewrite wrote (``aof_base_size`` in INFO, right
    after it); 0 where it is not known, and then nothing is taken to be rewritten. For multi-part sets the names tell, and
    an RDB at the beginning of a file tells itself. What a size or a name claims counts as far as the content confirms it, see
    :mod:`_aof.rewritten`. ``rewritten``: :attr:`OpenAof.rewritten_size` of the same files, where it is known and need not be checked
    again.

    Raises :class:`LayoutError` for a file that can't be opened, and :class:`AofFormatError` for an RDB that is damaged,
    unless ``even_damaged``: then all of its file counts as that RDB.
    """
    with contextlib.ExitStack() as stack:
        parts: list[Part] = []
        position = 0
        files = tuple(aof.path(segment) for segment in aof.segments)
        for path, segment in zip(files, aof.segments):
            try:
                file = stack.enter_context(path.open("rb"))
            except OSError as exc:
                raise LayoutError(f"{path} can't be read: {exc.strerror}") from exc
            known = rewritten if path == files[0] else None
            for part in _parts_of(path, file.fileno(), segment, base_size, even_damaged, known):
                last = path == files[-1] and part.last
                parts.append(replace(part, position=position, last=last))
                position += part.size
        yield OpenAof(tuple(parts), files)


def _parts_of(
    path: Path, fd: int, segment: Segment, base_size: int, even_damaged: bool, known: int | None
) -> t.Iterator[Part]:
    """The parts of one file; ``last`` tells the last one of it. ``known``: how many bytes of it are a base section."""
    size = os.fstat(fd).st_size
    if has_preamble(os.pread(fd, 9, 0)):
        preamble = Preamble(fd, size, str(path))
        try:
            end = preamble.end
        except AofFormatError:
            if not even_damaged:
                raise
            end = size
        yield Part(path, fd, 0, end, 0, rewritten=True, last=end == size, preamble=preamble)
        if end < size:
            # What a rewrite has appended to its RDB are commands of clients.
            yield Part(path, fd, end, size, 0, rewritten=False, last=True, behind_preamble=True)
        return
    claimed = size if segment.is_rewritten else min(base_size, size) if segment.kind == "single" else 0
    split = min(claimed, known) if known is not None else head_until(fd, claimed, where=str(path)) if claimed else 0
    for start, end in ((0, split), (split, size)):
        if start < end or (start == 0 == size):
            yield Part(path, fd, start, end, 0, rewritten=end == split > 0, last=end == size)


def was_rewritten(found: AofSet, opened: OpenAof) -> bool:
    """Whether a rewrite has put others in the place of the files that were ``found`` and ``opened``.

    What is open can be read to its end all the same. That files grow and that more follow is no rewrite.
    """
    try:
        now = find_aof(found.directory / found.manifest) if found.manifest else found
        if now.segments[: len(found.segments)] != found.segments:
            return True
        return not all(os.path.samestat(os.fstat(part.fd), part.path.stat()) for part in opened.parts)
    except (LayoutError, FileNotFoundError):
        return True
