# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading
import time
import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._bounds import ReplyStream
from ansible_collections.redisops.tair.plugins.module_utils._cluster import (
    Node,
    OneEndpoint,
    SlotMap,
    redirection,
    slot_ranges,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, ReplyError
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import ConnectionLost, Pipe, Request
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._resp import BadReply, ErrorReply, Reply
from ansible_collections.redisops.tair.tests.support.hostile_server import HostileServer


@pytest.fixture
def pair() -> t.Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    theirs.close()
    ours.close()


def drip(sock: socket.socket, stop: threading.Event) -> None:
    while not stop.wait(0.05):
        sock.sendall(b"x")


@pytest.mark.parametrize("fast", [False, True])
def test_single_bytes_do_not_make_a_reply_last_longer(pair: tuple[socket.socket, socket.socket], fast: bool) -> None:
    ours, theirs = pair
    stop = threading.Event()
    theirs.sendall(b"+")
    dripping = threading.Thread(target=drip, args=(theirs, stop))
    dripping.start()
    started = time.monotonic()
    with pytest.raises(socket.timeout):
        ReplyStream(ours, timeout=0.3, limit=1000, fast=fast).receive(1)
    stop.set()
    dripping.join()
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("fast", [False, True])
def test_a_reply_above_the_limit_is_refused(pair: tuple[socket.socket, socket.socket], fast: bool) -> None:
    ours, theirs = pair
    theirs.sendall(b"$5000\r\n" + b"x" * 2000)
    with pytest.raises(BadReply, match=r"more than 1,000 bytes"):
        ReplyStream(ours, timeout=1, limit=1000, fast=fast).receive(1)


def test_single_bytes_do_not_make_a_pipeline_last_longer(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    stop = threading.Event()
    theirs.sendall(b"+")
    dripping = threading.Thread(target=drip, args=(theirs, stop))
    dripping.start()
    started = time.monotonic()
    pipe: Pipe[Request] = Pipe(ours, window=1 << 20, timeout=0.3)
    pipe.submit(Request([b"*1\r\n$4\r\nPING\r\n"], 14, 1))
    with pytest.raises(ConnectionLost, match="did not answer"):
        pipe.wait()
    stop.set()
    dripping.join()
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "text", [b"MOVED 1 1.2.3.4:99999999", b"MOVED x 1.2.3.4:1", b"MOVED 1 " + b"h" * 300 + b":1", b"MOVED 1"]
)
def test_a_redirection_to_what_is_no_address_names_no_node(text: bytes) -> None:
    found = redirection(ErrorReply(text), Node("here", 1))
    assert found is not None and found.node is None


@pytest.mark.parametrize(
    "reply",
    [
        [1, 2, 3],
        [[0, 16383]],
        [[0, 16384, [b"h", 1]]],
        [[-1, 5, [b"h", 1]]],
        [[0, 5, [b"h", 99999]]],
        [[0, 5, [b"h\x1b[31m", 1]]],
        [[0, 5, [b"\xff", 1]]],
        [[b"0", b"5", [b"h", 1]]],
        [[0, 0, [b"h%d" % number, 1]] for number in range(3000)],
    ],
)
def test_a_map_that_makes_no_sense_is_refused(reply: Reply) -> None:
    with pytest.raises(ReplyError, match="here"):
        slot_ranges(reply, "here")


def test_a_redirection_is_followed_to_nodes_of_the_cluster_only() -> None:
    with HostileServer(
        "CLUSTER", lambda: [(b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:7000\r\n")]
    ) as server:
        slots = SlotMap(Endpoint(server.host, server.port), 1.0)
        slots.read()
        slots.moved(5, Node("127.0.0.1", 7000))
        with pytest.raises(ConnectError, match=r"sends us to 127\.0\.0\.1:7001, which the cluster does not name"):
            slots.moved(5, Node("127.0.0.1", 7001))
        assert slots.owner(5) == Node("127.0.0.1", 7000)


def test_a_redirection_from_behind_a_proxy_is_followed_through_the_proxy() -> None:
    slots = OneEndpoint(Endpoint("proxy.example", 6379), 1.0)
    slots.read()
    slots.moved(5, Node("10.0.0.1", 7001))
    assert slots.masters == [Node("proxy.example", 6379)]
