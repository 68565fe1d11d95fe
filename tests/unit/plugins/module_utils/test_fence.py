# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be decided by a server's version alone, for versions that no test server has."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import ReplyError
from ansible_collections.redisops.tair.plugins.module_utils._fence import choose_method
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._server_facts import Flavor, ServerFacts


def facts(version: str, flavor: Flavor = "redis") -> ServerFacts:
    return ServerFacts(version, version, flavor, "standalone", "master", 0, 0, "noeviction", {}, {})


class NotAsked:
    """A client that nothing may be asked of."""

    def __getattr__(self, name: str) -> t.Any:
        raise AssertionError(f"{name} was asked for")


@pytest.mark.parametrize("version", ["3.2.13", "5.0.14", "6.0.20", "6.1.9"])
def test_a_pause_that_would_stop_reads_is_refused_before_anything_is_sent(version: str) -> None:
    with pytest.raises(ReplyError) as refused:
        choose_method(t.cast("t.Any", NotAsked()), Endpoint("redis1"), facts(version), "pause")
    assert "redis1:6379" in str(refused.value) and f"Redis {version}" in str(refused.value)
    assert "Nothing was changed" in str(refused.value) and "method=min-replicas" in str(refused.value)


@pytest.mark.parametrize("version", ["6.2.0", "6.3.4", "7.0.15", "8.10.2"])
def test_newer_servers_can_be_paused(version: str) -> None:
    assert choose_method(t.cast("t.Any", NotAsked()), Endpoint("redis1"), facts(version), "pause") == "pause"
