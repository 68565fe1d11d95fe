# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.forms import FEWEST_ARGUMENTS, forms_of


@pytest.mark.parametrize(
    ("command", "forms"),
    [
        (b"SET k v", []),
        (b"set k v pxat 1700000000000", ["SET PXAT"]),
        (b"SET k v KEEPTTL", ["SET KEEPTTL"]),
        (b"SET k v PX 10 NX", []),
        (b"SET PXAT KEEPTTL", []),
        (b"XSETID s 5-1 ENTRIESADDED 3 MAXDELETEDID 0-0", ["XSETID ENTRIESADDED", "XSETID MAXDELETEDID"]),
        (b"XSETID s 5-1", []),
        (b"XGROUP CREATE s g 0-0 ENTRIESREAD 2", ["XGROUP CREATE ENTRIESREAD"]),
        (b"XGROUP CREATE s g 0-0 MKSTREAM", []),
        (b"XGROUP CREATE ENTRIESREAD ENTRIESREAD $", []),
        (b"XGROUP SETID s g 0-0 ENTRIESREAD 2", ["XGROUP SETID ENTRIESREAD"]),
        (b"XGROUP CREATECONSUMER s g c", ["XGROUP CREATECONSUMER"]),
        (b"XADD s 1-1 MINID LIMIT", []),
        (b"XADD s MAXLEN = 100 1-1 f v", []),
        (b"XADD s MAXLEN 100 1-1 MINID v", []),
        (b"XADD s MINID = 1-1 LIMIT 10 1-1 f v", ["XADD MINID", "XADD LIMIT"]),
        (b"XADD s NOMKSTREAM MAXLEN ~ 9 KEEPREF 1-1 f v", ["XADD NOMKSTREAM", "XADD KEEPREF"]),
        (b"XADD s IDMP producer 17 1-1 f v", ["XADD IDMP"]),
        (b"XTRIM s MINID = 5-0", ["XTRIM MINID"]),
        (b"XTRIM s MAXLEN 5", []),
        (b"ZADD z GT CH 1 GT", ["ZADD GT"]),
        (b"ZADD z 1 GT 2 LT", []),
        (b"PEXPIREAT k 1 NX", ["PEXPIREAT NX"]),
        (b"PEXPIREAT k 1", []),
        (b"BITOP DIFF1 d a b", ["BITOP DIFF1"]),
        (b"BITOP AND DIFF a b", []),
        (b"LPOP l 3", ["LPOP with a count"]),
        (b"LPOP l", []),
        (b"FLUSHALL SYNC", ["FLUSHALL SYNC"]),
        (b"GET k", []),
    ],
)
def test_options_that_came_later_are_found_where_options_stand_and_only_there(command: bytes, forms: list[str]) -> None:
    words = command.split()
    assert [str(form) for form in forms_of(words)] == forms
    if forms:
        assert len(words) >= FEWEST_ARGUMENTS[words[0].upper()]
