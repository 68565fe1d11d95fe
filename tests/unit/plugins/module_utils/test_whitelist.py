# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses may be put on a whitelist."""

from __future__ import annotations

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._whitelist import valid_addresses

EVERYTHING = [
    ["0.0.0.0/0"],
    ["192.0.2.1", "10.1.2.3/0"],
    ["0.0.0.0"],
    ["0.0.0.0/32"],
    ["0.0.0.0/0.0.0.0"],
    ["0.0.0.0/1", "192.0.2.1", "128.0.0.0/1"],
    ["128.0.0.0/1", "64.0.0.0/2", "0.0.0.0/2"],
]


@pytest.mark.parametrize("addresses", EVERYTHING, ids=" ".join)
def test_what_lets_every_address_in_is_refused_unless_it_is_allowed(addresses: list[str]) -> None:
    with pytest.raises(TairError, match="lets every address of the internet in.*allow_any_address=true"):
        valid_addresses(addresses, allow_any=False)
    assert valid_addresses(addresses, allow_any=True) == addresses


@pytest.mark.parametrize("addresses", [["10.0.0.0/8", "128.0.0.0/1"], ["192.0.2.1"], ["0.0.0.0/8"]], ids=" ".join)
def test_networks_that_are_not_everything_are_accepted(addresses: list[str]) -> None:
    assert valid_addresses(addresses, allow_any=False) == addresses


@pytest.mark.parametrize("address", ["::/0", "::1", "redis.example.com", "", "1.2.3", "1.2.3.4/33"])
def test_what_is_no_ipv4_address_is_refused(address: str) -> None:
    with pytest.raises(TairError, match="is no IPv4 address or network"):
        valid_addresses([address], allow_any=True)
