# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.redisops.tair.plugins.module_utils._errors import TairError
from ansible_collections.redisops.tair.plugins.module_utils._text import shown
from ansible_collections.redisops.tair.plugins.plugin_utils._estimate import estimate

Values = t.Dict[str, t.Any]

_OF_SERVER = ("version", "redis_version", "flavor", "role", "topology")


class ActionModule(ActionBase):  # type: ignore[misc]
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Values | None = None) -> Values:
        result: Values = super().run(tmp, task_vars or {})
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "findings": {"type": "list", "elements": "dict", "required": True},
                "source": {"type": "dict", "default": {}},
                "target": {"type": "dict", "default": {}},
                "source_address": {"type": "str", "required": True},
                "target_address": {"type": "str", "required": True},
                "transfer": {"type": "str", "choices": ["fetch", "direct"], "default": "fetch"},
                "verify": {"type": "str", "choices": ["full", "meta", "count", "none"], "default": "full"},
                "done": {"type": "bool", "default": False},
            }
        )
        try:
            result.update(changed=False, **_report(options))
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as exc:
            host = (task_vars or {}).get("inventory_hostname", "this host")
            what = f"What was found out about {host} can't be used: {type(exc).__name__} ({exc})"
            error = TairError(what, todo="Give source and target as aof_info and tair_info returned them")
            result.update(failed=True, msg=str(error))
            return result
        result["doubts"] = _told(result["findings"], "doubt")
        obstacles = _told(result["findings"], "obstacle")
        if obstacles:
            result.update(failed=True, msg=" ".join(obstacles))
        return result


def _told(findings: list[dict[str, str]], severity: str) -> list[str]:
    return [f"{one['what']} {one['todo']}".strip() for one in findings if one["severity"] == severity]


def _report(options: Values) -> Values:
    source, target = options["source"], options["target"]
    estimated = "keyspace" in source and "keyspace" in target and not options["done"]
    return {
        "findings": [
            {
                name: shown(str(one.get(name, "")).strip(), newlines=True)
                for name in ("id", "severity", "side", "what", "todo")
            }
            for one in options["findings"]
        ],
        "source": {
            "address": options["source_address"],
            **{name: source[name] for name in _OF_SERVER if name in source},
            "key_count": sum(source["keyspace"].values()) if "keyspace" in source else None,
            "bytes": source.get("used_memory_dataset"),
        },
        "target": {
            "address": options["target_address"],
            **{name: target[name] for name in _OF_SERVER if name in target},
        },
        "estimate": estimate(source, target, transfer=options["transfer"], verify=options["verify"])
        if estimated
        else None,
        "done": options["done"],
    }
