# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Looking for a stretch of a rewritten part that holds commands: where it begins and ends, and what it holds."""

from __future__ import annotations

import os
import re
import sys
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import first_key
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frame, Frames, LargeCommand
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.rewritten import WhileRewritten, is_select
from ansible_collections.redisops.tair.plugins.module_utils._aof.until import Until
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.plugins.module_utils._import.plain import keys_at_ends
from ansible_collections.redisops.tair.plugins.module_utils._import.stretches import Look, Sighting, Why

#: The end of a line, and behind it the beginning of a command.
_COMMAND = re.compile(rb"\r\n(?=\*[1-9]\d{0,9}\r\n\$)")
_LONGEST = 18
_READ_BYTES = 64 * 1024
#: As many times as long as asked may a stretch become, by a key that does not end, before its frames are read once more.
_MOST_HELD = 4


def look_for(look: Look, part: Part, *, moment: int | None, block_bytes: int) -> tuple[Sighting, list[Frame] | None]:
    """What is found, and its frames, as they stand in the file; None where that is too much to hold.

    ``moment``: until when commands are wanted. ``block_bytes``: how long a frame is, about.
    """
    at = look.start if look.start is not None else _first_likely(part, look)
    if at is None:
        return Sighting(look, None, look.next_mark), None
    frames = Frames(
        part.fd, part.offset_of(at), part.end, where=str(part.path), block_bytes=block_bytes, in_detail=False
    )
    until = Until(frames, moment)
    rewritten = WhileRewritten(until, look.database)
    found = StretchFrames(rewritten, part, look)
    held: list[Frame] | None = []
    room = _MOST_HELD * (look.next_mark - look.mark)
    why: Why = "file"
    damage = None
    try:
        for frame in found:
            room -= len(frame.data) if isinstance(frame, Block) else 0
            if held is not None:
                held.append(frame)
            if room < 0:
                held = None
    except AofFormatError as exc:
        damage = exc
    if found.complete:
        why = "key"
    elif until.reached:
        why = "until"
    elif rewritten.stopped:
        why = "clients"
    return Sighting(look, found.start, found.end, found.selected, why, damage), held


def _first_likely(part: Part, look: Look) -> int | None:
    """The first place between the marks that looks like the beginning of a command: any that is one does."""
    offset, stop = part.offset_of(look.mark), part.offset_of(look.next_mark)
    offset = max(offset - 2, part.start)
    while offset < stop:
        data = os.pread(part.fd, _READ_BYTES, offset)
        found = _COMMAND.search(data)
        if found is not None:
            place = offset + found.end()
            return part.position_of(place) if place < stop else None
        if len(data) <= _LONGEST:
            return None
        offset += len(data) - _LONGEST
    return None


class StretchFrames:
    """Those of ``frames`` that belong to a stretch, from the first one on if that begins a key which is known to be its first.

    ``start``: where it begins, once that is known. ``end``: behind all that was given. ``complete``: whether it ends before
    the frames do. ``selected``: the first and the last database that is selected in it.

    ``is_enough``: asked before each frame, with whether the next mark is reached, until it says yes, which is a mark to it,
    or no: then the stretch has no end.
    """

    def __init__(
        self,
        frames: t.Iterable[Frame],
        part: Part,
        look: Look,
        is_enough: t.Callable[[bool], bool | None] | None = None,
    ) -> None:
        self._frames = frames
        self._part = part
        self._next_mark = look.next_mark
        self._is_enough = is_enough
        self._met = False
        """A command."""
        self._key: bytes | None = None
        """Of the last one."""
        self._behind = False
        """Whether one has begun behind the next mark: the next key is another stretch's."""
        self.start = look.start
        self.end = look.mark if look.start is None else look.start
        self.complete = False
        self.selected: tuple[int, int] | None = None

    def __iter__(self) -> t.Iterator[Frame]:
        for frame in self._frames:
            behind = self._part.position_of(frame.end) > self._next_mark
            if self._is_enough is not None and (answer := self._is_enough(behind)) is not None:
                behind, self._next_mark = answer, self.end if answer else sys.maxsize
                self._is_enough = None
            if not isinstance(frame, (Block, LargeCommand)):
                ours: Frame | None = frame if self.start is not None else None
            elif behind or self.start is None:
                ours = self._by_keys(frame)
            else:
                ours = frame
                self._met, self._key = True, keys_at_ends(frame)[1]
            if ours is not None:
                self.end = self._part.position_of(ours.end)
                self._note_databases(ours)
                yield ours
            if self.complete:
                return

    def _by_keys(self, frame: Block | LargeCommand) -> Frame | None:
        """What of a frame belongs to the stretch, command by command."""
        if isinstance(frame, Block):
            keys: t.Iterable[bytes | None] = map(first_key, frame.commands)
            offsets, high = frame.offsets(), len(frame.commands)
        else:
            keys, offsets, high = [frame.key], [frame.start], 1
        low = 0 if self.start is not None else high
        for number, (offset, key) in enumerate(zip(offsets, keys)):
            place = self._part.position_of(offset)
            begins = self._met and (key is None or key != self._key)
            if begins and self._behind:
                high, self.complete = number, True
                break
            if begins and self.start is None:
                self.start, low = place, number
            if place >= self._next_mark:
                if self.start is None:  # it would be another stretch's
                    self.complete = True
                    break
                self._behind = True
            self._met, self._key = True, key
        if low >= high:
            return None
        if isinstance(frame, LargeCommand) or (low, high) == (0, len(frame.commands)):
            return frame
        return next(frame.pieces([low, high]), None)

    def _note_databases(self, frame: Frame) -> None:
        if isinstance(frame, Block) and b"SELECT" in frame.names:
            databases = [int(command[1]) for command in frame.commands if is_select(command)]
            if databases:
                self.selected = (self.selected or databases)[0], databases[-1]
