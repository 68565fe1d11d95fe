# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""BGREWRITEAOF: start one, wait for its end, and prove that it wrote a new base.

What a rewrite writes is fixed when the server forks. One that is running when we come (``CONFIG SET appendonly yes``
starts one by itself) is waited out. With AOF on its base is as good as one of our own, since everything written after
the fork stands behind it; where it is not in the form that is wanted, or a snapshot with AOF off, our own follows. A
rewrite that is only scheduled has not forked, and is ours.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import has_preamble, path_for_tasks
from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError, RewriteError
from ansible_collections.redisops.tair.plugins.module_utils._redis import (
    Client,
    ConfigForbiddenError,
    Endpoint,
    config_get,
    speaking_to,
)
from ansible_collections.redisops.tair.plugins.module_utils._resp import BadReply
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import server_facts
from ansible_collections.redisops.tair.plugins.module_utils._source import (
    FILES_AS_TOLD,
    Files,
    Location,
    OnDisk,
    Persistence,
    aof_location,
    free_bytes,
    keeps_many_files,
    loaded_modules,
    look_at_disk,
)

Format = t.Literal["plain", "hybrid"]
Proof = t.Literal["manifest", "inode", "info"]
Expect = t.Literal["plain", "any"]

POLL_SECONDS = (0.05, 1.0)  # the first pause and the longest one


@dataclass(frozen=True)
class Moment:
    """The source at one moment: INFO first, then its files."""

    persistence: Persistence
    disk: OnDisk
    base_id: tuple[t.Any, ...] | None
    """What is another after every rewrite: name and sequence by the manifest, or device and inode of the single file."""


@dataclass(frozen=True)
class Rewritten:
    """A rewrite that worked. Sizes in bytes; None where the files can't be read and INFO does not tell either."""

    elapsed: float
    path: str | None
    disk: OnDisk
    size: int | None
    base_size: int | None
    format: Format | None
    proof: Proof


