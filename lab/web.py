"""The lab's web: every site of the world serves HTTPS with HTTP/2 (and 1.1), each on its own addresses.

Every request is answered 200 with the name that lives at the address the client reached, so that a test can
tell where it ended. The certificate is self-signed for all names: the page calls `curl -k`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import hypercorn.asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework

from lab.names import World

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def certificate(names: list[str], now: datetime) -> tuple[bytes, bytes]:
    """A self-signed certificate for `names` and its key, both PEM; valid for a week around `now`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Namewall lab")])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=6))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.public_bytes(serialization.Encoding.PEM), private


def application(world: World) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """The ASGI application behind all addresses."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] != "http":
            return
        name = world.owner(ip_address(scope["server"][0])) or ""
        body = b"" if scope["method"] == "HEAD" else f"{name}\n".encode()
        headers = [(b"content-type", b"text/plain"), (b"x-served-by", name.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def serve(world: World, directory: Path, stop: asyncio.Event) -> None:
    """Serves until `stop` is set. `directory` receives the certificate and its key (0600)."""
    public, private = certificate([site.name for site in world.sites], datetime.now(UTC))
    cert, key = directory / "cert.pem", directory / "key.pem"
    cert.write_bytes(public)
    key.touch(mode=0o600)
    key.write_bytes(private)

    config = Config()
    config.bind = [
        f"[{a}]:{world.port}" if a.version == 6 else f"{a}:{world.port}"
        for site in world.sites
        for a in site.addresses
    ]
    config.certfile, config.keyfile = str(cert), str(key)
    config.alpn_protocols = ["h2", "http/1.1"]
    config.loglevel = "ERROR"
    config.graceful_timeout = 0.1
    config.include_server_header = False
    ssl.create_default_context().load_verify_locations(cert)  # an unusable certificate fails here, with words

    async def stopped() -> None:
        await stop.wait()

    await hypercorn.asyncio.serve(
        cast(ASGIFramework, application(world)), config, shutdown_trigger=stopped, mode="asgi"
    )
