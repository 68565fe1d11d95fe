# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Serve the whitelist of one instance for a minute; the file that is named says where."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.whitelist import WhitelistEndpoint

with WhitelistEndpoint() as endpoint:
    Path(sys.argv[1]).write_text(endpoint.address)
    time.sleep(60)
