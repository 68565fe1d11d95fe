# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A managed host whose Python was replaced: nothing that it prints acts on the control node or reaches the terminal raw."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.redisops.tair.tests.support.ansible_cli import PlaybookRun, local_host, run_playbook
from ansible_collections.redisops.tair.tests.support.documented import block
from ansible_collections.redisops.tair.tests.support.processes import free_port

Vars = t.Dict[str, t.Any]

ESCAPES = "\x1b]0;pwn\x07 \x9b31m \u202e \r"
#: What no terminal may be sent: every control but the newline, and the bidirectional override.
FORBIDDEN = [*map(chr, (*range(10), *range(11, 32), *range(127, 160))), "\u202e"]
TO_SERVER = {"login_port": 1}
#: Every action plugin that runs a module on the host, with options that are accepted.
MODULES: dict[str, Vars] = {
    "aof_info": TO_SERVER,
    "aof_rewrite": TO_SERVER,
    "aof_inspect": {"path": "/nowhere"},
    "aof_import": {"path": "/nowhere"},
    "aof_catch_up": {"path": "/nowhere", "source": TO_SERVER},
    "keyspace_compare": {"source": TO_SERVER},
    "redis_config": {"settings": {"appendonly": "yes"}},
    "redis_fence": {},
    "tair_info": TO_SERVER,
}


def samples(module: str) -> Vars:
    """A result as the module documents it."""
    return {name: told.get("sample") for name, told in block(module, "RETURN").items()}


def encoded(facts: Vars) -> str:
    """What a module sends beside values that look like a password."""
    return json.dumps(facts).encode().hex().translate(str.maketrans("0123456789abcdef", "ghijklmnopqrstuv"))


@pytest.fixture
def evil(tmp_path: Path) -> t.Callable[[t.Mapping[str, str]], Vars]:
    """``evil({"aof_info": text})``: a host whose Python prints that text instead of running the module."""

    def make(answers: t.Mapping[str, str]) -> Vars:
        answered = tmp_path / "answers"
        answered.mkdir(exist_ok=True)
        for module, text in answers.items():
            (answered / module).write_text(text, encoding="utf-8")
        python = tmp_path / "python"
        python.write_text(
            "#!/bin/sh\n"
            'for name in "$@"; do case $name in */AnsiballZ_*.py) name=${name##*/AnsiballZ_}; name=${name%.py};\n'
            f"  [ -e {answered}/$name ] && exec cat {answered}/$name;; esac; done\n"
            f'exec {sys.executable} "$@"\n'
        )
        python.chmod(0o755)
        return local_host(ansible_python_interpreter=str(python))

    return make


def tasks(**common: t.Any) -> list[Vars]:
    return [
        {f"redisops.tair.{module}": options, "register": "told", "ignore_errors": True, **common}
        for module, options in MODULES.items()
    ]


def assert_nothing_raw(run: PlaybookRun) -> None:
    assert [char for char in FORBIDDEN if char in run.output] == []
    assert "Traceback" not in run.output, run.output


