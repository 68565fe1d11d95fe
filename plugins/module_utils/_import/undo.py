# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Taking back an import that has not come to its end: the target is emptied, where all that it holds is known to be ours."""

from __future__ import annotations

import contextlib

from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import OpenAof
from ansible_collections.redisops.tair.plugins.module_utils._errors import TargetStateError
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.targets import topology_for
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint


def undo_import(aof: OpenAof, endpoint: Endpoint, options: Options, *, dry_run: bool = False) -> int:
    """Delete all keys of a target that was empty when an import of this AOF began; how many there were.

    0 where there is nothing to take back. Raises :class:`TargetStateError` where it holds keys that may be others'.
    """
    with contextlib.closing(topology_for(endpoint, options)) as topology:
        underway = topology.checkpoints()
        keys = topology.keys_of_others(None)
        if not keys and not underway:
            return 0
        ours = [checkpoint for checkpoint in underway.values() if checkpoint.names(aof)]
        reason = ""
        if not ours:
            reason = f"has no checkpoint of an import of {aof.files[0]}"
        elif len(underway) > len(ours):
            reason = "has the checkpoint of another import, too"
        elif not all(checkpoint.alone for checkpoint in ours):
            reason = "was not known to be empty when the import began"
        if reason:
            raise TargetStateError(
                f"{endpoint} holds {keys} keys and {reason}: they may be others'",
                changed=f"Nothing was deleted on {endpoint}",
                todo="See what they are. To delete them all before the next import: if_not_empty=flush",
                keys_in_target=keys,
            )
        if not dry_run:
            topology.empty()
        return max(keys, 1)
