# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import collections
import re
import shutil
import subprocess
import tracemalloc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._aof.inspect import Inspection, inspect
from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import find_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.parts import open_aof
from ansible_collections.redisops.tair.plugins.module_utils._aof.places import MOST_PLACES
from ansible_collections.redisops.tair.plugins.module_utils._aof.tally import OTHER_NAMES
from ansible_collections.redisops.tair.plugins.module_utils._resp import encode
from ansible_collections.redisops.tair.tests.support.corpus import CorpusSet, corpus
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError


def inspected(path: Path, base_size: int = 0) -> Inspection:
    with open_aof(find_aof(path), base_size=base_size, even_damaged=True) as aof:
        return inspect(aof)


@pytest.fixture
def look(tmp_path: Path) -> t.Callable[..., Inspection]:
    """``look("SET k v", ..., base_size=10)``: what is told of a file with these commands; bytes are written as they are."""

    def of(*commands: str | list[bytes] | bytes, base_size: int = 0) -> Inspection:
        path = tmp_path / "appendonly.aof"
        path.write_bytes(b"".join(map(raw, commands)))
        return inspected(path, base_size)

    return of


def raw(command: str | list[bytes] | bytes) -> bytes:
    if isinstance(command, bytes):
        return command
    return encode(command.encode().split() if isinstance(command, str) else command)


def counts(inspection: Inspection) -> dict[str, int]:
    return {name.decode(): count for name, (count, _size) in inspection.tally.by_name().items()}


# ------------------------------------------------------------------------------------- files of real servers


def parsed(content: bytes) -> t.Iterator[tuple[int, list[bytes]]]:
    """Offset and arguments of every whole command: written to be read, and nothing of the collection's own."""
    position = 0
    while position < len(content):
        if content[position : position + 1] == b"#":
            position = content.index(b"\n", position) + 1
            continue
        start, args = position, []
        try:
            line_end = content.index(b"\r\n", position)
            number = int(content[position + 1 : line_end])
            position = line_end + 2
            for _arg in range(number):
                line_end = content.index(b"\r\n", position)
                length = int(content[position + 1 : line_end])
                position = line_end + 2 + length + 2
                args.append(content[line_end + 2 : line_end + 2 + length])
        except ValueError:
            return
        if position > len(content):
            return
        yield start, args


def files_of(aof: CorpusSet) -> list[tuple[Path, bool]]:
    """The files in reading order, and whether each is a rewrite's."""
    details = [detail for detail in aof.meta["file_details"] if detail["role"] != "history"]
    return [(aof.directory / detail["path"], detail["path"].endswith(".base.aof")) for detail in details]


def preambles_of(aof: CorpusSet) -> dict[Path, int]:
    """The bytes of the RDB that each file begins with."""
    return {aof.directory / detail["path"]: detail["rdb_bytes"] for detail in aof.meta["file_details"]}


@pytest.mark.parametrize("aof", corpus(), ids=str)
def test_commands_databases_and_keys_are_those_that_another_parser_finds(aof: CorpusSet) -> None:
    names: collections.Counter[str] = collections.Counter()
    databases: set[int] = set()
    keys: collections.defaultdict[int, set[bytes]] = collections.defaultdict(set)
    largest = 0
    for path, rewritten in files_of(aof):
        database = 0
        content = path.read_bytes()[preambles_of(aof)[path] :]
        for _offset, args in parsed(content):
            name = args[0].upper()
            names[name.decode()] += 1
            largest = max(largest, len(encode(args)))
            if name == b"SELECT":
                database = int(args[1])
                databases.add(database)
            elif rewritten and name != b"FUNCTION":
                keys[database].add(args[2] if name == b"XGROUP" else args[1])

    inspection = inspected(aof.aof)

    if aof.meta["has_preamble"]:
        found = counts(inspection)
        of_rdb = {name: found.get(name, 0) - names[name] for name in ("RESTORE", "FUNCTION", "SELECT")}
        assert {name: count for name, count in found.items() if name not in of_rdb} == {
            name: count for name, count in names.items() if name not in of_rdb
        }
        assert inspection.rdb is not None and inspection.rdb.size == max(preambles_of(aof).values())
        assert 150 < of_rdb["RESTORE"] == sum(inspection.tally.keys.values())
        assert of_rdb["RESTORE"] == sum(count for count, _size in inspection.rdb.kinds.values())
        assert of_rdb["FUNCTION"] >= 0 and of_rdb["SELECT"] == len(inspection.tally.keys.keys() - {0})
        assert inspection.damage is None and inspection.read_bytes > inspection.rdb.size
        return
    assert counts(inspection) == names
    assert counts(inspection) == aof.meta["command_counts"]
    assert databases <= set(inspection.tally.databases) <= set(aof.meta["dbs"])
    assert inspection.tally.keys == {database: len(found) for database, found in keys.items()}
    assert inspection.tally.largest is None or inspection.tally.largest.size == largest
    assert inspection.damage is None
    assert sum(size for _count, size in inspection.tally.by_name().values()) <= inspection.read_bytes


