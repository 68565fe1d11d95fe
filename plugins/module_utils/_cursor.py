# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""SCAN: what it replies, and whether it will ever come to its end."""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError

if t.TYPE_CHECKING:
    from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
    from ansible_collections.redisops.tair.plugins.module_utils._resp import Reply
    from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

#: Replies in a row without any key. With COUNT 1000 a server looks at 10,000 empty places of its table for each, so this
#: is a table made for 500 million keys that holds none.
_MOST_EMPTY = 50_000


def scan_reply(wire: Wire, reply: Reply) -> list[tuple[bytes, list[bytes]]]:
    """Return cursor and keys; of a proxy that gives the answers of all servers together, those of each.

    Raises :class:`ReplyError` where that is not what it is.
    """
    batches = list(zip(reply[::2], reply[1::2])) if isinstance(reply, list) and len(reply) % 2 == 0 else []
    for cursor, keys in batches:
        if not isinstance(cursor, bytes) or not (cursor.isdigit() and len(cursor) <= 20) or not isinstance(keys, list):
            batches = []
            break
    if not batches or any(set(map(type, keys)) - {bytes} for _cursor, keys in batches):
        raise wire.senseless(b"SCAN", reply)
    return batches


class Course:
    """The cursors of a scan. No cursor comes twice, or the scan goes round and round."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._steps = self._next_kept = 0
        self._kept = b"0"
        self._empty = 0

    def step(self, cursor: bytes, keys: int) -> None:
        """Take note of a reply. Raises :class:`ReplyError` where there is no end to be expected."""
        if cursor == b"0":
            return
        self._empty = 0 if keys else self._empty + 1
        if cursor == self._kept or self._empty > _MOST_EMPTY:
            raise ReplyError(
                f"{self._endpoint} does not come to an end with SCAN: "
                + ("it gave the same cursor twice" if cursor == self._kept else f"{self._empty:,} replies have no key"),
                todo="Check that this is a Redis server and nothing else, and look at its log",
            )
        self._steps += 1
        if self._steps > self._next_kept:  # Brent: any round is found, with one cursor kept
            self._kept, self._next_kept = cursor, 2 * self._steps