class Rewriter:
    """One rewrite on one source. ``timeout``: seconds for the whole of it, 0 for as long as it takes."""

    def __init__(self, client: Client, endpoint: Endpoint, files: Files = FILES_AS_TOLD, *, timeout: float) -> None:
        self.client = client
        self.endpoint = endpoint
        self.timeout = timeout
        self.began = time.monotonic()
        self.facts = server_facts(client, endpoint)
        self.location: Location | None
        try:
            self.location = aof_location(client, endpoint, self.facts, files)
            path_for_tasks(self.location.path)  # refused before anything is rewritten
        except ConfigForbiddenError:
            self.location = None

    def run(self, expect: Expect) -> Rewritten:
        """Rewrite, wait, prove. Raises :class:`RewriteError`, whose message says what became of the rewrite."""
        if expect == "plain":
            self._refuse_preamble_setting()
        before = self.look()
        after = self._wait_out_running(before)
        found = _is_as_good(before, after, expect)
        if not found:
            before = after
            started = self._trigger()
            after = self._wait_for_end(before.persistence, started=started)
        proof = self._prove(before, after)
        # Of a rewrite that was found running it is not known what was written since its fork.
        quiet = not found and after.persistence.writes == before.persistence.writes
        result = self._result(after, proof, quiet=quiet)
        if expect == "plain" and result.format == "hybrid":
            raise RewriteError(
                f"The new base of {self.endpoint} ({_base_path(after)}) starts with an RDB: "
                "aof-use-rdb-preamble was 'yes' when the rewrite was started",
                todo="Set aof-use-rdb-preamble to 'no' and rewrite again; leave it off until the rewrite has ended",
                format="hybrid",
            )
        return result

    def look(self) -> Moment:
        """The state now."""
        persistence = Persistence.from_info(server_facts(self.client, self.endpoint).info)
        disk = look_at_disk(self.location, persistence.size) if self.location else OnDisk(None, False)
        return Moment(persistence, disk, _base_id(disk))

    def _refuse_preamble_setting(self) -> None:
        """A rewrite with the preamble on can only end in a refusal: don't make the server write it."""
        try:
            preamble = config_get(self.client, self.endpoint, "aof-use-rdb-preamble")
        except ConfigForbiddenError:
            return
        if preamble == "yes":
            raise RewriteError(
                f"aof-use-rdb-preamble is 'yes' on {self.endpoint}: a rewrite would write an RDB, not commands",
                changed="No rewrite was started",
                todo="Set aof-use-rdb-preamble to 'no' first (redis_config), or expect=any",
            )

    def _wait_out_running(self, moment: Moment) -> Moment:
        pauses = self._pauses("the rewrite that was already running")
        while moment.persistence.rewrite_in_progress:
            next(pauses)
            moment = self.look()
        return moment

    def _trigger(self) -> bool:
        """Ask for a rewrite. False: it is only scheduled, as another child process is running (BGSAVE)."""
        command = self.endpoint.command("BGREWRITEAOF")
        try:
            with speaking_to(self.endpoint, "starting a rewrite (BGREWRITEAOF)"):
                reply = self.client.execute_command(command)
                if not isinstance(reply, bytes):
                    raise BadReply("its reply to BGREWRITEAOF is no text")
        except ReplyError as exc:
            # None was seen a moment ago: the one in progress forked after that, so its content is what we want.
            if "already in progress" in exc.what:
                return True
            if "unknown command" in exc.what:
                exc.todo = "If rename-command gave BGREWRITEAOF another name, give that: renamed_commands"
            raise RewriteError(
                exc.what,
                changed="No rewrite was started",
                todo=exc.todo or f"Look at the log of {self.endpoint}: fork may have failed, or the disk is full",
            ) from exc
        return b"scheduled" not in reply

    def _wait_for_end(self, before: Persistence, *, started: bool) -> Moment:
        """Poll until the rewrite of :meth:`_trigger` is over, one way or the other."""
        pauses = self._pauses("the rewrite")
        last = before
        while True:
            moment = self.look()
            now = moment.persistence
            self._refuse_interference(before, now)
            if _is_over(before, last, now, started):
                return moment
            started = started or now.rewrite_in_progress
            last = now
            next(pauses)

    def _refuse_interference(self, before: Persistence, now: Persistence) -> None:
        if before.run_id != now.run_id:
            raise RewriteError(
                f"{self.endpoint} was restarted while its AOF was rewritten",
                changed="Its settings are those of its configuration file again",
                todo="Look at its log, then run again",
            )
        if before.appendonly and not now.appendonly:
            raise RewriteError(
                f"appendonly was set to 'no' on {self.endpoint} while its AOF was rewritten, which ends the rewrite",
                todo="Find out who does that (a person, a configuration tool), then run again",
            )

    def _prove(self, before: Moment, after: Moment) -> Proof:
        now = after.persistence
        if not now.last_rewrite_ok:
            raise RewriteError(self._why_failed(after), todo=f"Look at the log of {self.endpoint}, then run again")
        if not now.last_write_ok:
            raise RewriteError(
                f"{self.endpoint} can't write to its AOF (aof_last_write_status:err): what it logs is incomplete",
                todo=f"Free disk space{self._room()} and look at its log, then run again",
            )
        if after.base_id is not None:
            if after.base_id == before.base_id:
                raise RewriteError(
                    f"The rewrite on {self.endpoint} ended without a new base ({_base_path(after)} is the old one), "
                    "though the server calls it 'ok': the child process was killed, or that path is not "
                    "the server's own file (a container)",
                    todo="Run again; look at the server's log if it happens twice. For a container give data_dir",
                )
            return "manifest" if after.disk.aof and after.disk.aof.layout == "multi" else "inode"
        if after.disk.readable:
            raise RewriteError(
                f"The rewrite on {self.endpoint} ended, but there is no AOF at {self.location and self.location.path}",
                todo="Look at the server's log; for a server in a container, which has its files elsewhere on this host, give data_dir",
            )
        if now.rewrites is not None and now.rewrites == before.persistence.rewrites:
            raise RewriteError(f"{self.endpoint} has not started a rewrite, though it said so", todo="Run again")
        return "info"

    def _why_failed(self, after: Moment) -> str:
        reasons = f"the disk is full{self._room()}"
        modules = loaded_modules(self.facts)
        if modules and after.persistence.last_write_ok:
            reasons += (
                f", or a key's type comes from a module and can't be written as commands (loaded: {', '.join(modules)}; "
                "a vector set or a RedisJSON document makes every rewrite fail)"
            )
        return f"The rewrite on {self.endpoint} failed (aof_last_bgrewrite_status:err). Usual reason: {reasons}"

    def _room(self) -> str:
        free = free_bytes(self.location) if self.location else None
        return "" if free is None or self.location is None else f" ({free} bytes free in {self.location.directory})"

    def _result(self, after: Moment, proof: Proof, *, quiet: bool) -> Rewritten:
        """``quiet``: nothing was written between the fork and ``after``."""
        now = after.persistence
        base_size = now.base_size
        if keeps_many_files(self.facts):
            base_size = after.disk.base.size if after.disk.base else now.base_size
        elif not quiet:
            # Of a single file only what the child wrote is a base. Commands that arrived meanwhile stand at its end,
            # and INFO counts them in: then whoever reads it has to find the place.
            base_size = None
        return Rewritten(
            elapsed=round(time.monotonic() - self.began, 3),
            path=path_for_tasks(self.location.path) if self.location else None,
            disk=after.disk,
            size=now.size if after.disk.size is None else after.disk.size,
            base_size=base_size,
            format=_format(after),
            proof=proof,
        )

    def _pauses(self, what: str) -> t.Iterator[None]:
        """Sleep, longer each time, until the time is up."""
        pause, longest = POLL_SECONDS
        while True:
            left = self.began + self.timeout - time.monotonic() if self.timeout else longest
            if left <= 0:
                raise RewriteError(
                    f"On {self.endpoint} {what} has not ended within {self.timeout:g} s",
                    changed="It goes on there",
                    todo="Give a longer timeout (0: none), or look at the server's load",
                )
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, longest)
            yield


