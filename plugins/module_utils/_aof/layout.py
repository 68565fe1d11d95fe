# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which files make up an AOF, and in what order they are read.

Up to Redis 6.2, and on KeyDB, an AOF is a single file. Redis 7.0 and Valkey keep a directory: a manifest names one
*base* file (the data set at the last rewrite) and *incr* files (the commands since). Source of the manifest's grammar:
``aofLoadManifestFromFile`` in Redis' ``aof.c``.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import LayoutError
from ansible_collections.redisops.tair.plugins.module_utils._file_names import name_problem, repeated_name
from ansible_collections.redisops.tair.plugins.module_utils._text import shown

Layout = t.Literal["single", "multi"]
Kind = t.Literal["base", "incr", "single"]

MANIFEST_SUFFIX = ".manifest"
MANIFEST_MAX_LINE = 1024
#: Bytes of a whole manifest; a server's own has a few hundred.
MANIFEST_MAX_SIZE = 1 << 20
_KINDS: dict[str, Kind] = {"b": "base", "i": "incr"}
_HISTORY = "h"

#: The first bytes of an RDB: Redis and KeyDB ``REDIS0011``, Valkey 9 ``VALKEY080``.
_PREAMBLES = (b"REDIS", b"VALKEY")
#: A server writes manifests and rewritten files under such names first, and leaves them behind when it is killed.
TEMPORARY_PREFIX = "temp-"
#: Files that mean nothing without the manifest that names them.
_OF_SEVERAL = re.compile(r"\.\d+\.(base|incr)\.(aof|rdb)")
#: AOFs that a message names.
_MOST_SHOWN = 5
_FILE_TYPES = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "a": b"\a"}


@dataclass(frozen=True)
class Segment:
    """One file of an AOF. ``name`` has no directory part; ``seq`` is 0 for a single file."""

    name: str
    kind: Kind
    seq: int = 0

    @property
    def is_rewritten(self) -> bool:
        """Whether the whole file is the work of a rewrite: every key stands once, its commands together.

        A base without a sequence in its name is the single file of an upgraded server, history and all.
        """
        return self.kind == "base" and self.name.endswith(f".{self.seq}.base.aof")


@dataclass(frozen=True)
class AofSet:
    """The files of one AOF in reading order, all in ``directory``. ``manifest`` is a file name there."""

    layout: Layout
    directory: Path
    segments: tuple[Segment, ...]
    manifest: str | None = None

    def path(self, segment: Segment) -> Path:
        return self.directory / segment.name


def has_preamble(first_bytes: bytes) -> bool:
    """Whether a file that starts with these bytes (9 are enough) starts with an RDB.

    Only the bytes tell: the suffix of a base file is chosen when its rewrite ends, its content when it starts.
    """
    return any(re.match(re.escape(magic) + rb"\d{3}", first_bytes) for magic in _PREAMBLES)


def parse_manifest(content: bytes, *, where: str, manifest: str) -> tuple[Segment, ...]:
    """The files to read, base first, then the incr files by sequence; history files are left out.

    ``where`` names the manifest in errors, ``manifest`` is its file name. Unknown key-value pairs (``startoffset`` of Redis 8.2) are accepted.
    Raises :class:`LayoutError`.
    """
    segments: list[Segment] = []
    for number, raw in enumerate(content.split(b"\n"), start=1):
        line = raw.strip(b" \r\t")
        if not line or line.startswith(b"#"):
            continue
        place = f"{where}, line {number}"
        if len(raw) > MANIFEST_MAX_LINE:
            raise LayoutError(f"{place}: the line is longer than the {MANIFEST_MAX_LINE} bytes a server writes")
        segment = _manifest_line(line, place)
        if segment is not None:
            segments.append(segment)
    bases = [segment for segment in segments if segment.kind == "base"]
    incrs = [segment for segment in segments if segment.kind == "incr"]
    if len(bases) > 1:
        raise LayoutError(f"{where}: {len(bases)} base files are named, there can be one at most")
    if [segment.seq for segment in incrs] != sorted({segment.seq for segment in incrs}):
        raise LayoutError(f"{where}: the incr files are not in the order of their sequence numbers")
    if not segments:
        raise LayoutError(f"{where}: no base and no incr file is named")
    repeated = repeated_name([manifest, *(segment.name for segment in segments)])
    if repeated is not None:
        raise LayoutError(f"{where}: the name '{shown(repeated)}' is used twice, each file needs one of its own")
    return (*bases, *incrs)


