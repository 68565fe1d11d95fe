# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Bound what an SSH server may send before it names its version."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.redisops.tair.plugins.plugin_utils._packets import BulkPacketizer

#: OpenSSH accepts 1024 lines of 8 KB. A server that is one sends a few hundred bytes.
_LARGEST_GREETING = 1 << 16


class GreetingPacketizer(BulkPacketizer):
    """A packetizer that gives up on a greeting that is too long or takes too long.

    paramiko bounds the wait for each read alone, and collects a line without an end for as long as it comes.
    """

    def __init__(self, sock: t.Any) -> None:
        super().__init__(sock)
        self._greeting = 0
        self._greeting_ends: float | None = None

    def _read_timeout(self, timeout: float) -> bytes:
        """Read a part of the greeting. paramiko calls this for nothing else; the first call has the time for all of it."""
        now = time.monotonic()
        if self._greeting_ends is None:
            self._greeting_ends = now + timeout
        if now >= self._greeting_ends:
            raise TimeoutError(": it sends lines without end, and no SSH version")
        data: bytes = super()._read_timeout(min(timeout, self._greeting_ends - now))  # type: ignore[misc]
        self._greeting += len(data)
        if self._greeting > _LARGEST_GREETING:
            raise OverflowError(f": more than {_LARGEST_GREETING} bytes, and no SSH version")
        return data
