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


def in_other_letters(value: t.Any) -> str:
    return json.dumps(value).encode().hex().translate(str.maketrans("0123456789abcdef", "ghijklmnopqrstuv"))


@pytest.mark.parametrize(
    ("masked", "sent"),
    [
        ({}, {"add_host": {"host_name": "x"}, "other": 1}),  # a key that the result does not have
        ({"ansible_facts": {}}, {"ansible_facts": {"x": 1}}),
        ({"changed": False, "failed": False}, {"changed": True, "failed": True}),
        ({"_ansible_parsed": "********"}, {"_ansible_parsed": "x"}),
        ({"msg": "********"}, {"msg": "text"}),
        ({"path": "/a"}, {"path": "/b"}),  # nothing of it is masked
        ({"path": "/a/********/c"}, {"path": "/b/x/c"}),
        ({"path": "/a/********/c"}, {"path": "/a/c"}),
        ({"path": "********"}, {"path": ["/a"]}),
        ({"path": "********"}, {"path": {"a": 1}}),
        ({"size": 1}, {"size": "1"}),
        ({"size": 1}, {"size": True}),
        ({"files": ["********"]}, {"files": ["a", "b"]}),
        ({"files": [{"path": "********"}]}, {"files": [{"path": "a", "more": 1}]}),
        ({"size": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"}, {"size": [1]}),
    ],
    ids=str,
)
def test_nothing_is_restored_but_what_masking_has_changed(masked: dict[str, t.Any], sent: dict[str, t.Any]) -> None:
    assert restored({**masked, "_unmasked": in_other_letters(sent)}) == masked


@pytest.mark.parametrize(
    "sent",
    [
        None,
        7,
        ["gh"],
        {"a": 1},
        "",
        "gg!",
        "ghg",
        "gz",
        "é",
        "g" * (1 << 23),
        in_other_letters(["a"]),
        in_other_letters("a"),
        in_other_letters(0)[:-1] + "v",
        ("[" * 100_000).encode().hex().translate(str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")),
    ],
    ids=lambda sent: str(sent)[:20],
)
def test_garbage_is_dropped(sent: t.Any) -> None:
    assert restored({"path": "/var/********", "_unmasked": sent}) == {"path": "/var/********"}


def test_a_result_too_large_to_be_returned_twice_stays_masked() -> None:
    facts = {"path": "redis" * 1_000_000}
    assert with_unmasked(facts, ["redis"]) == facts
