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

from ansible_collections.redisops.tair.plugins.plugin_utils import _private as private

_LARGEST = 64 << 20


def local_path(action: t.Any, path: str) -> pathlib.Path:
    """A path of the control node, as modules on the local connection would have it."""
    return pathlib.Path(os.path.abspath(pathlib.Path(action._loader.get_basedir(), path)))


def replace(path: pathlib.Path, text: str) -> None:
    """Write a file in place of what is there, and the directory first if there is none. Raises :class:`OSError`.

    The directory, its parents that are made too included, is for this user only.
    """
    private.make_directory_of(path)
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        os.replace(new, path)
    except OSError:
        os.unlink(new)
        raise


def read(path: pathlib.Path) -> str:
    """Return the text of a file that :func:`replace` wrote. Raises :class:`OSError` and :class:`ValueError`."""
    return private.read_file(path, _LARGEST).decode("utf-8")
