# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
NAMES = sorted(role.name for role in ROLES.iterdir())


def load(role: str, path: str) -> dict[str, t.Any]:
    content: dict[str, t.Any] = yaml.safe_load((ROLES / role / path).read_text(encoding="utf-8"))
    return content


def options(role: str) -> dict[str, dict[str, t.Any]]:
    return t.cast(
        "dict[str, dict[str, t.Any]]", load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    )


def tasks_of(role: str) -> str:
    return "".join(
        path.read_text(encoding="utf-8") for part in ("tasks", "vars") for path in (ROLES / role / part).rglob("*.yml")
    )


@pytest.mark.parametrize("role", NAMES)
def test_documented_defaults_are_the_defaults(role: str) -> None:
    documented = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert documented == load(role, "defaults/main.yml")


@pytest.mark.parametrize("role", NAMES)
def test_an_option_has_a_default_or_is_required_but_not_both(role: str) -> None:
    assert [
        name for name, option in options(role).items() if option.get("required", False) == ("default" in option)
    ] == []


@pytest.mark.parametrize("role", NAMES)
def test_options_bear_the_name_of_the_role_and_are_described(role: str) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role}_")] == []
    assert [name for name, option in options(role).items() if not option.get("description")] == []


@pytest.mark.parametrize("role", NAMES)
def test_every_variable_that_is_used_is_an_option_and_every_option_is_used(role: str) -> None:
    used = set(re.findall(rf"(?<!_)\b{role}_\w+", tasks_of(role)))
    assert used == set(options(role))


@pytest.mark.parametrize("role", NAMES)
def test_passwords_and_secret_names_and_nothing_else_are_kept_out_of_logs(role: str) -> None:
    secret = [name for name, option in options(role).items() if option.get("no_log")]
    assert secret == [name for name in options(role) if name.endswith(("_password", "_renamed_commands"))]