def _manifest_line(line: bytes, place: str) -> Segment | None:
    tokens = _tokens(line, place)
    if len(tokens) < 6 or len(tokens) % 2:
        raise LayoutError(f"{place}: 'file NAME seq N type b|i|h' was expected")
    pairs = dict(zip((token.lower() for token in tokens[::2]), tokens[1::2]))
    try:
        name, seq, kind = pairs["file"], pairs["seq"], pairs["type"]
    except KeyError:
        raise LayoutError(f"{place}: 'file NAME seq N type b|i|h' was expected") from None
    if not re.fullmatch(r"-?[0-9]{1,18}", seq):
        raise LayoutError(f"{place}: 'file NAME seq N type b|i|h' was expected")
    problem = name_problem(name)
    if problem:
        raise LayoutError(f"{place}: a plain file name was expected, but '{shown(name)}' {problem}")
    if kind == _HISTORY:
        return None
    if kind not in _KINDS:
        raise LayoutError(f"{place}: the type '{shown(kind)}' is unknown")
    return Segment(name, _KINDS[kind], int(seq))


def _tokens(line: bytes, place: str) -> list[str]:
    """Split as the servers' ``sdssplitargs`` does: blanks separate, quotes group, backslashes escape inside "..."."""
    tokens: list[str] = []
    position = 0
    while position < len(line):
        if line[position : position + 1] in (b" ", b"\t"):
            position += 1
            continue
        match = re.compile(rb'"((?:\\.|[^"\\])*)"(?=[ \t]|$)|\'((?:\\.|[^\'])*)\'(?=[ \t]|$)|([^ \t"\']+)').match(
            line, position
        )
        if match is None:
            raise LayoutError(f"{place}: a quote is not closed")
        if match[1] is not None:
            token = _unescape(match[1])
        elif match[2] is not None:
            token = match[2].replace(b"\\'", b"'")
        else:
            token = match[3]
        tokens.append(token.decode("utf-8", "surrogateescape"))
        position = match.end()
    return tokens


def _unescape(quoted: bytes) -> bytes:
    def replace(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 16)])
        char = match[2].decode("latin-1")
        return _ESCAPES.get(char, match[2])

    return re.sub(rb"\\(?:x([0-9a-fA-F]{2})|(.))", replace, quoted, flags=re.DOTALL)


def find_aof(path: Path) -> AofSet:
    """Return the AOF at ``path``: an AOF file, a manifest, or the directory that holds one of the two.

    A server's data directory is accepted, too: the manifest is in its ``appenddirname``.

    Raises :class:`LayoutError` where there is none, there are several, a file that the manifest names is missing, or is no
    regular file.
    """
    try:
        if path.is_dir():
            path = _only_aof_in(path)
        if path.name.endswith(MANIFEST_SUFFIX):
            segments = parse_manifest(_read_manifest(path), where=str(path), manifest=path.name)
            aof = AofSet("multi", path.parent, segments, path.name)
        else:
            aof = AofSet("single", path.parent, (Segment(path.name, "single"),))
        for segment in aof.segments:
            _require_regular(aof.path(segment))
            with aof.path(segment).open("rb"):
                pass
    except FileNotFoundError as exc:
        raise LayoutError(f"There is no {exc.filename}", todo=_todo_for_missing(Path(exc.filename))) from exc
    except PermissionError as exc:
        raise LayoutError(
            f"{exc.filename} can't be read: permission denied", todo="Run as a user that may read it (become)"
        ) from exc
    except OSError as exc:
        raise LayoutError(f"{exc.filename or path} can't be read: {exc.strerror or exc}") from exc
    return aof


def _read_manifest(path: Path) -> bytes:
    _require_regular(path)
    with path.open("rb") as file:
        content = file.read(MANIFEST_MAX_SIZE + 1)
    if len(content) > MANIFEST_MAX_SIZE:
        raise LayoutError(f"{path} is larger than {MANIFEST_MAX_SIZE} bytes, so it is no manifest of an AOF")
    return content


