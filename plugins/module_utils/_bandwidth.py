# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How many bytes a second there are between here and a server: a short measurement that writes nothing."""

from __future__ import annotations

import time

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import ErrorReply
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

#: The first size is for the connection to speed up; a slow network stops at it.
_SIZES = (64 * 1024, 256 * 1024, 1024 * 1024, 2 * 1024 * 1024)
_SECONDS = 0.5


def measured_bandwidth(endpoint: Endpoint) -> int | None:
    """Both directions one after the other, by ECHO; None where it is refused, or the peer hangs up on it."""
    wire = Wire(endpoint)
    best = 0.0
    began = time.perf_counter()
    try:
        for size in _SIZES:
            started = time.perf_counter()
            (reply,) = wire.exchange([(b"ECHO", bytes(size))])
            if isinstance(reply, ErrorReply):
                break
            best = max(best, 2 * size / (time.perf_counter() - started))
            if time.perf_counter() - began > _SECONDS:
                break
    except ConnectError:
        pass  # what was measured before holds
    finally:
        wire.close()
    return round(best) or None
