# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.redisops.tair.plugins.plugin_utils._module_action import ModuleAction
from ansible_collections.redisops.tair.plugins.plugin_utils._timed import timed


class ActionModule(ModuleAction):
    run = timed(ModuleAction.run)
