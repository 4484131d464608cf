"""What policies refer to outside themselves: Services (toServices) and CiliumCIDRGroups, as `policy.expand` wants them.

Pure. Only ready endpoints are told of a Service without a selector: the others are no place to send traffic to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from namewall.agent.services import name_of, ready_endpoints, slices_by_service
from namewall.policy.expand import CidrGroup, ServiceFacts

Object = dict[str, Any]


def service_facts(services: Iterable[Object], slices: Iterable[Object]) -> list[ServiceFacts]:
    """A Service with a selector is its pods, whatever their addresses; one without is the addresses written for it."""
    by_service = slices_by_service(slices)
    found = []
    for service in services:
        namespace, name = name_of(service)
        selector = service.get("spec", {}).get("selector") or {}
        written = () if selector else ready_endpoints(by_service.get((namespace, name), ()))
        addresses = frozenset(address for address, _, _ in written)
        labels = service["metadata"].get("labels") or {}
        found.append(ServiceFacts(namespace, name, labels, selector, addresses))
    return found


def cidr_groups(objects: Iterable[Object]) -> list[CidrGroup]:
    """The groups, by name, so that equal ones make equal values."""
    return sorted(map(CidrGroup.parse, objects), key=lambda group: group.name)
