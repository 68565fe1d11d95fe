# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How does an address get onto a Tair instance's whitelist, and off again?

By Alibaba Cloud's own SDK and its own chain of credentials, in a group that nobody else uses.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import time
import traceback
import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.redisops.tair.plugins.module_utils._errors import MissingLibraryError, TairError
from ansible_collections.redisops.tair.plugins.module_utils._whitelist_record import WhitelistRecord

_SDK_IMPORT_ERROR: str | None = None
try:
    from alibabacloud_credentials.client import Client as Credentials
    from alibabacloud_r_kvstore20150101 import models
    from alibabacloud_r_kvstore20150101.client import Client
    from alibabacloud_tea_openapi.utils_models import Config
    from darabonba.policy.retry import RetryOptions
    from darabonba.runtime import RuntimeOptions
except ImportError:
    _SDK_IMPORT_ERROR = traceback.format_exc()

_SDK = "alibabacloud-r-kvstore20150101"
DEFAULT_GROUP = "redisops_tair"

#: As the console asks for it: 2 to 32 characters.
_GROUP = re.compile(r"[a-z][a-z0-9_]{0,30}[a-z0-9]")
_POLL_SECONDS = 1.0
_THROTTLED = ("Throttling", "Throttling.User", "Throttling.Api", "ServiceUnavailable")

#: Error codes of the service (their beginnings), and what to do.
_TODO = (
    ("InvalidInstanceId", "Check instance_id and region: an instance is only known in its own region"),
    ("InvalidAccessKeyId", "Check the access key that the SDK's chain of credentials finds"),
    ("SignatureDoesNotMatch", "Check the secret of the access key that the SDK's chain of credentials finds"),
    (
        ("Forbidden", "NoPermission"),
        "Allow kvstore:DescribeSecurityIps, kvstore:ModifySecurityIps and kvstore:DescribeInstances to this identity",
    ),
    (
        ("Throttling", "ServiceUnavailable"),
        "The SDK has tried again several times already. Wait a little, then run again",
    ),
    ("IncorrectDBInstanceState", "The instance is being changed otherwise. Wait until it is Normal, then run again"),
)


class WhitelistError(TairError):
    """The service refuses, or can't be reached."""


@dataclass(frozen=True)
class Outcome:
    changed: bool
    previous: list[str]
    addresses: list[str]
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def valid_addresses(addresses: t.Iterable[str], *, allow_any: bool = True) -> list[str]:
    """Return IPv4 addresses and networks as they are to be sent, each once, in their order.

    Raises :class:`TairError` for what is none, and unless ``allow_any`` for what lets every address in.
    """
    given = list(dict.fromkeys(addresses))
    networks: list[ipaddress.IPv4Network] = []
    for address in given:
        try:
            networks.append(ipaddress.IPv4Interface(address).network)
        except ValueError as exc:
            raise TairError(f"addresses has '{address}', which is no IPv4 address or network ({exc})") from None
    # Alibaba Cloud reads 0.0.0.0 as every address, too; and networks such as 0.0.0.0/1 and 128.0.0.0/1 are all of them.
    everything = any(network.network_address.is_unspecified and network.prefixlen == 32 for network in networks) or any(
        network.prefixlen == 0 for network in ipaddress.collapse_addresses(networks)
    )
    if everything and not allow_any:
        raise TairError(
            f"addresses ({', '.join(given)}) lets every address of the internet in",
            changed="The whitelist was not changed",
            todo="Name the addresses that need access, or set allow_any_address=true where this is what you want",
        )
    return given


def valid_group(group: str) -> str:
    if not _GROUP.fullmatch(group):
        raise TairError(
            f"group is '{group}', which can't be the name of a whitelist group",
            todo="Take 2 to 32 lower-case letters, digits and underscores, a letter first and no underscore last",
        )
    return group


