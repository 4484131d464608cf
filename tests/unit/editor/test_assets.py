"""Files by their exact names, and what the page loads is small enough."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from starlette.requests import Request

from namewall.editor.assets import FOLDER, Assets
from namewall.editor.guard import content_policy, is_bearer, refusal

HASHED = "/assets/index-AbCd1234.js"


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<meta nonce="__NONCE__"><script src="./assets/index-AbCd1234.js">')
    (tmp_path / HASHED[1:]).write_text("let x = 1;\n" * 500)
    (tmp_path / "secret.py").write_text("no")
    (tmp_path / "robots.txt").write_text("all")
    return Assets(str(tmp_path))


def request(path: str, *encodings: str) -> Request:
    headers = [(b"accept-encoding", ", ".join(encodings).encode())] if encodings else []
    return Request({"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""})


def test_only_files_of_known_types_are_there(assets: Assets) -> None:
    assert assets.answer(request("/secret.py")) is None
    assert assets.answer(request("/../x.html")) is None
    assert assets.answer(request("/assets")) is None
    found = assets.answer(request("/robots.txt"))
    assert found is not None
    assert found.headers["cache-control"] == "no-cache"


def test_hashed_ones_are_kept_and_compressed_once(assets: Assets) -> None:
    plain, packed = assets.answer(request(HASHED)), assets.answer(request(HASHED, "gzip", "br"))
    assert plain is not None
    assert packed is not None
    assert plain.headers["cache-control"].endswith("immutable")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(packed.body)) == plain.body
    assert packed.headers["vary"] == "accept-encoding"


def test_the_page_gets_a_nonce_of_its_own(assets: Assets) -> None:
    one, two = assets.answer(request("/")), assets.answer(request("/index.html", "gzip"))
    assert one is not None
    assert two is not None
    nonces = [
        re.findall(r"'nonce-([^']+)'", each.headers["content-security-policy"])[0] for each in (one, two)
    ]
    assert nonces[0] != nonces[1]
    assert nonces[0].encode() in bytes(one.body)
    assert nonces[1].encode() in gzip.decompress(bytes(two.body))


def test_what_is_shipped_fits_in_300_kb() -> None:
    """What index.html loads before anything is clicked."""
    page = Path(FOLDER) / "index.html"
    if not page.exists():
        pytest.skip("the page is not built")
    text = page.read_text()
    names = set(re.findall(r'(?:src|href)="\./([^"]+\.(?:js|css))"', text))
    assert names
    size = sum(len(gzip.compress((Path(FOLDER) / name).read_bytes(), 9)) for name in names)
    assert size + len(gzip.compress(text.encode())) < 300_000


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({"authorization": "Bearer secret"}, True),
        ({"authorization": "bearer secret"}, True),
        ({"authorization": "Bearer secre"}, False),
        ({"authorization": "Bearer "}, False),
        ({"authorization": "Bearer \u00e9"}, False),
        ({"authorization": "secret"}, False),
        ({}, False),
    ],
)
def test_bearer(headers: dict[str, str], good: bool) -> None:
    assert is_bearer(headers, "secret") is good


def test_a_page_of_ours_is_not_refused() -> None:
    assert (
        refusal({"host": "localhost:7480", "sec-fetch-site": "same-origin"}, "POST", "/api/judge", 7480)
        is None
    )
    assert refusal({"host": "LOCALHOST:7480"}, "GET", "/", 7480) is None
    assert refusal({"host": "localhost:7481"}, "GET", "/", 7480) is not None
    assert "'unsafe" not in content_policy("x")
