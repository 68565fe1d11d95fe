# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts that hold a password come through what Ansible makes of them."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.common.parameters import remove_values
from ansible_collections.redisops.tair.plugins.module_utils._masking import restored, with_unmasked

FACTS: dict[str, t.Any] = {
    "changed": True,
    "aof_path": "/var/lib/redis/append only/\u00e9",
    "flavor": "redis",
    "size": 71234,
    "share": 0.5,
    "files": [{"path": "/var/lib/redis/a.aof", "seq": 1}],
    "nothing": None,
    "msg": "the password redis is in this text",
    "previous": {"requirepass": "redis"},
}


def through_ansible(result: dict[str, t.Any], secrets: set[str]) -> dict[str, t.Any]:
    masked: dict[str, t.Any] = json.loads(json.dumps(remove_values(result, secrets)))
    return masked


@pytest.mark.parametrize(
    "secret", ["redis", "1", "a", "g", "G", "/", " ", "7123", "71234", "\u00e9", "A", '"', "gh", "e5", "0", "lib/redis"]
)
def test_facts_come_through_and_texts_stay_masked(secret: str) -> None:
    result = restored(through_ansible(with_unmasked(dict(FACTS), [secret]), {secret}))

    assert {name: result[name] for name in FACTS if name not in ("msg", "previous")} == {
        name: FACTS[name] for name in FACTS if name not in ("msg", "previous")
    }
    assert set(result) == set(FACTS)
    if secret == "redis":
        assert "redis" not in f"{result['msg']} {result['previous']}"


def test_nothing_is_added_where_nothing_would_be_masked() -> None:
    assert with_unmasked(FACTS, ["a real password", ""]) == FACTS
    assert restored(dict(FACTS)) == FACTS
