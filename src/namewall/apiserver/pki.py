"""Credentials of one instance: an authority, the server's certificate, the administrator's, and a token.

Made once, kept in state_dir/pki, files 0600. They are made in a child process: `cryptography` is 9 MB that the server
would otherwise carry for ever. The server's certificate is made anew when it nears its end.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

YEARS = 10
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """Paths of the PEM files, and the token itself."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def server_cert(self) -> Path:
        return self.directory / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.directory / "server.key"

    @property
    def admin_cert(self) -> Path:
        return self.directory / "admin.crt"

    @property
    def admin_key(self) -> Path:
        return self.directory / "admin.key"

    @property
    def token_file(self) -> Path:
        return self.directory / "token"

    @property
    def token(self) -> str:
        return self.token_file.read_text(encoding="ascii").strip()

    def complete(self) -> bool:
        files = (self.ca, self.server_cert, self.server_key, self.admin_cert, self.admin_key, self.token_file)
        return all(file.exists() for file in files)


def ensure(directory: str) -> Credentials:
    """The credentials in `directory`, made if there are none or they are older than nine tenths of their life."""
    credentials = Credentials(Path(directory))
    fresh = credentials.complete() and time.time() - credentials.ca.stat().st_mtime < YEARS * 365 * _DAY * 0.9
    if not fresh:
        subprocess.run([sys.executable, "-P", __file__, directory], check=True)
    return credentials


def write_private(path: Path, data: bytes) -> None:
    """Writes a 0600 file in one piece: who reads it sees the old content or the new."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(data)
    os.replace(temporary, path)


def make(directory: Path) -> None:
    """Makes all of it anew."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.now(UTC) - timedelta(minutes=5)
    end = now + timedelta(days=365 * YEARS)

    def subject(name: str, organization: str = "") -> x509.Name:
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if organization:
            parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        return x509.Name(parts)

    def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = subject("namewall-ca")

    def builder(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(identifier, critical=False)
        )

    def usage(*, sign: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=sign,
            crl_sign=sign,
            encipher_only=False,
            decipher_only=False,
        )

    ca = (
        builder(ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(sign=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )

    def leaf(
        name: x509.Name, purpose: x509.ObjectIdentifier, *names: x509.GeneralName
    ) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        request = (
            builder(name, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if names:
            request = request.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return request.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), pem(key)

    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    credentials = Credentials(directory)
    server_cert, server_key = leaf(
        subject("namewall-apiserver"),
        ExtendedKeyUsageOID.SERVER_AUTH,
        x509.DNSName("localhost"),
        x509.IPAddress(ip_address("127.0.0.1")),
        x509.IPAddress(ip_address("::1")),
    )
    admin_cert, admin_key = leaf(subject("namewall:admin", "system:masters"), ExtendedKeyUsageOID.CLIENT_AUTH)
    write_private(credentials.server_cert, server_cert)
    write_private(credentials.server_key, server_key)
    write_private(credentials.admin_cert, admin_cert)
    write_private(credentials.admin_key, admin_key)
    write_private(credentials.token_file, secrets.token_urlsafe(32).encode() + b"\n")
    write_private(credentials.ca, ca.public_bytes(serialization.Encoding.PEM))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
