# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Directories and files of the control node that nobody but its user may have made or may change.

Other accounts of the control node can put a directory, a symbolic link or a hard link where a path of ours leads. So the
way to a directory is checked, the directory has to belong to this user, and what is in it is opened without following links.
Every function raises :class:`OSError`, whose ``strerror`` is a sentence for the user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

_MOST_LINKS = 40  # as Linux has it
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # opening a pipe must not wait for its other end


def make_directory(path: Path) -> None:
    """Make a directory with its parents, each of them for this user only, unless it is there."""
    check_way(path)
    for each in reversed([path, *path.parents]):
        if not each.is_dir():
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, 0o700)


def make_directory_of(path: Path) -> None:
    """Make the directory of a file, unless it is there. It has to belong to this user or root."""
    make_directory(path.parent)
    check_way(path)
    if os.stat(path.parent).st_uid not in (0, os.geteuid()):
        raise _refused(path.parent, "belongs to another user")


def open_directory(path: Path) -> int:
    """Return a descriptor of a directory that belongs to this user."""
    check_way(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _require_own(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_file(
    name: str, flags: int, *, directory: int | None = None, shown_as: Path | None = None, of_anyone: bool = False
) -> int:
    """Return a descriptor of a regular file of this user (or ``of_anyone``), new ones with mode 0600.

    ``directory``: descriptor of the directory of ``name``. A file with a second name (hard link) is not opened to be written.
    """
    path = shown_as or Path(name)
    try:
        descriptor = os.open(name, flags | _OPEN, 0o600, dir_fd=directory)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.EMLINK):
            raise _refused(path, "is a symbolic link, which is not followed") from exc
        raise OSError(exc.errno, exc.strerror, str(path)) from exc
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise _refused(path, "is not a regular file")
        if not of_anyone:
            _require_own(state, path)
        if flags & (os.O_WRONLY | os.O_RDWR) and state.st_nlink > 1:
            raise _refused(path, "has a second name (a hard link), so it is not written")
        os.set_blocking(descriptor, True)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: Path, limit: int, *, of_anyone: bool = False) -> bytes:
    """Return the content of a regular file of this user (or ``of_anyone``), at most ``limit`` bytes."""
    with open(open_file(str(path), os.O_RDONLY, of_anyone=of_anyone), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _refused(path, f"is larger than {limit} bytes")
    return content


def check_way(path: Path, _links: int = _MOST_LINKS) -> None:
    """Raise unless all that is on the way to ``path`` was put there by this user, root, or somebody whom its directory trusts.

    Whoever may write to a directory can replace what is in it, unless the sticky bit keeps that to the owners.
    """
    shared = False
    for each in reversed([path, *path.parents]):
        try:
            state = os.lstat(each)
        except FileNotFoundError:
            return
        if shared and state.st_uid not in (0, os.geteuid()):
            raise _refused(each, "was made by another user in a directory that everybody may write to")
        if stat.S_ISLNK(state.st_mode):
            if not _links:
                raise _refused(each, "is one of too many symbolic links")
            check_way(Path(os.path.normpath(each.parent / os.readlink(each))), _links - 1)
            state = os.stat(each)
        shared = stat.S_ISDIR(state.st_mode) and bool(state.st_mode & stat.S_IWOTH)
        if shared and not state.st_mode & stat.S_ISVTX and each != path:
            raise _refused(each, "may be written to by everybody (and has no sticky bit)")


def _require_own(state: os.stat_result, path: Path) -> None:
    if state.st_uid != os.geteuid():
        raise _refused(path, "belongs to another user")


def _refused(path: Path, reason: str) -> OSError:
    return PermissionError(errno.EPERM, f"it {reason}", str(path))