@pytest.mark.parametrize("aof", corpus(variant="base"), ids=str)
def test_the_keys_of_a_rewritten_file_are_those_of_its_data_set(aof: CorpusSet) -> None:
    lost = collections.Counter(database for database, _key in aof.meta["expired_keys"])
    for difference in aof.meta["lost_on_reload"]:  # Redis 5.0 can't load what it writes for an emptied stream
        lost.update(int(database) for database in re.findall(r"^db (\d+) key .*: key missing", difference))
    size = sum(path.stat().st_size for path, _rewritten in files_of(aof))
    keys = inspected(aof.aof, base_size=size).tally.keys
    assert {str(database): count - lost[database] for database, count in keys.items()} == aof.meta["keys"]


def check_aof(path: Path, scratch: Path) -> int:
    """Up to where redis-check-aof finds a file to be right."""
    program = shutil.which("redis-check-aof")
    if program is None:
        raise UnavailableError("there is no redis-check-aof here: apt-get install redis-tools")
    # Redis 7.0's takes any file with a line that begins with 'file' for a manifest.
    copy = scratch / "copy.aof"
    copy.write_bytes(path.read_bytes().replace(b"\nfile", b"\nFILE"))
    said = subprocess.run([program, str(copy)], capture_output=True, text=True, check=False, errors="replace").stdout
    match = re.search(r"ok_up_to=(\d+)", said)
    assert match is not None or "is empty" in said, said
    return int(match[1]) if match else 0


@pytest.mark.parametrize("aof", corpus(), ids=str)
def test_the_end_is_where_redis_check_aof_finds_it(aof: CorpusSet, tmp_path: Path) -> None:
    inspection = inspected(aof.aof)
    for path, _rewritten in files_of(aof)[-1:]:
        assert path.stat().st_size - inspection.truncated_bytes == check_aof(path, tmp_path)
        assert (inspection.tally.transaction is not None) == (aof.variant == "truncated-multi")
    annotated = sum(detail.get("annotations", 0) for detail in aof.meta["file_details"])
    assert inspection.annotations.count == annotated
    assert (inspection.annotations.first is not None) == bool(annotated)


@pytest.mark.parametrize("aof", corpus(server="redis", version="7.0.15", variant="base"), ids=str)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_damage_is_told_where_redis_check_aof_finds_it(aof: CorpusSet, share: float, tmp_path: Path) -> None:
    content = bytearray(files_of(aof)[0][0].read_bytes())
    commands = list(parsed(bytes(content)))
    offset, _command = commands[int(len(commands) * share)]
    content[offset] = ord("x")
    path = tmp_path / "appendonly.aof"
    path.write_bytes(content)

    inspection = inspected(path)

    assert inspection.damage is not None
    assert (inspection.damage.path, inspection.damage.offset) == (path, offset)
    assert "'*'" in inspection.damage.expected
    assert check_aof(path, tmp_path) == offset == inspection.read_bytes
    assert sum(counts(inspection).values()) == int(len(commands) * share)


def test_a_damaged_rdb_is_a_result_with_its_place(tmp_path: Path) -> None:
    (aof,) = corpus(server="redis", version="6.2.14", variant="hybrid")
    content = bytearray(aof.aof.read_bytes())
    end = preambles_of(aof)[aof.aof]
    content[end - 1] ^= 1  # of the checksum
    path = tmp_path / "appendonly.aof"
    path.write_bytes(content)

    inspection = inspected(path)

    assert inspection.damage is not None and inspection.damage.offset == end - 8
    assert "the checksum" in inspection.damage.expected and inspection.rdb is not None
    assert counts(inspection)["RESTORE"] > 150 and "INCR" not in counts(inspection)


# ------------------------------------------------------------------------------------------- files made here


