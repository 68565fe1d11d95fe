# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a file holds where an AOF or RDB should go on, in words, and what to do about it when the source is gone.

Content of the file is never shown: it may be a value or a password.
"""

from __future__ import annotations

import os
import re
import shlex
import typing as t
from dataclasses import dataclass

from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import MAX_HEADER, BadFrame, parse_command
from ansible_collections.redisops.tair.plugins.module_utils._errors import AofFormatError

_HEAD_BYTES = 512
_READ_BYTES = 1 << 20
#: Bytes after the damage in which the next command is searched for.
_SEARCH_BYTES = 64 << 20
#: Zero bytes in a row that are no value; an RDB without checksum ends in eight.
_FEWEST_ZEROS = 64
#: Whole commands in a row that are proof enough that commands go on; a value may hold what looks like one.
_ENOUGH_COMMANDS = 3
_COMMAND = re.compile(rb"\*[1-9]\d{0,6}\r\n\$\d{1,10}\r\n")
_RDB = re.compile(rb"REDIS\d{4}|VALKEY\d{3}")
_MANIFEST = re.compile(rb"(?:#[^\n]*\n)*file\s+\S.{0,300}\sseq\s+\d+\s+type\s+[bih]", re.DOTALL)
#: Opcodes that Dragonfly alone writes (its ``rdb_extensions.h``).
_DRAGONFLY_OPCODES = frozenset((200, 201, 202, 203, 210, 211, 220, 222, 223))

_PACKED: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", "gzip -dc"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
)
#: What the rewrite of KeyDB 6.3 writes for a member that expires (``rewriteAppendOnlyFileRio``): the name has 15 bytes.
_KEYDB_MEMBER = b"*4\r\n$12\r\nPEXPIREMEMBERAT\r\n"
_ENCRYPTED = (b"Salted__", b"age-encryption.org/", b"-----BEGIN PGP MESSAGE")
_AGAIN = (
    "Copy the file again in binary mode (scp, sftp, rsync): it can't be converted back, as values were changed, too"
)


@dataclass(frozen=True)
class Found:
    """``what``: a clause that follows the place of the damage. ``todo``: a sentence."""

    what: str
    todo: str


def damaged(
    fd: int,
    where: str,
    offset: int,
    expected: str,
    *,
    complete: int = 0,
    is_rdb: bool = False,
    in_detail: bool = True,
) -> AofFormatError:
    """Return the error for a file that does not hold at ``offset`` what was ``expected`` there.

    ``complete``: where the last whole command before it ends. ``in_detail``: whether to read what is there; in vain where the error
    is going to be dropped.
    """
    found = find(fd, where, offset, complete, is_rdb=is_rdb) if in_detail else Found("", "")
    return AofFormatError(
        f"{where} is damaged at byte {offset}: {expected} was expected there{found.what and '; ' + found.what}",
        todo=found.todo,
        file=where,
        offset=offset,
        expected=expected,
        complete=complete,
        found=found.what,
        advice=found.todo,
    )


def described(fd: int, error: AofFormatError) -> AofFormatError:
    """Return an error that was made without detail once more, with what is there. Others are returned as they are."""
    facts = error.facts
    if facts.get("advice") != "":
        return error
    return damaged(fd, facts["file"], facts["offset"], facts["expected"], complete=facts["complete"])


def find(fd: int, path: str, offset: int, complete: int = 0, *, is_rdb: bool = False) -> Found:
    """Return what is at a damaged ``offset`` of a file, and what to do. ``complete``: see :func:`damaged`."""
    size = os.fstat(fd).st_size
    head = os.pread(fd, _HEAD_BYTES, 0)
    file = shlex.quote(path)
    found = _dragonfly(fd, head, path, offset) if is_rdb else None
    if found is None and offset == 0:
        found = _whole_file(head, file)
    if found is None and os.pread(fd, len(_KEYDB_MEMBER), complete) == _KEYDB_MEMBER:
        found = _of_keydb()
    return found or _at(fd, size, offset, complete, file, is_rdb=is_rdb)


def _of_keydb() -> Found:
    return Found(
        "KeyDB wrote a broken command for a member that expires (EXPIREMEMBER)",
        "Rewrite the AOF with an RDB preamble, which KeyDB writes correctly, and copy it again: CONFIG SET aof-use-rdb-preamble yes, "
        "BGREWRITEAOF (role: aof_migrate_format=hybrid). If the source is gone, use its dump.rdb",
    )


def _whole_file(head: bytes, file: str) -> Found | None:
    """Return what the file is, by its beginning; None where it may be an AOF."""
    for magic, name, command in _PACKED:
        if head.startswith(magic):
            return Found(f"the file is compressed with {name}", f"Unpack it: {command} {file} > unpacked.aof")
    if head[257:262] == b"ustar":
        return Found("the file is a tar archive", f"Unpack it: tar -xf {file}, and give the path of the AOF in it")
    if head.startswith(_ENCRYPTED):
        return Found("the file is encrypted", "Decrypt it with the tool and key that made the backup")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Found("the file is text in UTF-16: an editor or shell has converted it", _AGAIN)
    if head.startswith(b"\xef\xbb\xbf"):
        return Found("the file begins with a UTF-8 byte order mark: an editor has saved it", _AGAIN)
    if _MANIFEST.match(head):
        return Found(
            "the file is the manifest of an AOF, which names its files",
            "Give it a name that ends in .manifest, next to the files that it names",
        )
    return _line_ends(head) or (None if _COMMAND.search(head) else _text(head, file))


def _line_ends(head: bytes) -> Found | None:
    """Return what happened to the line ends of an AOF, by its first command."""
    if re.match(rb"\*\d+\n\$\d+\n", head):
        return Found(
            "lines end in LF instead of CR LF: a transfer in text mode, or an editor, has changed them", _AGAIN
        )
    if re.match(rb"\*\d+\r+\r\n", head):
        return Found("lines end in CR CR LF: a transfer in text mode has changed them", _AGAIN)
    if re.match(rb"\*\d+\r\$\d+\r", head):
        return Found("lines end in CR instead of CR LF: a transfer in text mode has changed them", _AGAIN)
    return None


def _text(head: bytes, file: str) -> Found | None:
    """Return which kind of text the file is; None where it is none."""
    if not head or not head.replace(b"\r", b"").replace(b"\n", b"").replace(b"\t", b"").decode("latin-1").isprintable():
        return None
    if re.match(rb"(OK\r?\n)?\d{9,11}\.\d+ \[\d+ ", head):
        return Found(
            "the file is the output of MONITOR, which is no copy of the data", "Give the path of an AOF or RDB"
        )
    if re.match(rb"(\+\w|-[A-Z]+ |:-?\d+\r\n|\d+\) |\(integer\) |\(nil\))", head):
        return Found("the file holds replies of a server, not commands", "Give the path of an AOF or RDB")
    if re.match(rb"\s*[{\[]", head):
        return Found("the file is text, such as JSON", "Give the path of an AOF or RDB")
    if re.match(rb"\s*<", head):
        return Found("the file is text, such as HTML or XML", "Give the path of an AOF or RDB")
    if re.match(rb"[A-Za-z.]{2,30}( [^\r\n]*)?\r?\n", head):
        return Found(
            "the file holds lines of text, as inline commands",
            f"If these are commands, redis-cli sends them: redis-cli -h TARGET < {file}. A server does not load them from an AOF",
        )
    return Found("the file is text", "Give the path of an AOF or RDB")


def _dragonfly(fd: int, head: bytes, path: str, offset: int) -> Found | None:
    at = os.pread(fd, 1, offset)
    if not _RDB.match(head) or not (path.endswith(".dfs") or b"df-v" in head or (at and at[0] in _DRAGONFLY_OPCODES)):
        return None
    return Found(
        "it is a snapshot of Dragonfly, with records that no Redis reads",
        "Load it into Dragonfly, start that with --nodf_snapshot_format, and save it again: SAVE RDB",
    )


def _at(fd: int, size: int, offset: int, complete: int, file: str, *, is_rdb: bool) -> Found:
    """Return what the bytes at an offset are."""
    if offset >= size:
        return Found(
            "the file ends there",
            "The copy is not complete, or the server was stopped while it wrote the file. Copy it again, or use an older one",
        )
    # The line that was cut off by zero bytes may have begun before them.
    begins, ends = _zeros(fd, size, offset + max(os.pread(fd, MAX_HEADER, offset).find(b"\0"), 0))
    if ends - begins < (_FEWEST_ZEROS if is_rdb or ends < size else 1):
        begins = ends = offset
    if ends == size:
        return _zeros_to_the_end(begins, size, complete, file, is_rdb=is_rdb)
    at = os.pread(fd, _HEAD_BYTES, offset)
    if offset and _RDB.match(at):
        return Found(
            "an RDB begins there: two files were joined",
            f"Split them: head -c {offset} {file} > first.aof; tail -c +{offset + 1} {file} > second.rdb, and import the newer one",
        )
    if offset and _MANIFEST.match(at):
        return Found(
            "a manifest begins there: files of an AOF were joined",
            "Copy each file under its own name, and give the path of the manifest",
        )
    if not is_rdb and (line_ends := _line_ends(at)):
        return line_ends
    what = (
        f"from byte {begins} to byte {ends} there are only zero bytes, which were never written"
        if ends > begins
        else ""
    )
    if is_rdb:
        return Found(
            what,
            "Copy the file again. If the source is gone, use an older dump: an RDB can't be repaired (redis-check-rdb shows the same)",
        )
    what = what or "the bytes there are something else"
    after = next_command(fd, size, max(offset, ends))
    if after is None:
        return Found(f"{what}, and no command was found after them", _cut_off(complete, file))
    kept = (
        f"{{ head -c {complete} {file}; tail -c +{after + 1} {file}; }}" if complete else f"tail -c +{after + 1} {file}"
    )
    return Found(
        f"{what}; the next whole command begins at byte {after}",
        "Copy the file again. If the source is gone, cut the damage out of a copy, and what was written there is lost: "
        f"{kept} > repaired.aof",
    )


def _zeros_to_the_end(begins: int, size: int, complete: int, file: str, *, is_rdb: bool) -> Found:
    if begins == 0:
        return Found("the file holds only zero bytes: nothing was ever written to it", "Use another copy")
    what = (
        f"from byte {begins} to the end of the file ({size - begins} bytes) there are only zero bytes: they were never written, as "
        "after a power failure"
    )
    if is_rdb:
        return Found(what, "Copy the file again, or use an older dump: the end of this one does not exist")
    return Found(what, _cut_off(complete, file))


def _cut_off(complete: int, file: str) -> str:
    if not complete:
        return "Copy the file again in binary mode, or use another copy: this one holds no command before that"
    return (
        f"Copy the file again. If the source is gone, keep a copy and cut the file: truncate -s {complete} {file} "
        "(redis-check-aof --fix does the same). The commands before are complete, what followed is lost"
    )


def _zeros(fd: int, size: int, offset: int) -> tuple[int, int]:
    """Return where the zero bytes around an offset begin and end; the offset twice where there are none."""
    end = offset
    while end < size:
        data = os.pread(fd, _READ_BYTES, end)
        rest = data.lstrip(b"\0")
        end += len(data) - len(rest)
        if rest or not data:
            break
    begin = offset
    while begin > 0 and end > offset:
        low = max(begin - _READ_BYTES, 0)
        data = os.pread(fd, begin - low, low)
        kept = len(data.rstrip(b"\0"))
        begin = low + kept
        if kept:
            break
    return begin, end


def next_command(fd: int, size: int, offset: int) -> int | None:
    """Return where the next whole commands begin after an offset; None where none were found near it."""
    stop = min(size, offset + _SEARCH_BYTES)
    while offset < stop:
        data = os.pread(fd, 2 * _READ_BYTES, offset)
        for match in _COMMAND.finditer(data, 0, _READ_BYTES):
            if _are_commands(data, match.start(), at_end=offset + len(data) >= size):
                return offset + match.start()
        if len(data) <= _READ_BYTES:
            break
        offset += _READ_BYTES - 32
    return None


def _are_commands(data: bytes, position: int, *, at_end: bool) -> bool:
    """Return whether a number of commands follow each other from a position on, or to the end of the file."""
    seen = 0
    try:
        while seen < _ENOUGH_COMMANDS and position < len(data):
            parsed: tuple[t.Any, int] | None = parse_command(data, position)
            if parsed is None or data[parsed[1] - 2 : parsed[1]] != b"\r\n":
                break
            seen, position = seen + 1, parsed[1]
    except BadFrame:
        return False
    return seen == _ENOUGH_COMMANDS or (seen > 0 and at_end)
