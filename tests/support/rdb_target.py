# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that is brought what an RDB or a hybrid AOF holds, as an importer would do it."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frames
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof, has_preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_records import Entry, Function
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import Restorer
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import server_rdb_version
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import commands, function_command
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet
from ansible_collections.redisops.tair.tests.support.servers import Build, Server

Command = t.Sequence[bytes]


def version_of(build: Build) -> tuple[int, int]:
    major, minor = build.version.split(".")[:2]
    return int(major), int(minor)


def commands_level(build: Build) -> tuple[int, int]:
    """The version of Redis whose commands a server has."""
    return version_of(build) if build.flavor == "redis" else (7, 2)


class Target:
    """A server that is sent what a file holds; ``refused`` are its error replies."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.refused: list[tuple[Command, str]] = []
        self.by_restore = self.by_commands = 0
        self._conn = snapshot.Conn(server.host, server.port)
        self._database = 0

    def send(self, batch: t.Sequence[Command], database: int | None = None) -> None:
        if database is not None and database != self._database:
            self._conn.call("SELECT", database)
            self._database = database
        for command, reply in zip(batch, self._conn.pipeline(batch)):
            if isinstance(reply, snapshot.ReplyError):
                self.refused.append((command, str(reply)))

    def load_rdb(self, path: Path, *, restoring: bool) -> int | None:
        """Send what the RDB at the beginning of a file holds; where its commands begin."""
        accepted = server_rdb_version(self.server.build.flavor, version_of(self.server.build))
        level = commands_level(self.server.build)
        with path.open("rb") as file:
            fd = file.fileno()
            rdb = Rdb(fd, 0, os.fstat(fd).st_size, where=str(path))
            for record in rdb:
                if isinstance(record, Function) and level >= (7, 0):
                    self.send([function_command(record)])
                if not isinstance(record, Entry):
                    continue
                made = None
                if restoring:
                    made = Restorer(rdb.version, accepted).command(
                        record.key, record.expiry, record.type, rdb.raw(record)
                    )
                if made is not None:
                    self.send([made[0]], record.database)
                    self.by_restore += 1
                else:
                    self.send(list(commands(fd, record, rdb.version, where=str(path), target=level)), record.database)
                    self.by_commands += 1
            return rdb.tail

    def load_commands(self, path: Path, start: int) -> None:
        """Send the commands of a file from ``start`` on."""
        self._conn.call("SELECT", 0)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for frame in Frames(file.fileno(), start, size, where=str(path)):
                assert isinstance(frame, Block)
                self.send(frame.commands)
        self._database = -1

    def load(self, aof: CorpusSet, *, restoring: bool) -> None:
        """Send a whole hybrid AOF."""
        found = find_aof(aof.aof)
        for path in map(found.path, found.segments):
            hybrid = has_preamble(path.read_bytes()[:9])
            start = self.load_rdb(path, restoring=restoring) if hybrid else 0
            assert start is not None
            self.load_commands(path, start)

    def snapshot(self) -> dict[str, t.Any]:
        content: dict[str, t.Any] = snapshot.snapshot(self.server.host, self.server.port)
        return content


def differences(expected: dict[str, t.Any], actual: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = snapshot.diff(expected, actual)
    return found


def describe(found: t.Iterable[dict[str, t.Any]]) -> str:
    return "\n".join(map(snapshot.describe, found))


def unexplained(expected: dict[str, t.Any], target: Target, *, restoring: bool) -> list[dict[str, t.Any]]:
    """How the target differs, but for what it was told and refused, and what no commands bring: see :func:`is_lost`."""
    level = commands_level(target.server.build)
    refused: set[str] = set()
    expiries: set[str] = set()
    for command, _reply in target.refused:
        of_fields = command[0].upper() in (b"HPEXPIREAT", b"HPERSIST")
        (expiries if of_fields else refused).update(map(snapshot.b64, command[1:]))
    return [
        one
        for one in differences(expected, target.snapshot())
        if one["key"] not in refused
        and not (one["key"] in expiries and one["what"].startswith(("field ttl", "member extra")))
        and not (one["key"] is None and level < (7, 0))  # a library of functions
        and not (one["key"] is not None and not restoring and is_lost(one, expected, level))
    ]


def is_lost(one: dict[str, t.Any], expected: dict[str, t.Any], level: tuple[int, int]) -> bool:
    """Whether it is a pending entry whose entry is deleted, or that was given back on a server that has no XNACK."""
    if " pending " not in one["what"] or one["actual"] is not None:
        return False
    entries = {entry[0] for entry in expected["dbs"][one["db"]][one["key"]]["value"]["entries"]}
    return one["what"].rpartition(" ")[2] not in entries or (level < (8, 8) and not one["expected"][0])


def saved(server: Server) -> Path:
    server.client().save()
    return server.data / "dump.rdb"


def entries_of(path: Path) -> tuple[dict[bytes, Entry], int]:
    with path.open("rb") as file:
        rdb = Rdb(file.fileno(), 0, os.fstat(file.fileno()).st_size, where=str(path))
        found = {record.key: record for record in rdb if isinstance(record, Entry)}
        return found, rdb.version
