# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Is the target of an import one server, the nodes of a cluster, or a proxy in front of them?"""

from __future__ import annotations

from ansible_collections.redisops.tair.plugins.module_utils._import.cluster import Cluster
from ansible_collections.redisops.tair.plugins.module_utils._import.options import Options
from ansible_collections.redisops.tair.plugins.module_utils._import.standalone import Standalone
from ansible_collections.redisops.tair.plugins.module_utils._import.topology import Topology
from ansible_collections.redisops.tair.plugins.module_utils._redis import Endpoint
from ansible_collections.redisops.tair.plugins.module_utils._target import topology_of


def topology_for(endpoint: Endpoint, options: Options) -> Topology:
    """What the target is: as was told, else as it shows itself."""
    standalone = Standalone(endpoint, options.timeout)
    found = options.topology
    if found == "auto":
        found = "standalone"
        facts = standalone.facts()[0]
        if facts.mode == "cluster":
            found = topology_of(endpoint, facts)
    if found == "standalone":
        return standalone
    standalone.close()
    return Cluster(endpoint, options.timeout, proxied=found == "proxy")
