"""The kubeconfig that `namewall up` hands out: one cluster, one user (client certificate), namespace default."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from namewall.apiserver.pki import Credentials, write_private

CONTEXT = "namewall"


def write(path: str, server: str, credentials: Credentials) -> None:
    """Writes the file, 0600, in one piece. YAML by its JSON subset, so that no library is needed."""

    def data(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": data(credentials.ca)}
    user = {
        "client-certificate-data": data(credentials.admin_cert),
        "client-key-data": data(credentials.admin_key),
    }
    context = {"cluster": CONTEXT, "user": CONTEXT, "namespace": "default"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": context}],
        "current-context": CONTEXT,
        "preferences": {},
    }
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(Path(path), json.dumps(config, indent=2).encode() + b"\n")


def port(path: str) -> int | None:
    """The port of a kubeconfig written before."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r'"server": "https://[^"]*:(\d+)"', text)
    return int(found[1]) if found else None
