"""Which address ranges the host already uses, so that `up` never shadows one of them."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from namewall.model.net import Network


def host_ranges(own_links: Iterable[str]) -> dict[str, Network]:
    """Who has it → network: the host's routes, but those over links of instances with the link_prefixes `own_links`,
    and resolvers.

    Default routes, link-local and multicast ranges are left out: nobody picks those.
    """
    taken: dict[str, Network] = {}
    for family in ("-4", "-6"):
        for route in _ip(family, "route", "show", "table", "all"):
            device = route.get("dev", "")
            destination = route.get("dst", "default")
            if (
                destination == "default"
                or any(is_own_link(device, prefix) for prefix in own_links)
                or route.get("protocol") == OWN_PROTOCOL
            ):
                continue
            with contextlib.suppress(ValueError):
                network = ip_network(destination, strict=False)
                if not (network.is_link_local or network.is_multicast):
                    taken[
                        f"the host's route to {destination} over {device or route.get('type', 'no link')}"
                    ] = network
    for server in _nameservers("/etc/resolv.conf"):
        taken[f"the resolver {server} of /etc/resolv.conf"] = ip_network(server)
    return taken


def is_own_link(name: str, own_links: str) -> bool:
    """Whether it is one of the instance with that link_prefix: a number follows, where others have their tag."""
    return name.startswith(own_links) and name.removeprefix(own_links).isdecimal()


OWN_PROTOCOL = "78"
"""Routes of ours carry this protocol number."""


def _nameservers(path: str) -> list[str]:
    servers = []
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                with contextlib.suppress(ValueError):
                    servers.append(str(ip_address(words[1].partition("%")[0])))
    return servers


def _ip(*arguments: str) -> list[dict[str, str]]:
    run = subprocess.run(["ip", "-j", *arguments], capture_output=True, text=True, check=False)
    if run.returncode != 0 or not run.stdout.strip():
        return []
    rows: list[dict[str, str]] = json.loads(run.stdout)
    return rows
