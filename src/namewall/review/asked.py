"""One flow that somebody asks about: the world of the question, the explanation, a test of it, files with the patch.

The parties are made up or real; the world holds them and the policies, and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from namewall.model.documents import Document
from namewall.model.kube_names import label_problems
from namewall.policy.explain.anatomy import key_of
from namewall.policy.explain.flow import Explanation, catalog_of, document, explain
from namewall.policy.parse import CIDR_GROUP
from namewall.policy.scenario_parse import protocol_of
from namewall.review.complaints import clean
from namewall.review.explain import lines
from namewall.review.papers import File, Papers
from namewall.review.scenarios import ScenarioFile, place
from namewall.review.sheet import patched
from namewall.review.validate import judge
from namewall.review.written import file_name, text_of
from namewall.review.wrong import Wrong
from namewall.review.yaml_writing import block_yaml

Row = dict[str, Any]
WORLD_ADDRESS = "192.0.0.8"
"""Stands for an address of which nothing is known (as scenario.SOMEWHERE)."""
NODES = ("host", "remote-node", "kube-apiserver", "health", "ingress")


@dataclass
class World:
    """A scenario document that grows by the parties of a question. `live`: it holds a cluster's workloads, and a
    subject of the same name is one of them."""

    document: Row
    live: bool = False

    def word(self, party: Any, path: str, name: str) -> str:
        """The word by which a query names the party. Raises Wrong."""
        if not isinstance(party, Mapping) or len(party) != 1:
            raise Wrong("want one of `subject`, `name`, `address`, `entity`", path)
        (kind, value), *_ = party.items()
        if kind == "subject":
            return self._endpoint(value, f"{path}.subject", name)
        if not isinstance(value, str) or not value:
            raise Wrong("want a word", f"{path}.{kind}")
        if kind == "entity":
            if value in ("world", "world-ipv4"):
                return WORLD_ADDRESS
            if value == "world-ipv6":
                return "2001:2::1"
            if value not in NODES:
                raise Wrong(
                    f"`{value}` is not one peer; use one of {', '.join((*NODES, 'world'))}", f"{path}.entity"
                )
            return value
        if kind == "name":
            return value if "." in value else f"{value}."
        if kind == "address":
            try:
                return str(ip_address(value))
            except ValueError:
                raise Wrong(f"`{clean(value)}` is no address", f"{path}.address") from None
        raise Wrong(f"`{kind}` is no party; use one of subject, name, address, entity", path)

    def _endpoint(self, value: Any, path: str, name: str) -> str:
        if not isinstance(value, Mapping):
            raise Wrong("want {namespace, labels, name}", path)
        labels, namespace = value.get("labels") or {}, value.get("namespace") or "default"
        for key, text in (("namespace", namespace), ("name", value.get("name") or "")):
            if not isinstance(text, str):
                raise Wrong("want a text", f"{path}.{key}")
        for problem in label_problems(namespace):
            raise Wrong(f"`{clean(namespace)}` is no namespace: {problem}", f"{path}.namespace")
        taken = {(row["namespace"], row["name"]) for row in self.document["endpoints"]}
        if self.live and (namespace, value.get("name")) in taken:
            return f"{namespace}/{value['name']}"
        name = value.get("name") or next(
            (str(v) for k, v in sorted(_dict(labels).items()) if k == "app" and v), name
        )
        while (namespace, name) in taken:
            name = f"{name}-2"
        row = {"name": name, "namespace": namespace, "labels": labels}
        for key in ("serviceAccount", "ips", "namedPorts"):
            if value.get(key):
                row[key] = value[key]
        self.document["endpoints"].append(row)
        of_namespace = value.get("namespaceLabels")
        spaces = self.document.setdefault("namespaces", [])
        if all(space["name"] != namespace for space in spaces):
            spaces.append({"name": namespace, "labels": of_namespace or {}})
        return f"{namespace}/{name}"


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def explained(files: Iterable[File], asked: Mapping[str, Any], cluster: Row | None = None) -> Row:
    """The answer of `POST /api/explain`. `asked` has `from`, `to`, `port`, `protocol` and `question`. With `cluster`, a
    scenario document, of `POST /api/ask`: the files stand in place of its policies of the same names. Raises Wrong."""
    given = list(files)
    papers = Papers.read(given)
    if cluster is not None:
        mine = {one.key for one in papers.placed}
        stored = [obj for obj in cluster.pop("policies") if key_of(obj) not in mine]
        papers = Papers.read([*given, *((file_name(obj), text_of(obj)) for obj in stored)])
    world = World({"endpoints": []}) if cluster is None else World(cluster, True)
    file = _asked(papers, asked, world)
    assert file.scenario is not None
    catalog = catalog_of(file.scenario, [one.object for one in file.policies], file.document.value)
    found = explain(file.scenario, catalog, file.scenario.queries[0])
    after = None if found.patch is None else patched(papers, file.policies, found.patch.changes)
    if after is not None:
        names = {name for name, _ in given}
        after = [(n, text) for n, text in after if n in names or papers.texts.get(n) != text]
    return {
        "query": str(found.query),
        **document(catalog, found, file.line_of_rule),
        "text": "\n".join(lines(file, found)) + "\n",
        "test": _test(papers, world, found),
        "patchFiles": None if after is None else [{"name": name, "text": text} for name, text in after],
    }


def _asked(papers: Papers, asked: Mapping[str, Any], world: World) -> ScenarioFile:
    query: Row = {"from": world.word(asked.get("from"), "from", "workload")}
    target = world.word(asked.get("to"), "to", "peer")
    query["to"] = f"[{target}]" if target.count(":") > 1 else target
    question = asked.get("question")
    if question is not None:
        if not isinstance(question, str) or not question:
            raise Wrong("want a DNS name", "question")
        query["dns"] = question
    port = asked.get("port")
    if port is not None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
            raise Wrong(f"`{clean(port)}` is no port; ports are 0 to 65535", "port")
        query["port"] = port
    protocol = asked.get("protocol")
    if protocol is not None:
        try:
            found = protocol_of(str(protocol))
        except ValueError as error:
            raise Wrong(str(error), "protocol") from None
        query["protocol"] = "ICMPv6" if found.name == "ICMPV6" else found.name
    valid = [one for one in papers.placed if one.key[0] != CIDR_GROUP or not judge(one.object)[0]]
    valid = [one for one in valid if isinstance(one.object, dict)]
    world.document["queries"] = [query]
    whole = {**world.document, "policies": [one.object for one in valid]}
    file = place("", Document(whole, 0, {}))
    file.policies = valid
    if file.scenario is None:
        first = file.complaints[0]
        path = first.path.removeprefix("queries[0].")
        raise Wrong(first.message, path or None)
    return file


def _test(papers: Papers, world: World, found: Explanation) -> str:
    """A `namewall test` document beside the files, which passes now."""
    query = world.document["queries"][0]
    refused = found.answer.refused
    verdict = "refused" if refused else found.answer.verdict
    words = {"allow": "may reach", "deny": "may not reach", "refused": "may not look up"}[verdict]
    target = query.get("dns") or query["to"]
    where = f":{query['port']}" if "port" in query and "dns" not in query else ""
    name = f"{query['from'].removeprefix('default/')} {words} {target}{where}"
    test: Row = {"name": name, **query, "expect": verdict}
    document: Row = {"policyFiles": sorted({one.source for one in papers.placed})}
    if not document["policyFiles"]:
        document = {"policies": []}
    spaces = [space for space in world.document.get("namespaces", ()) if space["labels"]]
    if spaces:
        document["namespaces"] = spaces
    for key in ("services", "externals", "strictDnsRules"):
        if world.document.get(key):
            document[key] = world.document[key]
    document |= {"endpoints": world.document["endpoints"], "tests": [test]}
    return block_yaml(document)
