# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The output of the script STREAM, plain or compressed: bytes of a file, then a line of its own.

That line starts with a marker, which no file holds, and tells the digest, or that the file had become too short.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.redisops.tair.plugins.plugin_utils._host import (
    Chunk,
    Process,
    SourceChangedError,
    Stream,
    require_digest,
    senseless,
)
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import ConnectionLostError
from ansible_collections.redisops.tair.plugins.plugin_utils._unpack import Unpacker, UnpackError

_LONGEST_LINE = 256  # bytes of the marker and what follows it
_SURPLUS = 1 << 20
#: Fewer bytes than this in so many seconds of waiting for them are no transfer. A dead line is noticed much earlier.
_SLOWEST, _WINDOW = 30_000, 300.0


class ShellStream(Stream):
    """``first``: what of the output of ``process`` has been read; ``length``: bytes of the file; ``path`` and ``host`` for messages."""

    def __init__(
        self,
        process: Process,
        marker: str,
        first: bytes,
        length: int,
        path: str,
        host: str,
        *,
        packer: str,
        whole: bool,
    ) -> None:
        self._process, self._marker, self._first = process, marker.encode(), first
        self._length, self._place, self._host = length, f"{path} on {host}", host
        self.packer, self.whole = packer, whole
        self._last_line: str | None = None
        self._unpacker: Unpacker | None = None
        self._waited, self._came = 0.0, 0

    def close(self) -> None:
        self._process.close()
        if self._unpacker is not None:
            self._unpacker.close()

    def __iter__(self) -> t.Iterator[Chunk]:
        chunks: t.Iterable[Chunk] = self._content()
        if self.packer:
            chunks = self._unpacker = Unpacker(self.packer, self._content())
        missing = self._length
        for chunk in chunks:
            if len(chunk) > missing:
                break
            missing -= len(chunk)
            yield chunk
        else:
            chunk = b""
        if self._last_line is not None and self._last_line.startswith("short"):
            raise SourceChangedError(f"{self._place} became shorter than it was")
        if self._last_line is None or missing or chunk:
            raise UnpackError(f"The copy of {self._place} is not as long as it should be")
        word, _blank, digest = self._last_line.strip().partition(" ")
        if word != "end":
            raise senseless(self._host, f"something else than the end of {self._place}", self._last_line)
        self.digest = require_digest(self._host, digest) or None

    def _content(self) -> t.Iterator[Chunk]:
        """All before the last line, which is kept. The end of what was read is held back: it may be that line."""
        held, data = b"", self._first
        # What a compressor adds to bytes that it can't compress is far less; without an end it would unpack to nothing.
        left = self._length + self._length // 64 + _SURPLUS
        while True:
            left -= len(data)
            if left < 0:
                raise senseless(self._host, f"more than the {self._length} bytes of {self._place} that were asked for")
            if len(data) >= _LONGEST_LINE:
                yield held
                yield memoryview(data)[:-_LONGEST_LINE]
                held = data[-_LONGEST_LINE:]
            else:
                held += data
                yield held[:-_LONGEST_LINE]
                held = held[-_LONGEST_LINE:]
            data = self._read()
            if not data:
                break
        before, mark, line = held.rpartition(self._marker + b" ")
        yield before or (b"" if mark else held)
        if not mark:
            raise ConnectionLostError(f"The copy of {self._place} ended in the middle")
        self._last_line = line.decode("ascii", "replace")

    def _read(self) -> bytes:
        """Read on. Raises :class:`FetchError` for a host that sends a few bytes now and then, for ever."""
        start = time.monotonic()
        data = self._process.read()
        self._waited += time.monotonic() - start
        self._came += len(data)
        if self._waited > _WINDOW:
            if self._came < _SLOWEST:
                raise senseless(self._host, f"only {self._came} bytes of {self._place} in {self._waited:.0f} s")
            self._waited, self._came = 0.0, 0
        return data