def _is_as_good(before: Moment, after: Moment, expect: Expect) -> bool:
    """Whether the rewrite that was running ``before`` has left a new base with all that was written since behind it.

    Only the files can tell: if it ended while they were looked at for ``before``, they show no new base, and ours follows.
    """
    was, now = before.persistence, after.persistence
    return (
        was.rewrite_in_progress
        and was.appendonly
        and now.appendonly
        and was.run_id == now.run_id
        and after.base_id not in (None, before.base_id)
        and (expect == "any" or _format(after) == "plain")
    )


def _is_over(before: Persistence, last: Persistence, now: Persistence, started: bool) -> bool:
    """Whether the rewrite asked for at ``before`` has ended, where ``last`` is the look before ``now``.

    After ``appendonly yes`` a server without a first base starts the next attempt as soon as one has failed, so
    "none is running" may never be seen.
    """
    if last.last_rewrite_ok and not now.last_rewrite_ok:
        return True
    if now.rewrite_in_progress:
        if now.rewrites is not None and before.rewrites is not None:
            return now.rewrites > before.rewrites + 1
        return now.rewrite_seconds < last.rewrite_seconds
    return started or not now.rewrite_scheduled


def _base_id(disk: OnDisk) -> tuple[t.Any, ...] | None:
    if disk.aof is None or disk.base is None:
        return None
    if disk.aof.layout == "multi":
        return (disk.base.path, disk.base.seq)
    try:
        status = disk.aof.path(disk.aof.segments[0]).stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _base_path(moment: Moment) -> str:
    return moment.disk.base.path if moment.disk.base else "unknown"


def _format(moment: Moment) -> Format | None:
    if moment.disk.aof is None or moment.disk.base is None:
        return None
    try:
        with open(moment.disk.base.path, "rb") as base:
            return "hybrid" if has_preamble(base.read(9)) else "plain"
    except OSError:
        return None
