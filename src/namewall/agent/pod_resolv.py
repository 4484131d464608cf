"""What a pod's /etc/resolv.conf says (pure, but for reading the host's). Source: kubelet's
network/dns/dns.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from namewall.model.names import NAME_CHARACTERS, fqdn
from namewall.model.net import Address

_HOST_FILES = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")
"""systemd-resolved's own list first: the other file then names its stub on loopback, which a pod cannot
reach.
"""


def cluster_first(namespace: str, domain: str, servers: Sequence[Address]) -> str:
    lines = [f"search {namespace}.svc.{domain} svc.{domain} {domain}"]
    lines += [f"nameserver {server}" for server in servers]
    return "\n".join([*lines, "options ndots:5"]) + "\n"


def of_the_host() -> str:
    """dnsPolicy `Default`, for the cluster DNS itself. Servers on loopback are left out."""
    for path in _HOST_FILES:
        with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
            loopback = ("nameserver 127.", "nameserver ::1")
            return "\n".join(line for line in lines if not line.strip().startswith(loopback)) + "\n"
    return ""


def search_domains(text: str) -> tuple[str, ...]:
    """Of a resolv.conf, canonical, each once and without those that lie below another; the last list counts."""
    found: list[str] = []
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word in ("search", "domain"):
            found = [
                fqdn(name)
                for name in rest
                if set(name.lower()) <= NAME_CHARACTERS | {"."} and name.strip(".")
            ]
    return tuple(sorted({name for name in found if not any(name.endswith(f".{other}") for other in found)}))
