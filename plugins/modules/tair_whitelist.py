#!/usr/bin/python

# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tair_whitelist
short_description: Let addresses into a Tair instance by a whitelist group of their own, and out again
version_added: 0.1.0
author:
  - redisops.tair contributors (@redisops)
description:
  - Adds addresses to a group of the IP whitelist of a Tair instance on Alibaba Cloud, or takes them out of it. Other groups, and
    other addresses of the group, are never changed.
  - Credentials are found by the SDK's usual chain (environment variables such as E(ALIBABA_CLOUD_ACCESS_KEY_ID), OIDC,
    the profile files of the C(aliyun) tool, the role of an ECS machine). There is no option for them.
extends_documentation_fragment:
  - redisops.tair._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  instance_id:
    description:
      - ID of the instance, such as V(r-bp1zxszhcgatnx0000).
    type: str
    required: true
  region:
    description:
      - ID of the instance's region, such as V(cn-hangzhou). Needed unless O(endpoint) is given.
    type: str
  endpoint:
    description:
      - Address of the service, where it is not the region's public one, such as one inside of a VPC.
        May begin with C(http://) or C(https://).
    type: str
  group:
    description:
      - Name of the whitelist group. Two to 32 lower-case letters, digits and underscores, a letter first and no underscore last.
    type: str
    default: redisops_tair
  addresses:
    description:
      - IPv4 addresses, or networks such as V(192.0.2.0/24).
      - V(0.0.0.0/0), and what comes to the same, is refused unless O(allow_any_address=true).
    type: list
    elements: str
    required: true
  allow_any_address:
    description:
      - Whether to accept O(addresses) that let every address of the internet in.
    type: bool
    default: false
  record:
    description:
      - Path to a file, where the module runs, that names the addresses that were added with this option and are still to be removed.
      - With O(state=present) the addresses that the group lacks are written to it before they are added.
      - With O(state=absent) only addresses that it names are removed, so those that were in the group before stay.
        The file is removed when nothing is left.
    type: path
  state:
    description:
      - V(present) adds what is missing. V(absent) takes O(addresses) out of the group.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description:
      - Seconds to wait until the instance is C(Normal), before the change and after it.
    type: float
    default: 120.0
requirements:
  - alibabacloud-r-kvstore20150101 (Python library)
notes:
  - This module has never been run against the real service. What the SDK sends is tested against a local endpoint, and the rest is
    as Alibaba Cloud documents it.
  - The library must be installed for the Python that runs the module, usually that of the control node (C(delegate_to=localhost)).
  - The identity needs C(kvstore:DescribeSecurityIps), C(kvstore:ModifySecurityIps) and C(kvstore:DescribeInstances).
seealso:
  - module: redisops.tair.tair_info
"""

EXAMPLES = r"""
---
- name: Let the control node in
  redisops.tair.tair_whitelist:
    instance_id: r-bp1zxszhcgatnx0000
    region: cn-hangzhou
    addresses: [192.0.2.10]
    record: ./whitelist.json
  delegate_to: localhost

- name: And out again
  redisops.tair.tair_whitelist:
    instance_id: r-bp1zxszhcgatnx0000
    region: cn-hangzhou
    addresses: [192.0.2.10]
    record: ./whitelist.json
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
group:
  description: The whitelist group.
  returned: success
  type: str
  sample: redisops_tair
previous:
  description: What was in the group before. Empty also where there was no such group.
  returned: success
  type: list
  elements: str
  sample: []
added:
  description: The addresses that were added; in check mode, that would be.
  returned: success
  type: list
  elements: str
  sample: [192.0.2.10]
removed:
  description: The addresses that were removed; in check mode, that would be.
  returned: success
  type: list
  elements: str
  sample: []
addresses:
  description: What is in the group now; in check mode, what would be.
  returned: success
  type: list
  elements: str
  sample: [192.0.2.10]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.redisops.tair.plugins.module_utils._argspec import Result, run
from ansible_collections.redisops.tair.plugins.module_utils._whitelist import (
    DEFAULT_GROUP,
    Whitelist,
    valid_addresses,
    valid_group,
)
from ansible_collections.redisops.tair.plugins.module_utils._whitelist_record import WhitelistRecord


def whitelist(module: AnsibleModule) -> Result:
    params = module.params
    present = params["state"] == "present"
    group = valid_group(params["group"])
    addresses = valid_addresses(params["addresses"], allow_any=params["allow_any_address"] or not present)
    record = WhitelistRecord(params["record"], params["instance_id"], group) if params["record"] else None
    instance = Whitelist(params["instance_id"], params["region"] or "", params["endpoint"] or "", params["timeout"])
    change = instance.add if present else instance.remove
    outcome = change(group, addresses, record=record, check=module.check_mode)
    header = f"{params['instance_id']} {group}"
    return {
        "changed": outcome.changed,
        "group": group,
        "previous": outcome.previous,
        "addresses": outcome.addresses,
        "added": outcome.added,
        "removed": outcome.removed,
        "diff": {
            "before_header": header,
            "after_header": header,
            "before": {"addresses": outcome.previous},
            "after": {"addresses": outcome.addresses},
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instance_id": {"type": "str", "required": True},
            "region": {"type": "str"},
            "endpoint": {"type": "str"},
            "group": {"type": "str", "default": DEFAULT_GROUP},
            "addresses": {"type": "list", "elements": "str", "required": True},
            "allow_any_address": {"type": "bool", "default": False},
            "record": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "timeout": {"type": "float", "default": 120.0},
        },
        required_one_of=[["region", "endpoint"]],
        supports_check_mode=True,
    )
    run(module, whitelist)


if __name__ == "__main__":
    main()
