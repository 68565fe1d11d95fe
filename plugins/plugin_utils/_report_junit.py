# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How is a migration told to a CI system? As JUnit XML: a suite a run, a case a host and phase."""

from __future__ import annotations

import re
import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.redisops.tair.plugins.module_utils._text import without_controls
from ansible_collections.redisops.tair.plugins.plugin_utils._report import Host

#: What XML 1.0 can not hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(hosts: t.Sequence[Host]) -> str:
    suite = ET.Element("testsuite", name="redisops.tair.aof_migrate")
    for host in hosts:
        for phase in host.phases:
            differs = phase.name == "compare" and host.of("compare", "equal") is False and not host.done
            if phase.failed and not differs:
                continue  # told by the case below
            case = _case(suite, host, phase.name, phase.seconds)
            if differs:
                ET.SubElement(case, "failure", message=_clean(host.of("compare", "summary") or "different"))
        # The outcome is a case of its own: a failure need not lie in a phase that has been timed.
        case = _case(suite, host, "migration", 0)
        if host.outcome == "no report":
            ET.SubElement(case, "error", message=_clean(host.message))
        elif host.outcome == "failed":
            ET.SubElement(case, "failure", message=_clean(host.message), type=_clean(host.of("failure", "task") or ""))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("time", f"{sum(host.seconds for host in hosts):.3f}")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def _case(suite: ET.Element, host: Host, name: str, seconds: float) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_clean(host.name), name=name, time=f"{seconds:.3f}")


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", without_controls(str(text)))
