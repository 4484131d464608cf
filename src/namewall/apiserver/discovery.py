"""Discovery documents: what kinds there are. Aggregated (apidiscovery.k8s.io/v2) and the older lists."""

from __future__ import annotations

from functools import cache

from namewall.apiserver import registry
from namewall.apiserver.errors import no_such_page
from namewall.apiserver.registry import Resource
from namewall.apiserver.values import Object, dumps

AGGREGATED_MEDIA_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def _gvk(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}


def _aggregated_resource(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": _gvk(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": _gvk(sub.group or resource.group, sub.version or resource.version, sub.kind),
                "verbs": list(sub.verbs),
            }
            for sub in resource.subresources
        ]
    return entry


def _resources(group: str, version: str) -> list[Resource]:
    found = (r for r in registry.RESOURCES if (r.group, r.version) == (group, version))
    return sorted(found, key=lambda resource: resource.plural)


def _reviews(group: str, version: str) -> list[tuple[str, str, bool]]:
    return [(plural, kind, ns) for g, v, plural, kind, ns in registry.REVIEWS if (g, v) == (group, version)]


def _aggregated_group(group: str) -> Object:
    versions = []
    for name, version in registry.group_versions():
        if name != group:
            continue
        entries = [_aggregated_resource(resource) for resource in _resources(group, version)]
        entries += [
            {
                "resource": plural,
                "responseKind": _gvk(group, version, kind),
                "scope": "Namespaced" if namespaced else "Cluster",
                "singularResource": kind.lower(),
                "verbs": ["create"],
            }
            for plural, kind, namespaced in _reviews(group, version)
        ]
        versions.append({"version": version, "freshness": "Current", "resources": entries})
    metadata: Object = {"creationTimestamp": None}
    return {"metadata": {**metadata, "name": group} if group else metadata, "versions": versions}


@cache
def aggregated(root: str) -> bytes:
    """The document at /api (the core group) or /apis (all others)."""
    groups = dict.fromkeys(
        group for group, _ in registry.group_versions() if bool(group) == (root == "/apis")
    )
    return dumps(
        {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": [_aggregated_group(group) for group in groups],
        }
    )


def api_versions(address: str) -> Object:
    """The older document at /api."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def _group(group: str) -> Object:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version}
        for name, version in registry.group_versions()
        if name == group
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def api_groups() -> Object:
    """The older document at /apis."""
    names = dict.fromkeys(group for group, _ in registry.group_versions() if group)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in names]}


def api_group(name: str) -> Object:
    """The document at /apis/GROUP."""
    if name not in {group for group, _ in registry.group_versions() if group}:
        raise no_such_page()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}


def api_resources(group: str, version: str) -> Object:
    """The document at /api/v1 and /apis/GROUP/VERSION."""
    if (group, version) not in set(registry.group_versions()):
        raise no_such_page()
    entries: list[Object] = []
    for resource in _resources(group, version):
        entry: Object = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(resource.verbs),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        entries.append(entry)
        for sub in resource.subresources:
            below: Object = {
                "name": f"{resource.plural}/{sub.name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": sub.kind,
                "verbs": list(sub.verbs),
            }
            if sub.group:
                below |= {"group": sub.group, "version": sub.version}
            entries.append(below)
    entries += [
        {"name": plural, "singularName": kind.lower(), "namespaced": ns, "kind": kind, "verbs": ["create"]}
        for plural, kind, ns in _reviews(group, version)
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": entries,
    }


def version(program: str) -> Object:
    """/version: the Kubernetes version whose API this is, with our own as build metadata."""
    return {
        "major": "1",
        "minor": "35",
        "gitVersion": f"v1.35.0+namewall.{program}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "cpython",
        "platform": "linux/amd64",
    }
