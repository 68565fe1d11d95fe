# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory of a copy: whose it is, what leads to it, and what an earlier call left there."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError
from ansible_collections.redisops.tair.plugins.plugin_utils import _artifacts as artifacts
from ansible_collections.redisops.tair.plugins.plugin_utils import _private as private
from ansible_collections.redisops.tair.plugins.plugin_utils._destination import Destination
from ansible_collections.redisops.tair.tests.support.wheels import UnavailableError

SOURCE = "redis1:/var/lib/redis/appendonly.aof"
NAME = "appendonly.aof"
OTHER = 65534


@pytest.fixture
def root() -> None:
    if os.geteuid() != 0:
        raise UnavailableError("only root can give files to others")


def opened(directory: Path, *, check_mode: bool = False, source: str = SOURCE) -> Destination:
    return Destination(directory, source, check_mode=check_mode)


def copied(directory: Path, content: bytes = b"content") -> Path:
    destination = opened(directory)
    copy = destination.copy_of(NAME)
    copy.append([content])
    copy.publish()
    destination.close()
    return directory / NAME


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_journal_is_next_to_the_directory_and_all_is_for_this_user_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = copied(tmp_path / "new" / "deep" / "copy")
    finally:
        os.umask(before)

    journal = path.parent.with_name("copy.aof_fetch")
    assert os.listdir(path.parent) == [NAME]
    assert journal.read_text().splitlines() == [json.dumps(SOURCE), json.dumps(NAME)]
    assert [mode(each) for each in (path, journal)] == [0o600] * 2
    assert [mode(each) for each in (path.parent, path.parents[1], path.parents[2])] == [0o700] * 3


def test_a_name_of_our_own_is_never_written(tmp_path: Path) -> None:
    destination = opened(tmp_path / "copy")
    for name in (".aof_fetch", "a.part", "../x", "", "a/b", "a\n"):
        with pytest.raises(FetchError, match="plain file name"):
            destination.copy_of(name)
        with pytest.raises(FetchError, match="plain file name"):
            destination.replace(name, b"content")
    destination.close()
    assert os.listdir(tmp_path / "copy") == []


def test_the_journal_of_0_1_0_is_moved_out_of_the_directory(tmp_path: Path) -> None:
    path = copied(tmp_path / "copy")
    (tmp_path / "copy.aof_fetch").rename(path.with_name(".aof_fetch"))
    (tmp_path / "copy" / "old.aof").write_bytes(b"of an earlier rewrite")
    with path.with_name(".aof_fetch").open("a") as journal:
        journal.write('"old.aof"\n"torn')

    destination = opened(tmp_path / "copy", check_mode=True)
    assert destination.copy_of(NAME).length == len(b"content")
    destination.close()
    assert path.with_name(".aof_fetch").exists()

    destination = opened(tmp_path / "copy")
    assert destination.copy_of(NAME).length == len(b"content")
    assert destination.remove_others([NAME])
    destination.close()
    assert os.listdir(tmp_path / "copy") == [NAME]
    assert (tmp_path / "copy.aof_fetch").read_text().splitlines() == [
        json.dumps(each) for each in (SOURCE, NAME, "old.aof")
    ]


