# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One pass over an AOF: what it holds, and whether it is whole. No server, no value of a key is kept."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._aof.forms import MOST_ARGUMENTS
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import (
    Annotation,
    Block,
    Frame,
    Frames,
    LargeCommand,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import ARRAY, BULK, MAX_HEADER, read_header
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import OpenAof, Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.places import Place, Places
from ansible_collections.redisops.tair.plugins.module_utils._aof.preamble import damaged_values
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry, Function, ModuleAux
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import UNBUILDABLE, kind_of
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import what_no_command_builds
from ansible_collections.redisops.tair.plugins.module_utils._aof.restores_found import DamagedPayload, RestoresFound
from ansible_collections.redisops.tair.plugins.module_utils._aof.rewritten import WhileRewritten
from ansible_collections.redisops.tair.plugins.module_utils._aof.tally import Tally
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: Small enough for a block's commands to stay in a processor's cache while they are counted.
_BLOCK_BYTES = 32 * 1024
#: Records of an RDB that are counted together.
_RECORDS = 1000
#: Arguments up to this long are looked at in a large command, to see its options.
_SHORT_ARGUMENT = 64


@dataclass(frozen=True)
class Damage:
    """Where in a file something else was expected. Nothing after it has been read, unless it is the value of a ``key``."""

    path: Path
    offset: int
    expected: str
    key: bytes | None = None
    database: int | None = None
    count: int = 1
    """Of damaged values."""
    found: str = ""
    """What is there instead, in words; empty where nothing more is known."""
    advice: str = ""

    @classmethod
    def of(cls, path: Path, error: AofFormatError) -> Damage:
        """Return what an error reports of this file."""
        facts = error.facts
        return cls(
            path, facts["offset"], facts["expected"], found=facts.get("found", ""), advice=facts.get("advice", "")
        )


@dataclass
class Annotations:
    """``first`` and ``last``: seconds since the epoch."""

    count: int = 0
    first: int | None = None
    last: int | None = None

    def add(self, annotation: Annotation) -> None:
        self.count += 1
        if annotation.timestamp is not None:
            self.first = annotation.timestamp if self.first is None else self.first
            self.last = annotation.timestamp


@dataclass
class RdbFound:
    """An RDB at the beginning of a file. Keys count as RESTORE among the commands."""

    path: Path
    version: int = 0
    size: int = 0
    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Keys and their bytes, by what they hold."""
    unbuildable: dict[str, Places] = field(default_factory=dict)
    """What no command builds, by what it is."""
    modules: set[str] = field(default_factory=set)
    """Those that keep something beside their keys."""


@dataclass
class Inspection:
    """``rewritten_bytes``: how many bytes, at the beginning, are the work of a rewrite. ``read_bytes``: how many were read."""

    tally: Tally
    annotations: Annotations
    rdb: RdbFound | None = None
    rewritten_bytes: int = 0
    read_bytes: int = 0
    truncated_bytes: int = 0
    damage: Damage | None = None
    restores: RestoresFound = field(default_factory=RestoresFound)

    @property
    def ends_early(self) -> bool:
        """Whether there is damage after which nothing can be read: other than that of a value."""
        return self.damage is not None and self.damage.key is None

    def damaged_payloads(self, path: Path, damaged: t.Iterable[DamagedPayload]) -> None:
        """Keep the first damaged payload, and count the others."""
        for one in damaged:
            if self.damage is None:
                self.damage = Damage(path, one.offset, one.expected, one.key, one.database, 0)
            self.damage = replace(self.damage, count=self.damage.count + 1)


def inspect(aof: OpenAof, *, check_values: bool = False) -> Inspection:
    """Read the whole AOF, up to damage if there is some.

    ``check_values``: check those of an RDB that has a checksum, too. Raises :class:`AofFormatError` where a file becomes shorter.
    """
    inspection = Inspection(Tally(), Annotations())
    tally = inspection.tally
    path: Path | None = None
    reached = 0
    for part, following in zip(aof.parts, (*aof.parts[1:], None)):
        if part.path != path:
            path, reached = part.path, part.start
            tally.begin(str(path))
        # Where the given base size is not a command's end, the command belongs to what comes after it.
        reached = _take(inspection, part, reached, check_values)
        if inspection.ends_early:
            break
        if following is not None and following.path == path:
            continue
        whole = reached if tally.transaction is None else tally.transaction.offset
        if part.last:
            inspection.truncated_bytes = part.end - whole
        elif whole < part.end:
            expected = "the rest of the command" if tally.transaction is None else "EXEC after this MULTI"
            inspection.damage = Damage(part.path, whole, f"{expected} (more files follow)")
            break
    return inspection


def _take(inspection: Inspection, part: Part, start: int, check_values: bool) -> int:
    """Read a part from ``start`` on; the offset that was reached."""
    if part.preamble is not None:
        return _take_rdb(inspection, part, check_values)
    tally = inspection.tally
    if part.behind_preamble:
        tally.begin(str(part.path))
    where = str(part.path)
    rewritten, restores = part.rewritten, inspection.restores
    while True:
        framing = Frames(part.fd, start, part.end, where=where, block_bytes=_BLOCK_BYTES)
        # As the import does: neither a given size nor a file's name is proof.
        guarded = WhileRewritten(framing, -1) if rewritten else None
        frames: t.Iterable[Frame] = framing if guarded is None else guarded
        reached = start
        try:
            for frame in frames:
                if isinstance(frame, Block):
                    inspection.damaged_payloads(part.path, restores.of_block(where, frame, tally.database))
                    tally.block(frame, rewritten=rewritten)
                elif isinstance(frame, LargeCommand):
                    inspection.damaged_payloads(part.path, restores.large(where, part.fd, frame, tally.database))
                    tally.large(frame, _outline(part.fd, frame), rewritten=rewritten)
                elif isinstance(frame, Annotation):
                    inspection.annotations.add(frame)
                else:
                    raise AssertionError("nothing was asked to be skipped")
                reached = frame.end
        except AofFormatError as exc:
            if "expected" not in exc.facts:
                raise  # it became shorter
            reached = framing.complete
            inspection.damage = Damage.of(part.path, exc)
        inspection.read_bytes += reached - start
        if rewritten:
            inspection.rewritten_bytes += reached - start
        if inspection.ends_early or guarded is None or not guarded.stopped:
            return reached
        start, rewritten = reached, False


def _take_rdb(inspection: Inspection, part: Part, check_values: bool) -> int:
    """The same of an RDB: a key is told as a RESTORE of its record's size."""
    found = inspection.rdb = RdbFound(part.path)
    rdb = Rdb(part.fd, part.start, part.end, where=str(part.path))
    database, reached = 0, part.start
    pending = _Records(inspection.tally, part.start)
    kinds: dict[int, list[int]] = {}
    try:
        for record in rdb:
            start = reached
            if not isinstance(record, Entry):
                reached = rdb.reached
                if isinstance(record, Function):
                    pending.add([b"FUNCTION", b"LOAD"], start, reached)
                elif isinstance(record, ModuleAux):
                    found.modules.add(record.module)
                continue
            reached = record.end
            if record.database != database:
                database = record.database
                pending.add([b"SELECT", b"%d" % database], start, start)
            pending.add([b"RESTORE", record.key], start, reached)
            of_kind = kinds.setdefault(record.type, [0, 0])
            of_kind[0] += 1
            of_kind[1] += reached - start
            if record.type in UNBUILDABLE:
                what = what_no_command_builds(part.fd, record, where=str(part.path))
                places = found.unbuildable.setdefault(what, Places())
                places.count += 1
                place = Place(str(part.path), start, database, b"RESTORE", record.key, reached - start)
                places.note(lambda place=place: place)  # type: ignore[misc]
        reached = rdb.tail or reached
        if check_values or not rdb.has_checksum:
            inspection.damage = _damaged_value(part, rdb)
    except AofFormatError as exc:
        if "expected" not in exc.facts:
            raise  # it became shorter
        inspection.damage = Damage.of(part.path, exc)
    pending.flush()
    found.version, found.size = rdb.version, reached - part.start
    for rdb_type, (count, size) in kinds.items():
        kind = kind_of(rdb_type, rdb.version)
        before = found.kinds.get(kind, (0, 0))
        found.kinds[kind] = (before[0] + count, before[1] + size)
    inspection.read_bytes += reached - part.start
    inspection.rewritten_bytes += reached - part.start
    return reached


def _damaged_value(part: Part, rdb: Rdb) -> Damage | None:
    """Return the first value of an RDB that a server can't use; None if all are sound."""
    where = str(part.path)
    again = Rdb(part.fd, part.start, part.end, where=where, verify=False)
    damaged = list(damaged_values(part.fd, again, rdb.version, where=where))
    if not damaged:
        return None
    entry, kind, expected = damaged[0]
    expected = f"{expected} (in a {kind})"
    return Damage(part.path, entry.start, expected, entry.key, entry.database, len(damaged))


class _Records:
    """Records of an RDB that are counted together, as a block of commands."""

    def __init__(self, tally: Tally, start: int) -> None:
        self._tally = tally
        self._commands: list[Command] = []
        self._sizes: list[int] = []
        self._places: list[int] = []
        self._reached = start

    def add(self, command: Command, start: int, end: int) -> None:
        self._commands.append(command)
        self._sizes.append(end - start)
        self._places.append(start)
        self._reached = end
        if len(self._commands) == _RECORDS:
            self.flush()

    def flush(self) -> None:
        if self._commands:
            block = Block(self._places[0], self._reached, b"", self._commands, self._sizes, self._places)
            self._tally.block(block, rewritten=True)
            self._commands, self._sizes, self._places = [], [], []


def _outline(fd: int, command: LargeCommand) -> Command:
    """The command's first arguments, with empty ones instead of the long ones."""
    outline: Command = []
    position = command.start
    kind = ARRAY
    while len(outline) < min(command.args, MOST_ARGUMENTS):
        header = read_header(os.pread(fd, MAX_HEADER, position), 0, kind, "")
        if header is None:
            break  # never: the command has been walked over before
        length, size = header
        position += size
        if kind == ARRAY:
            kind = BULK
            continue
        outline.append(os.pread(fd, length, position) if length <= _SHORT_ARGUMENT else b"")
        position += length + 2
    return outline
