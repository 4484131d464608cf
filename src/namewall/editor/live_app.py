"""The requests that need the token: the cluster, its flows, and what becomes of it. Imported when one is made."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from namewall.editor.agent import NEWS, AgentError
from namewall.editor.apply import apply
from namewall.editor.http import Refused, asked, body_of, raw_reply, reply
from namewall.editor.judging import Judges
from namewall.editor.live import Live
from namewall.kube.errors import ApiError, ConfigError, KubeError
from namewall.review.answers import files_of
from namewall.review.wrong import Wrong

MOST_STREAMS = 16


async def answer(request: Request, opened: Callable[[], Live | None], judges: Judges) -> Response:
    """`opened` gives the cluster, None where there is none; it may raise ConfigError. Raises Refused."""
    try:
        live = opened()
        if live is None:
            raise Refused(503, "there is no cluster here: run `namewall up`, or give --kubeconfig")
        return await HANDLERS[request.url.path](request, live, judges)
    except Wrong as error:
        raise Refused(400, str(error), error.path) from error
    except AgentError as error:
        raise Refused(error.status, str(error)) from error
    except ApiError as error:
        raise Refused(error.code if error.code in (403, 404, 409) else 502, error.message) from error
    except KubeError as error:
        raise Refused(503 if isinstance(error, ConfigError) else 502, str(error)) from error


async def _state(request: Request, live: Live, judges: Judges) -> Response:
    return reply(await live.state())


async def _flows(request: Request, live: Live, judges: Judges) -> Response:
    wanted = await _object(request)
    if live.streams >= MOST_STREAMS:
        raise Refused(503, f"{MOST_STREAMS} streams of flows are open already; close one")
    headers, lines = await live.flows(wanted)

    async def counted() -> AsyncIterator[bytes]:
        live.streams += 1
        try:
            async for part in lines:
                yield part
        finally:
            live.streams -= 1

    kept = {name: headers[name] for name in NEWS if name in headers}
    return StreamingResponse(counted(), media_type="application/x-ndjson", headers=kept)


async def _allow(request: Request, live: Live, judges: Judges) -> Response:
    flow = (await _object(request)).get("flow")
    status, body = await asked(judges, "allow", {"flow": flow, **await live.world(flow)})
    return raw_reply(body, status)


async def _ask(request: Request, live: Live, judges: Judges) -> Response:
    body = await _object(request)
    asker = (body.get("from") or {}).get("subject") if isinstance(body.get("from"), dict) else None
    pod = asker if isinstance(asker, dict) else {}
    world = await live.world({"source": {"namespace": pod.get("namespace"), "pod_name": pod.get("name")}})
    status, answer = await asked(judges, "ask", {**body, **world})
    return raw_reply(answer, status)


async def _what_if(request: Request, live: Live, judges: Judges) -> Response:
    files = files_of(await _object(request))
    flows, total = await live.seen()
    question = {
        "files": [{"name": name, "text": text} for name, text in files],
        **await live.world(),
        "flows": flows,
        "total": total,
    }
    status, body = await asked(judges, "what-if", question)
    return raw_reply(body, status)


async def _apply(request: Request, live: Live, judges: Judges) -> Response:
    body = await _object(request)
    dry_run, versions = body.get("dryRun", False), body.get("versions") or {}
    if not isinstance(dry_run, bool):
        raise Refused(400, "want true or false", "dryRun")
    if not isinstance(versions, dict) or not all(isinstance(each, str) for each in versions.values()):
        raise Refused(400, "want resourceVersions by KIND/NAMESPACE/NAME", "versions")
    rows = await apply(live.client, files_of(body), dry_run, versions)
    stale = next((row for row in rows if row["status"] == 409), None)
    results = [{key: value for key, value in row.items() if key != "status"} for row in rows]
    if stale is None:
        return reply({"results": results})
    return reply({"error": f"{stale['name']}: {stale['error']}", "path": "files", "results": results}, 409)


HANDLERS: Mapping[str, Callable[[Request, Live, Judges], Awaitable[Response]]] = {
    "/api/live": _state,
    "/api/flows": _flows,
    "/api/ask": _ask,
    "/api/allow": _allow,
    "/api/what-if": _what_if,
    "/api/apply": _apply,
}


async def _object(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await body_of(request) or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused(400, "the body must be a JSON object")
    return found
