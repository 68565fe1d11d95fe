# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which commands of an AOF are data, and which are not.

An AOF holds what changes the data set: the commands that the servers flag ``write``, and a short list that they write to it
without that flag (``may_replicate`` in Redis 6.2, the transactions, ``SELECT``). Source: the servers' command tables
(Redis 3.2 to 8.10, Valkey 7.2 to 9.1, KeyDB 6.3) and those of well-known modules.
"""

from __future__ import annotations

import typing as t

#: ``data``: sent. ``not_data``: refused before anything is sent. ``slot_migration``: left out and counted.
#: ``unknown``: not in the tables; the target decides.
Kind = t.Literal["data", "not_data", "slot_migration", "unknown"]

#: The name under which left-out records of slot migrations are counted.
SLOT_MIGRATION = "slot_migration"

#: Flagged ``write`` by the servers. MIGRATE, which is flagged so too, is not here: it sends keys to another server.
_WRITES = frozenset(
    b"""
    APPEND BITFIELD BITOP BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN COPY DECR DECRBY DEL DELEX DELIFEQ
    EXPIRE EXPIREAT EXPIREMEMBER EXPIREMEMBERAT FLUSHALL FLUSHDB GEOADD GEORADIUS GEORADIUSBYMEMBER GEOSEARCHSTORE GETDEL
    GETEX GETSET HDEL HEXPIRE HEXPIREAT HGETDEL HGETEX HINCRBY HINCRBYFLOAT HMSET HPERSIST HPEXPIRE HPEXPIREAT HSET HSETEX
    HSETNX INCR INCRBY INCRBYFLOAT LINSERT LMOVE LMPOP LPOP LPUSH LPUSHX LREM LSET LTRIM MOVE MSET MSETEX MSETNX PERSIST
    PEXPIRE PEXPIREAT PEXPIREMEMBERAT PFADD PFMERGE PSETEX RENAME RENAMENX RESTORE RESTORE-ASKING RPOP RPOPLPUSH RPUSH
    RPUSHX SADD SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTERSTORE SMOVE SORT SPOP SREM SUNIONSTORE SWAPDB UNLINK VADD
    VREM VSETATTR XACK XACKDEL XADD XAUTOCLAIM XCFGSET XCLAIM XDEL XDELEX XGROUP XIDMPRECORD XNACK XREADGROUP XSETID XTRIM
    ZADD ZDIFFSTORE ZINCRBY ZINTERSTORE ZMPOP ZPOPMAX ZPOPMIN ZRANGESTORE ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK
    ZREMRANGEBYSCORE ZUNIONSTORE ARMSET ARSEEK
    KEYDB.CRON KEYDB.HRENAME KEYDB.MVCCRESTORE KEYDB.NHSET
    JSON.ARRAPPEND JSON.ARRINSERT JSON.ARRPOP JSON.ARRTRIM JSON.CLEAR JSON.DEL JSON.FORGET JSON.MERGE JSON.MSET
    JSON.NUMINCRBY JSON.NUMMULTBY JSON.NUMPOWBY JSON.SET JSON.STRAPPEND JSON.TOGGLE
    BF.ADD BF.INSERT BF.LOAD BF.LOADCHUNK BF.MADD BF.RESERVE
    CF.ADD CF.ADDNX CF.DEL CF.INSERT CF.INSERTNX CF.LOADCHUNK CF.RESERVE
    CMS.INCRBY CMS.INITBYDIM CMS.INITBYPROB CMS.MERGE TOPK.ADD TOPK.INCRBY TOPK.RESERVE
    TDIGEST.ADD TDIGEST.CREATE TDIGEST.MERGE TDIGEST.RESET
    TS.ADD TS.ALTER TS.CREATE TS.CREATERULE TS.DECRBY TS.DEL TS.DELETERULE TS.INCRBY TS.MADD
    FT.ADD FT.ALIASADD FT.ALIASDEL FT.ALIASUPDATE FT.ALTER FT.CREATE FT.DEL FT.DICTADD FT.DICTDEL FT.DROP FT.DROPINDEX
    FT.SUGADD FT.SUGDEL FT.SYNADD FT.SYNUPDATE FT._ALIASADDIFNX FT._ALIASDELIFX FT._ALTERIFNX FT._CREATEIFNX
    FT._DROPIFX FT._DROPINDEXIFX
    GRAPH.DELETE GRAPH.QUERY CAS CAD
    EXCAD EXCAS EXINCRBY EXINCRBYFLOAT EXSET EXSETVER EXAPPEND EXPREPEND EXGAE
    EXHDEL EXHDELREPAIR EXHDELWITHVER EXHEXPIRE EXHEXPIREAT EXHINCRBY EXHINCRBYFLOAT EXHMSET EXHMSETWITHOPTS EXHPERSIST
    EXHPEXPIRE EXHPEXPIREAT EXHSET EXHSETNX EXHSETVER
    EXZADD EXZINCRBY EXZREM EXZREMRANGEBYLEX EXZREMRANGEBYRANK EXZREMRANGEBYSCORE EXZUNIONSTORE EXZINTERSTORE
    GIS.ADD GIS.DEL
    """.split()
)

#: Not flagged ``write``, and data: transactions, databases, messages, what may replicate (PFCOUNT stores its result in the key),
#: and PING, which changes nothing.
_LISTED = frozenset(b"SELECT MULTI EXEC PUBLISH SPUBLISH EVAL EVALSHA FCALL PFCOUNT PING".split())

#: Of commands that only some subcommands of are data, these. Redis up to 6.2 writes SCRIPT LOAD and SCRIPT FLUSH.
_SUBCOMMANDS: dict[bytes, frozenset[bytes]] = {
    b"SCRIPT": frozenset((b"LOAD", b"FLUSH")),
    b"FUNCTION": frozenset((b"LOAD", b"DELETE", b"FLUSH", b"RESTORE")),
}

#: What servers know and no AOF holds: it reads, or concerns the server or the connection. XGROUP and its like are writes.
_NOT_DATA = frozenset(
    b"""
    ACL ASKING AUTH BGREWRITEAOF BGSAVE BITCOUNT BITFIELD_RO BITPOS CLIENT CLUSTER CLUSTERSCAN COMMAND COMMANDLOG CONFIG
    DBSIZE DEBUG DIGEST DISCARD DUMP ECHO EVALSHA_RO EVAL_RO EXISTS EXPIRETIME FAILOVER FCALL_RO GEODIST GEOHASH GEOPOS
    GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GET GETBIT GETRANGE HELLO HEXISTS HEXPIRETIME HGET HGETALL HKEYS HLEN HMGET
    HOST: HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSTRLEN HTTL HVALS INFO KEYS LASTSAVE LATENCY LCS LFENCE LINDEX LLEN LOLWUT
    LPOS LRANGE MEMORY MGET MIGRATE MODULE MONITOR OBJECT PEXPIRETIME PFDEBUG PFSELFTEST POST PSUBSCRIBE PSYNC PTTL PUBSUB
    PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE REPLCONF REPLICAOF REPLPING RESET ROLE RREPLAY SAVE SCAN SCARD SDIFF
    SENTINEL SHUTDOWN SINTER SINTERCARD SISMEMBER SLAVEOF SLOWLOG SMEMBERS SMISMEMBER SORT_RO SRANDMEMBER SSCAN SSUBSCRIBE
    STRALGO STRLEN SUBSCRIBE SUBSTR SUNION SUNSUBSCRIBE SYNC TIME TOUCH TTL TYPE UNSUBSCRIBE UNWATCH VCARD VDIM VEMB
    VGETATTR VINFO VISMEMBER VLINKS VRANDMEMBER VRANGE VSIM WAIT WAITAOF WATCH XINFO XLEN XPENDING XRANGE XREAD XREVRANGE
    ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE
    ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION
    KEYDB.MEXISTS KEYDB.NHGET FT.CONFIG _FT.CONFIG SEARCH.CLUSTERSET SEARCH.CLUSTERREFRESH SEARCH.CLUSTERINFO
    TIMESERIES.CLUSTERSET TIMESERIES.REFRESHCLUSTER RG.CONFIGSET JSON.DEBUG GRAPH.CONFIG GRAPH.DEBUG
    """.split()
)

#: A record of a slot migration beside the data: Valkey 9 writes CLUSTER SYNCSLOTS, Redis 8.4 TRIMSLOTS.
_MIGRATION_SUBCOMMAND = (b"CLUSTER", b"SYNCSLOTS")
_TRIM = b"TRIMSLOTS"

#: Names that need more than the name to be judged.
CONTAINERS = frozenset((*_SUBCOMMANDS, b"CLUSTER"))


def kind_of(name: bytes, argument: bytes = b"") -> Kind:
    """Return what a command is, by its name and its first argument, both in any case."""
    name = name.upper()
    if name in _SUBCOMMANDS:
        return "data" if argument.upper() in _SUBCOMMANDS[name] else "not_data"
    if name == _TRIM or (name, argument.upper()) == _MIGRATION_SUBCOMMAND:
        return "slot_migration"
    if name in _WRITES or name in _LISTED:
        return "data"
    return "not_data" if name in _NOT_DATA else "unknown"


def shown_name(name: bytes, argument: bytes = b"") -> bytes:
    """Return the name of a command for people, in capitals, with its subcommand where that is what decides."""
    name = name.upper()
    return name + b" " + argument.upper()[:32] if name in CONTAINERS and argument[:32].isalpha() else name


def is_listed(name: bytes) -> bool:
    """Whether a command (its name in capitals) is data although servers do not flag it ``write``."""
    return name in _LISTED or name in _SUBCOMMANDS


def has_known_keys(name: bytes) -> bool:
    """Whether the first argument of a command (its name in capitals) can be taken for a key and shown as one.

    Commands of modules that are not listed have their key there, as all of them do that write.
    """
    return name in _WRITES or name in _LISTED or (b"." in name and name not in _NOT_DATA)