def _require_regular(path: Path) -> None:
    """Raise :class:`LayoutError` for what is no file: opening a named pipe would wait for a writer."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _FILE_TYPES if is_kind(mode)), "no regular file")
        raise LayoutError(f"{path} is {kind}, and an AOF is a regular file", todo="Give the path of the AOF")


def _todo_for_missing(path: Path) -> str:
    if (path.parent.parent / path.name).is_file():
        return (
            f"The file is one directory above: an upgrade to Redis 7 was interrupted. Start the server once, which moves it, "
            f"or copy {path.parent.parent / path.name} there"
        )
    return "Check the path, and that the copy is whole"


def path_for_tasks(path: Path) -> str:
    """Return the path of an AOF in a form that a task can be given.

    Ansible passes text in UTF-8 only, so the directory of a file stands for it if the file's name is something else. Raises
    :class:`LayoutError` if that does not lead to the file.
    """
    if _is_utf8(str(path)):
        return str(path)
    if _is_utf8(str(path.parent)) and path.name.endswith((".aof", MANIFEST_SUFFIX)):
        return str(path.parent)
    raise LayoutError(
        f"The path of the AOF, {shown(str(path))}, is not UTF-8, and Ansible can't pass it",
        changed="Nothing was changed",
        todo="Make a symbolic link with a plain name to its directory and give that (data_dir in aof_info), or copy the AOF to a "
        "directory with a plain name; a single file gets a name that ends in .aof, files of a manifest keep theirs",
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def manifests_among(names: t.Iterable[str]) -> list[str]:
    """Return which of the names in a directory are manifests."""
    return sorted(name for name in names if name.endswith(MANIFEST_SUFFIX) and not _is_ignored(name))


def single_files_among(names: t.Iterable[str]) -> list[str]:
    """Return which of the names in a directory are AOFs of one file: not temporary files, not files of a manifest."""
    return sorted(
        name for name in names if name.endswith(".aof") and not _is_ignored(name) and not _OF_SEVERAL.search(name)
    )


def _is_ignored(name: str) -> bool:
    return name.startswith((TEMPORARY_PREFIX, "."))


def why_not_one(directory: str, candidates: t.Sequence[str], others: t.Iterable[str] = ()) -> tuple[str, str]:
    """Return what is wrong with a directory that does not hold exactly one AOF, and what to do.

    ``candidates``: the AOFs, relative to the directory. ``others``: the names of all files there.
    """
    found = ", ".join(map(shown, candidates[:_MOST_SHOWN])) or "no manifest and no .aof file"
    what = f"{directory} does not hold exactly one AOF, but {found}"
    single = [name for name in candidates if not name.endswith(MANIFEST_SUFFIX)]
    multi = [name for name in candidates if name.endswith(MANIFEST_SUFFIX)]
    if single and multi:
        return what, (
            "Redis 7 and Valkey load the manifest, Redis up to 6.2 and KeyDB the single file; the other one is usually left over "
            "from an upgrade. Give the path of the AOF that the server wrote last, such as "
            f"{directory}/{shown(multi[0])}"
        )
    if candidates:
        return what, "Name the AOF file or the manifest itself"
    parts = sorted(name for name in others if _OF_SEVERAL.search(name))
    if parts:
        return (
            f"{directory} holds files of an AOF ({', '.join(map(shown, parts[:_MOST_SHOWN]))}) but not the manifest that gives their order",
            "Copy the manifest, too; its name ends in .manifest",
        )
    if "dump.rdb" in others:
        return what, f"To import the RDB, give its path: {directory}/dump.rdb"
    return what, "Name the AOF file or the manifest itself"


def _only_aof_in(directory: Path) -> Path:
    names = os.listdir(directory)
    candidates = manifests_among(names)
    if not candidates:
        candidates = [
            *(f"{name}/{inner}" for name in sorted(names) for inner in manifests_among(_names_in(directory / name))),
            *single_files_among(names),
        ]
    if len(candidates) == 1:
        return directory / candidates[0]
    what, todo = why_not_one(str(directory), candidates, names)
    raise LayoutError(what, todo=todo)


def _names_in(directory: Path) -> list[str]:
    """Return the names in a directory; none where it is something else, or may not be read."""
    try:
        return os.listdir(directory)
    except OSError:
        return []
