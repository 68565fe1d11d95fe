# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of commands that are data, against what servers say (``COMMAND``) and what they wrote."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.data_commands import is_listed, kind_of
from ansible_collections.redisops.tair.plugins.module_utils._aof.inspect import inspect
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.servers import Build, Server

StartServer = t.Callable[..., Server]
#: Flagged ``write``, and no data: keys go to another server; the encoding of a key is changed.
REFUSED_WRITES = {"MIGRATE", "PFDEBUG"}


def test_the_table_agrees_with_the_flags_of_servers(any_build: Build, start_server: StartServer) -> None:
    server = start_server(any_build)
    with snapshot.Conn(server.host, server.port) as conn:
        rows = conn.call("COMMAND")
    for row in rows:
        name = row[0].decode().upper()
        writes = b"write" in {flag.lstrip(b"+") for flag in row[2]}
        kind = kind_of(name.encode())
        if writes:
            assert kind == ("not_data" if name in REFUSED_WRITES else "data"), name
        elif not is_listed(name.encode()) and name != "XGROUP":  # a container since 7.0
            assert kind == "not_data", name
        for sub in row[9] if len(row) > 9 else ():
            subcommand = sub[0].upper().partition(b"|")[2]
            if name not in ("CLUSTER", "XGROUP") and b"write" in {flag.lstrip(b"+") for flag in sub[2]}:
                assert kind_of(name.encode(), subcommand) == "data", sub[0]


@pytest.mark.parametrize("written", corpus(), ids=str)
def test_no_server_writes_what_is_no_data(written: CorpusSet) -> None:
    with open_aof(find_aof(written.aof), even_damaged=True) as aof:
        assert inspect(aof).tally.not_data == {}
