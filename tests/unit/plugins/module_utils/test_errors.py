# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import inspect

import pytest
from ansible_collections.redisops.tair.plugins.module_utils import _errors
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError


def test_a_message_is_what_happened_what_was_changed_and_what_to_do() -> None:
    error = TairError("The disk is full", changed="Nothing was changed", todo="Free 3 GB, then run again")
    assert str(error) == "The disk is full. Nothing was changed. Free 3 GB, then run again."


def test_parts_that_are_not_given_leave_no_gap() -> None:
    assert str(TairError("The disk is full", todo="Free 3 GB")) == "The disk is full. Free 3 GB."
    assert str(TairError("The disk is full")) == "The disk is full."


@pytest.mark.parametrize("text", ["Is it there?", "Stop!", "Ended."])
def test_a_sentence_that_has_its_end_gets_no_second_one(text: str) -> None:
    assert str(TairError(text)) == text


def test_facts_are_kept_for_programs() -> None:
    assert TairError("x", file="a.aof", offset=7).facts == {"file": "a.aof", "offset": 7}


def test_what_was_changed_can_be_told_later() -> None:
    error = TairError("x")
    error.changed = "appendonly is still on"
    assert str(error) == "x. appendonly is still on."


def test_every_error_of_the_collection_is_caught_as_one() -> None:
    classes = [one for _name, one in inspect.getmembers(_errors, inspect.isclass) if issubclass(one, Exception)]
    assert len(classes) > 5
    assert [one for one in classes if not issubclass(one, TairError)] == []
