# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""About how long a migration takes, from what was measured before it, and from rates that most machines reach."""

from __future__ import annotations

import typing as t

_MB = 1_000_000
#: Bytes and keys a second. Cautious guesses: the import's is about half of what 2 cores reached (main README, "Speed").
_REWRITE = (50 * _MB, 250_000)
_TRANSFER = 40 * _MB
_IMPORT = (40 * _MB, 200_000)
_COMPARE = {"full": (20 * _MB, 40_000), "meta": (None, 80_000), "count": (None, None), "none": (None, None)}
#: Seconds for Ansible's own work: tasks, logins, starts of Python.
_ANSIBLE = 20
#: Commands or keys that are on their way at a time, at the least.
_IN_FLIGHT = 500


def estimate(
    source: t.Mapping[str, t.Any], target: t.Mapping[str, t.Any], *, transfer: str, verify: str
) -> dict[str, t.Any]:
    """``source`` and ``target``: what ``aof_info`` and ``tair_info`` returned. Seconds in all and by step, and why."""
    keys = sum(source["keyspace"].values())
    size, size_is = _size(source)
    bandwidth, trip = target.get("bandwidth"), (target.get("round_trip_ms") or 0) / 1000
    assumptions = [f"size: {_megabytes(size)}, {size_is}"]

    rewrite = _slower(size, keys, *_REWRITE)
    assumptions.append(f"rewrite: {_rate(*_REWRITE)} (assumed)")
    fetched = size / _TRANSFER if transfer == "fetch" else 0.0
    if transfer == "fetch":
        assumptions.append(f"transfer: {_rate(_TRANSFER, None)} (assumed)")
    imported = _slower(size, keys, _at_most(_IMPORT[0], bandwidth), _IMPORT[1]) + keys / _IN_FLIGHT * trip
    assumptions.append(f"import: {_rate(*_IMPORT)} (assumed), {_line(bandwidth, target.get('round_trip_ms'))}")
    speed, pace = _COMPARE[verify]
    compared = 0.0
    if pace:
        compared = _slower(size, keys, _at_most(speed, bandwidth), pace) + keys / _IN_FLIGHT * trip
        assumptions.append(f"comparison ({verify}): {_rate(speed, pace)} (assumed)")
    assumptions.append(f"{_ANSIBLE} s for Ansible itself; writes that go on meanwhile are not counted")

    steps = {"rewrite": rewrite, "transfer": fetched, "import": imported, "comparison": compared}
    seconds = _ANSIBLE + sum(steps.values())
    return {
        "seconds": round(seconds),
        "text": f"about {duration(seconds)}",
        "steps": {name: round(value, 1) for name, value in steps.items()},
        "bytes": size,
        "key_count": keys,
        "bandwidth": bandwidth,
        "assumptions": assumptions,
    }


def duration(seconds: float) -> str:
    """No more exact than an estimate is: tens of seconds, minutes, tenths of hours."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _size(source: t.Mapping[str, t.Any]) -> tuple[int, str]:
    """Bytes of the AOF to come."""
    if source.get("appendonly") and source.get("preamble") != "yes" and source.get("base_size"):
        return int(source["base_size"]), "the AOF's after its last rewrite"
    return int(source["used_memory_dataset"]), "the memory that the source's data takes (an AOF is mostly smaller)"


def _at_most(speed: int | None, bandwidth: int | None) -> int | None:
    return min(speed, bandwidth) if speed and bandwidth else speed


def _slower(size: int, keys: int, speed: int | None, pace: int) -> float:
    """Seconds, by bytes and by keys a second; no ``speed`` where the size does not matter."""
    return max(size / speed if speed else 0.0, keys / pace)


def _rate(speed: int | None, pace: int | None) -> str:
    told = [f"{speed // _MB} MB/s"] if speed else []
    return ", ".join(told + ([f"{pace:,} keys/s"] if pace else []))


def _line(bandwidth: int | None, round_trip_ms: float | None) -> str:
    trip = f"round trip {round_trip_ms:.3g} ms" if round_trip_ms is not None else "round trip unknown"
    return f"{trip}, {_megabytes(bandwidth)}/s to the target (measured)" if bandwidth else f"{trip}, bandwidth unknown"


def _megabytes(count: int) -> str:
    return f"{count / _MB:.3g} MB" if count < 1000 * _MB else f"{count / _MB / 1000:.3g} GB"
