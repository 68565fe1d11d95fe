# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.redisops.tair.plugins.module_utils._argspec import connection_spec
from ansible_collections.redisops.tair.plugins.modules import keyspace_compare

SPEC = connection_spec(fallbacks=False)
DOCUMENTED = yaml.safe_load(keyspace_compare.DOCUMENTATION)["options"]["source"]["suboptions"]


def test_the_source_takes_the_same_options_as_the_target() -> None:
    assert list(SPEC) == list(DOCUMENTED)


@pytest.mark.parametrize("option", SPEC)
def test_the_options_of_the_source_are_documented_as_specified(option: str) -> None:
    for attribute in ("type", "default", "required", "choices", "elements"):
        assert SPEC[option].get(attribute) == DOCUMENTED[option].get(attribute), attribute


def test_nothing_of_the_source_comes_from_the_environment() -> None:
    assert not any("fallback" in spec for spec in SPEC.values())
