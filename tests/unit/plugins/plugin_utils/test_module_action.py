# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml
from ansible_collections.redisops.tair.plugins.plugin_utils._module_action import ModuleAction

RUNTIME = yaml.safe_load((Path(__file__).resolve().parents[4] / "meta" / "runtime.yml").read_text())


@pytest.mark.parametrize("module", RUNTIME["action_groups"]["tair"])
def test_every_module_that_talks_to_a_server_finds_its_library_on_any_host(module: str) -> None:
    plugin = importlib.import_module(f"ansible_collections.redisops.tair.plugins.action.{module}")

    assert issubclass(plugin.ActionModule, ModuleAction)
