# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Temporary Unix accounts, for SSH logins and for sudo. Only root can make them."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import typing as t
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

_numbers = itertools.count(1)


@contextmanager
def unix_account(purpose: str, *, password: str = "", sudo: str = "") -> t.Iterator[str]:
    """An account with a home and a shell, and its name: ``t-<purpose>-<process id>-<number>``. Gone afterwards.

    ``sudo``: what sudoers(5) says about it, such as ``(redis) NOPASSWD: ALL``; empty: sudo refuses it.
    Raises :class:`UnavailableError` without root, or without sudo where a rule is given.
    """
    if os.geteuid() != 0:
        raise UnavailableError("only root can make accounts")
    if sudo and shutil.which("sudo") is None:
        raise UnavailableError("there is no sudo here: apt-get install sudo")
    name = f"t-{purpose}-{os.getpid()}-{next(_numbers)}"
    rule = Path("/etc/sudoers.d") / name
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    try:
        # '*' is no password at all; what useradd leaves, '!', is a locked account, which sshd refuses.
        subprocess.run(["usermod", "--password", "*", name], check=True)
        if password:
            subprocess.run(["chpasswd"], input=f"{name}:{password}", text=True, check=True)
        if sudo:
            rule.touch(mode=0o440)
            rule.write_text(f"{name} ALL={sudo}\n")
        yield name
    finally:
        rule.unlink(missing_ok=True)
        subprocess.run(["userdel", "--remove", "--force", name], check=True, capture_output=True)


def python_without_privileges(directory: Path) -> Path:
    """An ``ansible_python_interpreter`` that is this Python, and may not read what only root may read.

    Another account would do, could it run this Python: a virtual environment below /root is closed to it.
    """
    if shutil.which("setpriv") is None:
        raise UnavailableError("there is no setpriv here: apt-get install util-linux")
    wrapper = directory / "python"
    wrapper.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-dac_override,-dac_read_search {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def python_for_accounts(directory: Path) -> Path:
    """An ``ansible_python_interpreter`` for any account: the system's Python, with a copy of the redis library.

    A virtual environment below /root is closed to other accounts. ``directory`` must not be, so pytest's own won't do.
    """
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        raise UnavailableError("there is no system Python here: apt-get install python3")
    directory.mkdir(parents=True, mode=0o755)
    library = importlib.util.find_spec("redis")
    assert library is not None and library.origin is not None
    shutil.copytree(Path(library.origin).parent, directory / "redis")
    # redis.asyncio, which nobody here uses, wants it on Python 3.11.2 and older.
    (directory / "async_timeout.py").write_text("timeout = None\n")
    wrapper = directory / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={directory} exec {python} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def python_without_redis(directory: Path) -> Path:
    """An ``ansible_python_interpreter`` for any account, with nothing but Python itself."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        raise UnavailableError("there is no system Python here: apt-get install python3")
    subprocess.run([python, "-m", "venv", "--without-pip", str(directory)], check=True)
    return directory / "bin" / "python"
