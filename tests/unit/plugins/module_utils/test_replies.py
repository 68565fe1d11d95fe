# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.redisops.tair.plugins.module_utils import _replies
from ansible_collections.redisops.tair.plugins.module_utils._replies import explain, meaning, next_step

#: Replies as servers and Tair send them, and what a person must read in the explanation.
REPLIES = [
    ("ERR illegal address", "whitelist"),
    ("NOAUTH Authentication required.", "wants a password"),
    ("Authentication required.", "wants a password"),
    ("WRONGPASS invalid username-password pair or user is disabled.", "password is wrong"),
    ("invalid username-password pair or user is disabled.", "password is wrong"),
    ("ERR invalid password", "password is wrong"),
    ("ERR AUTH <password> called without any password configured for the default user.", "has none"),
    ("ERR Client sent AUTH, but no password is set", "has none"),
    ("NOPERM this user has no permissions to run the 'config|set' command", "may not run this command"),
    ("NOPERM this user has no permissions to run the 'config' command or its subcommand", "may not run this command"),
    ("ERR command 'config' not support for normal user", "may not run this command"),
    ("OOM command not allowed when used memory > 'maxmemory'.", "at its maxmemory"),
    ("READONLY You can't write against a read only replica.", "takes no writes"),
    ("NOWRITE You can't write against a non-write redis.", "takes no writes"),
    ("DISABLE You can't write or read against a disable instance.", "takes no writes"),
    ("NOREPLICAS Not enough good replicas to write.", "redis_fence has stopped its writers"),
    ("MISCONF Errors writing to the AOF file: No space left on device", "can't save to its own disk"),
    ("LOADING Redis is loading the dataset in memory", "is loading"),
    ("BUSY Redis is busy running a script.", "runs a long script"),
    ("CLUSTERDOWN The cluster is down", "cluster is not whole"),
    ("TRYAGAIN Multiple keys request during rehashing of slot", "cluster is not whole"),
    ("MASTERDOWN Link with MASTER is down", "cluster is not whole"),
    ("ERR max number of clients reached", "limit of connections"),
    ("ERR request refused, too many pending request", "pipeline this deep"),
    ("MOVED 3999 127.0.0.1:6381", "node of a cluster"),
    ("ASK 3999 127.0.0.1:6381", "node of a cluster"),
    ("CROSSSLOT Keys in request don't hash to the same slot", "several slots"),
    ("ERR command keys must in same slot", "several slots"),
    ("ERR Protocol error: too big inline request", "bytes that are no command"),
    ("ERR Protocol error: unbalanced quotes in request", "bytes that are no command"),
    ("ERR unknown command 'HPEXPIREAT'", "does not know this command"),
    ("ERR unknown subcommand 'LOAD'. Try FUNCTION HELP.", "does not know this command"),
    ("ERR syntax error", "does not know this form"),
    ("ERR wrong number of arguments for 'xsetid' command", "does not know this form"),
    ("BUSYGROUP Consumer Group name already exists", "already holds an object"),
    ("ERR Library 'sample' already exists", "already holds an object"),
    ("BUSYKEY Target key name already exists.", "already holds an object"),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", "another type"),
    ("ERR DB index is out of range", "fewer databases"),
    ("ERR invalid DB index", "fewer databases"),
    ("ERR SELECT is not allowed in cluster mode", "fewer databases"),
]


@pytest.mark.parametrize(("reply", "explanation"), REPLIES)
def test_a_known_reply_is_explained_with_its_own_words_and_a_next_step(reply: str, explanation: str) -> None:
    told = explain(reply)
    assert told.startswith(f"'{reply}' (")
    assert explanation in told
    assert next_step(reply)


def test_every_row_of_the_table_is_the_answer_to_some_reply() -> None:
    answers = [meaning(reply) for reply, _explanation in REPLIES]
    assert [row.cause for _pattern, row in _replies._TABLE if row not in answers] == []


@pytest.mark.parametrize(
    "reply", ["ERR no such key", "NOGROUP No such key 'x' or consumer group 'y'", "ERR value is out of range"]
)
def test_a_reply_that_is_not_known_stands_for_itself(reply: str) -> None:
    assert explain(reply) == f"'{reply}'"
    assert next_step(reply) == ""
    assert meaning(reply) is None


def test_a_value_that_the_server_quotes_is_not_told() -> None:
    told = explain("ERR unknown command 'HSETEX', with args beginning with: 'user:7' 'secret' ")
    assert told.startswith("'ERR unknown command 'HSETEX'' (")
    assert "secret" not in told


@pytest.mark.parametrize(
    ("reply", "about"),
    [
        ("LOADING Redis is loading the dataset in memory", "passing"),
        ("Redis is loading the dataset in memory", "passing"),
        ("Valkey is loading the dataset in memory", "passing"),
        ("You can't write against a read only replica.", "passing"),
        ("CLUSTERDOWN The cluster is down", "passing"),
        (
            "EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.",
            "passing",
        ),
        ("ERR request refused, too many pending request", "pipeline"),
        ("ERR illegal address", "server"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "server"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "command"),
        ("ERR unknown command 'HSETEX'", "command"),
    ],
)
def test_it_is_known_whether_the_next_command_would_fail_alike(reply: str, about: str) -> None:
    row = meaning(reply)
    assert row is not None and row.about == about


def test_words_of_a_reply_inside_another_text_do_not_decide() -> None:
    assert meaning("ERR the value 'LOADING' is not an integer") is None
    assert meaning("ERR BUSYBOX is no command") is None
