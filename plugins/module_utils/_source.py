# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A source server's persistence: what its INFO says of the AOF, and where the files are on this host."""

from __future__ import annotations

import os
import shutil
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import (
    MANIFEST_SUFFIX,
    AofSet,
    Kind,
    Layout,
    find_aof,
    path_for_tasks,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import LayoutError, TairError
from ansible_collections.redisops.tair.plugins.module_utils._file_names import name_problem
from ansible_collections.redisops.tair.plugins.module_utils._redis import (
    Client,
    ConfigForbiddenError,
    Endpoint,
    config_get,
    config_set,
)
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import ServerFacts
from ansible_collections.redisops.tair.plugins.module_utils._text import shown


@dataclass(frozen=True)
class Persistence:
    """INFO's fields on the AOF. None: this version does not tell, or only while AOF is on."""

    appendonly: bool
    rewrite_in_progress: bool
    rewrite_scheduled: bool
    last_rewrite_ok: bool
    last_write_ok: bool
    size: int | None
    """Bytes of all files together."""
    base_size: int | None
    """Bytes after the last rewrite."""
    rewrites: int | None
    """Rewrites *started* since the server runs (7.0 and newer)."""
    rewrite_seconds: int
    """How long the rewrite in progress has been running; -1 without one."""
    writes: tuple[t.Any, ...]
    """Counters that stand still exactly as long as nothing is written, expired or evicted."""
    run_id: str
    """Another one after a restart."""

    @classmethod
    def from_info(cls, info: dict[str, t.Any]) -> Persistence:
        def number(name: str) -> int | None:
            return int(info[name]) if name in info else None

        return cls(
            appendonly=bool(info.get("aof_enabled")),
            rewrite_in_progress=bool(info.get("aof_rewrite_in_progress")),
            rewrite_scheduled=bool(info.get("aof_rewrite_scheduled")),
            last_rewrite_ok=info.get("aof_last_bgrewrite_status", "ok") == "ok",
            last_write_ok=info.get("aof_last_write_status", "ok") == "ok",
            size=number("aof_current_size"),
            base_size=number("aof_base_size"),
            rewrites=number("aof_rewrites"),
            rewrite_seconds=int(info.get("aof_current_rewrite_time_sec", -1)),
            writes=tuple(
                info.get(name)
                for name in ("rdb_changes_since_last_save", "rdb_last_save_time", "expired_keys", "evicted_keys")
            ),
            run_id=str(info.get("run_id", "")),
        )


@dataclass(frozen=True)
class AofFile:
    """One file of the AOF on the source host; ``size`` in bytes, None where neither the file nor INFO tells it."""

    path: str
    kind: Kind
    seq: int
    size: int | None


@dataclass(frozen=True)
class Files:
    """What only the caller knows of the server's files. ``directory``: where its ``dir`` is on its host, if that is another
    path than the server's own (a container's); ``here``: whether this process runs on that host, so that it may look."""

    directory: str = ""
    here: bool = True


FILES_AS_TOLD = Files()


@dataclass(frozen=True)
class Location:
    """Where the server keeps its AOF: what CONFIG says, without a look at the disk."""

    layout: Layout
    directory: Path
    """The server's ``dir``, as its host sees it."""
    path: Path
    """The single file, or the manifest."""
    here: bool
    """Whether that is a path on this machine; another one may have other files under the same name."""


@dataclass(frozen=True)
class OnDisk:
    """The AOF as this process sees it. ``aof`` is None where it can't be read, or is not there yet."""

    aof: AofSet | None
    readable: bool
    files: tuple[AofFile, ...] = ()

    @property
    def size(self) -> int | None:
        """Bytes of all files together."""
        sizes = [file.size for file in self.files]
        return sum(size or 0 for size in sizes) if sizes and None not in sizes else None

    @property
    def base(self) -> AofFile | None:
        """The file that a rewrite replaces."""
        return next((file for file in self.files if file.kind != "incr"), None)


#: A parameter that every version has, and that does nothing at once when it is set.
_HARMLESS = "auto-aof-rewrite-percentage"
#: Valkey 9.1 lists its own scripting engine as a module.
ENGINE_MODULES = frozenset({"lua"})


def loaded_modules(facts: ServerFacts) -> list[str]:
    """Names of the modules that may bring types of their own, as INFO tells them (Redis 6.0 and newer)."""
    return sorted({str(module["name"]) for module in facts.info.get("modules", [])} - ENGINE_MODULES)


def keeps_many_files(facts: ServerFacts) -> bool:
    """Whether this server writes a manifest with base and incr files. KeyDB claims 6.3 and does not."""
    return facts.flavor != "keydb" and LooseVersion(facts.redis_version) >= LooseVersion("7.0")


def aof_location(client: Client, endpoint: Endpoint, facts: ServerFacts, files: Files = FILES_AS_TOLD) -> Location:
    """Ask a server where it keeps its AOF. Raises :class:`ConfigForbiddenError`, and :class:`LayoutError` for names of no file."""

    def read(name: str) -> str:
        return config_get(client, endpoint, name) or ""

    # Only the server can tell `dir`: it is its working directory, whatever the configuration file said at the start.
    directory = Path(files.directory or read("dir"))
    name = _file_name("appendfilename", read("appendfilename") or "appendonly.aof", endpoint)
    if "\0" in str(directory):
        raise LayoutError(f"{endpoint} reports a dir that is no path: {shown(str(directory))}")
    if keeps_many_files(facts):
        subdirectory = _file_name("appenddirname", read("appenddirname"), endpoint)
        return Location("multi", directory, directory / subdirectory / (name + MANIFEST_SUFFIX), files.here)
    return Location("single", directory, directory / name, files.here)


def _file_name(parameter: str, name: str, endpoint: Endpoint) -> str:
    problem = name_problem(name)
    if problem:
        raise LayoutError(
            f"{endpoint} reports {parameter} '{shown(name)}', which {problem}: a plain file name was expected"
        )
    return name


def look_at_disk(location: Location, info_size: int | None) -> OnDisk:
    """The files as they are now. ``info_size``: INFO's size, for a single file that can't be read."""
    hidden = (AofFile(str(location.path), "single", 0, info_size),) if location.layout == "single" else ()
    if not location.here:
        return OnDisk(None, False, hidden)
    try:
        aof, sizes = _files_now(location.path)
    except (LayoutError, FileNotFoundError) as exc:
        if _is_gone(exc):  # no AOF yet, or no such directory on this host
            return OnDisk(None, os.access(location.directory, os.R_OK | os.X_OK))
        return OnDisk(None, False, hidden)
    files = (AofFile(str(aof.path(part)), part.kind, part.seq, size) for part, size in zip(aof.segments, sizes))
    return OnDisk(aof, True, tuple(files))


def _files_now(path: Path) -> tuple[AofSet, list[int]]:
    """The AOF and the size of each file. A rewrite that ends between the two looks takes files away: look again."""
    attempts = 3
    while True:
        try:
            aof = find_aof(path)
            return aof, [aof.path(segment).stat().st_size for segment in aof.segments]
        except (LayoutError, FileNotFoundError) as exc:
            attempts -= 1
            if not attempts or not _is_gone(exc):
                raise
        time.sleep(0.05)


def _is_gone(exc: Exception) -> bool:
    return isinstance(exc, FileNotFoundError) or isinstance(exc.__cause__, FileNotFoundError)


def free_bytes(location: Location) -> int | None:
    """Bytes that a process without privileges can still write beside the AOF; None where it can't be seen."""
    try:
        return shutil.disk_usage(location.directory).free if location.here else None
    except OSError:
        return None


def describe_source(client: Client, endpoint: Endpoint, facts: ServerFacts, files: Files) -> dict[str, t.Any]:
    """What ``aof_info`` returns. Refuses nothing: what CONFIG or the file system do not let us see is None."""
    persistence = Persistence.from_info(facts.info)
    location: Location | None = None
    preamble: str | None = None
    settable = False
    try:
        location = aof_location(client, endpoint, facts, files)
        preamble = config_get(client, endpoint, "aof-use-rdb-preamble")
        settable = _may_set(client, endpoint)
    except ConfigForbiddenError:
        pass
    disk = look_at_disk(location, persistence.size) if location else OnDisk(None, False)
    return {
        "version": facts.version,
        "redis_version": facts.redis_version,
        "flavor": facts.flavor,
        "role": facts.role,
        "layout": "multi" if keeps_many_files(facts) else "single",
        "config_allowed": location is not None,
        "config_set_allowed": settable,
        "dir": str(location.directory) if location else None,
        "dir_free": free_bytes(location) if location else None,
        "aof_path": path_for_tasks(location.path) if location else None,
        "readable": disk.readable,
        "files": files_as_dicts(disk),
        "size": persistence.size if disk.size is None else disk.size,
        "base_size": persistence.base_size,
        "appendonly": persistence.appendonly,
        "rewrite_in_progress": persistence.rewrite_in_progress,
        "last_rewrite_ok": persistence.last_rewrite_ok,
        "last_write_ok": persistence.last_write_ok,
        "preamble": preamble,
        "keyspace": {str(number): keys for number, keys in sorted(facts.keyspace.items())},
        "modules": loaded_modules(facts),
        "used_memory": facts.used_memory,
        "used_memory_dataset": int(facts.info.get("used_memory_dataset", facts.used_memory)),
    }


def _may_set(client: Client, endpoint: Endpoint) -> bool:
    """Whether CONFIG SET is allowed: a parameter is given the value that it has."""
    value = config_get(client, endpoint, _HARMLESS)
    try:
        config_set(client, endpoint, _HARMLESS, value or "")
    except TairError:
        return False
    return True


def files_as_dicts(disk: OnDisk) -> list[dict[str, t.Any]]:
    """The files as modules return them."""
    return [{"path": file.path, "kind": file.kind, "seq": file.seq, "size": file.size} for file in disk.files]
