# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What all parts of one import share: options, how far it is, and what has gone wrong."""

from __future__ import annotations

import time
import typing as t
from collections import Counter
from dataclasses import dataclass, replace

from ansible_collections.redisops.tair.plugins.module_utils._aof.commands import shown_key
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import (
    Block,
    Frame,
    Frames,
    LargeCommand,
    Skipped,
)
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import OpenAof, Part
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_frames import RdbFrames, RdbTarget
from ansible_collections.redisops.tair.plugins.module_utils._errors import ImportFailedError
from ansible_collections.redisops.tair.plugins.module_utils._import.batch import (
    Batch,
    blocks_by_database,
    database_after,
    read_large,
    selected_database,
)
from ansible_collections.redisops.tair.plugins.module_utils._import.checkpoint import Checkpoint
from ansible_collections.redisops.tair.plugins.module_utils._import.compat import Compat
from ansible_collections.redisops.tair.plugins.module_utils._import.errors import CommandError
from ansible_collections.redisops.tair.plugins.module_utils._import.gate import Gate, NotData
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._import.progress import Progress
from ansible_collections.redisops.tair.plugins.module_utils._import.selection import PartlySelected
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import CheckpointRequest, Topology
from ansible_collections.redisops.tair.plugins.module_utils._keys import printable
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain, meaning, next_step, without_values
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command, ErrorReply

_REPORT_EVERY = 0.5  # seconds
_SMALLEST_WINDOW = 1024  # bytes; a few commands


@dataclass(frozen=True)
class Found:
    """A command of the AOF and where it stands. Of a large one only the name and the first argument."""

    position: int
    database: int
    command: Command


class Rewind(Exception):
    """Go back to the checkpoint and send what follows it once more."""


class PassingState(Exception):
    """The target is in a state that ends by itself; the text is its error reply."""


class PipelineTooDeep(PassingState):
    """More was on its way than the target, or a proxy in front of it, takes."""


def passing_state(reply: str) -> PassingState | None:
    """What to raise for an error reply that a later try may not get; None for any other."""
    row = meaning(reply)
    kinds = {"passing": PassingState, "pipeline": PipelineTooDeep}
    return kinds[row.about](reply) if row is not None and row.about in kinds else None


