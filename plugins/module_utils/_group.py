# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One of several masters of a source cluster that share a target: what in the target stands in its way.

A master writes keys of its own slots only. So the target is empty for it where it holds none of these, whatever the others
have imported.
"""

from __future__ import annotations

from contextlib import closing

from ansible_collections.redisops.tair.plugins.module_utils._cluster_wire import ClusterWire, Question
from ansible_collections.redisops.tair.plugins.module_utils._cursor import Course, scan_reply
from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError
from ansible_collections.redisops.tair.plugins.module_utils._keys import CHECKPOINT_PREFIX, key_slot
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

_SCAN_COUNT = 1000
#: Keys of ours in one slot, at most.
_OURS = 2


def keys_within(endpoint: Endpoint, slots: frozenset[int], *, cluster: bool, timeout: float = 60.0) -> int:
    """Keys in these slots that are not ours. A single server is asked only until some are found, so there may be more.

    A cluster counts them by slot; a single server has to scan its keys. Raises :class:`ConnectError` and :class:`ReplyError`.
    """
    if cluster:
        with closing(ClusterWire(endpoint, timeout=timeout)) as wire:
            return _counted(wire, slots)
    with closing(Wire(endpoint, timeout=timeout)) as single:
        return _scanned(single, slots)


def _counted(wire: ClusterWire, slots: frozenset[int]) -> int:
    counts = wire.exchange([Question(slot, (b"CLUSTER", b"COUNTKEYSINSLOT", b"%d" % slot)) for slot in slots])
    held = {slot: count for slot, count in zip(slots, counts) if isinstance(count, int) and count > 0}
    # Ours come and go with the imports of the other masters, so they are known by their names.
    some = [Question(slot, (b"CLUSTER", b"GETKEYSINSLOT", b"%d" % slot, b"%d" % (_OURS + 1))) for slot in held]
    keys = 0
    for count, names in zip(held.values(), wire.exchange(some)):
        names = names if isinstance(names, list) else []
        others = sum(not (isinstance(name, bytes) and name.startswith(CHECKPOINT_PREFIX)) for name in names)
        keys += others if len(names) <= _OURS else max(count - _OURS, others)
    return keys


def _scanned(wire: Wire, slots: frozenset[int]) -> int:
    cursor, course = b"0", Course(wire.endpoint)
    while True:
        told = wire.call(b"SCAN", cursor, b"COUNT", b"%d" % _SCAN_COUNT)
        # Envoy gives the answers of all servers together: enough where there are no keys, or some.
        batches = scan_reply(wire, told)
        cursors, keys = [each for each, _keys in batches], [key for _cursor, some in batches for key in some]
        course.step(cursors[0], len(keys))
        found = sum(key_slot(key) in slots and not key.startswith(CHECKPOINT_PREFIX) for key in keys)
        if found or all(cursor == b"0" for cursor in cursors):
            return found
        if len(cursors) > 1:
            raise ReplyError(f"{wire.endpoint} does not tell all keys behind it")
        cursor = cursors[0]
