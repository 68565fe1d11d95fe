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

from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import AofSet, find_aof, has_preamble
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
    named: bool = False
    """Whether the file's own name says that all of it is rewritten; otherwise it is a size that was given."""

    @property
    def size(self) -> int:
        return self.end - self.start

    def position_of(self, offset: int) -> int:
        """The position in the AOF of an offset in the file."""
        return self.position + offset - self.start

    def offset_of(self, position: int) -> int:
        """The offset in the file of a position in the AOF."""
        return position - self.position + self.start


@dataclass(frozen=True)
class OpenAof:
    """The parts of an AOF in reading order. Sizes are those at the time of opening: what is appended later is not seen."""

    parts: tuple[Part, ...]
    files: tuple[Path, ...]
    hybrid_size: int = 0
    """Bytes of the files that begin with an RDB preamble, which have no parts."""

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
def open_aof(aof: AofSet, *, base_size: int = 0, leave_out_hybrids: bool = False) -> t.Iterator[OpenAof]:
    """Open the files of an AOF for reading.

    ``base_size``: how many bytes at the start of a *single* file a rewrite wrote (``aof_base_size`` in INFO, right
    after it); 0 where it is not known, and then nothing is taken to be rewritten. For multi-part sets the names tell.

    Raises :class:`AofFormatError` for a file that begins with an RDB preamble, unless ``leave_out_hybrids``, and
    :class:`LayoutError` for one that can't be opened.
    """
    with contextlib.ExitStack() as stack:
        parts: list[Part] = []
        hybrid_size = 0
        position = 0
        files = tuple(aof.path(segment) for segment in aof.segments)
        for path, segment in zip(files, aof.segments):
            try:
                file = stack.enter_context(path.open("rb"))
            except OSError as exc:
                raise LayoutError(f"{path} can't be read: {exc.strerror}") from exc
            fd = file.fileno()
            size = os.fstat(fd).st_size
            if has_preamble(os.pread(fd, 9, 0)):
                if leave_out_hybrids:
                    hybrid_size += size
                    continue
                raise AofFormatError(
                    f"{path} is a hybrid AOF: it begins with an RDB preamble, which is no sequence of commands",
                    todo="On the source set aof-use-rdb-preamble no, run BGREWRITEAOF and fetch the AOF again "
                    "(aof_rewrite and the role do that)",
                    file=str(path),
                    offset=0,
                )
            split = size if segment.is_rewritten else min(base_size, size) if segment.kind == "single" else 0
            for start, end in ((0, split), (split, size)):
                if start < end or (start == 0 == size):
                    part_last = path == files[-1] and end == size
                    rewritten = end == split > 0
                    named = rewritten and segment.is_rewritten
                    parts.append(Part(path, fd, start, end, position, rewritten, part_last, named))
                    position += end - start
        yield OpenAof(tuple(parts), files, hybrid_size)


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