def test_names_are_counted_in_any_case_with_their_bytes(look: t.Callable[..., Inspection]) -> None:
    inspection = look("SET a 1", "set a 2", "Set a 3", "DEL a")
    assert inspection.tally.by_name() == {b"SET": (3, 3 * len(raw("SET a 1"))), b"DEL": (1, len(raw("DEL a")))}


def test_databases_are_those_selected_and_those_that_are_named(look: t.Callable[..., Inspection]) -> None:
    inspection = look(
        "SET a 1", "SELECT 3", "SET a 1", "SET b 1", "SELECT 4", "SELECT 3", "MOVE a 5", "COPY b c DB 6", "SWAPDB 7 8"
    )
    found = {database: at.count for database, at in inspection.tally.databases.items()}
    assert found == {0: 1, 3: 5, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0}
    assert [place.name for place in inspection.tally.databases[6].first] == [b"COPY"]


def test_commands_without_keys_use_no_database(look: t.Callable[..., Inspection]) -> None:
    inspection = look([b"FUNCTION", b"LOAD", b"code"], "MULTI", "SELECT 3", "SET a 1", "EXEC")
    assert {database: at.count for database, at in inspection.tally.databases.items()} == {3: 2}
    assert set(look([b"FUNCTION", b"LOAD", b"code"], "SET a 1", "SELECT 3").tally.databases) == {0, 3}


def test_a_server_begins_each_file_in_database_0(tmp_path: Path) -> None:
    (tmp_path / "a.1.incr.aof").write_bytes(raw("SELECT 5") + raw("SET a 1"))
    (tmp_path / "a.2.incr.aof").write_bytes(raw("SET b 1") + raw("SET c 1"))
    (tmp_path / "a.manifest").write_text("file a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n")
    found = {database: at.count for database, at in inspected(tmp_path).tally.databases.items()}
    assert found == {0: 2, 5: 1}


def test_keys_are_counted_in_the_rewritten_part_alone(look: t.Callable[..., Inspection]) -> None:
    base = [
        "SELECT 0",
        "SET a 1",
        "PEXPIREAT a 9",
        "RPUSH l 1",
        "RPUSH l 2",
        "SELECT 2",
        "RPUSH l 1",
        "XADD s 1-1 f v",
        "XGROUP CREATE s g 0",
    ]
    size = len(b"".join(map(raw, base)))
    inspection = look(*base, "SELECT 0", "SET x 1", "SET y 1", base_size=size)
    assert inspection.tally.keys == {0: 2, 2: 2}
    assert inspection.rewritten_bytes == size
    assert not look(*base).tally.keys


def test_what_clients_wrote_during_the_rewrite_is_not_taken_for_its_work(look: t.Callable[..., Inspection]) -> None:
    commands = ["SELECT 0", "SET a 1", "SELECT 0", "SET a 2", "INCR b"]
    inspection = look(*commands, base_size=len(b"".join(map(raw, commands))))
    assert inspection.tally.keys == {0: 1}
    assert inspection.rewritten_bytes == len(b"".join(map(raw, commands[:2])))
    assert counts(inspection) == {"SELECT": 2, "SET": 2, "INCR": 1}


def test_a_base_size_inside_of_a_command_loses_nothing(look: t.Callable[..., Inspection]) -> None:
    inspection = look("SET a 1", "SET b 2", "SET c 3", base_size=len(raw("SET a 1")) + 5)
    assert counts(inspection) == {"SET": 3} and inspection.damage is None and inspection.truncated_bytes == 0


def test_an_open_transaction_is_told_with_its_place(look: t.Callable[..., Inspection]) -> None:
    inspection = look("SET a 1", "MULTI", "SET b 1", "EXEC", "multi", "SET c 1")
    place = inspection.tally.transaction
    assert place is not None
    assert place.offset == len(raw("SET a 1") * 2 + raw("MULTI") + raw("EXEC"))
    assert inspection.truncated_bytes == len(raw("MULTI") + raw("SET c 1"))


@pytest.mark.parametrize(("name", "open_bytes"), [("MULTI", 0), ("EXEC", 0)])
def test_a_stray_multi_or_exec_is_passed_over_as_by_a_server(
    name: str, open_bytes: int, look: t.Callable[..., Inspection]
) -> None:
    inspection = look("MULTI", "SET a 1", "EXEC" if name == "EXEC" else "SET x 1", name, "SET b 1", "EXEC", "SET b 2")
    assert inspection.damage is None and inspection.truncated_bytes == open_bytes
    assert counts(inspection)["SET"] == 3 + (name == "MULTI")


