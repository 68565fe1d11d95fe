# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Text of hosts, servers and files, made safe for a terminal."""

from __future__ import annotations

import re
import typing as t

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
#: What a terminal acts upon: C0 without newline and tab, DEL, C1, line and paragraph separators, and the bidirectional controls.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str, *, newlines: bool = False) -> str:
    r"""Return the text with every character that is not printable as an escape (``\x1b``, ``\u202e``).

    ``newlines``: keep them. A surrogate that stands for a byte which is not UTF-8 becomes that byte's escape.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or (newlines and char == "\n") else _escape(char) for char in text)


def without_controls(text: str) -> str:
    """Return the text with escapes for what a terminal acts upon and for bytes that are not UTF-8; newlines, tabs and the rest stay.

    Ansible refuses a result with such bytes, after the module has done its work.
    """
    return CONTROL.sub(lambda match: _escape(match[0]), text)


def clean_values(value: t.Any) -> t.Any:
    """Return a JSON value with :func:`without_controls` applied to every text in it, names of dictionaries too."""
    if isinstance(value, str):
        return without_controls(value) if CONTROL.search(value) else value
    if isinstance(value, dict):
        return {clean_values(name): clean_values(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_values(each) for each in value]
    return value


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if char in _SHORT:
        return _SHORT[char]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
