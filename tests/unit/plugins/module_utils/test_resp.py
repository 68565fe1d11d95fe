# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils import _resp
from ansible_collections.redisops.tair.plugins.module_utils._resp import BadReply, PlainReader, Reply, reply_reader

#: Both readers give the same replies and refuse the same.
readers = pytest.mark.parametrize("make", [PlainReader, reply_reader])
_PIECES = (b"*", b"12345678", b"\r\n", b"x", b"$", b">99999999\r\n", b"*123456789", b"\r", b"\n")


def made(rng: random.Random, depth: int = 0) -> tuple[Reply, bytes]:
    """A reply and its bytes. Strings look like headers with large counts."""
    kind = rng.randrange(6 if depth < 4 else 4)
    if kind == 0:
        return b"OK", b"+OK\r\n"
    if kind == 1:
        return 5, b":5\r\n"
    if kind == 2:
        return None, b"$-1\r\n"
    if kind == 3:
        value = b"".join(rng.choice(_PIECES) for _piece in range(rng.randrange(9)))
        return value, b"$%d\r\n%b\r\n" % (len(value), value)
    items = [made(rng, depth + 1) for _item in range(rng.randrange(4))]
    return [value for value, _raw in items], b"*%d\r\n" % len(items) + b"".join(raw for _value, raw in items)


@readers
@pytest.mark.parametrize("long", [0, 10, 64 * 1024])
def test_replies_are_the_same_wherever_their_bytes_are_cut(
    make: t.Callable[[], t.Any], long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_resp, "_LONG", long)
    for seed in range(300):
        rng = random.Random(seed)
        replies = [made(rng) for _reply in range(5)]
        raw = b"".join(data for _value, data in replies)
        reader, read, start = make(), [], 0
        while start < len(raw):
            end = start + rng.randrange(1, 9)
            reader.feed(raw[start:end])
            start = end
            while (reply := reader.gets()) is not False:
                read.append(reply)
        assert read == [value for value, _data in replies], seed


@readers
@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize(
    "data",
    [
        b"*2147483647\r\n",
        b">2147483647\r\n",
        b"~2147483647\r\n",
        b"*2\r\n:1\r\n*99999999\r\n",
        b"$3\r\nabc\r\n*99999999\r\n",
        b"$-5\r\n",
        b"*-7\r\n",
        b":" + b"9" * 1000 + b"\r\n",
        b":1x\r\n",
        b"*99999999999999999999\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
)
def test_what_is_no_reply_is_refused_before_memory_is_reserved(
    make: t.Callable[[], t.Any], piece: int, data: bytes
) -> None:
    reader = make()
    with pytest.raises(BadReply):
        for start in range(0, len(data), piece):
            reader.feed(data[start : start + piece])
            while reader.gets() is not False:
                pass


@readers
def test_a_line_without_an_end_is_not_read_again_for_each_piece(make: t.Callable[[], t.Any]) -> None:
    reader = make()
    reader.feed(b"$%d\r\n" % (32 << 20))
    for _piece in range(2048):
        reader.feed(b"x" * 16384)
        assert reader.gets() is False
    reader.feed(b"\r\n")
    assert len(reader.gets()) == 32 << 20


def test_the_plain_reader_refuses_arrays_without_end_within_arrays() -> None:
    reader = PlainReader()
    reader.feed(b"*1\r\n" * 10_000)
    with pytest.raises(BadReply, match="too many arrays"):
        reader.gets()
