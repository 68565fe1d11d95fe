# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

from __future__ import annotations


class ModuleDocFragment:
    # Twin of module_utils/_argspec.py: a test holds the two equal.
    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Host name or address of the server.
      - If not given, the environment variable E(REDISOPS_LOGIN_HOST) is used.
    type: str
    default: localhost
  login_port:
    description:
      - Port of the server.
      - If not given, the environment variable E(REDISOPS_LOGIN_PORT) is used.
    type: int
    default: 6379
  login_user:
    description:
      - ACL user to log in as. Leave it out to log in with a password alone.
      - If not given, the environment variable E(REDISOPS_LOGIN_USER) is used.
    type: str
  login_password:
    description:
      - Password, sent as it is. Tair accepts V(user:password) here when O(login_user) is empty.
      - If not given, the environment variable E(REDISOPS_LOGIN_PASSWORD) is used. An empty string means no password,
        whatever the environment says.
    type: str
  login_unix_socket:
    description:
      - Path of the server's Unix socket. O(login_host), O(login_port) and O(tls) are not used then.
    type: path
  tls:
    description:
      - Whether to speak TLS.
    type: bool
    default: false
  validate_certs:
    description:
      - Whether to verify the server's certificate and the host name in it. Only to be turned off for tests.
    type: bool
    default: true
  ca_certs:
    description:
      - File with the certificates of the authorities to trust; the system's own when it is not given.
        For Tair it is C(ApsaraDB-CA-Chain.pem), from the instance's TLS settings page.
      - If not given, the environment variable E(REDISOPS_CA_CERTS) is used.
    type: path
  client_cert_file:
    description:
      - Client certificate, where the server asks for one.
    type: path
  client_key_file:
    description:
      - Private key of O(client_cert_file).
    type: path
  connect_timeout:
    description:
      - Seconds to wait for the connection. A reply may take six times as long, unless the module has an option C(timeout).
    type: float
    default: 10.0
requirements:
  - redis (Python library) >= 4.5.0
notes:
  - The Python library C(redis) must be installed for the Python that runs the module on the host where it runs.
    With C(hiredis) 3.2 or newer beside it everything is faster.
  - Where it is missing, or too old, the control node's own copy is brought along for the time of the task; not with C(async).
    The host needs nothing but Python then.
"""

    # Beside the standard fragment, for modules that work on one server. Twin of server_spec() in module_utils/_argspec.py.
    SERVER = r"""
options:
  via:
    description:
      - Where the module runs.
    type: str
    choices:
      host: On the host of the task, as any module.
      control_node: >-
        On the control node, by the Python that runs Ansible, as its user and without C(become). The server must be reachable from
        there. The host of the task needs no Python then, and is not connected to.
    default: host
"""

    # Beside the standard fragment, for modules that work on a source. Twin of source_spec() in module_utils/_argspec.py.
    SOURCE = r"""
options:
  renamed_commands:
    description:
      - What C(rename-command) in the server's configuration file calls these commands. Commands that are not given keep their names.
    type: dict
    suboptions:
      CONFIG:
        description:
          - Name of C(CONFIG).
        type: str
      BGREWRITEAOF:
        description:
          - Name of C(BGREWRITEAOF).
        type: str
"""
