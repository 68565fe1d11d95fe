# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Copying an AOF exactly, from a server that goes on writing to it.

Each file is copied up to the size that it had when the copy started, verified by SHA-256, and only then the manifest is
read again: if it still names the same files, the copy is one state of the AOF. A rewrite meanwhile starts it over,
a lost connection goes on where it stopped; both keep the bytes that still stand on the host.
"""

from __future__ import annotations

import hashlib
import posixpath
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import (
    Segment,
    parse_manifest,
    path_for_tasks,
)
from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError
from ansible_collections.redisops.tair.plugins.plugin_utils._destination import Destination, LocalCopy
from ansible_collections.redisops.tair.plugins.plugin_utils._host import (
    Chunk,
    FileState,
    Found,
    Host,
    SourceChangedError,
    Stream,
)
from ansible_collections.redisops.tair.plugins.plugin_utils._pace import Pace, Piece
from ansible_collections.redisops.tair.plugins.plugin_utils._progress import Progress, size
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import ConnectionLostError
from ansible_collections.redisops.tair.plugins.plugin_utils._unpack import UnpackError

_PAUSE_AFTER_REWRITE = 1.0  # seconds
_LONGEST_PAUSE = 30.0
_PROGRESS = (
    1 << 20
)  # bytes that count as progress between two lost connections; else a host could keep this up for ever


@dataclass
class FetchResult:
    """``dest``: the path to import. ``files``: path here, kind, seq and size of each. ``sha256`` by name, as far as known.

    ``compression``: the program that compressed a part of the way, or ``none``.
    """

    dest: str
    files: list[dict[str, str | int]]
    bytes: int
    bytes_transferred: int = 0
    compression: str = "none"
    sha256: dict[str, str] = field(default_factory=dict)
    changed: bool = False


class Fetch:
    """One call's work. ``retries``: how often in a row to go on after a lost connection, or to start over after a rewrite.

    ``packers``: the compressors whose output can be unpacked here, in the order in which they are wanted.
    ``open_destination`` takes the path of the manifest or single file on the host, once that is known.
    Raises :class:`FetchError` for a ``src`` that is not absolute.
    """

    def __init__(
        self,
        host: Host,
        src: str,
        open_destination: t.Callable[[str], Destination],
        *,
        retries: int,
        check_mode: bool,
        packers: t.Sequence[str] = (),
        progress: t.Callable[[int, int], Progress] | None = None,
        tell: t.Callable[[str], object] = lambda _line: None,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        if not src.startswith("/"):
            raise FetchError(
                f"src is not absolute: {src}", todo="Give the path from the root; aof_info tells it (aof_path)"
            )
        self._host, self._src = host, src.rstrip("/")  # one source has one name, for its destination
        self._open_destination = open_destination
        self._destination: Destination | None = None
        self._retries, self._check_mode = retries, check_mode
        self._new_progress, self._tell, self._sleep = progress, tell, sleep
        self._copies: dict[str, LocalCopy] = {}
        self._verified: dict[str, tuple[str, int]] = {}  # inode and length of what the host has confirmed in this call
        self._found: Found | None = None
        self._transferred = 0
        self._packers = packers
        self._pace = Pace(possible=bool(packers) and host.can_pack)
        self._compression = "none"

    def run(self) -> FetchResult:
        """Copy once. Raises :class:`FetchError`."""
        try:
            return self.bring()
        finally:
            self.close()

    def close(self) -> None:
        """Leave the destination to others."""
        if self._destination is not None:
            self._destination.close()

    def bring(self) -> FetchResult:
        """Copy what is not here; again and again, as the source writes on. Raises :class:`FetchError`."""
        self._transferred = 0
        rewrites = drops = 0
        lost = False
        while True:
            before = self._transferred
            try:
                if lost:
                    self._host.reconnect()
                    lost = False
                return self._attempt()
            except SourceChangedError as exc:
                rewrites += 1
                if self._found is None:
                    raise  # nothing has changed: it was never there
                if rewrites > self._retries:
                    raise self._never_still(exc, rewrites) from exc
                self._tell(f"{exc} Starting over.")
                self._sleep(_PAUSE_AFTER_REWRITE)
            except ConnectionLostError as exc:
                lost = True
                if isinstance(exc, UnpackError):
                    self._pace.possible = False
                drops = 1 if self._transferred - before >= _PROGRESS else drops + 1
                if drops > self._retries:
                    raise self._never_there(exc, drops) from exc
                pause = min(2.0 ** (drops - 1), _LONGEST_PAUSE)
                self._tell(f"{exc} Trying again in {pause:g} s.")
                self._sleep(pause)

    def _attempt(self) -> FetchResult:
        found = self._host.find(self._src)
        segments = _segments(found, self._host.name)
        self._found = found
        if self._destination is None:
            self._destination = self._open_destination(found.path)
        destination = self._destination
        files = self._states(found, segments)
        for name, file in files.items():
            self._verify_held(destination, name, file)
        missing = {name: file.size - self._copies[name].length for name, file in files.items()}
        destination.require_space(sum(missing.values()))
        total = sum(file.size for file in files.values())
        directory = destination.directory
        result = FetchResult(
            dest=path_for_tasks(directory / posixpath.basename(found.path)),
            files=[
                {
                    "path": str(directory / segment.name),
                    "kind": segment.kind,
                    "seq": segment.seq,
                    "size": files[segment.name].size,
                }
                for segment in segments
            ],
            bytes=total,
        )
        if self._check_mode:
            self._transferred = sum(missing.values())
        else:
            done = 0
            for name, file in files.items():
                self._complete(name, file, done, total)
                done += file.size
        self._prove_unchanged(found, segments, files)
        return self._finish(destination, found, files, result)

    def _states(self, found: Found, segments: t.Sequence[Segment]) -> dict[str, FileState]:
        directory = posixpath.dirname(found.path)
        states = self._host.states([posixpath.join(directory, segment.name) for segment in segments])
        return {segment.name: state for segment, state in zip(segments, states, strict=True)}

    def _verify_held(self, destination: Destination, name: str, file: FileState) -> None:
        """What is here of a file, if the file on the host still starts with it."""
        if name not in self._copies:
            self._copies[name] = destination.copy_of(name)
        copy = self._copies[name]
        if copy.length > file.size:
            copy.discard()
        # Without inodes (SFTP) what was confirmed may stand in another file by now.
        confirmed = file.inode and self._verified.get(name) == (file.inode, copy.length)
        if copy.length and not confirmed and self._host.digest(file, copy.length) != copy.digest:
            copy.discard()
        self._verified[name] = (file.inode, copy.length)

    def _complete(self, name: str, file: FileState, done: int, total: int) -> None:
        """Bring the copy of a file to ``file.size`` verified bytes; ``done`` of ``total`` stand in the files before it."""
        copy = self._copies[name]
        if copy.length == file.size and (copy.length or copy.finished):
            return
        progress = self._new_progress(total, done + copy.length) if self._new_progress else None
        while True:
            self._append_piece(copy, file, self._pace.next_piece(file.size - copy.length), progress, done)
            if copy.length == file.size:
                break
        self._verified[name] = (file.inode, copy.length)

    def _append_piece(
        self, copy: LocalCopy, file: FileState, piece: Piece, progress: Progress | None, done: int
    ) -> None:
        """Bring ``piece.length`` more bytes, verified."""
        offset = copy.length
        part = FileState(file.path, file.inode, offset + piece.length)
        stream = self._host.stream(part, offset, self._packers if piece.packed else ())
        if piece.packed and not stream.packer:
            self._pace.possible = piece.packed = False  # the host has none of them
        self._compression = stream.packer or self._compression
        ranged = None if stream.whole else hashlib.sha256()  # of the whole file the copy keeps the hash itself
        try:
            copy.append(self._received(stream, ranged, piece, progress, done + offset))
        finally:
            stream.close()
        if stream.digest is None:
            told, arrived = self._host.digest(part, part.size), copy.digest
        else:
            told, arrived = stream.digest, ranged.hexdigest() if ranged else copy.digest
        if told != arrived:
            copy.discard()
            raise SourceChangedError(
                f"The SHA-256 of {file.path} on {self._host.name} is {told}, of what arrived it is {arrived}"
            )
        self._pace.took(piece)

    def _received(
        self, stream: Stream, ranged: t.Any, piece: Piece, progress: Progress | None, done: int
    ) -> t.Iterator[Chunk]:
        for chunk in stream:
            if ranged is not None:
                ranged.update(chunk)
            self._transferred += len(chunk)
            yield chunk
            piece.arrived(len(chunk))
            done += len(chunk)
            if progress is not None:
                progress.update(done)

    def _prove_unchanged(self, found: Found, segments: t.Sequence[Segment], files: dict[str, FileState]) -> None:
        """The host still has these files as the AOF; they may only have grown. Raises :class:`SourceChangedError`."""
        again = self._host.find(self._src)
        if again.path != found.path or _segments(again, self._host.name) != segments:
            raise SourceChangedError(
                f"On {self._host.name} a rewrite ended during the copy: {found.path} names other files now"
            )
        for name, now in self._states(again, segments).items():
            if now.inode != files[name].inode or now.size < files[name].size:
                raise SourceChangedError(f"On {self._host.name} {now.path} was replaced during the copy")

    def _finish(
        self, destination: Destination, found: Found, files: dict[str, FileState], result: FetchResult
    ) -> FetchResult:
        copies = [self._copies[name] for name in files]
        result.bytes_transferred, result.compression = self._transferred, self._compression
        result.sha256 = {copy.name: copy.digest for copy in copies if copy.length == files[copy.name].size}
        result.changed = any(not copy.finished or copy.length != files[copy.name].size for copy in copies)
        keep = list(files)
        if not self._check_mode:
            for copy in copies:
                copy.publish()
        if found.content is not None:
            manifest = posixpath.basename(found.path)
            keep.append(manifest)
            result.changed |= destination.replace(manifest, found.content)
        result.changed |= destination.remove_others(keep)
        return result

    def _never_still(self, exc: SourceChangedError, rewrites: int) -> FetchError:
        return FetchError(
            f"The AOF on {self._host.name} changed under the copy {rewrites} times in a row; at last: {exc}",
            changed=self._kept(),
            todo="Stop rewrites for the time of the copy: CONFIG SET auto-aof-rewrite-percentage 0, and no BGREWRITEAOF",
        )

    def _never_there(self, exc: ConnectionLostError, drops: int) -> FetchError:
        return FetchError(
            f"{exc} Given up after {drops} failures in a row",
            changed=self._kept(),
            todo=exc.todo or "Check the network",
        )

    def _kept(self) -> str:
        held = sum(copy.length for copy in self._copies.values())
        return f"The {size(held)} that are here are kept; the next call goes on from there" if held else ""


def _segments(found: Found, host: str) -> tuple[Segment, ...]:
    if found.content is None:
        return (Segment(posixpath.basename(found.path), "single"),)
    return parse_manifest(found.content, where=f"{found.path} on {host}", manifest=posixpath.basename(found.path))
