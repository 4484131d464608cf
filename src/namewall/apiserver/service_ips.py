"""Cluster addresses of Services: families chosen, addresses kept, taken or refused. Pure; chance is an argument.

Kubernetes' rules (pkg/registry/core/service): the first configured range is the default family; `ipFamilyPolicy`
SingleStack, PreferDualStack, RequireDualStack; a fixed `clusterIP` must lie in a range and be free. As there, the
lower part of a range is left to fixed addresses as long as the upper part has room (KEP-3070).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import IPv4Network, IPv6Network, ip_address

from namewall.apiserver.errors import Cause, invalid_value
from namewall.apiserver.values import Object, dig

Range = IPv4Network | IPv6Network
HEADLESS = "None"
ATTEMPTS = 64


def family(text: str) -> str:
    return "IPv6" if ":" in text else "IPv4"


def _family_of(cidr: Range) -> str:
    return f"IPv{cidr.version}"


def _fixed_part(cidr: Range) -> int:
    """How many of a range's first addresses are left to Services that ask for one: 16 to 256 of them."""
    size = cidr.num_addresses
    return 0 if size < 32 else min(max(16, size // 16), 256)


def _pick(cidr: Range, taken: Collection[str], below: Callable[[int], int]) -> str | None:
    """A free address of the range; None where it is full. `below(n)` is a number from 0 to n - 1."""
    size = min(cidr.num_addresses, 1 << 20)
    usable = range(1, size - (1 if cidr.version == 4 else 0))
    upper = usable[_fixed_part(cidr) :]
    for _ in range(ATTEMPTS if upper else 0):
        address = str(cidr[upper[below(len(upper))]])
        if address not in taken:
            return address
    for number in (*upper, *usable):
        address = str(cidr[number])
        if address not in taken:
            return address
    return None


def _families(spec: Object, ranges: dict[str, Range]) -> tuple[list[str], list[Cause]]:
    wanted = list(spec.get("ipFamilies") or [])
    fixed = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP")] if ip and ip != HEADLESS]
    if not wanted and fixed:
        wanted = [family(ip) for ip in fixed]
    if not wanted:
        wanted = [next(iter(ranges))]
    causes = [
        invalid_value(f"spec.ipFamilies[{index}]", name, "not configured on this cluster")
        for index, name in enumerate(wanted)
        if name not in ranges
    ]
    policy = spec.get("ipFamilyPolicy")
    if policy is None:
        policy = "RequireDualStack" if len(wanted) > 1 else "SingleStack"
        spec["ipFamilyPolicy"] = policy
    if policy == "RequireDualStack" and len(ranges) < 2:
        detail = "this cluster is not configured for dual-stack services"
        causes.append(invalid_value("spec.ipFamilyPolicy", policy, detail))
    if policy in ("PreferDualStack", "RequireDualStack") and len(ranges) > 1 and len(wanted) < 2:
        wanted += [name for name in ranges if name not in wanted]
    if policy == "SingleStack" and len(wanted) > 1:
        detail = "may only hold one family when ipFamilyPolicy is SingleStack"
        causes.append(invalid_value("spec.ipFamilies", wanted, detail))
    return wanted, causes


def assign(
    service: Object, cidrs: Collection[Range], taken: Collection[str], below: Callable[[int], int]
) -> list[Cause]:
    """Completes clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy in place; the causes where that fails."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return []
    ranges = {_family_of(cidr): cidr for cidr in cidrs}
    families, causes = _families(spec, ranges)
    if causes:
        return causes
    spec["ipFamilies"] = families
    if spec.get("clusterIP") == HEADLESS or spec.get("clusterIPs") == [HEADLESS]:
        spec["clusterIP"], spec["clusterIPs"] = HEADLESS, [HEADLESS]
        return []
    fixed = list(spec.get("clusterIPs") or [])
    if spec.get("clusterIP"):
        if fixed and fixed[0] != spec["clusterIP"]:
            detail = "first value must match `clusterIP`"
            return [invalid_value("spec.clusterIPs", fixed, detail)]
        fixed = fixed or [spec["clusterIP"]]
    given = {}
    for index, address in enumerate(fixed):
        field = f"spec.clusterIPs[{index}]"
        cause, address = _check(field, address, ranges, taken)
        if cause:
            return [cause]
        given[family(address)] = address
    addresses = []
    for name in families:
        found = given.pop(name, None) or _pick(ranges[name], taken, below)
        if found is None:
            return [invalid_value("spec.clusterIPs", None, f"range {ranges[name]} is full")]
        addresses.append(found)
    if given:
        detail = f"is not of the Service's families {', '.join(families)}"
        return [invalid_value("spec.clusterIPs", next(iter(given.values())), detail)]
    spec["clusterIP"], spec["clusterIPs"] = addresses[0], addresses
    return []


def _check(
    field: str, text: str, ranges: dict[str, Range], taken: Collection[str]
) -> tuple[Cause | None, str]:
    try:
        address = ip_address(text)
    except ValueError:
        return invalid_value(
            field, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        ), text
    cidr = ranges.get(f"IPv{address.version}")
    if cidr is None or address not in cidr:
        shown = ", ".join(map(str, ranges.values()))
        detail = f"failed to allocate IP {text}: the provided IP is not in the valid range {shown}"
        return invalid_value(field, text, detail), text
    if str(address) in taken:
        return invalid_value(
            field, text, f"failed to allocate IP {text}: provided IP is already allocated"
        ), text
    return None, str(address)


def taken_by(services: Collection[Object]) -> set[str]:
    """The addresses that Services have."""
    return {
        ip for service in services for ip in dig(service, "spec", "clusterIPs", default=[]) if ip != HEADLESS
    }
