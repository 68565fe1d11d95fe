# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One source, one target, and the real playbooks between them."""

from __future__ import annotations

import json
import stat
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema
from ansible_collections.redisops.tair.tests.support import snapshot
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, Vars, local_host, run_playbook
from ansible_collections.redisops.tair.tests.support.paths import CHECKOUT
from ansible_collections.redisops.tair.tests.support.servers import Server

#: What the role changes on a source.
SETTINGS = ("appendonly", "auto-aof-rewrite-percentage", "aof-use-rdb-preamble")


@dataclass
class Migration:
    """``run()`` migrates; what it left behind is in ``report``, ``journal`` and ``copy``."""

    HOST = "source"

    source: Server
    target: Server
    artifacts: Path
    variables: Vars = field(default_factory=dict)
    """For every run: role variables, or another connection to the host."""
    name: str = HOST
    """Of the host in the inventory."""

    def host(self, **variables: t.Any) -> Vars:
        """The inventory host: this machine, unless ``variables`` say how to reach it."""
        return local_host(
            **{
                "aof_migrate_source_port": self.source.port,
                "aof_migrate_source_password": self.source.password,
                "aof_migrate_target_host": self.target.host,
                "aof_migrate_target_port": self.target.port,
                "aof_migrate_target_password": self.target.password,
                "aof_migrate_artifacts_dir": str(self.artifacts),
                **self.variables,
                **variables,
            }
        )

    def run(self, playbook: str | Path = "redisops.tair.migrate", /, **options: t.Any) -> PlaybookRun:
        """Run a playbook. ``options``: those of ``run_playbook``, everything else is a variable of the host."""
        known = {"check", "arguments", "env", "timeout", "extra_vars"}
        given = {name: value for name, value in options.items() if name in known}
        variables = {name: value for name, value in options.items() if name not in known}
        return run_playbook(playbook, {self.name: self.host(**variables)}, **given)

    def settings(self) -> dict[str, str]:
        """What the role changes on the source, as it is now."""
        return {name: str(self.source.client().config_get(name)[name]) for name in SETTINGS}

    def differences(self) -> list[str]:
        """Where the two servers' data differ; read by other code than the collection's own."""
        sides = [
            snapshot.snapshot(
                server.host,
                server.port,
                server.password or None,
                cluster=bool(server.client().info("cluster")["cluster_enabled"]),
            )
            for server in (self.source, self.target)
        ]
        return [snapshot.describe(difference) for difference in snapshot.diff(*sides, ttl_tolerance_ms=1000)]

    @property
    def directory(self) -> Path:
        return self.artifacts / self.name

    @property
    def journal(self) -> Path:
        return self.directory / "journal.json"

    @property
    def copy(self) -> Path:
        return self.directory / "aof"

    @property
    def report(self) -> dict[str, t.Any]:
        """The host's report, and that it is as its schema says."""
        content: dict[str, t.Any] = json.loads((self.directory / "report.json").read_text())
        schema = json.loads((CHECKOUT / "docs" / "report.schema.json").read_text())
        for kind, report in {"host": content, "run": json.loads((self.artifacts / "report.json").read_text())}.items():
            jsonschema.validate(report, {**schema["$defs"][kind], "$defs": schema["$defs"]})
        return content

    def require_reports_without_passwords(self) -> None:
        """That the reports of the host and of the run are for their owner alone, who finds no password there either."""
        run = [self.artifacts / f"report.{kind}" for kind in ("json", "html", "xml")]
        for path in (self.directory / "report.json", *run):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            for server in (self.source, self.target):
                assert server.password and server.password not in path.read_text(), path


def migrate_fleet(fleet: t.Mapping[str, Migration], *, serial: int = 5, **options: t.Any) -> PlaybookRun:
    """Migrate several at once; each gets the name it has in ``fleet``. ``options``: those of ``run_playbook``."""
    for name, migration in fleet.items():
        migration.name = name
    hosts = {name: migration.host() for name, migration in fleet.items()}
    return run_playbook("redisops.tair.migrate", hosts, extra_vars={"aof_migrate_serial": serial}, **options)


def message(run: PlaybookRun) -> str:
    """How a failed run ended: what the last failed task says."""
    assert run.returncode == 2, run.output
    text: str = run.failures()[-1]["result"]["msg"]
    return text


def messages(run: PlaybookRun) -> dict[str, str]:
    """The same of a fleet, by host: what the last failed task of each says."""
    assert run.returncode == 2, run.output
    return {failure["host"]: failure["result"]["msg"] for failure in run.failures()}
