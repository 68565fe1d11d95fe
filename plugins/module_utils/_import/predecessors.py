# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Connections that an earlier run of the same import has left behind.

What a killed run had sent may still be on its way when the next one looks how far it came, and be executed after that: twice.
So the connections of an import carry its name, and the next one has the server close them, which drops what they hold.
"""

from __future__ import annotations

import re
from contextlib import closing, suppress

from ansible_collections.redisops.tair.plugins.module_utils._errors import ConnectError, ReplyError
from ansible_collections.redisops.tair.plugins.module_utils._redis import Client, Endpoint, speaking_to
from ansible_collections.redisops.tair.plugins.module_utils._wire import Wire

_CLIENT = re.compile(rb"^id=(\d+) addr=(\S+) .*?name=(\S*) ", re.MULTILINE)


def end_predecessors(endpoint: Endpoint, import_name: str, *, timeout: float) -> bool:
    """Close what earlier runs of the import have left on a server. Whether it tells its connections at all.

    An account may not be allowed to, and a proxy may hang up on these commands: what these keep is out of reach.
    Raises :class:`ConnectError` where there is no connection to be had.
    """
    with closing(Wire(endpoint, timeout=timeout)) as wire, suppress(ConnectError):
        listed = wire.exchange([(b"CLIENT", b"LIST")])[0]
        if isinstance(listed, bytes):
            name = _connection_name(import_name).encode()
            left = [found for found in _CLIENT.findall(listed) if found[2] == name]
            # Proxies know no ids. But all connections by a Unix socket have one address, and the port 0.
            wire.exchange(
                [
                    (b"CLIENT", b"KILL", *((b"ID", number) if address.endswith(b":0") else (b"ADDR", address)))
                    for number, address, _name in left
                ]
            )
            return True
    return False


def name_connection(client: Client, import_name: str) -> None:
    """Give a connection the name of its import, by which a later run finds it. Raises :class:`ConnectError` where it is lost."""
    try:
        with speaking_to(client.endpoint, "naming the connection (CLIENT SETNAME)"):
            client.execute_command("CLIENT SETNAME", _connection_name(import_name))
    except ReplyError:
        pass  # the account may not


def _connection_name(import_name: str) -> str:
    return f"redisops.tair:{import_name}"
