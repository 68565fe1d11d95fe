# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Ending an import that nobody waits for any more.

A module goes on when its SSH connection is cut or the control node dies. The next run would then import beside it, and two
imports at once do things twice. One that ends is gone on with.
"""

from __future__ import annotations

import os
import select
import signal
import threading

_STANDARD_OUTPUT = 1


def end_when_abandoned(fd: int = _STANDARD_OUTPUT) -> None:
    """From now on this process ends (SIGTERM) when who is at the other end goes. A file has nobody there, who never goes."""
    threading.Thread(target=_watch, args=(fd,), daemon=True).start()


def _watch(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, 0)  # nothing but what is always told: that the other end is closed
    if poll.poll():
        os.kill(os.getpid(), signal.SIGTERM)
