# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Showing how far an import is, from the progress file that the module writes, while Ansible waits for the module.

redis1 | aof_import: 35 % of 12.4 GB, 96.4 MB/s, 1,204,000 commands, 0 errors, 1:26 left
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import threading
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, TairError
from ansible_collections.redisops.tair.plugins.module_utils._import import progress as file
from ansible_collections.redisops.tair.plugins.module_utils._text import shown
from ansible_collections.redisops.tair.plugins.plugin_utils import _private as private
from ansible_collections.redisops.tair.plugins.plugin_utils import _progress as lines
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import SshConnection

Read = t.Callable[[], bytes]

_LARGEST = 1 << 16  # bytes of what is read for one look: the file has less than 200
_LARGEST_NUMBER = 1 << 63
_SOON = 1.0  # seconds: where something is about to happen
_ANSWER = 'while read -r marker; do cat "$0"; echo "$marker"; done'  # it ends with its input


class ImportProgress:
    """Prints a line now and then while the ``with`` block runs, from a thread of its own. It never fails.

    ``open_file``: gives what reads the progress file; nothing is read as long as there is none. ``show`` takes a line,
    ``tell`` why there are no more of them.
    """

    def __init__(
        self,
        label: str,
        open_file: t.Callable[[], t.ContextManager[Read]],
        show: t.Callable[[str], object],
        tell: t.Callable[[str], object],
    ) -> None:
        self._label, self._open_file, self._show, self._tell = label, open_file, show, tell
        self._printer: lines.Progress | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ImportProgress:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        # No longer: it may wait for a host that does not answer. It prints nothing more, and dies with the process.
        self._thread.join(_SOON)

    def _watch(self) -> None:
        if self._ended.wait(lines.EVERY):
            return  # most imports are not worth a connection of their own
        try:
            with self._open_file() as read:
                while not self._ended.is_set():
                    self._take(file.Progress.from_json(read()))
                    self._ended.wait(lines.EVERY if self._printer else _SOON)
        except (TairError, OSError) as exc:
            if not self._ended.is_set():
                self._tell(shown(f"{self._label}: no progress lines: {exc}"))

    def _take(self, now: file.Progress | None) -> None:
        if now is None or self._ended.is_set():
            return
        if not all(0 <= number < _LARGEST_NUMBER for number in (now.position, now.size, now.commands, now.errors)):
            raise ConnectError("The progress file holds numbers that no import has")
        if self._printer is None:
            # What is done by now may be the work of an earlier run, so it does not count for the rate.
            self._printer = lines.Progress(self._label, now.size, self._show, done=now.position)
        errors = "1 error" if now.errors == 1 else f"{now.errors:,} errors"
        self._printer.update(now.position, f"{now.commands:,} commands, {errors}")


@contextlib.contextmanager
def local_file(path: str) -> t.Iterator[Read]:
    """For :class:`ImportProgress`: a file on this machine."""

    def read() -> bytes:
        try:
            return private.read_file(Path(path), _LARGEST, of_anyone=True)  # the module may run as another user
        except FileNotFoundError:
            return b""

    yield read


@contextlib.contextmanager
def remote_file(connect: t.Callable[[], SshConnection], path: str) -> t.Iterator[Read]:
    """For :class:`ImportProgress`: a file behind a connection of its own, because Ansible's serves one thread only."""
    marker = secrets.token_hex(16).encode()
    with connect() as connection:
        # One shell that answers every line with the file: a login for each look would run the account's rc files.
        process = connection.run(f"sh -c {shlex.quote(_ANSWER)} {shlex.quote(path)}")

        def read() -> bytes:
            process.send(marker + b"\n")
            answer = b""
            while marker not in answer:
                data = process.read()
                if not data:
                    raise ConnectError(f"{connection} runs no commands")
                answer += data
                if len(answer) > _LARGEST:
                    raise ConnectError(f"{connection} sends more than {_LARGEST} bytes as the progress of an import")
            return answer.partition(marker)[0]

        yield read
