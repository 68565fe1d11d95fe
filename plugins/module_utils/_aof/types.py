# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which data type a command belongs to, by its name."""

from __future__ import annotations

TYPES = ("strings", "lists", "sets", "hashes", "zsets", "streams", "modules", "other")

_STRINGS = (
    "SET SETEX PSETEX SETNX GETSET GETDEL GETEX MSET MSETNX MSETEX APPEND SETRANGE INCR INCRBY INCRBYFLOAT INCREX DECR DECRBY "
    "SETBIT BITFIELD BITOP PFADD PFMERGE PFCOUNT DELEX DELIFEQ"
)
_LISTS = "RPUSH LPUSH RPUSHX LPUSHX RPOP LPOP LINSERT LSET LREM LTRIM RPOPLPUSH LMOVE LMPOP BRPOPLPUSH BLMOVE BLMPOP BLPOP BRPOP"
_SETS = "SADD SREM SPOP SMOVE SINTERSTORE SUNIONSTORE SDIFFSTORE"
_HASHES = (
    "HSET HMSET HSETNX HSETEX HDEL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT HPERSIST "
)
_ZSETS = (
    "ZADD ZREM ZINCRBY ZPOPMIN ZPOPMAX BZPOPMIN BZPOPMAX ZMPOP BZMPOP ZUNIONSTORE ZINTERSTORE ZDIFFSTORE ZRANGESTORE "
    "ZREMRANGEBYSCORE ZREMRANGEBYRANK ZREMRANGEBYLEX GEOADD GEOSEARCHSTORE GEORADIUS GEORADIUSBYMEMBER"
)
_STREAMS = "XADD XDEL XDELEX XTRIM XSETID XGROUP XCLAIM XAUTOCLAIM XACK XACKDEL XNACK XREADGROUP XCFGSET"
#: Vector sets are a module of Redis 8 whose commands have no dot.
_MODULES = "VADD VREM VSETATTR"

_TYPE_OF = {
    name.encode(): type_name
    for type_name, names in zip(TYPES, (_STRINGS, _LISTS, _SETS, _HASHES, _ZSETS, _STREAMS, _MODULES))
    for name in names.split()
}


def type_of(name: bytes) -> str:
    """One of :data:`TYPES` for a command's name in capitals; commands that fit keys of any type are ``other``."""
    return _TYPE_OF.get(name) or ("modules" if b"." in name else "other")
