# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Taking commands out of bytes, fast: by hiredis where a good one is installed, by plain Python where none is.

Both stop where they do not understand something; what it is, others find out.
"""

from __future__ import annotations

import re

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.redisops.tair.plugins.module_utils._aof.grammar import BadFrame, parse_command
from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

try:
    import hiredis
except ImportError:
    hiredis = None  # type: ignore[assignment]

#: hiredis moves the rest of its buffer at every kilobyte consumed: small feeds are four times faster than large ones.
_FEED_BYTES = 16 * 1024
#: Older ones end the process over damaged bytes in which they read a map (``%1``) whose key is an array.
_OLDEST_HIREDIS = LooseVersion("3.2")
_MANY_ARGUMENTS = re.compile(rb"\*[1-9]\d{5}")

_LINE_END = b"\r\n"
#: The lines before arguments, as servers write them, and what they say. Others are for the reference.
_COUNTS = {b"*%d" % count: count for count in range(1, 1024)}
_LENGTHS = {b"$%d" % length: length for length in range(4096)}
_LENGTH_OF = _LENGTHS.get


class PlainFramer:
    """Frames without hiredis: by lines, a few calls a command, and by :func:`parse_command` what that does not explain.

    Faults are left for the caller to find: ``take`` just stops there.
    """

    broken = False

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self._position = 0

    def take(self, data: bytes, fed: int, cut: int) -> bool:
        """Go on to ``cut``; whether that is where a command ends. ``data[:fed]`` has been taken before."""
        data = data[:cut]
        lines = data[self._position :].split(_LINE_END)
        at = 0
        while self._position < cut:
            end = self._take_simple(lines, at)
            start = self._position + sum(map(len, lines[at:end])) + len(_LINE_END) * (end - at)
            try:
                parsed = parse_command(data, start)  # a line end in a value, a long one, or damage
            except BadFrame:
                parsed = None
            if parsed is None:
                self._position = start
                break
            command, self._position = parsed
            self.commands.append(command)
            if data.endswith(_LINE_END, start, self._position):
                at = end + data.count(_LINE_END, start, self._position)
            else:  # the servers do not look at these two bytes either
                lines, at = data[self._position :].split(_LINE_END), 0
        return self._position == cut

    def _take_simple(self, lines: list[bytes], at: int) -> int:
        """Take the commands from line ``at`` on, up to one with a line end in an argument; the line where that begins."""
        last = len(lines) - 1  # it has no end
        append = self.commands.append
        while at < last:
            count = _COUNTS.get(lines[at], last)
            end = at + 1 + 2 * count
            command = lines[at + 2 : end : 2]
            if end > last or list(map(len, command)) != list(map(_LENGTH_OF, lines[at + 1 : end : 2])):
                break
            append(command)
            at = end
        return at


class HiredisFramer:
    """Frames by hiredis, the same face as :class:`PlainFramer`."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self._reader = hiredis.Reader()
        self.broken = False
        """Whether it can't go on: the bytes are damaged, or not for hiredis to read."""

    def take(self, data: bytes, fed: int, cut: int) -> bool:
        # It makes room for as many arguments as are announced: damage must not cost gigabytes.
        if self.broken or _MANY_ARGUMENTS.search(data, max(fed - 8, 0), cut):
            self.broken = True
            return False
        reader, commands = self._reader, self.commands
        try:
            for start in range(fed, cut, _FEED_BYTES):
                reader.feed(data[start : min(start + _FEED_BYTES, cut)])
                commands.extend(iter(reader.gets, False))
            if reader.has_data():
                return False
            # An empty buffer is no proof yet: the cut may be between two arguments. A reply of one's own tells:
            # at the end of a command it comes out as it is, inside of one it becomes an argument.
            reader.feed(b":1\r\n")
            if reader.gets() == 1:
                return True
        except (hiredis.ProtocolError, TypeError, ValueError):
            pass  # in damaged bytes it may read a map or a set, and make one of what Python takes for no key
        self.broken = True
        return False


def fastest_framer() -> type[HiredisFramer] | type[PlainFramer]:
    """The one to use here."""
    return PlainFramer if hiredis is None or LooseVersion(hiredis.__version__) < _OLDEST_HIREDIS else HiredisFramer
