# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""From the bytes of an AOF to its commands: exact to the byte, whatever the values hold.

The framers of :mod:`framers` do the bulk of the work. Whatever they stumble over is read again by the reference,
:func:`parse_command`, which knows the exact place of every fault and what was expected there.
"""

from __future__ import annotations

import itertools
import os
import re
import typing as t
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from ansible_collections.redisops.tair.plugins.module_utils._aof.damage import damaged
from ansible_collections.redisops.tair.plugins.module_utils._aof.framers import PlainFramer, fastest_framer
from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import (
    ARRAY,
    BULK,
    MAX_HEADER,
    BadFrame,
    parse_commands,
    read_header,
    sizes_of,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, encode

_MAX_ANNOTATION = 1024
#: From this size on a command is not held in memory but passed on as a range of the file.
LARGE_COMMAND = 256 * 1024

_PEEK_BYTES = 4096
_MAX_KEY = 64 * 1024  # of a large command's key: what is longer is cut

_ANNOTATION = ord("#")


@dataclass
class Block:
    """Whole commands that follow each other in a file, without annotations between them.

    ``data`` are the bytes, ``commands`` the same parsed, ``sizes`` the bytes each of them takes in ``data``.
    """

    start: int
    end: int
    data: bytes
    commands: list[Command]
    sizes: list[int]
    places: list[int] | None = None
    """Where in the file each command begins, for blocks that do not hold every command from ``start`` to ``end``."""
    database: int | None = None
    """Of the source, selected after the block, where the commands themselves do not tell."""

    @classmethod
    def of(cls, start: int, end: int, commands: list[Command], places: list[int], database: int | None) -> Block:
        """Of commands that stand for what is in the file."""
        encoded = list(map(encode, commands))
        return Block(start, end, b"".join(encoded), commands, list(map(len, encoded)), places, database)

    @cached_property
    def names(self) -> frozenset[bytes]:
        """The commands' names as they are written, each once."""
        return frozenset(map(itemgetter(0), self.commands))

    @property
    def raws(self) -> list[bytes]:
        """The bytes of each command."""
        data, ends = self.data, itertools.accumulate(self.sizes)
        return [data[end - size : end] for end, size in zip(ends, self.sizes)]

    @property
    def of_aof(self) -> int:
        """How many commands of the AOF, or keys of an RDB, these stand for: one may have become several, all of its place.

        One that began in an earlier block is counted there.
        """
        if self.places is None:
            return len(self.commands)
        return len(set(self.places[bisect_left(self.places, self.start) :]))

    def pieces(self, cuts: t.Sequence[int]) -> t.Iterator[Block]:
        """What stands between these commands, by their numbers in ascending order; the number behind the last is one, too."""
        places, last = self.places, len(self.commands)
        ends = list(itertools.accumulate(self.sizes, initial=0))
        for low, high in zip(cuts, cuts[1:]):
            start, end = (self.start + ends[low], self.start + ends[high])
            if places is not None:
                start, end = places[low], places[high] if high < last else self.end
            yield Block(
                start,
                end,
                self.data[ends[low] : ends[high]],
                self.commands[low:high],
                self.sizes[low:high],
                places[low:high] if places is not None else None,
                self.database if high == last else None,
            )

    def first(self, count: int) -> Block:
        """Its first ``count`` commands."""
        return next(self.pieces([0, count]), self)

    def offsets(self) -> t.Iterable[int]:
        """Where in the file each command begins."""
        return self.places if self.places is not None else itertools.accumulate(self.sizes[:-1], initial=self.start)


@dataclass(frozen=True)
class LargeCommand:
    """A whole command that is too large to hold, from ``start`` to ``end`` of the file."""

    start: int
    end: int
    name: bytes
    key: bytes
    """The first argument (its first 64 KB); empty where there is none."""
    args: int
    """How many arguments there are, the name included."""


