# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Unpacking what the host has compressed, by the program of the same name on the control node."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import typing as t

from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import ConnectionLostError

#: Compressors in the order in which they are wanted. Both understand ``-1 -q -c`` and ``-d -q -c``.
_PROGRAMS = ("zstd", "lz4")
_READ = 1 << 20


class UnpackError(ConnectionLostError):
    """What came does not unpack: something is wrong with a compressor, so better do without."""


def packers() -> list[str]:
    """The compressors whose output can be unpacked here."""
    return [name for name in _PROGRAMS if shutil.which(name)]


class Unpacker:
    """``chunks``: what the program ``packer`` of the host printed; it is read by a thread of its own."""

    def __init__(self, packer: str, chunks: t.Iterator[bytes | memoryview]) -> None:
        self._process = subprocess.Popen(
            [packer, "-d", "-q", "-c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._stdin = t.cast(t.IO[bytes], self._process.stdin)
        self._stdout = t.cast(t.IO[bytes], self._process.stdout)
        self._packer, self._chunks = packer, chunks
        self._failure: Exception | None = None
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def __iter__(self) -> t.Iterator[bytes]:
        """The plain bytes. What had come before a connection was lost is given before that is raised."""
        while data := os.read(self._stdout.fileno(), _READ):
            yield data
        self._feeder.join()
        if self._failure is not None:
            raise self._failure
        if self._process.wait() != 0:
            raise UnpackError(f"{self._packer} can't unpack what came")

    def close(self) -> None:
        """To be called when nothing more comes from ``chunks``: what they are read from has been closed."""
        self._process.kill()
        self._process.wait()
        self._feeder.join()
        self._stdout.close()

    def _feed(self) -> None:
        try:
            with contextlib.suppress(BrokenPipeError):  # the program has ended; its exit status tells why
                for data in self._chunks:
                    self._stdin.write(data)
                    self._stdin.flush()
        except Exception as exc:
            self._failure = exc
        finally:
            with contextlib.suppress(BrokenPipeError):
                self._stdin.close()
