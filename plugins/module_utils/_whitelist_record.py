# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A file that names the addresses a run has added to a whitelist group, so that a later run removes these and no others."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError

_LARGEST = 1 << 20  # bytes


class WhitelistRecord:
    """The record of one group of one instance. Raises :class:`TairError` for a file that is damaged, or of another group."""

    def __init__(self, path: str, instance_id: str, group: str) -> None:
        self._path = Path(path)
        self._of = {"instance_id": instance_id, "group": group}

    def read(self) -> list[str]:
        """Return the recorded addresses; none where there is no record."""
        try:
            with self._path.open("rb") as file:
                content = json.loads(file.read(_LARGEST))
            addresses = content["addresses"]
            if {name: content[name] for name in self._of} != self._of or not all(
                isinstance(each, str) for each in addresses
            ):
                raise ValueError("it belongs to another instance or group")
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise self._error(f"can't be read: {exc.strerror}") from exc
        except (ValueError, TypeError, KeyError) as exc:
            raise self._error(f"can't be used: {exc!r}") from exc
        return list(addresses)

    def write(self, addresses: t.Sequence[str]) -> None:
        """Replace the record; remove it where no address is left."""
        try:
            if addresses:
                self._replace(json.dumps({**self._of, "addresses": list(addresses)}) + "\n")
            else:
                self._path.unlink(missing_ok=True)
        except OSError as exc:
            raise self._error(f"can't be written: {exc.strerror}") from exc

    def _replace(self, text: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self._path)
        except OSError:
            os.unlink(new)
            raise

    def _error(self, what: str) -> TairError:
        return TairError(
            f"The record {self._path} of what was added to the whitelist {what}",
            changed="The whitelist was not changed",
            todo="Compare the group in the console with the addresses that should be there, then remove the file",
        )
