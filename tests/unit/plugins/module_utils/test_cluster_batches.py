# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the commands of clients are divided for a cluster: where a batch may end, and what goes to every master."""

from __future__ import annotations

import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Frames
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._import import cluster_batches
from ansible_collections.redisops.tair.plugins.module_utils._import.cluster_batches import SlotBatch, SlotBatches
from ansible_collections.redisops.tair.plugins.module_utils._import.outcome import Outcome
from ansible_collections.redisops.tair.plugins.module_utils._keys import key_slot
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode

Divide = t.Callable[..., t.Tuple[t.List[SlotBatch], SlotBatches]]


@pytest.fixture
def divide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Divide:
    """``divide("SET a 1", ...)``: the batches of an AOF with these commands, and what has made them; they are small."""
    monkeypatch.setattr(cluster_batches, "_BATCH_BYTES", 100)

    def of(*commands: str) -> tuple[list[SlotBatch], SlotBatches]:
        path = tmp_path / "appendonly.aof"
        path.write_bytes(b"".join(encode(command.encode().split()) for command in commands))
        with open_aof(find_aof(path)) as aof:
            (part,) = aof.parts
            session: t.Any = types.SimpleNamespace(outcome=Outcome())
            made = SlotBatches(session, part, 0, 0)
            frames = Frames(part.fd, 0, part.end, where=str(path), block_bytes=64)
            return list(made.of(frames)), made

    return of


def sizes(*commands: str) -> int:
    return sum(len(encode(command.encode().split())) for command in commands)


def test_a_batch_ends_when_it_is_large_enough(divide: Divide) -> None:
    commands = [f"SET key:{number} value" for number in range(40)]
    batches, made = divide(*commands)

    assert 5 < len(batches) < 40
    assert [batch.start for batch in batches] == [0, *(batch.end for batch in batches[:-1])]
    assert batches[-1].end == made.end == sizes(*commands)
    assert sum(batch.commands for batch in batches) == 40
    assert sum(batch.size for batch in batches) == sizes(*commands)


def test_no_batch_ends_inside_of_a_transaction(divide: Divide) -> None:
    before = after = [f"SET key:{number} value" for number in range(20)]
    inside = [f"RPUSH list {number}" for number in range(40)]
    batches, _made = divide(*before, "MULTI", *inside, "EXEC", *after)

    first, last = sizes(*before), sizes(*before, "MULTI", *inside, "EXEC")
    assert len(batches) > 4
    assert not [batch for batch in batches if first < batch.end < last]
    (whole,) = [batch for batch in batches if len(batch.shares.get(key_slot(b"list"), ())) > 1]
    assert len(whole.shares[key_slot(b"list")]) == 40
    assert sum(batch.commands for batch in batches) == 82


def test_a_transaction_that_has_no_end_is_left_out_with_all_behind_it(divide: Divide) -> None:
    batches, made = divide("SET a 1", "MULTI", *[f"RPUSH list {number}" for number in range(40)])

    assert [batch.commands for batch in batches] == [1]
    assert made.end == batches[0].end == sizes("SET a 1")


@pytest.mark.parametrize("command", ["FLUSHALL", "FUNCTION LOAD code"])
def test_what_goes_to_every_master_stands_alone_and_in_its_place(command: str, divide: Divide) -> None:
    batches, _made = divide("SET a 1", "SET b 2", command, "SET a 3")

    assert [batch.everywhere is not None for batch in batches] == [False, True, False]
    assert [batch.commands for batch in batches] == [2, 1, 1]
    assert [batch.flush for batch in batches] == [False, command == "FLUSHALL", False]
    place = sizes("SET a 1", "SET b 2")
    assert [batch.end for batch in batches] == [place, place + sizes(command), place + sizes(command, "SET a 3")]


def test_a_command_with_keys_of_several_slots_counts_once(divide: Divide) -> None:
    batches, _made = divide("SELECT 0", "DEL a b {a}c", "SET d 1")

    assert sum(batch.commands for batch in batches) == 3
    shares = {slot: [placed.data for placed in placed_] for batch in batches for slot, placed_ in batch.shares.items()}
    assert shares[key_slot(b"a")] == [encode([b"DEL", b"a", b"{a}c"])]
    assert shares[key_slot(b"b")] == [encode([b"DEL", b"b"])]
