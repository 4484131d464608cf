"""The asynchronous client and its informer against the real server, through its death and return."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from namewall.kube.client import ApiError, Client
from namewall.kube.config import KubeConfig
from namewall.kube.informer import Informer
from namewall.kube.resources import CONFIG_MAPS, EVENTS, PODS
from tests.compat import manifests
from tests.compat.server import Server


async def until(check: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.02)


async def test_an_informer_outlives_the_server(server: Server) -> None:
    changes: list[tuple[str, str]] = []
    async with Client(KubeConfig.load(str(server.kubeconfig))) as client:
        for name in ("kept", "doomed"):
            await client.create(CONFIG_MAPS, "default", manifests.config_map(name, v="1"))
        informer = Informer(client, CONFIG_MAPS, namespace="default")
        informer.add_handler(lambda change, obj: changes.append((change, obj["metadata"]["name"])))
        running = asyncio.create_task(informer.run())
        try:
            await until(informer.synced.is_set)
            await client.patch(CONFIG_MAPS, "default", "kept", {"data": {"v": "2"}})
            await until(lambda: ("modified", "kept") in changes)
            before = dict(informer.items)
            server.stop(signal.SIGKILL)
            await until(lambda: not informer.connected)
            assert informer.items == before
            server.start()
            # The port may be another one now: a client is made for one server, as an agent is started anew.
            if KubeConfig.load(str(server.kubeconfig)).server != client.config.server:
                pytest.skip("the server could not have its port again")
            server.ok("delete", "cm", "doomed")
            await until(lambda: ("deleted", "doomed") in changes)
            assert {name for _, name in informer.items} >= {"kept"}
            assert ("default", "doomed") not in informer.items
        finally:
            running.cancel()


async def test_verbs_and_refusals(server: Server) -> None:
    async with Client(KubeConfig.load(str(server.kubeconfig))) as client:
        made = await client.create(CONFIG_MAPS, "default", manifests.config_map("verbs", v="1"))
        with pytest.raises(ApiError) as again:
            await client.create(CONFIG_MAPS, "default", manifests.config_map("verbs"))
        assert (again.value.code, again.value.reason) == (409, "AlreadyExists")
        await client.patch(CONFIG_MAPS, "default", "verbs", {"data": {"v": "2"}})
        with pytest.raises(ApiError) as stale:
            await client.replace(CONFIG_MAPS, "default", made)
        assert stale.value.reason == "Conflict"
        applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "verbs"}, "data": {"v": "3"}}
        with pytest.raises(ApiError) as owned:
            await client.patch(CONFIG_MAPS, "default", "verbs", applied, kind="apply", field_manager="other")
        assert owned.value.details["causes"][0]["reason"] == "FieldManagerConflict"
        taken = await client.patch(
            CONFIG_MAPS, "default", "verbs", applied, kind="apply", field_manager="other", force=True
        )
        assert taken["data"] == {"v": "3"}
        with pytest.raises(ApiError, match="UID in precondition") as other:
            await client.delete(CONFIG_MAPS, "default", "verbs", uid="not-mine")
        assert other.value.reason == "Conflict"
        await client.delete(CONFIG_MAPS, "default", "verbs", uid=made["metadata"]["uid"])
        items, _ = await client.list(CONFIG_MAPS, field_selector="metadata.name=verbs")
        assert items == []


async def test_events_are_counted_on_the_server(server: Server) -> None:
    async with Client(KubeConfig.load(str(server.kubeconfig)), component="test") as client:
        pod = await client.create(PODS, "default", manifests.pod("told"))
        for _ in range(3):
            await client.event(pod, "Pulled", "one and the same")
        found, _ = await client.list(EVENTS, "default", field_selector="reason=Pulled")
        assert [(one["count"], one["source"]["component"]) for one in found] == [(3, "test")]
        assert "(x3 over" in server.ok("describe", "pod", "told")
