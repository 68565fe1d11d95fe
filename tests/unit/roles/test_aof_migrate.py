# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles" / "aof_migrate"
SPECS: dict[str, t.Any] = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
OPTIONS: dict[str, t.Any] = SPECS["main"]["options"]


@pytest.mark.parametrize("entry", SPECS)
def test_every_entry_point_takes_the_same_variables_in_the_same_way(entry: str) -> None:
    assert (ROLE / "tasks" / f"{entry}.yml").exists()
    assert SPECS[entry]["options"].items() <= OPTIONS.items()


@pytest.mark.parametrize("name", OPTIONS)
def test_a_variable_is_in_the_readme(name: str) -> None:
    # The table names the connection options in groups: `aof_migrate_source_host`, `_port`, ...
    in_a_group = re.sub("^aof_migrate_(source|target)", "", name)
    assert re.search(f"`({name}|{in_a_group})`", (ROLE / "README.md").read_text())


def test_the_readme_lists_every_finding_with_its_severity() -> None:
    found = yaml.safe_load((ROLE / "vars" / "main" / "findings.yml").read_text())
    ids = [
        (finding["id"], finding["severity"])
        for name, findings in found.items()
        if name.startswith("__aof_migrate_findings_of_")
        for finding in findings
    ]
    assert ids == re.findall(r"(?m)^\| `(\w+\.\w+)` \| (obstacle|doubt) \|", (ROLE / "README.md").read_text())
    assert len(ids) == len(set(ids))
