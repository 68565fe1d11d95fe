# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What was written up to a moment, by the annotations of the AOF."""

from __future__ import annotations

import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.frames import Annotation, Frame


class Until:
    """Frames up to the first annotation later than ``moment`` (seconds since the epoch); ``reached`` tells whether there was one."""

    def __init__(self, frames: t.Iterable[Frame], moment: int | None) -> None:
        self._frames = frames
        self._moment = moment
        self.reached = False

    def __iter__(self) -> t.Iterator[Frame]:
        for frame in self._frames:
            if self._moment is not None and isinstance(frame, Annotation) and (frame.timestamp or 0) > self._moment:
                self.reached = True
                return
            yield frame
