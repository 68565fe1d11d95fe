# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How far an import is, kept in the target itself, so that any later run can go on from there.

All imports into a target share one hash, a field each. In the transactions that carry incr files the record is
written by the same EXEC as the data; between the commands of a base file it only ever names a position whose
replies have all come back. It is written in whatever database is selected: the furthest of them counts.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, replace

from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import OpenAof
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_KEY
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

_VERSION = 2
_MOST_DATABASES = 256


@dataclass(frozen=True)
class Checkpoint:
    """Everything before ``position`` is in the target; nothing after ``position + zone`` is."""

    id: str
    """Name of the import, random."""
    rewritten: int
    """How many bytes at the beginning of the AOF were taken to be written by a rewrite."""
    position: int = 0
    zone: int = 0
    """Bytes after ``position`` that may be applied in part. Only in the rewritten part; 0 in transactions."""
    crc: int = 0
    """CRC-32 of all that may be applied: by it the AOF is recognised, whatever its name and however it has grown."""
    db: int = 0
    """The source's database that is selected at ``position``."""
    commands: int = 0
    errors: int = 0
    alone: bool = False
    """Whether nothing but this import has written to the target since it was empty, as far as we know."""
    databases: tuple[int, ...] = ()
    """Of the target, those written to so far; no more than :data:`_MOST_DATABASES`."""
    slots: tuple[int, ...] = ()
    """On a cluster: of one slot of each master, where a copy of the record stands."""

    @property
    def covered(self) -> int:
        """Nothing after this position has been sent."""
        return self.position + self.zone

    def command(self) -> bytes:
        """The command that writes it, as bytes to send."""
        return self.command_for(CHECKPOINT_KEY)

    def command_for(self, key: bytes) -> bytes:
        """The command that writes it to a certain key."""
        return encode(self.words_for(key))

    def words_for(self, key: bytes) -> tuple[bytes, ...]:
        """The same, word by word."""
        value = json.dumps({"v": _VERSION, **asdict(self)}, separators=(",", ":"))
        return b"HSET", key, self.id.encode(), value.encode()

    @classmethod
    def parse(cls, value: bytes | str | None) -> Checkpoint | None:
        """What a command has written; None for nothing, and for what another version of the collection wrote."""
        try:
            fields = json.loads(value or b"")
            if fields.pop("v") != _VERSION:
                return None
            return cls(**{**fields, "slots": tuple(fields["slots"]), "databases": tuple(fields.get("databases", ()))})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def names(self, aof: OpenAof) -> bool:
        """Whether it was written by an import of this AOF: all that may be applied is the same there."""
        return aof.size >= self.covered and aof.checksum(self.covered) == self.crc

    def written_to(self, databases: t.Iterable[int]) -> Checkpoint:
        """Return the same with the databases of the target that have been written to."""
        return replace(self, databases=tuple(sorted(databases)[:_MOST_DATABASES]))

    def at(self, position: int, **changes: t.Any) -> Checkpoint:
        return replace(self, position=position, **changes)


def read_checkpoints(wire: Wire, databases: t.Iterable[int]) -> dict[str, Checkpoint]:
    """The imports under way in a target: the furthest checkpoint of each."""
    found: dict[str, Checkpoint] = {}
    for _database, checkpoint in _records(wire, databases):
        known = found.get(checkpoint.id)
        if known is None or _order(known) < _order(checkpoint):
            found[checkpoint.id] = checkpoint
    return found


def remove_checkpoint(wire: Wire, databases: t.Iterable[int], name: str) -> None:
    """Forget one import. The furthest record goes last: an older one that is left, as all ends here, would not be all that is done."""
    ours = [(database, checkpoint) for database, checkpoint in _records(wire, databases) if checkpoint.id == name]
    for database, _checkpoint in sorted(ours, key=lambda record: _order(record[1])):
        wire.select(database)
        wire.call(b"HDEL", CHECKPOINT_KEY, name.encode())


def _records(wire: Wire, databases: t.Iterable[int]) -> t.Iterator[tuple[int, Checkpoint]]:
    """All that there are, each with its database.

    Read in transactions: what splits reads from writes gives these to the primary, and replicas may be behind.
    """
    for database in databases:
        wire.select(database)
        *_queued, executed = wire.exchange([(b"MULTI",), (b"HGETALL", CHECKPOINT_KEY), (b"EXEC",)])
        replies = wire.checked(executed, b"EXEC")
        fields = wire.checked(replies[0], b"HGETALL") if isinstance(replies, list) and len(replies) == 1 else None
        if not isinstance(fields, list) or set(map(type, fields)) - {bytes}:
            raise wire.senseless(b"HGETALL", replies)
        for value in fields[1::2]:
            checkpoint = Checkpoint.parse(value)
            if checkpoint is not None:
                yield database, checkpoint


def _order(checkpoint: Checkpoint) -> tuple[int, int]:
    """Of two records of an import the later one is greater."""
    return checkpoint.position, checkpoint.zone
