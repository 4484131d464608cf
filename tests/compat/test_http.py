"""What kubectl does not show: paging, watches, preconditions, credentials, content types, bodies of malice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from namewall.kube.config import KubeConfig
from tests.compat import manifests
from tests.compat.server import Server, eventually

CMS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    config = KubeConfig.load(str(server.kubeconfig))
    context = config.ssl_context()
    assert context is not None
    with httpx.Client(base_url=config.server, verify=context, timeout=10) as client:
        yield client


@pytest.fixture
def stranger(server: Server) -> Iterator[httpx.Client]:
    """Trusts the server and has nothing to show."""
    import ssl

    config = KubeConfig.load(str(server.kubeconfig))
    assert config.ca is not None
    context = ssl.create_default_context(cadata=config.ca.decode())
    with httpx.Client(base_url=config.server, verify=context, timeout=10) as client:
        yield client


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        yield json.loads(line)


def test_credentials(server: Server, stranger: httpx.Client) -> None:
    for path in ("/readyz", "/livez", "/healthz", "/version"):
        assert stranger.get(path).status_code == 200
    for path in ("/metrics", "/api", "/api/v1/pods", "/openapi/v3"):
        refused = stranger.get(path)
        assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
        assert "system:anonymous" in refused.json()["message"]
    wrong = stranger.get("/api/v1/pods", headers={"authorization": "Bearer wrong"})
    assert (wrong.status_code, wrong.json()["reason"]) == (401, "Unauthorized")
    token = (server.root / "lib" / "pki" / "token").read_text().strip()
    assert stranger.get("/api/v1/pods", headers={"authorization": f"Bearer {token}"}).status_code == 200


def test_the_secrets_are_for_root_only(server: Server) -> None:
    for file in (
        server.kubeconfig,
        *(server.root / "lib" / "pki").iterdir(),
        server.root / "lib" / "namewall.db",
    ):
        assert file.stat().st_mode & 0o077 == 0, file


def test_lists_come_in_pages(client: httpx.Client) -> None:
    for number in range(7):
        client.post(CMS, json=manifests.config_map(f"page-{number}", a="b")).raise_for_status()
    seen: list[str] = []
    parameters: dict[str, Any] = {"limit": 3}
    versions = set()
    while True:
        page = client.get(CMS, params=parameters).json()
        seen += [item["metadata"]["name"] for item in page["items"]]
        versions.add(page["metadata"]["resourceVersion"])
        if "continue" not in page["metadata"]:
            break
        assert len(page["items"]) == 3
        parameters["continue"] = page["metadata"]["continue"]
    assert [name for name in seen if name.startswith("page-")] == [f"page-{number}" for number in range(7)]
    assert len(versions) == 1
    assert client.get(CMS, params={"continue": "nonsense"}).status_code == 400
    one = client.get(CMS, params={"limit": 1}, headers={"accept": TABLE}).json()
    assert (one["kind"], len(one["rows"]), "continue" in one["metadata"]) == ("Table", 1, True)
    gone = client.request("DELETE", CMS, params={"fieldSelector": "metadata.name=page-0"})
    assert [item["metadata"]["name"] for item in gone.json()["items"]] == ["page-0"]
    client.request("DELETE", CMS).raise_for_status()
    assert client.get(CMS).json()["items"] == []


def test_a_watch_judges_selectors_anew_for_each_change(client: httpx.Client) -> None:
    start = client.get(CMS).json()["metadata"]["resourceVersion"]
    obj = manifests.config_map("chosen", a="b")
    client.post(CMS, json=obj).raise_for_status()
    for labels in ({"pick": "me"}, {"pick": "me", "x": "y"}, {"pick": None}):
        client.patch(f"{CMS}/chosen", json={"metadata": {"labels": labels}}, headers=MERGE).raise_for_status()
    client.delete(f"{CMS}/chosen").raise_for_status()
    query = {"watch": "true", "resourceVersion": start, "labelSelector": "pick=me", "timeoutSeconds": 1}
    with client.stream("GET", CMS, params=query) as response:
        assert [event["type"] for event in _events(response)] == ["ADDED", "MODIFIED", "DELETED"]
    query["allowWatchBookmarks"] = "true"
    del query["labelSelector"]
    with client.stream("GET", CMS, params=query) as response:
        events = list(_events(response))
    assert [event["type"] for event in events] == ["ADDED", *["MODIFIED"] * 3, "DELETED", "BOOKMARK"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)


def test_watch_list_sends_what_there_is_and_marks_its_end(client: httpx.Client) -> None:
    client.post(CMS, json=manifests.config_map("there", a="b")).raise_for_status()
    query = {
        "watch": "true",
        "sendInitialEvents": "true",
        "allowWatchBookmarks": "true",
        "resourceVersionMatch": "NotOlderThan",
        "fieldSelector": "metadata.name=there",
        "timeoutSeconds": 1,
    }
    with client.stream("GET", CMS, params=query) as response:
        events = list(_events(response))
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    del query["resourceVersionMatch"]
    assert client.get(CMS, params=query).status_code == 422
    with client.stream(
        "GET", CMS, params={"watch": "1", "timeoutSeconds": 1}, headers={"accept": TABLE}
    ) as response:
        (first, *_) = _events(response)
    assert first["object"]["kind"] == "Table"
    client.delete(f"{CMS}/there")


def test_versions_out_of_reach(client: httpx.Client) -> None:
    for number in range(2100):
        client.patch("/api/v1/nodes/node-1", json={"metadata": {"labels": {"n": str(number)}}}, headers=MERGE)
    with client.stream("GET", CMS, params={"watch": "true", "resourceVersion": "2"}) as response:
        (event,) = _events(response)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    for more in ({}, {"watch": "true"}):
        future = client.get(CMS, params={"resourceVersion": str(10**9), **more})
        assert (future.status_code, future.json()["reason"]) == (504, "Timeout")
    assert client.get(CMS, params={"resourceVersion": "x"}).status_code == 400


def test_preconditions_and_finalizers(client: httpx.Client) -> None:
    obj = manifests.config_map("held", a="b")
    obj["metadata"]["finalizers"] = ["example.com/hold"]
    made = client.post(CMS, json=obj).json()
    wrong = client.request("DELETE", f"{CMS}/held", json={"preconditions": {"uid": "other"}})
    assert (wrong.status_code, wrong.json()["reason"]) == (409, "Conflict")
    dry = client.request("DELETE", f"{CMS}/held", params={"dryRun": "All"})
    assert dry.status_code == 200
    right = client.request("DELETE", f"{CMS}/held", json={"preconditions": {"uid": made["metadata"]["uid"]}})
    assert right.json()["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    assert client.patch(f"{CMS}/held", json=more, headers=MERGE).status_code == 422
    client.patch(f"{CMS}/held", json={"metadata": {"finalizers": None}}, headers=MERGE).raise_for_status()
    assert client.get(f"{CMS}/held").status_code == 404


def test_writes_are_checked_against_the_version_and_the_path(client: httpx.Client) -> None:
    made = client.post(CMS, json=manifests.config_map("put", a="1")).json()
    changed = {**made, "data": {"a": "2"}}
    assert client.put(f"{CMS}/put", json=changed).status_code == 200
    stale = client.put(f"{CMS}/put", json={**made, "data": {"a": "3"}})
    assert (stale.status_code, stale.json()["reason"]) == (409, "Conflict")
    assert client.put(f"{CMS}/other", json=changed).status_code == 400
    assert client.post("/api/v1/namespaces/kube-system/configmaps", json=made).status_code == 400
    policy = client.post(
        "/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies", json=manifests.cnp("v")
    ).json()
    del policy["metadata"]["resourceVersion"]
    url = "/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies/v"
    assert client.put(url, json=policy).status_code == 422
    assert client.get(f"{url}/scale").status_code == 404
    client.delete(url).raise_for_status()
    client.delete(f"{CMS}/put").raise_for_status()


def test_status_is_written_through_its_subresource_only(client: httpx.Client) -> None:
    url = "/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies"
    obj = {**manifests.cnp("st"), "status": {"conditions": [{"type": "Mine", "status": "True"}]}}
    made = client.post(url, json=obj, params={"fieldValidation": "Strict"}).json()
    assert "status" not in made
    eventually(lambda: client.get(f"{url}/st").json().get("status"))
    found = client.get(f"{url}/st").json()
    assert found["status"]["conditions"][0]["message"] == "Policy validation succeeded"
    assert found["metadata"]["generation"] == 1
    condition = {"type": "Programmed", "status": "True", "observedGeneration": 1}
    status = {
        "status": {"conditions": [*found["status"]["conditions"], condition]},
        "spec": {"description": "no"},
    }
    done = client.patch(f"{url}/st/status", json=status, headers=MERGE).json()
    assert [entry["type"] for entry in done["status"]["conditions"]] == ["Valid", "Programmed"]
    assert "description" not in done["spec"]
    assert done["metadata"]["generation"] == 1
    changed = client.patch(
        f"{url}/st", json={"spec": {"description": "yes"}, "status": None}, headers=MERGE
    ).json()
    assert changed["metadata"]["generation"] == 2
    assert changed["status"] == done["status"]
    again = client.patch(f"{url}/st", json={"spec": {"description": "yes"}}, headers=MERGE).json()
    assert again["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
    client.delete(f"{url}/st").raise_for_status()


def test_content_types(client: httpx.Client) -> None:
    body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\ndata: {a: b}\n"
    assert client.post(CMS, content=body, headers={"content-type": "application/yaml"}).status_code == 201
    unknown = client.post(CMS, content=body, headers={"content-type": "text/plain"})
    assert (unknown.status_code, unknown.json()["reason"]) == (415, "UnsupportedMediaType")
    assert client.get(f"{CMS}/yaml", headers={"accept": "text/html"}).status_code == 406
    metadata = client.get(
        f"{CMS}/yaml", headers={"accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
    )
    assert metadata.json()["kind"] == "PartialObjectMetadata"
    assert client.get("/api/v1/nonsense").status_code == 404
    assert client.post("/api/v1/namespaces/default/nonsense", json={}).status_code == 404
    assert client.put(CMS, json={}).status_code == 405
    client.delete(f"{CMS}/yaml").raise_for_status()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"[" * 100000,
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","annotations":'
        + b'{"a":' * 900
        + b"1"
        + b"}" * 902,
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":{"b":NaN}}}',
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"../x"}}',
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":[1]}',
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":"x"}',
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":5}}',
        b"k8s\x00\xff\xff\xff",
    ],
)
@pytest.mark.parametrize(
    "media", ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
)
def test_bodies_that_are_no_object_are_refused_and_do_no_harm(
    client: httpx.Client, body: bytes, media: str
) -> None:
    answer = client.post(CMS, content=body, headers={"content-type": media})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["kind"] == "Status"


def test_a_body_beyond_the_limit_is_not_read(client: httpx.Client) -> None:
    big = manifests.config_map("big", a="x" * (4 * 1024 * 1024))
    assert client.post(CMS, json=big).status_code == 413


def test_openapi_documents_are_cached_for_ever_under_their_hash(client: httpx.Client) -> None:
    paths = client.get("/openapi/v3").json()["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/cilium.io/v2", "apis/networking.k8s.io/v1"} <= paths.keys()
    for entry in paths.values():
        document = client.get(entry["serverRelativeURL"])
        assert "immutable" in document.headers["cache-control"]
        assert (
            client.get(
                entry["serverRelativeURL"], headers={"if-none-match": document.headers["etag"]}
            ).status_code
            == 304
        )
        for path, item in document.json()["paths"].items():
            if "patch" in item:
                names = {parameter["name"] for parameter in item["patch"]["parameters"]}
                assert {"fieldValidation", "dryRun"} <= names, path


def test_the_older_discovery_is_there_too(client: httpx.Client) -> None:
    assert client.get("/api").json()["versions"] == ["v1"]
    groups = {group["name"] for group in client.get("/apis").json()["groups"]}
    assert {"apps", "cilium.io", "networking.k8s.io"} <= groups
    names = {entry["name"] for entry in client.get("/apis/apps/v1").json()["resources"]}
    assert {"deployments", "deployments/status", "deployments/scale"} <= names
    assert client.get("/apis/nothing").status_code == 404


def test_metrics_count_requests_and_objects(client: httpx.Client) -> None:
    text = client.get("/metrics").text
    assert 'apiserver_request_total{verb="GET",resource="",code="200"}' in text
    assert 'apiserver_resource_objects{resource="namespaces"} 2' in text


def test_many_writers_at_once_lose_nothing(server: Server, client: httpx.Client) -> None:
    client.post(CMS, json=manifests.config_map("counter", n="0")).raise_for_status()
    config = KubeConfig.load(str(server.kubeconfig))

    def count(times: int) -> None:
        context = config.ssl_context()
        assert context is not None
        with httpx.Client(base_url=config.server, verify=context) as own:
            for _ in range(times):
                while True:
                    obj = own.get(f"{CMS}/counter").json()
                    obj["data"]["n"] = str(int(obj["data"]["n"]) + 1)
                    if own.put(f"{CMS}/counter", json=obj).status_code == 200:
                        break

    threads = [threading.Thread(target=count, args=(25,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get(f"{CMS}/counter").json()["data"]["n"] == "100"
    client.delete(f"{CMS}/counter").raise_for_status()