@dataclass(frozen=True)
class Annotation:
    """A line such as ``#TS:1700000000`` between two commands. It is not a command and is never sent."""

    start: int
    end: int
    text: bytes

    @property
    def timestamp(self) -> int | None:
        """Seconds since the epoch, for ``#TS:`` annotations."""
        match = re.fullmatch(rb"#TS:(\d+)", self.text)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class Skipped:
    """Commands from ``start`` to ``end`` that are not wanted; ``database``: of the source, selected after them."""

    start: int
    end: int
    database: int


Frame = t.Union[Block, LargeCommand, Annotation, Skipped]


class Frames:
    """The frames of one file from ``start`` to ``end`` (offsets; ``start`` must be where a command begins).

    Iterating gives :class:`Block`, :class:`LargeCommand` and :class:`Annotation` in file order. A block is about
    ``block_bytes`` long; a command that is cut off at its end and longer than ``large_bytes`` is a large one.
    Corruption raises :class:`AofFormatError` after everything before it has been given.
    ``in_detail``: whether that error is going to be shown, and says what is there.
    At the end ``complete`` is the offset up to which whole commands were found: less than ``end`` where the last
    command is cut off.

    The file is read by ``os.pread`` and must not shrink meanwhile. Memory is bounded by ``block_bytes`` and
    :data:`LARGE_COMMAND`, whatever the commands' sizes.
    """

    def __init__(
        self,
        fd: int,
        start: int,
        end: int,
        *,
        where: str,
        block_bytes: int = 64 * 1024,
        large_bytes: int = LARGE_COMMAND,
        use_hiredis: bool = True,
        in_detail: bool = True,
    ) -> None:
        self._fd = fd
        self._end = end
        self._where = where
        self._block_bytes = block_bytes
        self._large_bytes = large_bytes
        self._in_detail = in_detail
        self._framer = fastest_framer() if use_hiredis else PlainFramer
        self.complete = start

    def __iter__(self) -> t.Iterator[Frame]:
        data = b""  # from self.complete on, where a command begins
        framer, fed = self._framer(), 0
        while True:
            # As much again for a command that is longer than what is here: growing step by step would be quadratic.
            data += self._read(self.complete + len(data), max(self._block_bytes, len(data)))
            at_end = self.complete + len(data) >= self._end
            if not data:
                return
            if data[0] == _ANNOTATION:
                annotation = self._annotation(data, at_end)
                if annotation is not None:
                    yield annotation
                    data = data[annotation.end - self.complete :]
                    self.complete = annotation.end
                elif at_end:
                    return
                continue
            for cut in _cuts(data, fed, at_end):
                boundary = framer.take(data, fed, cut)
                fed = cut
                if boundary:
                    yield from self._block(data[:cut], framer.commands)
                    data, framer, fed = data[cut:], self._framer(), 0
                    break
            else:
                # What is cut off or damaged is for the reference to see: hiredis reads other replies than commands, too.
                commands, sizes, damage = parse_commands(data)
                whole = sum(sizes)
                large = at_end or len(data) - whole > self._large_bytes or self._declares_large(data[whole:])
                if not (large or framer.broken or damage):
                    continue
                yield from self._block(data[:whole], commands)
                data, framer, fed = data[whole:], self._framer(), 0
                if data[:1] == b"#":
                    continue  # an annotation, after all
                if damage is not None:
                    raise self._corrupt(self.complete - whole + damage.offset, damage.expected)
                while large:
                    command = self._large_command(self.complete)
                    if command is None:
                        return
                    yield command
                    self.complete = command.end
                    # Large commands come in runs: a look at its first line tells whether the next is one, too.
                    data = self._read(self.complete, _PEEK_BYTES)
                    large = self._declares_large(data)

    def _read(self, offset: int, size: int) -> bytes:
        size = min(size, self._end - offset)
        if size <= 0:
            return b""
        read = os.pread(self._fd, size, offset)
        if not read:
            raise AofFormatError(
                f"{self._where} became shorter while it was read: it ends at {offset}, {self._end} bytes were expected",
                todo="Fetch the AOF again",
                offset=offset,
            )
        return read

    def _block(self, data: bytes, commands: list[Command]) -> t.Iterator[Block]:
        """One block, once it is certain that its bytes are these commands and nothing else."""
        if not data and not commands:
            return
        sizes = sizes_of(commands)
        fault: BadFrame | None = None
        if sum(sizes) != len(data):
            commands, sizes, fault = parse_commands(data)
            if sum(sizes) < len(data):
                fault = fault or BadFrame(sum(sizes), "a whole command")
                data = data[: sum(sizes)]
        start = self.complete
        if data:
            self.complete = start + len(data)
            yield Block(start, self.complete, data, commands, sizes)
        if fault is not None:
            raise self._corrupt(start + fault.offset, fault.expected)

    def _annotation(self, data: bytes, at_end: bool) -> Annotation | None:
        """The annotation that ``data`` starts with; None where more bytes are needed to see its end."""
        line_end = data.find(b"\n", 0, _MAX_ANNOTATION)
        if line_end >= 0:
            return Annotation(self.complete, self.complete + line_end + 1, data[:line_end].rstrip(b"\r"))
        if len(data) >= _MAX_ANNOTATION:
            raise self._corrupt(self.complete, f"an annotation line of at most {_MAX_ANNOTATION} bytes")
        return None

    def _declares_large(self, data: bytes) -> bool:
        """Whether a command that is cut off at the end of ``data`` says that it is large: no need to read it to know."""
        try:
            header = read_header(data, 0, ARRAY, "")
            while header is not None:
                length, position = header
                if length > self._large_bytes:
                    return True
                header = read_header(data, position, BULK, "")
                if header is not None:
                    length, start = header
                    if length > self._large_bytes:
                        return True
                    header = (0, start + length + 2)
        except BadFrame:
            pass
        return False

    def _large_command(self, position: int) -> LargeCommand | None:
        """Walk over the command at ``position`` by its lengths; None where the file ends before it does."""
        start, window, window_start = position, b"", position

        def header(at: int, kind: int, expected: str) -> tuple[int, int] | None:
            nonlocal window, window_start
            if not window_start <= at <= window_start + len(window) - MAX_HEADER:
                window, window_start = self._read(at, 4096), at
            try:
                found = read_header(window, at - window_start, kind, expected)
            except BadFrame as exc:
                raise self._corrupt(window_start + exc.offset, exc.expected) from None
            return None if found is None else (found[0], found[1] + window_start)

        array = header(position, ARRAY, "'*' and a number of arguments")
        if array is None:
            return None
        count, position = array
        if count == 0:
            raise self._corrupt(start, "a command with at least one argument")
        first: list[bytes] = []
        for _index in range(count):
            bulk = header(position, BULK, "'$' and the length of an argument")
            if bulk is None:
                return None
            length, value = bulk
            position = value + length + 2
            if position > self._end:
                return None
            if len(first) < 2:
                first.append(self._read(value, min(length, _MAX_KEY)))
        return LargeCommand(start, position, first[0], first[1] if len(first) > 1 else b"", count)

    def _corrupt(self, offset: int, expected: str) -> AofFormatError:
        return damaged(self._fd, self._where, offset, expected, complete=self.complete, in_detail=self._in_detail)


def _cuts(data: bytes, fed: int, at_end: bool) -> t.Iterator[int]:
    """Offsets after ``fed`` where a block may end, in order: before what looks like an annotation, at the last command."""
    position = max(fed - 1, 0)
    last = len(data) if at_end else data.rfind(b"\r\n*") + 2
    while True:
        position = data.find(b"\r\n#", position)
        if position < 0 or position + 2 > last:
            break
        position += 2
        if position > fed:
            yield position
    if last > max(fed, 1):
        yield last
