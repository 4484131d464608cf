"""What the editor's port on this machine refuses: other hosts and sites, forms, no token, hostile bodies."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a}
spec: {endpointSelector: {}, egress: [{}]}
"""


@dataclass
class Editor:
    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.partition("/#")[0].rpartition(":")[2])

    @property
    def token(self) -> str:
        return self.url.partition("#token=")[2]

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Headers with underscores for dashes; None leaves one out."""
        given: dict[str, str | None] = {"host": f"127.0.0.1:{self.port}"}
        if method == "POST":
            given["content-type"] = "application/json"
        given |= {key.replace("_", "-"): value for key, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for key, value in given.items():
                if value is not None:
                    connection.putheader(key, value)
            if body is not None and "content-length" not in given and "transfer-encoding" not in given:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def judge(self, text: str, **headers: str | None) -> tuple[int, Any]:
        body = json.dumps({"files": [{"name": "a.yaml", "text": text}]}).encode()
        status, _, answer = self.ask("POST", "/api/judge", body, **headers)
        return status, json.loads(answer)


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    folder = tmp_path_factory.mktemp("editor")
    (folder / "mine.yaml").write_text(POLICY)
    # What stands where it is started must not be imported.
    (folder / "yaml.py").write_text("raise SystemExit('the folder was searched for modules')")
    log = folder / "log"
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "namewall", "editor", "--port", "0", "--no-open", "mine.yaml"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            env={**environment, "NAMEWALL_ROOT": str(folder), "PYTHONPATH": str(ROOT / "src")},
        )
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            yield Editor(process, url, log)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)
            process.stdout.close()
    assert "Traceback" not in log.read_text(), log.read_text()


def test_the_address_is_loopback_with_a_long_token(editor: Editor) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#token=[A-Za-z0-9_-]{43}", editor.url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_its_own_names_are_answered(editor: Editor, host: str) -> None:
    status, answer = editor.judge(POLICY, host=f"{host}:{editor.port}", origin=f"http://{host}:{editor.port}")
    assert status == 200
    assert answer["objects"][0]["accepted"]


@pytest.mark.parametrize(
    "host", ["evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", None]
)
def test_other_hosts_are_refused(editor: Editor, host: str | None) -> None:
    """DNS rebinding: the name of an attacker that leads here."""
    given = None if host is None else host.format(port=editor.port)
    for method, path in (("GET", "/"), ("GET", "/api/session"), ("POST", "/api/judge")):
        status, _, body = editor.ask(method, path, b"{}" if method == "POST" else None, host=given)
        assert status in (400, 403), (method, path)
        assert b"objects" not in body


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "https://127.0.0.1:{port}",
        "http://localhost:{port}",
    ],
)
def test_other_origins_are_refused(editor: Editor, origin: str) -> None:
    status, answer = editor.judge(POLICY, origin=origin.format(port=editor.port))
    assert status == 403
    assert "origins" in answer["error"]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_requests_that_other_sites_made_are_refused(editor: Editor, site: str) -> None:
    assert editor.judge(POLICY, sec_fetch_site=site)[0] == 403
    assert editor.ask("GET", "/api/session", sec_fetch_site=site)[0] == 403
    assert (
        editor.ask("GET", "/", sec_fetch_site=site, sec_fetch_mode="no-cors", sec_fetch_dest="image")[0]
        == 403
    )
    assert (
        editor.ask("GET", "/", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="iframe")[0]
        == 403
    )


def test_a_link_of_another_site_may_open_the_page_alone(editor: Editor) -> None:
    followed = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert editor.ask("GET", "/", **followed)[0] in (200, 503)
    assert editor.ask("GET", "/api/session", **followed)[0] == 403
    assert editor.ask("POST", "/", b"{}", **followed)[0] == 403


@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"],
)
def test_what_a_form_can_send_is_no_question(editor: Editor, kind: str | None) -> None:
    assert editor.judge(POLICY, content_type=kind)[0] == 415


def test_json_with_a_charset_is_json(editor: Editor) -> None:
    assert editor.judge(POLICY, content_type="application/json; charset=utf-8")[0] == 200


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer x", "Bearer {token}x", "Basic {token}", "{token}"])
@pytest.mark.parametrize(
    "path", ["/api/live", "/api/ask", "/api/flows", "/api/allow", "/api/what-if", "/api/apply"]
)
def test_live_requests_need_the_token(editor: Editor, path: str, given: str | None) -> None:
    method = "GET" if path == "/api/live" else "POST"
    word = None if given is None else given.format(token=editor.token)
    status, headers, body = editor.ask(method, path, b"{}" if method == "POST" else None, authorization=word)
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert "token" in json.loads(body)["error"]


def test_without_a_cluster_live_says_so(editor: Editor) -> None:
    status, _, body = editor.ask("GET", "/api/live", authorization=f"Bearer {editor.token}")
    assert status == 503
    assert "namewall up" in json.loads(body)["error"]


def test_files_of_the_command_line_are_for_the_token(editor: Editor) -> None:
    _, _, body = editor.ask("GET", "/api/session")
    assert json.loads(body) == {"version": json.loads(body)["version"], "live": False, "files": []}
    _, _, body = editor.ask("GET", "/api/session", authorization=f"Bearer {editor.token}")
    assert json.loads(body)["files"] == [{"name": "mine.yaml", "text": POLICY}]


@pytest.mark.parametrize(
    "path",
    [
        "/../main.py",
        "/%2e%2e/main.py",
        "/assets/../../app.py",
        "/..%2fapp.py",
        "//etc/passwd",
        "/etc/passwd",
        "/\\..\\app.py",
        "/static/index.html",
        "/index.html/",
        "/%00",
        "/api",
        "/api/nothing",
    ],
)
def test_no_path_leads_out(editor: Editor, path: str) -> None:
    status, _, body = editor.ask("GET", path)
    assert status == 404
    assert json.loads(body)["error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"])
def test_other_methods_are_not_answered(editor: Editor, method: str) -> None:
    for path in ("/", "/api/judge"):
        status, headers, _ = editor.ask(method, path)
        assert status in (400, 404, 405)
        assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize("path", ["/", "/api/session", "/nothing", "/api/live"])
def test_every_answer_holds_the_browser_to_the_rules(editor: Editor, path: str) -> None:
    _, headers, body = editor.ask("GET", path)
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert (
        policy["script-src"]
        == policy["connect-src"]
        == policy["font-src"]
        == policy["worker-src"]
        == "'self'"
    )
    assert policy["img-src"] == "'self' data: blob:"
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "set-cookie" not in headers
    assert editor.token.encode() not in body


def test_the_page_has_a_fresh_nonce(editor: Editor) -> None:
    status, headers, body = editor.ask("GET", "/")
    if status == 503:
        pytest.skip("the page is not built")
    nonce = re.search(r"'nonce-([A-Za-z0-9_-]+)'", headers["content-security-policy"])
    assert nonce is not None
    assert nonce[1].encode() in body
    assert b"__NONCE__" not in body
    assert headers["content-type"] == "text/html; charset=utf-8"
    again = editor.ask("GET", "/")[1]["content-security-policy"]
    assert nonce[1] not in again


def test_assets_are_kept_and_compressed(editor: Editor) -> None:
    status, _, body = editor.ask("GET", "/")
    if status == 503:
        pytest.skip("the page is not built")
    names = re.findall(rb'(?:src|href)="(?:\./|/)(assets/[^"]+)"', body)
    assert names
    for name in names:
        status, headers, plain = editor.ask("GET", f"/{name.decode()}")
        assert status == 200
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        status, headers, packed = editor.ask("GET", f"/{name.decode()}", accept_encoding="gzip")
        assert headers.get("content-encoding") == "gzip" or len(plain) < 1001
        assert len(packed) <= len(plain)


def test_bodies_end_at_four_megabytes(editor: Editor) -> None:
    status, _, body = editor.ask("POST", "/api/judge", None, content_length=str(5 << 20))
    assert status == 413
    assert "4 MB" in json.loads(body)["error"]
    with socket.create_connection(("127.0.0.1", editor.port), timeout=20) as stream:
        head = (
            f"POST /api/judge HTTP/1.1\r\nHost: 127.0.0.1:{editor.port}\r\nContent-Type: application/json\r\n"
        )
        stream.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        answered = b""
        try:
            for _ in range(70):
                stream.sendall(chunk)
            answered = stream.recv(4096)
        except OSError:
            answered = answered or b"HTTP/1.1 413"
        assert answered.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"3", b'{"files": {}}', b"\xff\xfe", b"[" * 100000, b'{"files": [{"name": 1}]}'],
)
def test_bodies_that_are_no_question_get_a_sentence(editor: Editor, body: bytes) -> None:
    status, _, answer = editor.ask("POST", "/api/judge", body)
    assert status in (400, 413)
    assert json.loads(answer)["error"]


def _bombs() -> dict[str, str]:
    laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    laughs += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    many = "".join(f"- {{a: {n}}}\n" for n in range(250_000))
    rules = "".join(f"    - toFQDNs: [{{matchPattern: '*a{n}.*b*c*d'}}]\n" for n in range(30_000))
    return {
        "aliases": laughs,
        "deep": "[" * 1_000_000,
        "many": many,
        "rules": POLICY.replace("egress: [{}]}", "egress:\n").replace(
            "spec: {endpointSelector: {}, ", "spec:\n  endpointSelector: {}\n  "
        )
        + rules,
        "documents": (POLICY + "---\n") * 2_000,
    }


@pytest.mark.parametrize("bomb", sorted(_bombs()))
def test_a_hostile_document_stops_nobody(editor: Editor, bomb: str) -> None:
    """While it is judged others are answered, and it ends."""
    body = json.dumps({"files": [{"name": "a.yaml", "text": _bombs()[bomb][:4_000_000]}]}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", editor.port, timeout=40)
    connection.request("POST", "/api/judge", body, {"content-type": "application/json"})
    begun = time.monotonic()
    assert editor.judge(POLICY)[0] == 200
    assert time.monotonic() - begun < 5
    answer = connection.getresponse()
    assert answer.status in (200, 413, 503), answer.read()
    answer.read()
    connection.close()
    assert time.monotonic() - begun < 30
    assert editor.judge(POLICY)[0] == 200


def test_a_taken_port_is_a_sentence(editor: Editor) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "namewall", "editor", "--no-open", "--port", str(editor.port)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert f"127.0.0.1:{editor.port} is taken; give another port with --port" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("nothing.yaml",), "nothing.yaml"),
        (("--kubeconfig", "/nowhere"), "--kubeconfig"),
        (("--port", "70000"), "port"),
    ],
)
def test_wrong_usage_is_said_before_it_listens(arguments: tuple[str, ...], word: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "namewall", "editor", "--no-open", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert word in done.stderr
