# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the host of a source has for a fork: its memory and ``vm.overcommit_memory``, as Linux tells them."""

from __future__ import annotations

import contextlib
import socket
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint

_PROC = Path("/proc")


def host_memory(endpoint: Endpoint, *, here: bool) -> dict[str, int] | None:
    """``overcommit`` (0, 1 or 2), bytes ``available`` and ``total``; None where this is not the server's host, or no Linux."""
    if not here or not _is_this_machine(endpoint):
        return None
    try:
        overcommit = int((_PROC / "sys/vm/overcommit_memory").read_text())
        lines = (_PROC / "meminfo").read_text().splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _colon, rest in (line.partition(":") for line in lines)}
        available, total = kilobytes["MemAvailable"], kilobytes["MemTotal"]
    except (OSError, ValueError, KeyError):
        return None
    return {"overcommit": overcommit, "available": available * 1024, "total": total * 1024}


def _is_this_machine(endpoint: Endpoint) -> bool:
    """Whether the address is one of this machine's own: only those can be bound to."""
    if endpoint.unix_socket:
        return True
    with contextlib.suppress(OSError):
        for family, kind, protocol, _name, address in socket.getaddrinfo(endpoint.host, 0, type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
                probe.bind(t.cast("t.Any", address))
                return True
    return False
