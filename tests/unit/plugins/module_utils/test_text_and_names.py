# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text for a terminal, and names of files."""

from __future__ import annotations

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._file_names import name_problem, repeated_name
from ansible_collections.redisops.tair.plugins.module_utils._text import clean_values, shown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("appendonly.aof", "appendonly.aof"),
        ("é 世 \U0001f600", "é 世 \U0001f600"),
        ("\x1b]0;pwn\x07", r"\x1b]0;pwn\x07"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("\udcff\udc1b", r"\xff\udc1b"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_is_not_printable_is_shown_as_an_escape(text: str, escaped: str) -> None:
    assert shown(text) == escaped


def test_an_error_shows_names_of_hosts_escaped_and_keeps_its_own_newlines() -> None:
    assert (
        str(TairError("The file \x1b[2J is gone", todo="Add the line\nx y\n"))
        == "The file \\x1b[2J is gone. Add the line\nx y\n."
    )


def test_values_keep_everything_that_a_terminal_does_not_act_upon() -> None:
    value = {"a\x1b": ["\x9b", "line\nline\t\udcff\u00ad", 1, None, True, ("\u202e",)]}
    assert clean_values(value) == {r"a\x1b": [r"\x9b", "line\nline\t\\xff\u00ad", 1, None, True, [r"\u202e"]]}


@pytest.mark.parametrize("name", ["appendonly.aof", "a b", "...", ".hidden", "世", "\udcff.aof", "part", "x.partial"])
def test_plain_names_are_accepted(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        (".", "is a directory"),
        ("..", "is a directory"),
        ("a/b", "contains a slash"),
        ("/", "contains a slash"),
        ("a\0", "contains a control character"),
        ("a\n", "contains a control character"),
        ("\x1b", "contains a control character"),
        ("\x9b", "contains a control character"),
        (".aof_fetch", "which aof_fetch uses itself"),
        ("copy.aof_fetch", "which aof_fetch uses itself"),
        (".AOF_FETCH", "which aof_fetch uses itself"),
        ("a.part", "which aof_fetch uses itself"),
        ("a.Part", "which aof_fetch uses itself"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, problem: str) -> None:
    assert name_problem(name).endswith(problem)


def test_names_that_a_file_system_may_not_tell_apart_are_repeated() -> None:
    assert repeated_name(["a", "b", "A"]) == "A"
    assert repeated_name(["a", "b"]) is None
