# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where things are in a checkout. Everything that tests and the demo make or download goes below ``CACHE``."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache"
COLLECTIONS = CACHE / "collections"


def link_collection() -> Path:
    """Make the checkout importable as ``ansible_collections.redisops.tair`` below the directory that is returned."""
    link = COLLECTIONS / "ansible_collections" / "redisops" / "tair"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.resolve() != CHECKOUT:
        fresh = link.with_name(f".tair-{os.getpid()}")
        fresh.symlink_to(CHECKOUT, target_is_directory=True)
        fresh.replace(link)
    return COLLECTIONS
