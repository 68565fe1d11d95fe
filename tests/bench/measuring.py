# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks share: the files that they read, and how much memory a process takes."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from ansible_collections.redisops.tair.tests.support.paths import CACHE


def generated(kind: str, keys: int) -> Path:
    """An AOF of ``gen_aof.py``; written once."""
    path = CACHE / "bench" / f"{kind}-{keys}.aof"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        subprocess.run(
            [sys.executable, str(Path(__file__).parent / "gen_aof.py"), kind, str(keys), str(part)], check=True
        )
        part.rename(path)
    return path


class Peak(threading.Thread):
    """The largest resident size of a process. What wait4 tells includes the parent's, from before the exec."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.bytes = 0
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while match := re.search(r"VmHWM:\s+(\d+) kB", self._status.read_text()):
                self.bytes = int(match[1]) * 1024
                time.sleep(0.02)
