# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which of some example commands a target would refuse, before there is an AOF. Nothing of them is executed."""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Block
from ansible_collections.redisops.tair.plugins.module_utils._aof.tally import Tally
from ansible_collections.redisops.tair.plugins.module_utils._compat import Verdict, judge
from ansible_collections.redisops.tair.plugins.module_utils._import.compat import Compat
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.plugins.module_utils._target import Target


def judge_examples(examples: t.Iterable[str], endpoint: Endpoint, target: Target, compat: Compat) -> Verdict:
    """``examples``: commands as they are typed, without quotes. ``compat``: what is done to them before they are sent.

    Raises what :func:`judge` raises.
    """
    typed = [example.encode().split() for example in examples if example.split()]
    commands = [sent for command in typed for sent in compat.adapted(command)]
    if not commands:  # all of them are left out by name
        return Verdict((), ())
    encoded = [encode(command) for command in commands]
    data = b"".join(encoded)
    tally = Tally()
    tally.begin("")
    tally.block(Block(0, len(data), data, commands, [len(one) for one in encoded]), rewritten=False)
    return judge(tally, endpoint, target)