class Whitelist:
    """The whitelist of one instance. ``endpoint`` may begin with ``http://``; without it the SDK knows the region's."""

    def __init__(self, instance_id: str, region: str, endpoint: str, timeout: float) -> None:
        if _SDK_IMPORT_ERROR:
            raise MissingLibraryError(
                missing_required_lib(_SDK, reason="to change a whitelist"), exception=_SDK_IMPORT_ERROR
            )
        self.instance_id = instance_id
        self.timeout = timeout
        protocol, _separator, address = endpoint.rpartition("://")
        self._runtime = RuntimeOptions(connect_timeout=10_000, read_timeout=30_000)
        config = Config(region_id=region or None, endpoint=address.rstrip("/") or None, protocol=protocol or "https")
        config.retry_options = RetryOptions(
            {
                "retryable": True,
                "retryCondition": [
                    {
                        "maxAttempts": 5,
                        "errorCode": list(_THROTTLED),
                        "exception": ["ThrottlingException"],
                        "backoff": {"policy": "Exponential", "period": 100, "cap": 5000},
                    }
                ],
            }
        )
        with _calling(f"find credentials for {self.instance_id}"):
            config.credential = Credentials()
            config.credential.get_credential()
        self._client = Client(config)

    def addresses(self, group: str) -> list[str] | None:
        """What the group has; None where there is no such group."""
        with _calling(f"read the whitelist of {self.instance_id}"):
            answer = self._client.describe_security_ips_with_options(
                models.DescribeSecurityIpsRequest(instance_id=self.instance_id), self._runtime
            )
        groups = answer.body.security_ip_groups
        for found in (groups.security_ip_group if groups else None) or []:
            if found.security_ip_group_name == group:
                return [address for address in (found.security_ip_list or "").split(",") if address]
        return None

    def add(
        self, group: str, addresses: list[str], *, record: WhitelistRecord | None = None, check: bool = False
    ) -> Outcome:
        """Add what the group lacks. ``record`` names it before the group has it, so that a killed run is on record, too."""
        recorded = record.read() if record else []
        before = self.addresses(group)
        missing = [address for address in addresses if address not in (before or [])]
        if missing and not check:
            if record:
                record.write(list(dict.fromkeys([*recorded, *missing])))
            self._modify(group, missing, "Cover" if before is None else "Append")
        elif not check:
            self._wait()  # another run may just have added them
        return Outcome(bool(missing), before or [], (before or []) + missing, added=missing)

    def remove(
        self, group: str, addresses: list[str], *, record: WhitelistRecord | None = None, check: bool = False
    ) -> Outcome:
        """Remove these addresses from the group; with a ``record``, only those of them that it names."""
        recorded = record.read() if record else addresses
        before = self.addresses(group) or []
        present = [address for address in before if address in addresses and address in recorded]
        if present and not check:
            self._modify(group, present, "Delete")
        if record and not check:
            record.write([address for address in recorded if address not in addresses])
        return Outcome(bool(present), before, [each for each in before if each not in present], removed=present)

    def _modify(self, group: str, addresses: list[str], mode: str) -> None:
        self._wait()
        with _calling(f"change the whitelist of {self.instance_id}"):
            self._client.modify_security_ips_with_options(
                models.ModifySecurityIpsRequest(
                    instance_id=self.instance_id,
                    security_ip_group_name=group,
                    security_ips=",".join(addresses),
                    modify_mode=mode,
                ),
                self._runtime,
            )
        self._wait()

    def _wait(self) -> None:
        """Until the instance is Normal: while its whitelist is being changed it is not."""
        end = time.monotonic() + self.timeout
        while True:
            status = self._status()
            if status == "Normal":
                return
            if time.monotonic() >= end:
                raise WhitelistError(
                    f"{self.instance_id} is still {status} after {self.timeout:g} s",
                    todo="Look at it in the console, or set timeout higher, then run again",
                )
            time.sleep(_POLL_SECONDS)

    def _status(self) -> str:
        with _calling(f"read the state of {self.instance_id}"):
            answer = self._client.describe_instances_with_options(
                models.DescribeInstancesRequest(instance_ids=self.instance_id), self._runtime
            )
        found = answer.body.instances
        for instance in (found.kvstore_instance if found else None) or []:
            return str(instance.instance_status)
        raise WhitelistError(f"There is no instance {self.instance_id}", todo=_todo("InvalidInstanceId"))


@contextlib.contextmanager
def _calling(what: str) -> t.Iterator[None]:
    """Turns what the SDK raises into an error for people; ``what`` says what can't be done then."""
    try:
        yield
    except Exception as exc:
        cause = getattr(exc, "inner_exception", None) or exc
        code = str(getattr(cause, "code", None) or type(cause).__name__)
        message = str(getattr(cause, "message", None) or cause).strip()
        shown = message if code in message else f"{code}: {message}"
        todo = _todo(code)
        if type(cause).__name__ == "CredentialException":
            todo = "Give credentials as the SDK looks for them: environment, profile, or the role of this machine"
        raise WhitelistError(f"Can't {what}: {shown}", todo=todo) from exc


def _todo(code: str) -> str:
    return next((todo for beginning, todo in _TODO if code.startswith(beginning)), "")
