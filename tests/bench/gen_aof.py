#!/usr/bin/env python
# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a plain AOF of the shape that BGREWRITEAOF leaves, for benchmarks.

    gen_aof.py KIND COUNT OUT.aof

KIND   mixed   70 % strings of 100 binary bytes, 10 % hashes of 8 fields, 7 % lists of 16, 7 % sets of 10,
               6 % sorted sets of 10; every fifth key with a lifetime that ends in 2100 (1,000,000 keys: 193 MB)
       sets    strings of 100 binary bytes (1,000,000 keys: 144 MB)
       large   strings of 1 MB (2,000 keys: 2 GB)
       collections  hashes, lists, sets and sorted sets of 50 elements, a quarter each (100,000 keys: 124 MB)
       texts   hashes of 40 fields of readable text, 30 to 60 bytes each (50,000 keys: 130 MB)
       history what clients write, never rewritten: a SET with a lifetime, an INCRBY, a transaction, a DEL; four databases
               (1,000,000 times: 346 MB)
COUNT  keys
Deterministic. Values are binary on purpose: they hold CR, LF, '*', '$' and '#'.
"""

from __future__ import annotations

import random
import sys
import typing as t

PEXPIREAT_MS = 4102444800000
TEXT = (
    "the order of a customer was paid by card and sent to the address that she had given before as a gift with her best "
    "wishes it has not come back since and nobody asked about it so we close this ticket today thank you for your help"
)


def command(*args: bytes | str | int) -> bytes:
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        if isinstance(arg, str):
            arg = arg.encode()
        elif isinstance(arg, int):
            arg = b"%d" % arg
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


def commands(kind: str, count: int) -> t.Iterator[bytes]:
    rnd = random.Random(7)
    noise = rnd.randbytes(4096)
    big = rnd.randbytes(1 << 20)
    yield command("SELECT", 0)
    for i in range(count):
        key = f"key:{i:012d}"
        if kind == "history":
            if i % 10 == 0:
                yield command("SELECT", rnd.randrange(4))
            start = rnd.randrange(3900)
            yield command("SET", f"session:{i}", noise[start : start + 100], "PXAT", PEXPIREAT_MS)
            yield command("INCRBY", f"count:{i % 1000}", 1)
            yield command("MULTI") + command("RPUSH", f"queue:{i % 100}", i) + command("LPOP", f"queue:{i % 100}")
            yield command("EXEC") + command("DEL", f"session:{i - 1}")
            continue
        if kind == "large":
            yield command("SET", key, big[i % 997 :] + big[: i % 997])
            continue
        if kind == "texts":
            yield command("HMSET", key, *[x for j in range(40) for x in (f"field{j}", _text(rnd))])
            continue
        if kind == "collections":
            yield _collection(key, i % 4, noise)
            continue
        draw = rnd.random() if kind == "mixed" else 0
        if draw < 0.70:
            start = rnd.randrange(3900)
            yield command("SET", key, noise[start : start + 100])
        elif draw < 0.80:
            yield command("HMSET", key, *[x for j in range(8) for x in (f"f{j}", noise[j * 20 : j * 20 + 20])])
        elif draw < 0.87:
            yield command("RPUSH", key, *[noise[j : j + 16] for j in range(16)])
        elif draw < 0.94:
            yield command("SADD", key, *[f"m{j}" for j in range(10)])
        else:
            yield command("ZADD", key, *[x for j in range(10) for x in (j, f"m{j}")])
        if kind == "mixed" and rnd.random() < 0.2:
            yield command("PEXPIREAT", key, PEXPIREAT_MS)


def _text(rnd: random.Random) -> str:
    start = rnd.randrange(len(TEXT) - 60)
    return TEXT[start : start + rnd.randrange(30, 60)]


def _collection(key: str, which: int, noise: bytes) -> bytes:
    if which == 0:
        return command("HMSET", key, *[x for j in range(50) for x in (f"f{j}", noise[j * 20 : j * 20 + 20])])
    if which == 1:
        return command("RPUSH", key, *[noise[j : j + 16] for j in range(50)])
    if which == 2:
        return command("SADD", key, *[f"member:{j}" for j in range(50)])
    return command("ZADD", key, *[x for j in range(50) for x in (j, f"member:{j}")])


def main() -> None:
    if len(sys.argv) != 4 or sys.argv[1] not in ("mixed", "sets", "large", "history", "collections", "texts"):
        sys.exit(__doc__)
    kind, count, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with open(path, "wb", buffering=1 << 20) as out:
        for raw in commands(kind, count):
            out.write(raw)


if __name__ == "__main__":
    main()
