# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How far an import is, and the file that tells it to others while the import runs."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """How far an import is. ``position`` and ``size`` in bytes of the AOF."""

    position: int
    size: int
    commands: int
    errors: int

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Progress | None:
        """What :meth:`to_json` wrote, be there other text before it; ``None`` where it is not there."""
        try:
            values = json.loads(text[text.rindex(b"{") :])
            return cls(*(int(values[name]) for name in ("position", "size", "commands", "errors")))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None


class ProgressFile:
    """A file that holds the last :class:`Progress` as JSON: whole whenever it is read, and gone after the ``with`` block.

    An import must not fail because of it: where the file can't be written ``warn`` is told once, and that is all.
    """

    def __init__(self, path: Path, *, warn: t.Callable[[str], object]) -> None:
        self._path, self._warn = path, warn
        self._written = self._failed = False

    def __enter__(self) -> ProgressFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._remove()

    def write(self, progress: Progress) -> None:
        if self._failed:
            return
        try:
            self._replace(progress.to_json())
        except OSError as exc:
            self._failed = True
            self._remove()  # it would tell the same for ever
            self._warn(f"The progress of the import can't be written to {self._path}: {exc.strerror}")
        else:
            self._written = True

    def _replace(self, content: bytes) -> None:
        fd, name = tempfile.mkstemp(prefix=f"{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, 0o644)
                file.write(content)
            os.replace(name, self._path)
        except OSError:
            os.unlink(name)
            raise

    def _remove(self) -> None:
        """Remove it if it is ours."""
        if self._written:
            with contextlib.suppress(OSError):
                self._path.unlink()
