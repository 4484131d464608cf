"""From a scenario document to a Scenario, or to everything that is wrong with it.

The document is plain values (of YAML or JSON, loaded by others); `scenario_schema.SCENARIO` says its shape. A
policy that is not accepted is no problem of the document: it has no effect, and its result says why, as in Cilium.
What a name in a query means is settled here: endpoints come first, then Services, addresses, reserved names, and a
word with a dot is a DNS name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from itertools import islice
from typing import Any

from namewall.model.errors import Problem
from namewall.model.kube_names import label_problems
from namewall.model.labels import METADATA_NAME, Labels, identity_labels
from namewall.model.names import fqdn, why_not_asked
from namewall.model.near import near, or_meant
from namewall.model.net import Address, Protocol
from namewall.policy.expand import CidrGroup, ServiceFacts, expand
from namewall.policy.parse import CIDR_GROUP, enforceable, parse, stored
from namewall.policy.ports import named_ports
from namewall.policy.rules import Policy, in_force, replaced
from namewall.policy.scenario import (
    DNS_PORT,
    RESERVED_NAMES,
    Endpoint,
    Lookup,
    Name,
    Node,
    Party,
    PolicyResult,
    Query,
    Scenario,
    Service,
    ServicePort,
    is_cluster_dns,
)
from namewall.policy.scenario_schema import EXPECT, EXPECTATIONS, PROTOCOLS, SCENARIO
from namewall.policy.schema import crd_schema
from namewall.policy.structural import parse_cidr, validate

Row = Mapping[str, Any]

DEFAULT = "default"

_PROTOCOLS = {name: Protocol[name.upper()] for name in PROTOCOLS}
_DEFAULT_PORTS = {Protocol.ICMP: 8, Protocol.ICMPV6: 128}
"""Echo requests."""
_PORT = re.compile(r"(.*):([0-9]{1,5})(?:/([A-Za-z0-9]+))?", re.DOTALL)
_SERVICE_NAME = re.compile(r"([^.]+)\.([^.]+)\.svc(?:\.cluster\.local)?\.?")


def parse_scenario(document: Any, policies: Iterable[Any] = ()) -> tuple[Scenario | None, list[Problem]]:
    """The scenario, or None and its problems. `policies` are objects of `policyFiles`: they come after `policies`."""
    if not isinstance(document, dict):
        return None, [_problem("", "a scenario must be a mapping with policies, endpoints and queries")]
    if "kind" in document and "apiVersion" in document:
        text = "an object of Kubernetes is no scenario; one has `queries` or `tests`, and names this in `policyFiles`"
        return None, [_problem("", text)]
    problems = validate(SCENARIO, document)
    if problems:
        return None, problems
    reader = _Reader(document)
    scenario = reader.read([*document.get("policies", ()), *policies])
    return (None, reader.problems) if reader.problems else (scenario, [])


def parse_party(scenario: Scenario, text: str) -> Party | None:
    """Whom a word means in a scenario, None for nobody. Raises ValueError for what can mean nobody, or several."""
    return _Directory(scenario.endpoints, scenario.services, scenario.stand_in).find(text)


def near_party(scenario: Scenario, text: str) -> str | None:
    """Who may be meant by a word that means nobody."""
    return _Directory(scenario.endpoints, scenario.services, scenario.stand_in).near(text)


def parse_target(text: str) -> tuple[str, int | None, Protocol | None]:
    """`NAME:PORT[/proto]` taken apart. Raises ValueError for a port or protocol that is none."""
    try:
        ip_address(text)
    except ValueError:
        pass
    else:
        return text, None, None
    match = _PORT.fullmatch(text)
    if match is None:
        return text.removeprefix("[").removesuffix("]"), None, None
    name, port, protocol = match.groups()
    if int(port) > 65535:
        raise ValueError(f"`{port}` is no port; ports end at 65535")
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return name, int(port), None if protocol is None else protocol_of(protocol)


def protocol_of(text: str) -> Protocol:
    """Of any case. Raises ValueError with the ones there are."""
    for name, protocol in _PROTOCOLS.items():
        if name.upper() == text.upper():
            return protocol
    words = f"`{text}` is no protocol; use one of {', '.join(_PROTOCOLS)}"
    raise ValueError(or_meant(words, near(text, _PROTOCOLS)))


def _problem(path: str, message: str) -> Problem:
    return Problem(path, message, "schema")


@dataclass
class _Directory:
    """Who is called what."""

    endpoints: Iterable[Endpoint]
    services: Iterable[Service]
    stand_in: Endpoint | None
    _pods: dict[str, list[Endpoint]] = field(default_factory=dict)
    _services: dict[str, list[Service]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for endpoint in self.endpoints:
            for name in (endpoint.name, f"pod/{endpoint.name}", str(endpoint), f"pod/{endpoint}"):
                self._pods.setdefault(name, []).append(endpoint)
        for service in self.services:
            own, namespace = service.facts.name, service.facts.namespace
            for prefix in ("svc/", "service/"):
                for name in (f"{prefix}{own}", f"{prefix}{namespace}/{own}"):
                    self._services.setdefault(name, []).append(service)
            self._services.setdefault(f"{own}.{namespace}.svc", []).append(service)
        if self.stand_in is not None:
            for name in (self.stand_in.name, f"pod/{self.stand_in.name}", str(self.stand_in)):
                self._pods.setdefault(name, [self.stand_in])

    def find(self, text: str) -> Party | None:
        """Raises ValueError for a word that fits several."""
        found: list[Endpoint] | list[Service] | None = self._pods.get(text) or self._services.get(text)
        if found is None and (match := _SERVICE_NAME.fullmatch(text.lower())):
            found = self._services.get(f"{match[1]}.{match[2]}.svc")
            if found is None:
                return None  # the name of a Service that is not there: nobody, and surely not the world
        if found:
            if len(found) > 1:
                default = [one for one in found if _namespace(one) == DEFAULT]
                if len(default) != 1:
                    names = ", ".join(f"`{one}`" for one in found)
                    raise ValueError(f"`{text}` may be any of {names}; write which")
                return default[0]
            return found[0]
        if text in RESERVED_NAMES:
            return Node(text)
        try:
            return ip_address(text)
        except ValueError:
            pass
        if "." in text and not set(text) & set("/: "):
            if why := why_not_asked(text):
                raise ValueError(why)
            return Name(fqdn(text))
        return None

    def near(self, text: str) -> str | None:
        """Who may be meant by a word that means nobody."""
        return near(text, (*self._pods, *self._services, *RESERVED_NAMES))

    def known(self) -> str:
        names = [f"`{endpoint}`" for endpoint in islice(self.endpoints, 9)]
        return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


def _namespace(party: Endpoint | Service) -> str:
    return party.namespace if isinstance(party, Endpoint) else party.facts.namespace


class _Reader:
    """One document of the right shape. Problems are collected; what has one is left out."""

    def __init__(self, document: Row) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.namespaces = {
            row["name"]: {METADATA_NAME: row["name"], **row.get("labels", {})}
            for row in document.get("namespaces", ())
        }

    def read(self, objects: list[Any]) -> Scenario:
        document = self.document
        results, policies, groups = self._policies(objects)
        groups += [
            CidrGroup(row["name"], row.get("labels", {}), frozenset(map(_cidr, row["externalCIDRs"])))
            for row in document.get("cidrGroups", ())
        ]
        endpoints = self._endpoints()
        services = self._services(endpoints)
        taken = {str(endpoint) for endpoint in endpoints}
        stand_in = None if "kube-system/kube-dns" in taken else self._stand_in()
        directory = _Directory(endpoints, services, stand_in)
        lookups = self._lookups(document.get("lookups", ()), "lookups", directory, None)
        names: dict[Address, frozenset[str]] = {}
        for index, row in enumerate(document.get("externals", ())):
            if (address := self._address(row["ip"], f"externals[{index}].ip")) is not None:
                names[address] = names.get(address, frozenset()) | frozenset(map(fqdn, row.get("names", ())))
        queries = [
            query
            for member in ("queries", "tests")
            for index, row in enumerate(document.get(member, ()))
            if (query := self._query(row, f"{member}[{index}]", directory)) is not None
        ]
        if "at" in document:
            self._finite(document["at"], "at")
        self._namespaces()
        return Scenario(
            policies=tuple(policies),
            expanded=expand(policies, [service.facts for service in services], groups),
            results=tuple(results),
            endpoints=tuple(endpoints),
            services=tuple(services),
            names=names,
            lookups=lookups,
            at=document.get("at"),
            strict_dns_rules=document.get("strictDnsRules", False),
            cluster_ports=named_ports(_ports(document.get("endpoints", ()))),
            stand_in=stand_in,
            queries=tuple(queries),
            about=document.get("about", ""),
        )

    def _say(self, path: str, message: str, meant: str | None = None) -> None:
        self.problems.append(Problem(path, message, "schema", meant=meant))

    def _address(self, text: str, path: str) -> Address | None:
        try:
            return ip_address(text)
        except ValueError:
            self._say(path, f"`{text}` is no address; write one as 203.0.113.7 or 2001:db8::7")
            return None

    def _addresses(self, texts: Iterable[str], path: str) -> tuple[Address, ...]:
        read = [self._address(text, f"{path}[{index}]") for index, text in enumerate(texts)]
        return tuple(address for address in read if address is not None)

    def _finite(self, value: float, path: str) -> None:
        if not math.isfinite(value):
            self._say(path, f"`{value}` is no time; write seconds as a number")

    def _policies(self, objects: list[Any]) -> tuple[list[PolicyResult], list[Policy], list[CidrGroup]]:
        results: list[PolicyResult] = []
        policies: list[Policy | None] = []
        groups: list[CidrGroup] = []
        for index, obj in enumerate(objects):
            if isinstance(obj, dict) and obj.get("kind") == CIDR_GROUP:
                obj, _ = stored(obj)
                found = validate(crd_schema(CIDR_GROUP), obj, f"policies[{index}]")
                self.problems += found
                if not found:
                    groups.append(CidrGroup.parse(obj))
                continue
            policy, problems = parse(obj)
            metadata = obj.get("metadata") if isinstance(obj, dict) else None
            name = metadata.get("name") if isinstance(metadata, dict) else None
            name = name if isinstance(name, str) else None
            policies.append(policy)
            if policy is None:
                results.append(PolicyResult(name, tuple(problems)))
            else:
                results.append(PolicyResult(name, (), tuple(enforceable(policy))))
        for number, by in replaced(policies).items():
            results[number] = replace(results[number], replaced_by=by)
        return results, in_force(policies), groups

    def _namespaces(self) -> None:
        """A name that no namespace can have is a slip: no pod is there, and every answer would be about nobody."""
        for member, key in (("namespaces", "name"), ("endpoints", "namespace"), ("services", "namespace")):
            for index, row in enumerate(self.document.get(member, ())):
                for problem in label_problems(row.get(key, DEFAULT)):
                    self._say(f"{member}[{index}].{key}", f"`{row[key]}` is no namespace: {problem}")

    def _labels(self, own: Row, namespace: str, account: str = DEFAULT) -> Labels:
        known = self.namespaces.get(namespace, {METADATA_NAME: namespace})
        return identity_labels(own, namespace, known, account)

    def _endpoints(self) -> list[Endpoint]:
        found: dict[str, Endpoint] = {}
        owners: dict[Address, str] = {}
        for index, row in enumerate(self.document.get("endpoints", ())):
            path = f"endpoints[{index}]"
            namespace, own = row.get("namespace", DEFAULT), row.get("labels", {})
            endpoint = Endpoint(
                name=row["name"],
                namespace=namespace,
                labels=self._labels(own, namespace, row.get("serviceAccount", DEFAULT)),
                own_labels=own,
                ports=named_ports(_ports([row])),
                addresses=self._addresses(row.get("ips", ()), f"{path}.ips"),
                node=row.get("node", ""),
            )
            if str(endpoint) in found:
                self._say(f"{path}.name", f"`{endpoint}` is there twice")
            for address in endpoint.addresses:
                if owners.setdefault(address, str(endpoint)) != str(endpoint):
                    self._say(f"{path}.ips", f"`{address}` belongs to `{owners[address]}` already")
            found[str(endpoint)] = endpoint
        return list(found.values())

    def _stand_in(self) -> Endpoint:
        own = {"k8s-app": "kube-dns"}
        return Endpoint("kube-dns", "kube-system", self._labels(own, "kube-system", "kube-dns"), own)

    def _services(self, endpoints: list[Endpoint]) -> list[Service]:
        directory = _Directory(endpoints, (), None)
        labelled: dict[tuple[str, str, str], list[Endpoint]] = {}
        for endpoint in endpoints:
            for item in endpoint.own_labels.items():
                labelled.setdefault((endpoint.namespace, *item), []).append(endpoint)
        found = []
        for index, row in enumerate(self.document.get("services", ())):
            path = f"services[{index}]"
            namespace, selector = row.get("namespace", DEFAULT), row.get("selector", {})
            backends: list[Endpoint | Address] = []
            if "endpoints" in row:
                for number, text in enumerate(row["endpoints"]):
                    party = self._party(text, f"{path}.endpoints[{number}]", directory, "endpoint or address")
                    if isinstance(party, Name | Node):
                        self._say(f"{path}.endpoints[{number}]", f"`{text}` is no endpoint or address")
                    elif party is not None and not isinstance(party, Service):
                        backends.append(party)
            elif selector:
                rarest = min((labelled.get((namespace, *item), []) for item in selector.items()), key=len)
                backends += [one for one in rarest if selector.items() <= one.own_labels.items()]
            facts = ServiceFacts(
                namespace,
                row["name"],
                row.get("labels", {}),
                selector,
                frozenset(one for one in backends if not isinstance(one, Endpoint)),
            )
            ports = tuple(
                ServicePort(
                    port["port"], Protocol[port.get("protocol", "TCP")], port.get("targetPort", port["port"])
                )
                for port in row.get("ports", ())
            )
            addresses = self._addresses(row.get("ips", ()), f"{path}.ips")
            found.append(Service(facts, addresses, ports, tuple(backends)))
        return found

    def _party(self, text: str, path: str, directory: _Directory, what: str) -> Party | None:
        try:
            found = directory.find(text)
        except ValueError as error:
            self._say(path, str(error))
            return None
        if found is None:
            known = directory.known()
            message = f"`{text}` is no {what}" + (f"; endpoints are {known}" if known else "")
            self._say(path, message, directory.near(text))
        return found

    def _lookups(
        self, rows: Iterable[Row], path: str, directory: _Directory, asker: Party | None
    ) -> tuple[Lookup, ...]:
        found = []
        for index, row in enumerate(rows):
            where = f"{path}[{index}]"
            source = asker
            if "from" in row:
                source = self._party(row["from"], f"{where}.from", directory, "endpoint")
                if source is None:
                    continue
            if not isinstance(source, Endpoint):
                self._say(f"{where}.from", "a lookup needs the endpoint that asked")
                continue
            if ("ip" in row) == ("ips" in row):
                self._say(f"{where}.ip", "a lookup needs `ip` or `ips`, one of them")
                continue
            texts = row["ips"] if "ips" in row else [row["ip"]]
            server = None
            if "server" in row:
                server = self._party(row["server"], f"{where}.server", directory, "server")
                if isinstance(server, Name):
                    text = f"`{row['server']}` is a name; a server is an address, an endpoint or a Service"
                    self._say(f"{where}.server", text)
            for key in ("ttl", "at"):
                self._finite(row.get(key, 0), f"{where}.{key}")
            addresses = self._addresses(texts, f"{where}.{'ips' if 'ips' in row else 'ip'}")
            lookup = Lookup(source, fqdn(row["name"]), addresses, row.get("ttl", 0), row.get("at", 0), server)
            found.append(lookup)
        return tuple(found)

    def _query(self, row: Row, path: str, directory: _Directory) -> Query | None:
        before = len(self.problems)
        source = self._party(row["from"], f"{path}.from", directory, "endpoint, address or reserved name")
        if isinstance(source, Service | Name):
            self._say(f"{path}.from", f"`{row['from']}` cannot begin a flow: name an endpoint or an address")
        dns = row.get("dns")
        target: Party | None = None
        port, protocol = row.get("port"), None if "protocol" not in row else _PROTOCOLS[row["protocol"]]
        if "to" in row:
            try:
                name, own_port, own_protocol = parse_target(row["to"])
            except ValueError as error:
                self._say(f"{path}.to", str(error))
                return None
            target = self._party(name, f"{path}.to", directory, "endpoint, Service, address, or DNS name")
            for key, here, there in (("port", own_port, port), ("protocol", own_protocol, protocol)):
                if here is not None and there not in (None, here):
                    self._say(f"{path}.{key}", f"`to` says another {key} than `{key}`; write one of them")
            port = own_port if port is None else port
            protocol = protocol or own_protocol
        elif dns is None:
            self._say(f"{path}.to", "a query needs `to`, or `dns` alone for a question to the cluster DNS")
        else:
            target = _dns_server(directory)
        protocol = protocol or (Protocol.TCP if dns is None else Protocol.UDP)
        if port is None:
            port = DNS_PORT if dns is not None else _DEFAULT_PORTS.get(protocol)
            if port is None:
                self._say(f"{path}.port", "a query needs a port, in `port` or as `NAME:PORT` in `to`")
        if "at" in row:
            self._finite(row["at"], f"{path}.at")
        lookups = self._lookups(row.get("lookups", ()), f"{path}.lookups", directory, source)
        self._expectation(row.get("expect"), f"{path}.expect")
        if len(self.problems) > before:
            return None
        assert source is not None
        assert target is not None
        assert port is not None
        return Query(
            source,
            target,
            port,
            protocol,
            None if dns is None else fqdn(dns),
            row.get("at"),
            lookups,
            row.get("expect"),
            row.get("name", ""),
            path,
        )

    def _expectation(self, expect: Any, path: str) -> None:
        if expect is None or (isinstance(expect, str) and expect in EXPECTATIONS):
            return
        if not isinstance(expect, dict):
            shown = expect if isinstance(expect, str) else type(expect).__name__
            words = f"`{shown}` is no expectation; write one of {', '.join(EXPECTATIONS)}, or a mapping"
            self._say(path, words, near(shown, EXPECTATIONS))
            return
        fields = EXPECT["properties"]
        if not expect:
            words = (
                f"nothing is expected here; write one of {', '.join(EXPECTATIONS)}, or fields of the answer"
            )
            self._say(path, words)
        for key, value in expect.items():
            if key not in fields:
                words = f"`{key}` is no field of an answer; use {', '.join(fields)}"
                self._say(f"{path}.{key}", words, near(key, fields))
            elif "enum" in fields[key] and value not in fields[key]["enum"]:
                words = ", ".join("null" if word is None else word for word in fields[key]["enum"])
                self._say(f"{path}.{key}", f"`{value}` cannot be; use one of {words}")
            elif key == "reason" and not isinstance(value, str):
                self._say(f"{path}.{key}", "a reason is a word, as POLICY_DENIED or allowed")
            elif key == "rules":
                self._expected_rules(value, f"{path}.{key}")

    def _expected_rules(self, rules: Any, path: str) -> None:
        if not isinstance(rules, list):
            self._say(path, "rules are a list, [] for none")
            return
        fields = EXPECT["properties"]["rules"]["items"]["properties"]
        for index, rule in enumerate(rules):
            where = f"{path}[{index}]"
            if not isinstance(rule, dict):
                self._say(where, f"a rule is a mapping of {', '.join(fields)}")
                continue
            for key, value in rule.items():
                if key not in fields:
                    words = f"`{key}` is no field of a rule; use {', '.join(fields)}"
                    self._say(f"{where}.{key}", words, near(key, fields))
                elif not isinstance(value, str) and not (value is None and key == "namespace"):
                    self._say(f"{where}.{key}", "must be a string")


def _dns_server(directory: _Directory) -> Party | None:
    """The cluster DNS of scenario.Scenario.cluster_dns, as one party."""
    for service in directory.services:
        if (service.facts.namespace, service.facts.name) == ("kube-system", "kube-dns"):
            return service
    for endpoint in directory.endpoints:
        if is_cluster_dns(endpoint):
            return endpoint
    return directory.stand_in


def _ports(pods: Iterable[Row]) -> Iterator[tuple[str, str, int]]:
    for pod in pods:
        for port in pod.get("namedPorts", ()):
            yield port["name"], port.get("protocol", "TCP"), port["port"]


def _cidr(text: str) -> Any:
    prefix = parse_cidr(text)
    assert prefix is not None, f"`{text}` passed the schema but is no prefix"
    return prefix


__all__ = ["near_party", "parse_party", "parse_scenario", "parse_target", "protocol_of"]
