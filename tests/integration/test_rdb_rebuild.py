# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hybrid AOFs and dumps brought into real servers, by RESTORE and by commands: the target then holds what the source had."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block, Frames
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof, has_preamble
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb import Entry, Function, Rdb
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_restore import restore_command
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_types import server_rdb_version
from ansible_collections.redisops.tair.plugins.module_utils._aof.rdb_values import commands, function_command
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.servers import Build, Server

StartServer = t.Callable[..., Server]
Command = t.Sequence[bytes]

HYBRIDS = corpus(variant="hybrid")
#: What targets older than the source can't be told, with the words in which snapshots tell them.
COUNTERS = ("entries_added", "entries_read", "max_deleted_id", "first_id")


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
                command = restore_command(fd, record, rdb.version, accepted, where=str(path)) if restoring else None
                if command is not None:
                    self.send([command], record.database)
                    self.by_restore += 1
                else:
                    self.send(list(commands(fd, record, rdb.version, where=str(path), target=level)), record.database)
                    self.by_commands += 1
            return rdb.tail

    def load_commands(self, path: Path, start: int) -> set[bytes]:
        """Send the commands of a file from ``start`` on; the words that are in them."""
        words: set[bytes] = set()
        self._conn.call("SELECT", 0)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for frame in Frames(file.fileno(), start, size, where=str(path)):
                assert isinstance(frame, Block)
                self.send(frame.commands)
                words.update(word for command in frame.commands for word in command[1:])
        self._database = -1
        return words

    def load(self, aof: CorpusSet, *, restoring: bool) -> set[bytes]:
        """Send a whole hybrid AOF; the words in the commands behind its preamble."""
        found, words = find_aof(aof.aof), set()
        for path in map(found.path, found.segments):
            hybrid = has_preamble(path.read_bytes()[:9])
            start = self.load_rdb(path, restoring=restoring) if hybrid else 0
            assert start is not None
            words |= self.load_commands(path, start)
        return words

    def snapshot(self) -> dict[str, t.Any]:
        content: dict[str, t.Any] = snapshot.snapshot(self.server.host, self.server.port)
        return content


def differences(expected: dict[str, t.Any], actual: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = snapshot.diff(expected, actual)
    return found


def known_to_all(difference: dict[str, t.Any]) -> bool:
    return not any(word in difference["what"] for word in COUNTERS)


def describe(found: t.Iterable[dict[str, t.Any]]) -> str:
    return "\n".join(map(snapshot.describe, found))
