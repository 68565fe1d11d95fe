# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The text that INFO answers, as values that can be relied on.

Fields that the collection computes with are checked here, so that nobody else has to: a server may answer anything.
"""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._resp import BadReply

#: Fields that are whole numbers, 0 or more.
_COUNTS = frozenset(
    (
        "aof_base_size",
        "aof_buffer_length",
        "aof_current_size",
        "aof_enabled",
        "aof_rewrite_in_progress",
        "aof_rewrite_scheduled",
        "aof_rewrites",
        "connected_slaves",
        "evicted_keys",
        "expired_fields",
        "expired_keys",
        "expired_subkeys",
        "loading",
        "master_sync_in_progress",
        "maxmemory",
        "min_slaves_good_slaves",
        "number_of_cached_scripts",
        "number_of_functions",
        "rdb_bgsave_in_progress",
        "slave_read_only",
        "used_memory",
        "used_memory_dataset",
    )
)
#: Fields that are whole numbers, -1 where there is nothing to tell.
_DURATIONS = frozenset(("aof_current_rewrite_time_sec", "master_last_io_seconds_ago"))
_VERSIONS = ("redis_version", "valkey_version")
_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,4}[0-9A-Za-z.+_-]{0,40}")
_DATABASE = re.compile(r"db[0-9]{1,9}")
_REPLICA = re.compile(r"slave[0-9]{1,9}")
#: A number of a server has 64 bits.
_LARGEST = 1 << 64
_LONGEST_NUMBER = 20


def parse_info(reply: bytes) -> dict[str, t.Any]:
    """Return the fields of INFO: numbers, texts, and dictionaries of ``a=1,b=2``; ``modules`` is a list of such.

    Raises :class:`BadReply` where a field of which the meaning is known makes no sense.
    """
    info: dict[str, t.Any] = {}
    for line in reply.decode("utf-8", "replace").splitlines():
        name, colon, text = line.partition(":")
        if not colon or line.startswith("#"):
            continue
        if name == "module":
            module = _value(text)
            if not isinstance(module, dict) or not isinstance(module.get("name"), (str, int, float)):
                raise _malformed(name, text)
            info.setdefault("modules", []).append(module)
        else:
            info[name] = _checked(name, text)
    return info


def _checked(name: str, text: str) -> t.Any:
    if name in _VERSIONS:
        if not _VERSION.fullmatch(text):
            raise _malformed(name, text)
        return text
    value = _value(text)
    if name in _COUNTS or name in _DURATIONS:
        return _whole(name, value, text, -1 if name in _DURATIONS else 0)
    if _DATABASE.fullmatch(name):
        if not isinstance(value, dict) or "keys" not in value:
            raise _malformed(name, text)
        value["keys"] = _whole(name, value["keys"], text, 0)
    if _REPLICA.fullmatch(name) and isinstance(value, dict) and "lag" in value:
        value["lag"] = _whole(name, value["lag"], text, -1)
    return value


def _whole(name: str, value: t.Any, text: str, least: int) -> int:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise _malformed(name, text)
    if not least <= value < _LARGEST:
        raise _malformed(name, text)
    return int(value)


def _value(text: str) -> t.Any:
    if "=" in text:
        fields: dict[str, t.Any] = {}
        for part in filter(None, text.split(",")):
            name, equals, value = part.rpartition("=")
            fields[name if equals else part] = _value(value) if equals else True
        return fields
    if len(text) > _LONGEST_NUMBER:
        return text
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def _malformed(name: str, text: str) -> BadReply:
    return BadReply(f"its INFO has {name}:{text[:60]!r}, which makes no sense")