class Session:
    """One import under way. ``report`` is called about twice a second."""

    def __init__(
        self,
        aof: OpenAof,
        topology: Topology,
        options: Options,
        checkpoint: Checkpoint,
        report: t.Callable[[Progress], None],
    ) -> None:
        self.aof = aof
        self.topology = topology
        self.endpoint = topology.endpoint
        self.options = options
        self.checkpoint = checkpoint
        """The last one that the target has confirmed."""
        self.outcome = Outcome()
        self.gate = Gate()
        """What may be sent at all; nothing, before the precheck has set it up."""
        self._databases_there = {0}
        """Of the target, those that it is known to have."""
        self._left_out_until: Counter[str] = Counter()
        """Position by name; what is before it and was left out under this name has been counted."""
        self.skips_own_keys = False
        """Whether an RDB may hold keys of this collection, which are left out."""
        self.compat = Compat()
        self.rdb = RdbTarget()
        self._adapted_until = 0
        """Position; what is before it has been counted as rewritten or dropped."""
        self.gather = True
        """Whether SETs may travel as MSET."""
        self.round_trip = 0.0
        """Seconds."""
        self.window_bytes = options.window_bytes
        self.batch_bytes = options.batch_bytes
        self._report = report
        self._reported = 0.0

    def go_on_from(self, found: Checkpoint | None) -> None:
        """Take the place that the target's checkpoint names; None where there is none."""
        if found is not None:
            self.checkpoint = found
        elif self.checkpoint.position or self.checkpoint.zone:
            raise ImportFailedError(
                f"The checkpoint of this import is no longer in {self.endpoint}: it was emptied meanwhile, or has lost "
                "data in a restart",
                changed=f"{self.endpoint} holds an unknown part of the data",
                todo="Import again from the beginning: if_not_empty=flush",
            )
        self.outcome.errors.back_to(self.checkpoint.position, self.checkpoint.errors)
        self.outcome.commands = self.checkpoint.commands
        self.outcome.databases.update(self.checkpoint.databases)

    def send_less_at_once(self) -> None:
        """After a :class:`PipelineTooDeep`."""
        self.window_bytes = max(self.window_bytes // 4, _SMALLEST_WINDOW)
        self.batch_bytes = min(self.batch_bytes, self.window_bytes)

    def confirm(self, batch: Batch) -> None:
        """Count a batch that the target has answered."""
        self.outcome.commands += batch.commands
        self.outcome.databases |= self.databases_of(batch)
        self.tell(batch.end)

    def databases_of(self, batch: Batch) -> set[int]:
        """Return the databases of the target that a batch is written to."""
        databases = self.options.selection.databases
        written = (batch.database,) if batch.databases is None else batch.databases
        return {*batch.named, *(databases.target(number) for number in written if databases.takes(number))}

    def tell(self, position: int) -> None:
        """Tell how far it is."""
        now = time.monotonic()
        if now - self._reported >= _REPORT_EVERY:
            self._reported = now
            self._report(Progress(position, self.aof.size, self.outcome.commands, self.outcome.errors.count))

    def take_share(self, workers: int) -> None:
        """In a process of its own: from now on this is the session of one of so many workers."""
        self.topology = self.topology.another()
        self.window_bytes //= workers
        # What is counted here is only the share: of how many errors are too many the others know more.
        self.options = replace(self.options, max_errors=0, rate_limit=-(-self.options.rate_limit // workers))
        self.outcome = Outcome()
        self.compat.rewritten, self.compat.dropped = Counter(), Counter()
        self._report = lambda _progress: None

    def crc_at(self, position: int) -> int:
        """Checksum of everything before a position."""
        covered = self.checkpoint.covered
        return self.checkpoint.crc if position == covered else self.aof.checksum(position)

    def reached_in(self, part: Part) -> int:
        """The position in a part, or behind it, from which on the target does not hold it for certain."""
        return max(self.checkpoint.position, part.position)

    def frames(self, part: Part, start: int, end: int, database: int) -> t.Iterable[Frame]:
        """What a part holds from position ``start`` to ``end``; ``database``: of the source, selected there."""
        offset, stop = part.offset_of(start), part.offset_of(end)
        if part.preamble is None:
            return Frames(part.fd, offset, stop, where=str(part.path), block_bytes=self.batch_bytes)
        selection = self.options.selection
        return RdbFrames(
            part.fd,
            offset,
            stop,
            where=str(part.path),
            preamble=part.preamble,
            database=database,
            target=self.rdb,
            takes=None if selection.takes_all and not self.skips_own_keys else selection.takes,
            block_bytes=self.batch_bytes,
        )

    def selected(self, part: Part, frames: t.Iterable[Frame], database: int) -> t.Iterable[Frame]:
        """What of the frames is wanted; ``database``: of the source, selected before them."""
        if part.preamble is None:
            frames = self._passed(part, frames)
        if not self.options.selection.takes_all:
            frames = self._selected(part, frames, database)
        return self._adapted(part, frames, database) if self.compat.needed else frames

    def _passed(self, part: Part, frames: t.Iterable[Frame]) -> t.Iterator[Frame]:
        """Only data. Raises :class:`ImportFailedError` for anything else that the precheck has missed."""
        try:
            yield from self.gate.passed(part, frames)
        except NotData as exc:
            found, offset = self.aof.where(exc.position)
            raise self.failed(
                f"{exc.name} at byte {offset} of {found.path} is no data, and is not sent",
                todo="Remove it from a copy of the file, or rewrite the AOF on the source and fetch it again",
            ) from None

    def count_left_out(self, name: str, position: int) -> None:
        """Count a command that is left out, once however often it is read."""
        if position >= self._left_out_until[name]:
            self.compat.dropped[name] += 1
            self._left_out_until[name] = position + 1

    def lacking_databases(self, numbers: t.Collection[int]) -> dict[int, str]:
        """Return those databases of the source whose database in the target is not there, with the target's reply."""
        databases = self.options.selection.databases
        targets = {number: databases.target(number) for number in numbers if databases.takes(number)}
        asked = sorted(set(targets.values()) - self._databases_there)
        refused = self.topology.refused_databases(asked) if asked else {}
        self._databases_there.update(number for number in asked if number not in refused)
        return {number: refused[target] for number, target in targets.items() if target in refused}

    def require_database(self, number: int) -> None:
        """Raise :class:`ImportFailedError` where the target lacks what is this database of the source."""
        lacking = self.lacking_databases((number,))
        if lacking:
            raise self.failed(
                f"{self.endpoint} has no database {self.options.selection.databases.target(number)} ({lacking[number]})",
                todo="Raise 'databases' on the target, or choose an instance that has as many, and run the same import again",
            )

    def _selected(self, part: Part, frames: t.Iterable[Frame], database: int) -> t.Iterator[Frame]:
        select = self.options.selection.of
        for frame in frames:
            if isinstance(frame, LargeCommand):
                command = [frame.name, frame.key]
                if self._wanted(Found(part.position_of(frame.start), database, command), select) is not None:
                    yield frame
                else:
                    yield Skipped(frame.start, frame.end, database)
            elif isinstance(frame, Block):
                for block in blocks_by_database(frame):
                    database = selected_database(block.commands[0], database)
                    yield self._selected_of(part, block, database)
            else:
                yield frame

    def _selected_of(self, part: Part, block: Block, database: int) -> Frame:
        """What is wanted of a block of one database."""
        commands, places = [], []
        for command, place in zip(block.commands, block.offsets()):
            wanted = self._wanted(Found(part.position_of(place), database, command), self.options.selection.of)
            if wanted is not None:
                commands.append(wanted)
                places.append(place)
        if not commands:
            return Skipped(block.start, block.end, database)
        return Block.of(block.start, block.end, commands, places, database)

    def _adapted(self, part: Part, frames: t.Iterable[Frame], database: int) -> t.Iterator[Frame]:
        """The same in commands that the target knows."""
        for frame in frames:
            if isinstance(frame, LargeCommand) and self.compat.concerns_large(frame, part.fd):
                frame = read_large(part.fd, frame)
            if isinstance(frame, Block):
                for block in blocks_by_database(frame):
                    database = database_after(block, database)
                    concerned = self.compat.concerns(block, of_rdb=part.preamble is not None)
                    yield self._adapted_of(part, block, database) if concerned else block
            else:
                database = frame.database if isinstance(frame, Skipped) else database
                yield frame

    def _adapted_of(self, part: Part, block: Block, database: int) -> Frame:
        commands, places = [], []
        for command, place in zip(block.commands, block.offsets()):
            position = part.position_of(place)
            for instead in self.compat.adapted(command, count=position >= self._adapted_until):
                commands.append(instead)
                places.append(place)
            self._adapted_until = max(self._adapted_until, position + 1)
        if not commands:
            return Skipped(block.start, block.end, database)
        return Block.of(block.start, block.end, commands, places, block.database)

    def compat_counted(self, position: int, share: Outcome) -> None:
        """Take over what a worker has counted as rewritten or dropped before a position."""
        self._adapted_until = max(self._adapted_until, position)
        self.compat.rewritten += share.adapted
        self.compat.dropped += share.dropped

    def _wanted(self, found: Found, select: t.Callable[[Command, int], Command | None]) -> Command | None:
        try:
            return select(found.command, found.database)
        except PartlySelected as exc:
            if found.position not in self.outcome.errors.refused:
                self.add_error(found, ErrorReply(f"not sent: {exc}"), refused=True)
            return None

    def commands_of(self, batch: Batch) -> t.Iterator[Found]:
        """The commands of a batch, read from the file once more."""
        part, _offset = self.aof.where(batch.start)
        database = batch.database_before
        if batch.block is not None:
            frames: t.Iterable[Frame] = (batch.block,)
        else:
            frames = self.selected(part, self.frames(part, batch.start, batch.end, database), database)
        for frame in frames:
            if isinstance(frame, LargeCommand):
                yield Found(part.position_of(frame.start), database, [frame.name, frame.key])
            elif isinstance(frame, Block):
                for command, place in zip(frame.commands, frame.offsets()):
                    database = selected_database(command, database)
                    yield Found(part.position_of(place), database, command)

    def add_error(self, found: Found, reply: ErrorReply, *, refused: bool = False) -> None:
        """Count an error reply, and decide: go on, wait and try again, or stop (by raising)."""
        part, offset = self.aof.where(found.position)
        key = shown_key(found.command)
        error = CommandError(
            file=str(part.path),
            offset=offset,
            position=found.position,
            database=found.database,
            command=printable(found.command[0]).upper(),
            key=printable(key) if key is not None else "",
            reply=without_values(str(reply)),
        )
        if passing := passing_state(error.reply):
            raise passing
        log = self.outcome.errors
        log.add(error, refused=refused)
        if error.command == "SELECT":
            raise self.failed(
                f"{self.endpoint} refused a command, and what follows belongs there: {error}", todo=error.todo
            )
        if self.options.stop_at_error or error.about == "server":
            raise self.failed(f"{self.endpoint} refused a command: {error}", todo=error.todo)
        self.stop_at_too_many(error)

    def stop_at_too_many(self, last: CommandError) -> None:
        """Raise where more commands have been refused than may be."""
        if self.options.max_errors and self.outcome.errors.count > self.options.max_errors:
            raise self.failed(
                f"{self.endpoint} refused more than {self.options.max_errors} commands, the last: {last}",
                todo=last.todo,
            )

    def confirmed(self, request: CheckpointRequest) -> Checkpoint:
        """The checkpoint that has been written. Raises what :meth:`checkpoint_refused` gives where it was not."""
        for reply in request.replies:
            if isinstance(reply, ErrorReply):
                raise self.checkpoint_refused(reply)
        return request.checkpoint

    def checkpoint_refused(self, reply: ErrorReply) -> Exception:
        """What to raise when the target does not take the checkpoint, or the transaction around it."""
        text = without_values(str(reply))
        return passing_state(text) or self.failed(
            f"{self.endpoint} answered {explain(text)} to the import's own checkpoint", todo=next_step(text)
        )

    def failed(self, what: str, *, todo: str = "") -> ImportFailedError:
        """An error that says how far the target is, for people and for programs."""
        errors = self.outcome.errors
        failure = ImportFailedError(
            what,
            changed=self.state(),
            todo=todo or "Mend the cause and run the same import again",
            errors=errors.count,
            error_samples=[error.sample() for error in errors.samples],
            replies=self.outcome.commands,
            position=self.checkpoint.position,
        )
        failure.facts["changed"] = self.outcome.changed
        return failure

    def state(self) -> str:
        """How far the target is, for a message."""
        position = self.checkpoint.position
        if not self.outcome.changed and not position:
            return f"Nothing was imported into {self.endpoint}"
        if not position:
            return f"{self.endpoint} may hold the first commands, and a checkpoint: the same import begins again there"
        part, offset = self.aof.where(position)
        reached = f"byte {offset} of {part.path} ({position:,} of {self.aof.size:,} bytes in all)"
        errors = self.outcome.errors
        if self.options.stop_at_error and any(error.position < position for error in errors.samples):
            refused = errors.before(position)
            return (
                f"{self.endpoint} holds everything before {reached} but what {refused} refused "
                f"command{'s' * (refused != 1)} would have done, and a checkpoint. To go on from there without that: "
                "on_error=continue; to begin again: if_not_empty=flush and resume=false"
            )
        return f"{self.endpoint} holds everything before {reached} and a checkpoint: the same import goes on from there"
