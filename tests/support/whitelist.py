# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A local endpoint in the place of Alibaba Cloud's: real HTTP, real requests of the SDK, one instance's whitelist."""

from __future__ import annotations

import json
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

INSTANCE = "r-bp1zxszhcgatnx0000"
#: Found first by the SDK's chain; so nothing of this machine's is looked for.
CREDENTIALS = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "test-key-id",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cret-of-the-key",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "",
    "NO_PROXY": "127.0.0.1",
}


class WhitelistEndpoint:
    """``groups`` is the whitelist, ``requests`` what has arrived: action, parameters, headers."""

    def __init__(self) -> None:
        self.groups: dict[str, list[str]] = {"default": ["127.0.0.1"]}
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.states: list[str] = []
        """The next states of the instance; then it is Normal."""
        self.refusals: dict[str, list[tuple[int, str]]] = {}
        """By action, with what status and code the next requests are refused."""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                parameters = dict(parse_qsl(urlsplit(self.path).query))
                headers = {name.lower(): value for name, value in self.headers.items()}
                parameters.update(parse_qsl(self.rfile.read(int(headers.get("content-length") or 0)).decode()))
                status, answer = endpoint.answer(headers.get("x-acs-action", ""), parameters, headers)
                content = json.dumps({"RequestId": "1", **answer}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: t.Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> WhitelistEndpoint:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def sent(self, action: str) -> list[dict[str, str]]:
        return [parameters for name, parameters, _headers in self.requests if name == action]

    def answer(self, action: str, given: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, t.Any]]:
        self.requests.append((action, given, headers))
        if self.refusals.get(action):
            status, code = self.refusals[action].pop(0)
            return status, {"Code": code, "Message": f"refused by the test ({code})"}
        if action == "DescribeInstances":
            state = self.states.pop(0) if self.states else "Normal"
            known = [{"InstanceId": INSTANCE, "InstanceStatus": state}] if given["InstanceIds"] == INSTANCE else []
            return 200, {"Instances": {"KVStoreInstance": known}}
        if given["InstanceId"] != INSTANCE:
            return 404, {"Code": "InvalidInstanceId.NotFound", "Message": "no such instance"}
        if action == "DescribeSecurityIps":
            groups = [
                {"SecurityIpGroupName": name, "SecurityIpList": ",".join(listed)}
                for name, listed in self.groups.items()
            ]
            return 200, {"SecurityIpGroups": {"SecurityIpGroup": groups}}
        group, addresses = given["SecurityIpGroupName"], given["SecurityIps"].split(",")
        before = self.groups.get(group, [])
        if given["ModifyMode"] == "Delete":
            self.groups[group] = [address for address in before if address not in addresses]
            if not self.groups[group]:
                del self.groups[group]
        else:
            self.groups[group] = addresses if given["ModifyMode"] == "Cover" else before + addresses
        return 200, {}