@pytest.mark.parametrize(
    "content",
    [
        b'"../../victim"\n',
        b'"/etc/passwd"\n',
        b'"."\n',
        b'"a\\u001b"\n',
        b"7\n",
        b"[]\n",
        b"*2\r\n$6\r\nSELECT\r\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
    ids=lambda content: repr(content[:12]),
)
@pytest.mark.parametrize("old", [True, False], ids=["0.1.0", "now"])
def test_a_journal_that_aof_fetch_has_not_written_is_refused_and_nothing_removed(
    content: bytes, old: bool, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path = copied(tmp_path / "deep" / "copy")
    journal = tmp_path / "deep" / "copy.aof_fetch"
    journal.write_bytes(journal.read_bytes() + content)
    if old:
        journal.rename(path.with_name(".aof_fetch"))

    with pytest.raises(FetchError, match="was not written by aof_fetch.*Nothing was copied or removed"):
        opened(tmp_path / "deep" / "copy")

    assert victim.read_bytes() == b"precious" and path.read_bytes() == b"content"


def test_a_torn_last_line_of_the_journal_is_dropped_for_good(tmp_path: Path) -> None:
    copied(tmp_path / "copy")
    with (tmp_path / "copy.aof_fetch").open("a") as journal:
        journal.write('"torn')
    for _call in range(2):
        destination = opened(tmp_path / "copy")
        destination.copy_of("other.aof")
        destination.close()
    assert (tmp_path / "copy.aof_fetch").read_text().splitlines() == [
        json.dumps(each) for each in (SOURCE, NAME, "other.aof")
    ]


def test_a_journal_whose_directory_has_gone_is_void(tmp_path: Path) -> None:
    path = copied(tmp_path / "copy")
    path.unlink()
    path.parent.rmdir()
    opened(tmp_path / "copy", source="redis2:/other").close()
    path.write_text("not ours")
    with pytest.raises(FetchError, match="holds the AOF of another source: redis2"):
        opened(tmp_path / "copy")


@pytest.mark.parametrize("name", [NAME, NAME + ".part"])
@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "dangling"])
def test_what_is_no_regular_file_is_neither_read_nor_written(name: str, kind: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path = copied(tmp_path / "copy")
    path.unlink()
    planted = path.with_name(name)
    if kind == "symlink":
        planted.symlink_to(victim)
    elif kind == "dangling":
        planted.symlink_to(tmp_path / "new")
    elif kind == "fifo":
        os.mkfifo(planted)
    else:
        planted.mkdir()

    destination = opened(tmp_path / "copy")
    with pytest.raises(FetchError, match="is not a regular file"):
        destination.copy_of(NAME)
    with pytest.raises(FetchError, match="is not a regular file"):
        destination.replace(NAME, b"content")
    destination.close()
    assert victim.read_bytes() == b"precious" and not (tmp_path / "new").exists()


def test_a_file_with_a_second_name_is_not_written(tmp_path: Path) -> None:
    path = copied(tmp_path / "copy")
    os.link(path, tmp_path / "second")
    destination = opened(tmp_path / "copy")
    with pytest.raises(FetchError, match="hard link"):
        destination.copy_of(NAME).append([b"more"])
    destination.close()
    assert (tmp_path / "second").read_bytes() == b"content"


def test_a_journal_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    (tmp_path / "copy.aof_fetch").symlink_to(victim)
    with pytest.raises(FetchError, match="copy.aof_fetch can't be used: it is a symbolic link"):
        opened(tmp_path / "copy")
    assert victim.read_bytes() == b""


@pytest.mark.usefixtures("root")
class TestOtherUsers:
    @pytest.mark.parametrize("check_mode", [True, False])
    def test_a_directory_of_another_user_is_refused(self, check_mode: bool, tmp_path: Path) -> None:
        (tmp_path / "copy").mkdir()
        os.chown(tmp_path / "copy", OTHER, OTHER)
        with pytest.raises(FetchError, match="copy can't be used: it belongs to another user"):
            opened(tmp_path / "copy", check_mode=check_mode)
        assert not (tmp_path / "copy.aof_fetch").exists()

    def test_files_of_another_user_are_refused(self, tmp_path: Path) -> None:
        path = copied(tmp_path / "copy")
        os.chown(path, OTHER, OTHER)
        destination = opened(tmp_path / "copy")
        with pytest.raises(FetchError, match="belongs to another user"):
            destination.copy_of(NAME)
        destination.close()
        os.chown(tmp_path / "copy.aof_fetch", OTHER, OTHER)
        with pytest.raises(FetchError, match="belongs to another user"):
            opened(tmp_path / "copy")

    @pytest.fixture
    def shared(self, tmp_path: Path) -> Path:
        """As ``/tmp`` is."""
        path = tmp_path / "tmp"
        path.mkdir()
        path.chmod(0o1777)
        return path

    def test_a_directory_that_another_user_made_in_tmp_is_refused_as_a_parent(self, shared: Path) -> None:
        (shared / "x").mkdir()
        os.chown(shared / "x", OTHER, OTHER)
        with pytest.raises(FetchError, match="tmp/x can't be used: it was made by another user"):
            opened(shared / "x" / "copy")
        with pytest.raises(OSError, match="was made by another user"):
            artifacts.replace(shared / "x" / "plan.json", "{}")
        assert os.listdir(shared / "x") == []

    def test_a_link_that_another_user_made_in_tmp_is_not_followed(self, shared: Path, tmp_path: Path) -> None:
        (tmp_path / "ours").mkdir()
        (shared / "x").symlink_to(tmp_path / "ours")
        os.chown(shared / "x", OTHER, OTHER, follow_symlinks=False)
        for path in (shared / "x", shared / "x" / "copy"):
            with pytest.raises(FetchError, match="tmp/x can't be used: it was made by another user"):
                opened(path)
        with pytest.raises(OSError, match="was made by another user"):
            artifacts.replace(shared / "x" / "plan.json", "{}")
        assert os.listdir(tmp_path / "ours") == []

    def test_our_own_link_may_lead_to_the_directory_but_not_through_a_foreign_one(
        self, shared: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "ours").mkdir()
        (tmp_path / "link").symlink_to("ours")
        copied(tmp_path / "link" / "copy")
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to(shared / "x")
        (shared / "x").mkdir()
        os.chown(shared / "x", OTHER, OTHER)
        with pytest.raises(FetchError, match="tmp/x can't be used: it was made by another user"):
            opened(tmp_path / "link" / "copy")

    def test_a_parent_that_everybody_may_write_to_needs_the_sticky_bit(self, shared: Path) -> None:
        copied(shared / "copy")
        shared.chmod(0o777)
        with pytest.raises(FetchError, match="may be written to by everybody"):
            opened(shared / "copy")

    def test_artifacts_are_not_written_to_a_directory_of_another_user(self, tmp_path: Path) -> None:
        (tmp_path / "artifacts").mkdir()
        os.chown(tmp_path / "artifacts", OTHER, OTHER)
        with pytest.raises(OSError, match="belongs to another user"):
            artifacts.replace(tmp_path / "artifacts" / "report.json", "{}")

    def test_artifacts_of_another_user_are_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "report.json"
        path.write_text("{}")
        assert artifacts.read(path) == "{}"
        os.chown(path, OTHER, OTHER)
        with pytest.raises(OSError, match="belongs to another user"):
            artifacts.read(path)


def test_artifacts_directories_are_for_this_user_only_parents_too(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        artifacts.replace(tmp_path / "a" / "b" / "report.json", "{}")
    finally:
        os.umask(before)
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700] * 2
    assert mode(tmp_path / "a" / "b" / "report.json") == 0o600


def test_artifacts_replace_a_link_and_do_not_follow_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "report.json").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        artifacts.read(tmp_path / "report.json")
    artifacts.replace(tmp_path / "report.json", "{}")
    assert victim.read_text() == "precious" and not (tmp_path / "report.json").is_symlink()


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError):
        private.make_directory(tmp_path / "a" / "c")
