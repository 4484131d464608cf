"""The lab's world as a value: which names exist outside the cluster, at which addresses, for how long.

Decides only that. Serving it is dns.py's and web.py's matter, the network it lives in is netns.py's.
Invariant: no address belongs to two names, and none is the host's or the resolver's; so which address was
reached tells which name was meant. All addresses lie in the documentation ranges of RFC 5737 and RFC 3849
(198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32), never in 192.0.2.0/24, which can be a machine's own
uplink.

Several worlds fit on one host, each in a slot of its own: slot n has 32 addresses of each IPv4 range and a
/48.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from random import Random

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SLOTS = 8
BOTH = (4, 6)
_HOST, _RESOLVER, _FIRST_SITE = 1, 2, 4  # offsets in each range of a slot


@dataclass(frozen=True, slots=True)
class Site:
    """One name. With `alias` it is a CNAME and has no addresses of its own.

    `ttl` is in seconds. `shown` > 0 makes an answer hold only so many of the addresses, others every `ttl`
    seconds, as names behind a load balancer do: who resolves again meets addresses never seen before.
    """

    name: str
    addresses: tuple[Address, ...] = ()
    ttl: int = 5
    alias: str | None = None
    shown: int = 0

    def at(self, version: int, now: float) -> tuple[Address, ...]:
        """The addresses of one IP version an answer holds at `now` (seconds, any epoch)."""
        mine = tuple(a for a in self.addresses if a.version == version)
        if not self.shown or len(mine) <= self.shown:
            return mine
        start = int(now // self.ttl) * self.shown % len(mine)
        return tuple((mine + mine)[start : start + self.shown])


@dataclass(frozen=True, slots=True)
class World:
    """`port` is where every site serves HTTPS. `families` are the IP versions the world has (4, 6 or
    both)."""

    sites: tuple[Site, ...]
    slot: int = 0
    port: int = 443
    families: tuple[int, ...] = BOTH

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(n for n in slot_networks(self.slot) if n.version in self.families)

    @property
    def host(self) -> tuple[Address, ...]:
        """The host's own addresses at its end of the cable, one in each network."""
        return tuple(network[_HOST] for network in self.networks)

    @property
    def resolvers(self) -> tuple[Address, ...]:
        """Where the DNS server listens: one address of each IP version, port 53."""
        firsts: dict[int, Address] = {
            network.version: network[_RESOLVER] for network in reversed(self.networks)
        }
        return tuple(firsts[version] for version in self.families)

    @property
    def upstream(self) -> str:
        """What `namewall up --dns-upstream` takes."""
        return str(self.resolvers[0])

    def site(self, name: str) -> Site | None:
        return next((site for site in self.sites if site.name == name), None)

    def owner(self, address: Address) -> str | None:
        """The name that lives at this address."""
        return next((site.name for site in self.sites if address in site.addresses), None)

    def renamed(self, rename: Callable[[str], str]) -> World:
        """The same world under other names; aliases follow."""
        return replace(
            self,
            sites=tuple(
                replace(site, name=rename(site.name), alias=site.alias and rename(site.alias))
                for site in self.sites
            ),
        )


def slot_networks(slot: int) -> tuple[Network, ...]:
    if not 0 <= slot < SLOTS:
        raise ValueError(f"slot `{slot}`: want 0 to {SLOTS - 1}")
    return (
        IPv4Network(f"198.51.100.{32 * slot}/27"),
        IPv4Network(f"203.0.113.{32 * slot}/27"),
        IPv6Network(f"2001:db8:{slot:x}::/48"),
    )


def page_world(slot: int = 0, families: tuple[int, ...] = BOTH) -> World:
    """The world the page speaks of, and a few names more."""
    empty = World((), slot, families=families)
    v4, v6 = _free(empty, 4), _free(empty, 6)

    def site(name: str, n4: int, n6: int, ttl: int = 5, shown: int = 0) -> Site:
        return Site(name, (*_take(v4, n4), *_take(v6, n6)), ttl, shown=shown)

    sites = (
        site("kubernetes.io", 3, 2),
        site("cilium.io", 2, 2),
        site("docs.cilium.io", 1, 1),
        site("ebpf.io", 2, 1, ttl=10),
        site("registry.example.com", 9, 9, ttl=2, shown=3),
        site("edge.cdn.example.net", 2, 2, ttl=3),
        Site("www.kubernetes.io", alias="kubernetes.io"),
        Site("www.cilium.io", alias="www.cilium.io.cdn.example.net", ttl=30),
        Site("www.cilium.io.cdn.example.net", alias="edge.cdn.example.net", ttl=30),
    )
    return replace(empty, sites=sites)


def random_world(seed: int, slot: int = 0, families: tuple[int, ...] = BOTH, count: int = 6) -> World:
    """Names, numbers of addresses, addresses, TTLs and the HTTPS port drawn from `seed`.

    The first two sites always have addresses in every family: one to allow and one to deny.
    """
    random = Random(seed)
    port = random.choice((443, random.randrange(1024, 30000)))
    empty = World((), slot, port, families)
    names = _random_names(random)
    free4, free6 = list(_free(empty, 4)), _take(_free(empty, 6), 4096)
    random.shuffle(free4)
    random.shuffle(free6)
    v4, v6 = iter(free4), iter(free6)
    sites = []
    for number in range(count):
        least = 1 if number < 2 else 0
        n4, n6 = random.randint(least, 4), random.randint(least, 4)
        sites.append(Site(next(names), (*_take(v4, n4), *_take(v6, n6)), random.randint(1, 6)))
    sites.append(Site("www." + sites[0].name, alias=sites[0].name, ttl=random.randint(1, 6)))
    return replace(empty, sites=tuple(sites))


def _free(world: World, version: int) -> Iterator[Address]:
    """Addresses for sites, alternating between the networks of this version; empty if there is none."""
    networks = [network for network in world.networks if network.version == version]
    for offset in range(_FIRST_SITE, 31 if version == 4 else 1 << 16):
        for network in networks:
            yield network[offset]


def _take(addresses: Iterator[Address], count: int) -> list[Address]:
    return [address for address, _ in zip(addresses, range(count), strict=False)]


def _random_names(random: Random) -> Iterator[str]:
    """Distinct host names of two to four labels; never one inside another, so that none implies another."""
    seen: list[str] = []
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    while True:
        labels = [
            "".join(random.choices(letters, k=random.randint(3, 12))) for _ in range(random.randint(1, 3))
        ]
        name = ".".join([*labels, random.choice(("io", "com", "net", "dev", "example"))])
        if not any(name.endswith("." + old) or old.endswith("." + name) or name == old for old in seen):
            seen.append(name)
            yield name
