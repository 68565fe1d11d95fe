# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._config import (
    Plan,
    as_server_writes,
    is_secret,
    secret_values,
)

SECRET = [
    "requirepass",
    "masterauth",
    "PRIMARYAUTH",
    "tls-key-file-pass",
    "tls-client-key-file-pass",
    "auth-pass",
    "sentinel-pass",
    "user",
]
NOT_SECRET = ["masteruser", "tls-auth-clients", "appendonly", "dir", "unixsocketperm", "list-compress-depth"]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (True, "yes"),
        (False, "no"),
        (None, ""),
        (0, "0"),
        (100, "100"),
        ("everysec", "everysec"),
        ("", ""),
        (0.5, "0.5"),
    ],
)
def test_a_yaml_value_becomes_what_the_server_writes(given: object, written: str) -> None:
    assert as_server_writes(given) == written


@pytest.mark.parametrize(
    ("previous", "wanted"),
    [
        ("67108864", "64mb"),
        ("67108864", "64MB"),
        ("64000000", "64m"),
        ("1024", "1k" + "b"),
        ("1073741824", "1gb"),
        ("5", "5b"),
    ],
)
def test_a_size_with_a_unit_equals_the_same_number_of_bytes(previous: str, wanted: str) -> None:
    assert Plan({"size": previous}, {"size": wanted}).changes == []


@pytest.mark.parametrize(
    ("previous", "wanted"),
    [("67108864", "64m"), ("1000", "1kb"), ("yes", "no"), ("", "3600 1"), ("everysec", "always"), ("1", "10")],
)
def test_values_that_differ_are_changes(previous: str, wanted: str) -> None:
    assert Plan({"name": previous}, {"name": wanted}).changes == ["name"]


def test_changes_keep_the_order_that_was_asked_for() -> None:
    plan = Plan({"b": "1", "a": "1", "c": "1"}, {"b": "2", "a": "1", "c": "2"})
    assert plan.changes == ["b", "c"]


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_neither_shown_nor_returned(name: str) -> None:
    plan = Plan({name: "hunter2"}, {name: "hunter3"})
    assert is_secret(name) and Plan.shown(plan.wanted, name) == "(not shown)" and plan.hidden == [name]
    assert plan.returned(plan.previous) == {} and "hunter" not in str(plan.shown_change(name))


@pytest.mark.parametrize("name", NOT_SECRET)
def test_other_values_are_shown_and_returned(name: str) -> None:
    plan = Plan({name: "no"}, {name: "yes"})
    assert not is_secret(name) and Plan.shown(plan.wanted, name) == "yes" and plan.hidden == []
    assert plan.returned(plan.wanted) == {name: "yes"} and plan.shown_change(name) == ("no", "yes")


def test_the_secrets_to_mask_are_texts_and_none_is_empty() -> None:
    given = {"requirepass": 12345, "masterauth": "", "tls-key-file-pass": None, "dir": "/data"}
    assert secret_values(given) == {"12345"}


def test_a_password_that_reads_as_a_size_is_compared_as_it_is() -> None:
    assert Plan({"requirepass": "1024"}, {"requirepass": "1kb"}).changes == ["requirepass"]
