"""Sockets of this host that take packets for others' addresses: what the proxy of DNS over TCP listens on.

`from_endpoint` gives a packet to such a socket and marks it; a rule leads that mark to a table in which every
address is the host's own, so that the packet is delivered here and not forwarded. The sockets carry a mark of
their own, by which the programs know them: a port that somebody else took is not the proxy. A host whose own
firewall drops what comes in by default drops these packets too; `input_obstacles` names such chains.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress

from namewall.model.errors import Cannot
from namewall.model.instance import Instance

IP_TRANSPARENT, IPV6_TRANSPARENT, SO_MARK = 19, 75, 36
PRIORITY = 1053
"""Of the rules: after the host's own addresses (0), before its routes (32766)."""
BACKLOG = 256
_ENVIRONMENT = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}


def listen(instance: Instance, versions: Iterable[int]) -> dict[int, socket.socket]:
    """IP version → a listener on loopback, at any port. A version that this host does not have is left out."""
    found: dict[int, socket.socket] = {}
    for version in versions:
        with suppress(OSError):
            found[version] = _listener(instance, version)
    return found


def _listener(instance: Instance, version: int) -> socket.socket:
    made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        if version == 4:
            made.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        else:
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, SO_MARK, instance.socket_mark)
        made.setblocking(False)
        made.bind(("127.0.0.1" if version == 4 else "::1", 0))
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def route(instance: Instance, versions: Iterable[int]) -> None:
    """Marked packets are for this host. Idempotent; raises Cannot."""
    for version in versions:
        _ip(version, "route", "replace", "local", "default", "dev", "lo", "table", str(instance.route_table))
        if not _ip(version, "rule", "show", *_rule(instance)).strip():
            _ip(version, "rule", "add", *_rule(instance))


def unroute(instance: Instance) -> None:
    """Idempotent."""
    for version in (4, 6):
        with suppress(Cannot):
            while _ip(version, "rule", "show", *_rule(instance)).strip():
                _ip(version, "rule", "del", *_rule(instance))
        with suppress(Cannot):
            _ip(version, "route", "flush", "table", str(instance.route_table))


def input_obstacles() -> list[str]:
    """A sentence for each chain of the host's that drops by default what comes in."""
    run = subprocess.run(
        ["nft", "-j", "-t", "list", "chains"],
        capture_output=True,
        text=True,
        check=False,
        env=_ENVIRONMENT,
    )
    if run.returncode != 0:
        return []
    chains = [item["chain"] for item in json.loads(run.stdout)["nftables"] if "chain" in item]
    return [
        f"chain `{chain['name']}` of nft table `{chain['family']} {chain['table']}` drops what comes in by "
        "default: pods' DNS over TCP under `rules.dns` works only as far as it accepts that"
        for chain in chains
        if chain.get("hook") == "input" and chain.get("policy") == "drop"
    ]


def _rule(instance: Instance) -> list[str]:
    return [
        *("priority", str(PRIORITY), "fwmark", hex(instance.proxy_mark)),
        *("table", str(instance.route_table)),
    ]


def _ip(version: int, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["ip", f"-{version}", *arguments], capture_output=True, text=True, check=False, env=_ENVIRONMENT
        )
    except FileNotFoundError:
        raise Cannot("the program `ip` is missing; install the package iproute2") from None
    if done.returncode:
        raise Cannot(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
