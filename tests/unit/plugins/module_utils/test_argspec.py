# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
import yaml
from ansible_collections.redisops.tair.plugins.doc_fragments._redis import ModuleDocFragment
from ansible_collections.redisops.tair.plugins.module_utils._argspec import connection_spec, server_spec, source_spec
from ansible_collections.redisops.tair.plugins.module_utils._redis import MINIMUM_REDIS_PY

SPEC = source_spec()
FRAGMENT = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)
SERVER = yaml.safe_load(ModuleDocFragment.SERVER)["options"]
SOURCE = yaml.safe_load(ModuleDocFragment.SOURCE)["options"]
DOCUMENTED = {**FRAGMENT["options"], **SERVER, **SOURCE}


def test_the_same_options_are_specified_and_documented_in_the_same_order() -> None:
    assert list(SPEC) == list(DOCUMENTED)
    assert list(connection_spec()) == list(FRAGMENT["options"])
    assert list(server_spec()) == [*FRAGMENT["options"], *SERVER]
    assert list(SPEC["renamed_commands"]["options"]) == list(SOURCE["renamed_commands"]["suboptions"])


@pytest.mark.parametrize("option", SPEC)
def test_type_default_and_necessity_are_documented_as_specified(option: str) -> None:
    for attribute in ("type", "default", "required", "choices", "elements"):
        documented = DOCUMENTED[option].get(attribute)
        assert SPEC[option].get(attribute) == (list(documented) if isinstance(documented, dict) else documented), (
            attribute
        )


@pytest.mark.parametrize("option", SPEC)
def test_the_environment_variable_that_is_read_is_the_one_documented(option: str) -> None:
    _strategy, read = SPEC[option].get("fallback", (None, []))
    assert re.findall(r"E\((\w+)\)", " ".join(DOCUMENTED[option]["description"])) == read


def test_without_fallbacks_nothing_is_read_from_the_environment() -> None:
    bare = connection_spec(fallbacks=False)
    assert [option for option in bare if "fallback" in bare[option]] == []
    assert list(bare) == list(FRAGMENT["options"])


def test_the_secrets_and_nothing_else_are_kept_out_of_logs() -> None:
    assert [option for option in SPEC if SPEC[option].get("no_log")] == ["login_password", "renamed_commands"]


def test_the_documented_requirement_is_the_one_that_is_checked() -> None:
    assert f"redis (Python library) >= {MINIMUM_REDIS_PY}" in FRAGMENT["requirements"]