def test_hostile_results_add_no_host_group_fact_or_statistic(
    evil: t.Callable[[t.Mapping[str, str]], Vars], tmp_path: Path
) -> None:
    proof = tmp_path / "ran-on-the-control-node"
    actions: Vars = {
        "add_host": {
            "host_name": "injected",
            "groups": ["injected_group"],
            "host_vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        },
        "add_group": "injected_group",
        "ansible_facts": {
            "injected_fact": "yes",
            "aof_migrate_artifacts_dir": "/injected",
            "playbook_dir": "/injected",
        },
        "ansible_stats": {"data": {"injected_stat": 1}, "per_host": False, "aggregate": True},
        "_ansible_facts_cacheable": True,
        "_ansible_notify": ["injected handler"],
        "_ansible_verbose_always": True,
        "results": [{"add_host": {"host_name": "injected"}}],
        "warnings": [ESCAPES],
        "deprecations": [{"msg": ESCAPES, "version": ESCAPES}],
        "invocation": {"module_args": {ESCAPES: ESCAPES}},
        "diff": {"before": ESCAPES, "after": "\n".join([ESCAPES] * 3)},
        "msg": ESCAPES,
        "changed": True,
    }
    answers = {}
    for module in MODULES:
        facts = samples(module)
        text = next((name for name, value in facts.items() if isinstance(value, str)), None)
        masked = {**facts, **({text: "********" + ESCAPES} if text else {})}
        answers[module] = f"{ESCAPES}\n" + json.dumps(
            {
                **masked,
                **actions,
                "_unmasked": encoded({**facts, **actions, **({text: "x" + ESCAPES} if text else {})}),
            },
            ensure_ascii=False,
        )
        answers[module] += "\n" + ESCAPES  # text around it is what Ansible warns of
    show = {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {
                "name": "run on what was added",
                "ansible.builtin.command": f"touch {proof}",
                "when": "inventory_hostname not in ['evil', 'good']",
            },
            {
                "name": "no facts",
                "ansible.builtin.assert": {
                    "that": [
                        "hostvars[item].injected_fact is not defined",
                        "hostvars[item].aof_migrate_artifacts_dir is not defined",
                        "'/injected' not in hostvars[item].playbook_dir",
                    ]
                },
                "loop": "{{ groups.all }}",
            },
        ],
    }
    play = {
        "hosts": "evil",
        "gather_facts": False,
        "tasks": tasks(),
        "handlers": [{"name": "injected handler", "ansible.builtin.command": f"touch {proof}"}],
    }

    run = run_playbook(
        [play, show],
        {"evil": evil(answers), "good": local_host()},
        arguments=["--diff", "-vvv"],
        env={"ANSIBLE_SHOW_CUSTOM_STATS": "true"},
    )

    assert run.returncode == 0, run.output
    assert not proof.exists() and set(run.stats) == {"evil", "good"}
    assert "injected_stat" not in run.output, run.output[run.output.index("injected_stat") - 1500 :][:2000]
    found = {event["action"].rpartition(".")[2]: event["result"] for event in run.events if event["host"] == "evil"}
    assert set(MODULES) <= set(found), run.output
    for module in MODULES:
        assert not found[module].keys() & {"add_host", "add_group", "ansible_stats", "results", "_unmasked"}, module
        assert "injected_fact" not in str(found[module]), module
    assert r"\x1b]0;pwn\x07 \x9b31m \u202e" in found["aof_info"]["version"]
    assert_nothing_raw(run)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda value: [value], id="list"),
        pytest.param(lambda value: {"a": value}, id="dict"),
        pytest.param(lambda value: 10**400 if isinstance(value, int) else "-1", id="number"),
    ],
)
def test_results_of_another_type_end_in_one_message_that_names_the_host(
    spoil: t.Callable[[t.Any], t.Any], evil: t.Callable[[t.Mapping[str, str]], Vars]
) -> None:
    answers = {
        module: json.dumps({name: spoil(value) for name, value in samples(module).items()}) for module in MODULES
    }

    run = run_playbook([{"hosts": "evil", "gather_facts": False, "tasks": tasks()}], {"evil": evil(answers)})

    failed = [event for event in run.events if event["outcome"] == "ignored"]
    messages = {event["action"].rpartition(".")[2]: event["result"]["msg"] for event in failed}
    assert set(messages) == set(MODULES), run.output
    for module, message in messages.items():
        assert message.startswith(f"The result that evil sent can't be used, {module}: "), message
        assert "ansible_python_interpreter" in message
    assert_nothing_raw(run)


@pytest.mark.parametrize(
    "answer",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[]",
        "17",
        "null",
        "",
        ESCAPES,
        '{"keyspace": NaN}',
        '{"failed": "no", "msg": 3}',
        '{"warnings": 7, "stdout": 8, "ansible_facts": [], "results": 9, "exception": [1]}',
        '{"warnings": [7, [], {}, null], "deprecations": [7, [], "x", {"msg": 1}, {"a": 2}], "exception": {"a": 1}}',
        '{"diff": [1], "failed": true}',
        '{"diff": {"before": 7, "after": []}, "invocation": 3}',
        '{"missing_library": "redis", "python_version": "../../x"}',
        '{"missing_library": [], "python_version": 3}',
        '{"version": {"__ansible_type": "_AnsibleTaggedStr", "value": "x"}}',
    ],
    ids=lambda text: text[:20],
)
def test_garbage_instead_of_a_result_is_a_failure_of_that_host(
    answer: str, evil: t.Callable[[t.Mapping[str, str]], Vars]
) -> None:
    task = {"redisops.tair.aof_info": TO_SERVER, "ignore_errors": True, "failed_when": False}
    run = run_playbook(
        [{"hosts": "evil", "gather_facts": False, "tasks": [task]}], {"evil": evil({"aof_info": answer})}, check=True
    )

    assert run.returncode == 0, run.output
    assert_nothing_raw(run)


def test_a_hostile_host_in_the_preflight_of_a_fleet_prints_no_escape(
    evil: t.Callable[[t.Mapping[str, str]], Vars], tmp_path: Path
) -> None:
    def spoilt(value: t.Any) -> t.Any:
        if isinstance(value, str):
            return value + ESCAPES
        if isinstance(value, list):
            return [spoilt(each) for each in value]
        if isinstance(value, dict):
            return {name: spoilt(each) for name, each in value.items()}
        return value

    answers = {"aof_info": json.dumps({**spoilt(samples("aof_info")), "warnings": [ESCAPES]}, ensure_ascii=False)}
    host = {
        **evil(answers),
        "aof_migrate_target_host": "127.0.0.1",
        "aof_migrate_target_port": free_port(),
        "aof_migrate_artifacts_dir": str(tmp_path / "artifacts"),
    }

    for playbook in ("redisops.tair.preflight", "redisops.tair.migrate"):
        run = run_playbook(playbook, {"evil": host})
        assert run.returncode != 0 and "pwn" in run.output, run.output
        assert_nothing_raw(run)
    for path in (tmp_path / "artifacts").rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert [char for char in FORBIDDEN if char in text] == [], path
