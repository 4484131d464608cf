"""The network the lab's world lives in: a namespace of its own, joined to the host by one cable.

        host                              namespace NAME
    NAME (veth)  .1 of each network  ───  uplink (veth)  every site's and resolver's own address
    routes to the world's networks        default routes back to the host

The host routes nothing else there, and nothing of the host's is changed but that link and its routes: both go
away with the namespace. `remove` is idempotent and also clears up after a start that failed half way.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from ipaddress import ip_network

from lab.host import environment, run
from lab.names import SLOTS, Network, World, slot_networks


def create(name: str, world: World) -> None:
    """Raises RuntimeError where the host already routes one of the world's networks."""
    taken = routed(world.networks)
    if taken:
        raise RuntimeError(
            f"the host already has a route to {taken[0]}; choose another slot (0 to {SLOTS - 1})"
        )
    run("ip", "netns", "add", name)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "uplink", "netns", name)
    host, inside = [f"link set {name} up"], ["link set lo up", "link set uplink up"]
    for network, gateway in zip(world.networks, world.host, strict=True):
        # no duplicate address detection: it would keep an IPv6 address unusable for a second
        nodad = " nodad" if network.version == 6 else ""
        host.append(f"addr add {gateway}/{network.prefixlen} dev {name}{nodad}")
    for address in (*world.resolvers, *(a for site in world.sites for a in site.addresses)):
        nodad = " nodad" if address.version == 6 else ""
        inside.append(f"addr add {address}/{address.max_prefixlen} dev uplink{nodad}")
    for version in world.families:
        gateway = next(address for address in world.host if address.version == version)
        inside.append(f"route add {gateway} dev uplink")
        inside.append(f"route add default via {gateway} dev uplink")
    _batch(host)
    _batch(inside, "-n", name)


def remove(name: str) -> None:
    run("ip", "link", "del", name, check=False)
    run("ip", "netns", "del", name, check=False)


def exists(name: str) -> bool:
    return any(line.split()[:1] == [name] for line in run("ip", "netns", "list").splitlines())


def routed(networks: tuple[Network, ...]) -> list[Network]:
    """Those of `networks` that overlap a route of the host other than a default route."""
    routes: list[Network] = []
    for family in ("-4", "-6"):
        text = run("ip", "-j", family, "route", "show", "table", "all", check=False)
        for route in json.loads(text or "[]"):
            with suppress(ValueError):  # "default", "unreachable" and the like
                routes.append(ip_network(route["dst"], strict=False))
    return [
        network
        for network in networks
        if any(
            network.version == route.version and network.overlaps(route)
            for route in routes
            if route.prefixlen
        )
    ]


def free_slot() -> int:
    """The lowest slot none of whose networks the host routes."""
    for slot in range(SLOTS):
        if not routed(slot_networks(slot)):
            return slot
    raise RuntimeError("the host routes all of 198.51.100.0/24, 203.0.113.0/24 or 2001:db8::/32 elsewhere")


def _batch(lines: list[str], *options: str) -> None:
    done = subprocess.run(
        ["ip", *options, "-batch", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"`ip {' '.join(options)} -batch -` failed: {done.stderr.strip()}")
