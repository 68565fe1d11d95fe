# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every import of the collection goes the way that the architecture page says, and none in a circle."""

from __future__ import annotations

import ast
import re
import typing as t
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.paths import CHECKOUT

PLUGINS = CHECKOUT / "plugins"
FILES = sorted(path.relative_to(PLUGINS) for path in PLUGINS.rglob("*.py") if path.name != "__init__.py")
PREFIX = "ansible_collections.redisops.tair.plugins."
#: What Ansible reads, not Python.
NO_CODE = {"doc_fragments"}


def layers() -> dict[str, int]:
    """The number of the layer of each part, by the page's table."""
    page = (CHECKOUT / "docs" / "architecture.md").read_text()
    table = page.partition("## Layers")[2].partition("\n\n`")[0]
    rows = re.findall(r"^\| (?!layer)\w.*\|([^|]+)\|$", table, re.MULTILINE)
    return {name: number for number, row in enumerate(rows) for name in re.findall(r"`(\w+)`", row)}


def part_of(file: Path) -> str:
    return file.parts[1].removesuffix(".py") if file.parts[0] == "module_utils" else file.parts[0]


def imports(file: Path) -> t.Iterator[Path]:
    """What a file imports of the collection when it runs."""
    tree = ast.parse((PLUGINS / file).read_text())
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PREFIX) and id(node) not in for_types:
            module = str(node.module).removeprefix(PREFIX).replace(".", "/")
            for name in node.names:
                one, whole = Path(f"{module}/{name.name}.py"), Path(f"{module}.py")
                yield one if one in FILES else whole


def test_every_part_has_a_layer() -> None:
    assert {part_of(file) for file in FILES} - NO_CODE == set(layers())


@pytest.mark.parametrize("file", [file for file in FILES if part_of(file) not in NO_CODE], ids=str)
def test_a_layer_imports_only_what_is_below_it(file: Path) -> None:
    found = layers()
    wrong = [str(other) for other in imports(file) if found[part_of(other)] > found[part_of(file)]]
    assert wrong == []


def test_nothing_is_imported_in_a_circle() -> None:
    graph = {file: set(imports(file)) for file in FILES}
    assert sum(map(len, graph.values())) > 200, "it looked at nothing"
    assert len(list(TopologicalSorter(graph).static_order())) == len(FILES)
