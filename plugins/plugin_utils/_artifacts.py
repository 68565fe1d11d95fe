# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Files that a migration keeps on the control node: for its user only, and whole whenever they are read."""

from __future__ import annotations

import os
import pathlib
import tempfile
import typing as t


def local_path(action: t.Any, path: str) -> pathlib.Path:
    """A path of the control node, as modules on the local connection would have it."""
    return pathlib.Path(action._loader.get_basedir(), path)


def replace(path: pathlib.Path, text: str) -> None:
    """Write a file in place of what is there, and the directory first if there is none. Raises :class:`OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        os.replace(new, path)
    except OSError:
        os.unlink(new)
        raise
