# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The redis library for a host whose Python has none: the control node's own copy, as one file for ``PYTHONPATH``.

redis-py is plain Python, and imports from a zip file. hiredis is not: it is used where the host has it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import re
import typing as t
import zipfile
from pathlib import Path

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._errors import MissingLibraryError

_NAME = "redis"

#: What some versions of redis-py import, or do on older Pythons, each a package or a module of its own: PyJWT with 5.3.
#: Not all of them say so in their metadata.
_BESIDE = ("async_timeout", "jwt", "typing_extensions")

#: For redis.asyncio, which nobody here uses, and which ``import redis`` imports.
_STAND_INS = {"async_timeout.py": "timeout = None\n"}


def library_for(python: str) -> bytes:
    """The zip file, for a Python of this version. Raises :class:`MissingLibraryError`, which says what else to do."""
    try:
        library = importlib.metadata.distribution(_NAME)
    except importlib.metadata.PackageNotFoundError:
        raise MissingLibraryError(
            "The Python that runs Ansible has no redis library to bring along",
            todo="Install it on the control node, or on the host: pip install redis",
        ) from None
    needed = str(library.metadata.json.get("requires_python", ""))  # '>=3.10'
    if any(LooseVersion(python) < LooseVersion(oldest) for oldest in re.findall(r">=\s*([\d.]+)", needed)):
        raise MissingLibraryError(
            f"The control node's redis library ({library.version}) can't be brought along: it needs Python {needed}, "
            f"and the host has {python}",
            todo="Install one for the host's Python there (pip install redis), or an older one on the control node "
            "(redis<7.1 runs on Python 3.9), or run on the control node instead: via=control_node, "
            "in the role aof_migrate_source_via=control_node",
        )
    return _zip(library)


def _zip(library: importlib.metadata.Distribution) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (_NAME, *_BESIDE):
            for path, inside in _files(name):
                archive.write(path, inside)
        for inside in _STAND_INS.keys() - set(archive.namelist()):
            archive.writestr(inside, _STAND_INS[inside])
        # By this file older versions of it know their own version.
        metadata = library.read_text("METADATA") or library.read_text("PKG-INFO") or ""
        archive.writestr(f"{_NAME}-{library.version}.dist-info/METADATA", metadata)
    return content.getvalue()


def _files(name: str) -> t.Iterator[tuple[Path, str]]:
    """The files of a module or package of this Python and their names in the zip file; nothing where it is missing."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return
    origin = Path(spec.origin)
    if spec.submodule_search_locations is None:
        yield origin, origin.name
        return
    for path in sorted(origin.parent.rglob("*.py")):
        yield path, str(path.relative_to(origin.parent.parent))
