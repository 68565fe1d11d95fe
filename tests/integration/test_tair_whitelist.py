# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the real SDK sends to an endpoint, and what the module makes of the answers."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.whitelist import CREDENTIALS, INSTANCE, WhitelistEndpoint

Call = t.Callable[..., dict[str, t.Any]]
ADDRESS = "192.0.2.10"


@pytest.fixture
def endpoint() -> t.Iterator[WhitelistEndpoint]:
    with WhitelistEndpoint() as served:
        yield served


@pytest.fixture
def call(endpoint: WhitelistEndpoint, run_module: Call) -> Call:
    def module(check: bool = False, env: dict[str, str] | None = None, **options: t.Any) -> dict[str, t.Any]:
        given = {"instance_id": INSTANCE, "endpoint": endpoint.address, "addresses": [ADDRESS], **options}
        return run_module("tair_whitelist", given, check=check, diff=True, env={**CREDENTIALS, **(env or {})})

    return module


def test_an_address_enters_a_group_of_its_own_once_and_leaves_it(call: Call, endpoint: WhitelistEndpoint) -> None:
    entered, again = call(), call()
    held = dict(endpoint.groups)
    left, gone = call(state="absent"), call(state="absent")

    assert [result["changed"] for result in (entered, again, left, gone)] == [True, False, True, False], entered
    assert held == {"default": ["127.0.0.1"], "redisops_tair": [ADDRESS]}
    assert endpoint.groups == {"default": ["127.0.0.1"]}
    assert (entered["group"], entered["previous"], entered["addresses"]) == ("redisops_tair", [], [ADDRESS])
    assert (left["previous"], left["addresses"]) == ([ADDRESS], [])
    common = {"InstanceId": INSTANCE, "SecurityIpGroupName": "redisops_tair", "SecurityIps": ADDRESS}
    assert endpoint.sent("ModifySecurityIps") == [{**common, "ModifyMode": "Cover"}, {**common, "ModifyMode": "Delete"}]


