# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small AOF of lists, whose length tells what came twice, and strings: to import while something happens to the target."""

from __future__ import annotations

import redis
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode

SELECT = encode([b"SELECT", b"0"])


def lists_and_strings(count: int) -> list[bytes]:
    """``count`` lists of ten elements, each with a string after it: 1.2 KB together."""
    return [
        encode([b"RPUSH", b"list:%d" % number, *_elements(number)]) + encode([b"SET", b"key:%d" % number, b"y" * 90])
        for number in range(count)
    ]


def assert_complete(client: redis.Redis, count: int) -> None:
    """The server holds all of it, each element once, and nothing else."""
    assert client.dbsize() == 2 * count
    for number in range(count):
        assert client.lrange(f"list:{number}", 0, -1) == _elements(number)


def _elements(number: int) -> list[bytes]:
    return [b"%d:%d" % (number, item) + b"x" * 90 for item in range(10)]
