# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The AOF sets of ``tests/fixtures/corpus``: files that real servers wrote, and the data that they hold.

And the small inputs of ``tests/fixtures/cases``. Both are packed, as their line ends must stay as they are.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tarfile
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.paths import CACHE, CHECKOUT
from ansible_collections.redisops.tair.tests.support.wheels import locked

_FIXTURES = CHECKOUT / "tests" / "fixtures"
ARCHIVES = _FIXTURES / "corpus"
_UNPACKED = CACHE / "corpus"


@dataclass(frozen=True)
class CorpusSet:
    """One AOF. ``str()`` of it, such as ``redis-7.0.15/base+incr``, is a good test id. Its files are not to be changed."""

    server: str
    version: str
    variant: str
    directory: Path

    def __str__(self) -> str:
        return f"{self.server}-{self.version}/{self.variant}"

    @property
    def aof(self) -> Path:
        """The AOF file, or the directory with the manifest."""
        multi = self.directory / "appendonlydir"
        return multi if multi.is_dir() else self.directory / "appendonly.aof"

    @functools.cached_property
    def meta(self) -> dict[str, t.Any]:
        """What is known of the files: ``command_counts``, ``dbs``, ``keys``, ``has_preamble``, ``replay`` and more."""
        return self._json("meta.json")

    @functools.cached_property
    def expected(self) -> dict[str, t.Any]:
        """The data set, as ``snapshot.snapshot()`` reads it from a server that has loaded the files."""
        return self._json("expected.json")

    def _json(self, name: str) -> dict[str, t.Any]:
        content: dict[str, t.Any] = json.loads((self.directory / name).read_text(encoding="utf-8"))
        return content


def corpus(
    *, server: str | None = None, version: str | None = None, variant: str | None = None
) -> tuple[CorpusSet, ...]:
    """The sets, all or those of a server, version or variant; never none."""
    found = tuple(
        one
        for one in _all()
        if server in (None, one.server) and version in (None, one.version) and variant in (None, one.variant)
    )
    assert found, "no such set in the corpus"
    return found


def case(name: str) -> Path:
    """Return the directory of an input that a public bug report or an audit was about; its README is in ``fixtures/cases``.

    Its files are not to be changed.
    """
    return _unpack(_FIXTURES / "cases" / "cases.tar.xz") / "cases" / name


@functools.cache
def _all() -> tuple[CorpusSet, ...]:
    sets: list[CorpusSet] = []
    for archive in sorted(ARCHIVES.glob("*.tar.xz")):
        name = archive.name.removesuffix(".tar.xz")
        server, _dash, version = name.partition("-")
        for directory in sorted((_unpack(archive) / name).iterdir()):
            sets.append(CorpusSet(server, version, directory.name, directory))
    return tuple(sets)


def _unpack(archive: Path) -> Path:
    """The directory of an archive's content, named after its bytes: another archive is another directory."""
    target = _UNPACKED / hashlib.sha256(archive.read_bytes()).hexdigest()[:16]
    if not target.is_dir():
        with locked(_UNPACKED / ".lock"):
            if not target.is_dir():
                with tempfile.TemporaryDirectory(dir=_UNPACKED) as scratch, tarfile.open(archive) as tar:
                    fresh = Path(scratch) / "unpacked"
                    tar.extraction_filter = getattr(tarfile, "data_filter", None)  # in every Python since mid-2023
                    tar.extractall(fresh)
                    fresh.replace(target)
    return target