def test_every_request_is_signed_and_none_has_the_secret(call: Call, endpoint: WhitelistEndpoint) -> None:
    call()

    assert endpoint.requests
    for _action, parameters, headers in endpoint.requests:
        assert headers["authorization"].startswith("ACS3-HMAC-SHA256 Credential=test-key-id,")
        assert headers["x-acs-version"] == "2015-01-01"
        assert CREDENTIALS["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] not in f"{parameters}{headers}"


def test_others_in_the_group_stay(call: Call, endpoint: WhitelistEndpoint) -> None:
    endpoint.groups["redisops_tair"] = ["198.51.100.0/24"]

    entered = call()
    held = endpoint.groups["redisops_tair"]
    call(state="absent")

    assert entered["diff"]["before"] == {"addresses": ["198.51.100.0/24"]}
    assert held == ["198.51.100.0/24", ADDRESS]
    assert endpoint.groups["redisops_tair"] == ["198.51.100.0/24"]
    assert [sent["ModifyMode"] for sent in endpoint.sent("ModifySecurityIps")] == ["Append", "Delete"]


def test_check_mode_tells_the_change_and_makes_none(call: Call, endpoint: WhitelistEndpoint) -> None:
    result = call(check=True)

    assert result["changed"] and result["diff"]["after"] == {"addresses": [ADDRESS]}
    assert endpoint.sent("ModifySecurityIps") == [] and "redisops_tair" not in endpoint.groups


def test_it_waits_until_the_instance_has_taken_the_change(call: Call, endpoint: WhitelistEndpoint) -> None:
    endpoint.states = ["Normal", "Changing"]

    assert call()["changed"]
    assert [action for action, *_arguments in endpoint.requests][1:] == [
        "DescribeInstances",
        "ModifySecurityIps",
        "DescribeInstances",
        "DescribeInstances",
    ]


def test_an_instance_that_stays_in_change_is_a_failure(call: Call, endpoint: WhitelistEndpoint) -> None:
    endpoint.states = ["Changing"] * 100

    result = call(timeout=0)

    assert result["failed"] and "is still Changing after 0 s" in result["msg"]
    assert endpoint.sent("ModifySecurityIps") == []


def test_a_throttled_request_is_sent_again(call: Call, endpoint: WhitelistEndpoint) -> None:
    endpoint.refusals = {"ModifySecurityIps": [(400, "Throttling.User")]}

    assert call()["changed"]
    assert len(endpoint.sent("ModifySecurityIps")) == 2
    assert endpoint.groups["redisops_tair"] == [ADDRESS]


@pytest.mark.parametrize(
    ("status", "code", "todo"),
    [
        (403, "Forbidden.RAM", "Allow kvstore:DescribeSecurityIps"),
        (404, "InvalidInstanceId.NotFound", "Check instance_id and region"),
        (404, "InvalidAccessKeyId.NotFound", "Check the access key"),
    ],
)
def test_a_refusal_is_told_with_what_to_do(
    status: int, code: str, todo: str, call: Call, endpoint: WhitelistEndpoint
) -> None:
    endpoint.refusals = {"ModifySecurityIps": [(status, code)]}

    result = call()

    assert result["failed"] and code in result["msg"] and todo in result["msg"], result
    assert len(endpoint.sent("ModifySecurityIps")) == 1


@pytest.mark.parametrize("options", [{"group": "Redis"}, {"group": "_x"}, {"addresses": ["redis.example.com"]}])
def test_what_the_service_would_refuse_is_not_sent(
    options: dict[str, t.Any], call: Call, endpoint: WhitelistEndpoint
) -> None:
    result = call(**options)

    assert result["failed"] and next(iter(options)) in result["msg"]
    assert endpoint.requests == []


def test_every_address_is_let_in_only_when_asked_for_by_name(call: Call, endpoint: WhitelistEndpoint) -> None:
    refused = call(addresses=["0.0.0.0/0"])
    assert refused["failed"] and "allow_any_address" in refused["msg"] and endpoint.requests == []

    assert call(addresses=["0.0.0.0/0"], allow_any_address=True)["added"] == ["0.0.0.0/0"]
    assert call(addresses=["0.0.0.0/0"], state="absent")["removed"] == ["0.0.0.0/0"]  # removing is never refused


def test_only_what_a_run_has_added_is_removed(call: Call, endpoint: WhitelistEndpoint, tmp_path: Path) -> None:
    record = tmp_path / "whitelist" / "record.json"
    endpoint.groups["redisops_tair"] = ["198.51.100.1", "198.51.100.2"]
    wanted = {"addresses": ["198.51.100.1", ADDRESS], "record": str(record)}

    entered = call(**wanted)
    mode = record.stat().st_mode & 0o777
    again = call(**wanted)
    predicted = call(check=True, state="absent", **wanted)
    left = call(state="absent", **wanted)
    gone = call(state="absent", **wanted)

    assert (entered["added"], again["added"], again["changed"]) == ([ADDRESS], [], False)
    assert predicted["removed"] == left["removed"] == [ADDRESS] and left["changed"] and not gone["changed"]
    assert endpoint.groups["redisops_tair"] == ["198.51.100.1", "198.51.100.2"]
    assert mode == 0o600 and not record.exists()


def test_without_a_record_nothing_of_others_is_removed(call: Call, endpoint: WhitelistEndpoint, tmp_path: Path) -> None:
    endpoint.groups["redisops_tair"] = [ADDRESS]
    result = call(state="absent", record=str(tmp_path / "record.json"))
    assert not result["changed"] and endpoint.groups["redisops_tair"] == [ADDRESS]


def test_an_addition_is_on_record_before_it_is_made(call: Call, endpoint: WhitelistEndpoint, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    endpoint.refusals = {"ModifySecurityIps": [(403, "Forbidden.RAM")]}
    assert call(record=str(record))["failed"] and ADDRESS in record.read_text()
    endpoint.groups["redisops_tair"] = [ADDRESS]  # as where the service has made it, and its answer was lost
    assert call(record=str(record), state="absent")["removed"] == [ADDRESS]


@pytest.mark.parametrize("content", ["", '{"instance_id": "r-other", "group": "redisops_tair", "addresses": []}'])
def test_a_record_that_can_not_be_used_changes_nothing(
    content: str, call: Call, endpoint: WhitelistEndpoint, tmp_path: Path
) -> None:
    record = tmp_path / "record.json"
    record.write_text(content)
    result = call(record=str(record), state="absent")
    assert result["failed"] and str(record) in result["msg"] and "was not changed" in result["msg"]
    assert endpoint.sent("ModifySecurityIps") == [] and record.read_text() == content