def test_an_open_transaction_begins_at_its_first_multi(look: t.Callable[..., Inspection]) -> None:
    inspection = look("SET a 1", "MULTI", "SET b 1", "MULTI", "SET c 1")
    assert inspection.tally.transaction is not None and inspection.tally.transaction.offset == len(raw("SET a 1"))


def test_what_is_no_data_shows_no_argument_as_a_key(look: t.Callable[..., Inspection]) -> None:
    inspection = look(
        "AUTH pass:word", "SET a:1 1", "CONFIG SET requirepass x", "UNHEARDOF pass:word", "MYMOD.SET m:1 v"
    )
    tally = inspection.tally
    assert {name: places.count for name, places in tally.not_data.items()} == {b"AUTH": 1, b"CONFIG": 1}
    assert {one.prefix for one in tally.prefixes.top(9)} == {b"a:", b"m:"}
    assert all(place.key is None for name in (b"AUTH", b"UNHEARDOF") for place in tally.samples[name])


@pytest.mark.parametrize("end", [raw("SET a 1")[:-3], raw("MULTI")], ids=["command", "transaction"])
def test_a_file_that_is_cut_off_before_others_is_damaged(end: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.1.incr.aof").write_bytes(raw("SET a 1") + end)
    (tmp_path / "a.2.incr.aof").write_bytes(raw("SET b 1"))
    (tmp_path / "a.manifest").write_text("file a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n")
    inspection = inspected(tmp_path)
    assert inspection.damage is not None
    assert inspection.damage.path.name == "a.1.incr.aof" and inspection.damage.offset == len(raw("SET a 1"))
    assert "more files follow" in inspection.damage.expected


def test_options_of_a_large_command_are_seen(look: t.Callable[..., Inspection]) -> None:
    inspection = look([b"SET", b"user:1", b"x" * 1_000_000, b"PXAT", b"1700000000000"], "SET b 1")
    assert {str(form): at.count for form, at in inspection.tally.forms.found.items()} == {"SET PXAT": 1}
    largest = inspection.tally.largest
    assert largest is not None and (largest.key, largest.offset) == (b"user:1", 0)
    assert inspection.tally.prefixes.top(1)[0].prefix == b"user:"


def test_large_commands_of_a_rewrite_are_keys_and_those_of_clients_are_not(look: t.Callable[..., Inspection]) -> None:
    large = b"x" * 1_000_000
    base: list[t.Any] = [[b"RPUSH", b"list", large], [b"RPUSH", b"list", large], [b"SET", b"other", large]]
    inspection = look(*base, [b"SET", b"late", large], base_size=len(b"".join(map(raw, base))))
    assert inspection.tally.keys == {0: 2}
    assert counts(inspection) == {"RPUSH": 2, "SET": 2}


def test_places_are_few_and_counts_are_complete(look: t.Callable[..., Inspection]) -> None:
    inspection = look(*["SET k v PXAT 1700000000000"] * 50, *["INCR n"] * 50)
    (at,) = inspection.tally.forms.found.values()
    assert at.count == 50 and len(at.first) == len(inspection.tally.samples[b"INCR"]) == MOST_PLACES
    size = len(raw("SET k v PXAT 1700000000000"))
    assert [place.offset for place in at.first] == [size * number for number in range(MOST_PLACES)]


def test_memory_is_bounded_whatever_the_names_and_keys_are(look: t.Callable[..., Inspection]) -> None:
    def commands() -> t.Iterator[bytes]:
        for number in range(60_000):
            yield raw([b"name-%d" % number, b"%d:" % number + b"k" * 100, b"v"])
            if number % 1000 == 0:
                yield raw([b"n" * 70_000, b"k"])

    content = b"".join(commands())
    tracemalloc.start()
    inspection = look(content)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts(inspection)[OTHER_NAMES.decode()] > 58_000
    assert sum(counts(inspection).values()) == 60_060
    assert peak < len(content) + 15_000_000  # joined once more to be written


def test_an_empty_file_holds_nothing_and_is_whole(look: t.Callable[..., Inspection]) -> None:
    inspection = look(b"")
    assert counts(inspection) == {} and inspection.truncated_bytes == 0 and inspection.damage is None
