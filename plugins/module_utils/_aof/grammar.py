# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How an AOF writes a command: ``*COUNT``, then ``$LENGTH`` and the bytes for each argument, lines ending in CR LF.

:func:`parse_command` is the reference for the whole collection: it knows the exact place of every fault.
"""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._resp import Command

#: The longest header line (``*COUNT`` or ``$LENGTH``) that makes sense; what has no line end by then is damaged.
MAX_HEADER = 32
#: A value no server accepts: ``proto-max-bulk-len`` can be raised, but RESP lengths stay below this.
_MAX_BULK = 1 << 40

ARRAY = ord("*")
BULK = ord("$")


class BadFrame(Exception):
    """The bytes at ``offset`` (in the buffer or file that was read) are not ``expected``."""

    def __init__(self, offset: int, expected: str) -> None:
        super().__init__(offset, expected)
        self.offset = offset
        self.expected = expected


#: What an argument of this length takes in the file: ``$LENGTH\r\nVALUE\r\n``.
_BULK_SIZE = [length + len(str(length)) + 5 for length in range(4096)]
_BULK_SIZE_OF = _BULK_SIZE.__getitem__
#: A size that fits nowhere, for what is no command: an empty one, or any other reply that hiredis reads.
_NO_COMMAND = -(1 << 40)
#: What the line before the arguments takes: ``*COUNT\r\n``.
_ARRAY_SIZE = [_NO_COMMAND, *(len(str(count)) + 3 for count in range(1, 1024))]


def encoded_size(command: Command) -> int:
    """Bytes that the command takes in the file."""
    try:
        return _ARRAY_SIZE[len(command)] + sum(map(_BULK_SIZE_OF, map(len, command)))
    except IndexError:
        return len(str(len(command))) + 3 + sum(len(arg) + len(str(len(arg))) + 5 for arg in command)


def read_header(buffer: bytes, position: int, kind: int, expected: str) -> tuple[int, int] | None:
    """The number in a ``*N`` or ``$N`` line at ``position`` and where the line ends; None if the bytes end first."""
    if position >= len(buffer):
        return None
    if buffer[position] != kind:
        raise BadFrame(position, expected)
    end = buffer.find(b"\r\n", position + 1, position + MAX_HEADER)
    digits = buffer[position + 1 : end] if end >= 0 else buffer[position + 1 : position + MAX_HEADER].rstrip(b"\r")
    if end < 0 and len(buffer) - position < MAX_HEADER and (not digits or digits.isdigit()):
        return None
    if end < 0 or not digits.isdigit() or int(digits) > _MAX_BULK:
        raise BadFrame(position, expected)
    return int(digits), end + 2


def parse_command(buffer: bytes, position: int = 0) -> tuple[Command, int] | None:
    """The command at ``position`` and where the next one starts; None where the bytes end before the command does.

    As in the servers, the two bytes after a value (CR LF) are passed over whatever they are.

    Raises :class:`BadFrame` with an offset into ``buffer``.
    """
    header = read_header(buffer, position, ARRAY, "'*' and a number of arguments")
    if header is None:
        return None
    count, position = header
    if count == 0:
        raise BadFrame(position - 4, "a command with at least one argument")
    command: Command = []
    while len(command) < count:
        header = read_header(buffer, position, BULK, "'$' and the length of an argument")
        if header is None:
            return None
        length, start = header
        position = start + length + 2
        if position > len(buffer):
            return None
        command.append(buffer[start : start + length])
    return command, position


def sizes_of(commands: list[Command]) -> list[int]:
    """What each of them takes in the file; :data:`_NO_COMMAND` for what is none, as hiredis reads any reply."""
    bulk = _BULK_SIZE
    try:
        # Written out for the most frequent shape, SET key value: this is among the hottest lines of an import.
        return [
            4 + bulk[len(command[0])] + bulk[len(command[1])] + bulk[len(command[2])]
            if len(command) == 3
            else _ARRAY_SIZE[len(command)] + sum(map(_BULK_SIZE_OF, map(len, command)))
            for command in commands
        ]
    except (IndexError, TypeError):
        return list(map(_safe_size, commands))


def _safe_size(command: t.Any) -> int:
    """As :func:`encoded_size`, for whatever hiredis has read."""
    try:
        return encoded_size(command)
    except TypeError:
        return _NO_COMMAND


def parse_commands(data: bytes) -> tuple[list[Command], list[int], BadFrame | None]:
    """The whole commands that ``data`` begins with, their sizes, and the damage that ends them where there is some.

    Without damage the last command may be cut off: the sizes then make up less than ``data``. A command that damage follows
    belongs to it if it does not end in CR LF: the bytes between are no values of it.
    """
    commands: list[Command] = []
    sizes: list[int] = []
    position = 0
    try:
        while position < len(data):
            parsed = parse_command(data, position)
            if parsed is None:
                break
            commands.append(parsed[0])
            sizes.append(parsed[1] - position)
            position = parsed[1]
    except BadFrame as exc:
        if commands and exc.offset == position and data[position - 2 : position] != b"\r\n":
            del commands[-1], sizes[-1]
            return commands, sizes, BadFrame(position - 2, "CR LF after an argument")
        return commands, sizes, exc
    return commands, sizes, None
