# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pipelined connection, beside a peer that answers when it is told to."""

from __future__ import annotations

import socket
import typing as t
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._import.pipe import ConnectionLost, Pipe, Request

COMMAND = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture
def ends() -> t.Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def ping() -> Request:
    return Request([COMMAND], len(COMMAND), 1)


def test_no_more_than_the_window_waits_for_replies(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    pipe: Pipe[Request] = Pipe(ours, window=2 * len(COMMAND), timeout=20)
    pipe.submit(ping())
    pipe.submit(ping())
    with ThreadPoolExecutor(1) as pool:
        third = pool.submit(pipe.submit, ping())
        theirs.recv(3 * len(COMMAND), socket.MSG_WAITALL)
        with pytest.raises(NotYet):
            third.result(0.3)
        theirs.sendall(b"+PONG\r\n")
        third.result(10)
    assert [request.replies for request in pipe.finished()] == [[b"PONG"]]
    theirs.sendall(b"+PONG\r\n+PONG\r\n")
    pipe.wait()
    assert len(list(pipe.finished())) == 2 and pipe.idle


def test_a_window_that_is_free_again_is_not_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    pipe: Pipe[Request] = Pipe(ours, window=2 * len(COMMAND), timeout=1)
    for _request in range(5):
        pipe.submit(ping())
        theirs.recv(len(COMMAND), socket.MSG_WAITALL)
        theirs.sendall(b"+PONG\r\n")
        pipe.wait()
        assert len(list(pipe.finished())) == 1


def test_who_does_not_answer_is_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _theirs = ends
    pipe: Pipe[Request] = Pipe(ours, window=100, timeout=0.1)
    pipe.submit(ping())
    with pytest.raises(ConnectionLost, match=r"did not answer for 0\.1 s"):
        pipe.wait()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no Redis reply"),
        (b"+PONG\r\n+PONG\r\n", "a reply came that nothing had asked for"),
        (b"", "closed the connection"),
    ],
)
def test_a_peer_that_speaks_out_of_turn_is_told(
    said: bytes, why: str, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = ends
    pipe: Pipe[Request] = Pipe(ours, window=100, timeout=5)
    pipe.submit(ping())
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionLost, match=why):
        pipe.wait()
