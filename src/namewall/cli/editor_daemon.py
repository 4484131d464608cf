"""Where the editor of `namewall up` answers, and its token: RUN_DIR/editor.json, which only root may read.

Written before the daemon starts, so that `up` need not wait for it, and kept while the instance is up: a page that is
open goes on after the daemon died and came back.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from namewall.apiserver.pki import write_private
from namewall.model.cluster import Cluster
from namewall.model.instance import Instance

HOST, PORT = "127.0.0.1", 7480


@dataclass(frozen=True, slots=True)
class Address:
    port: int
    token: str

    @property
    def url(self) -> str:
        """The token stands in the fragment, which a browser sends to nobody."""
        return f"http://{HOST}:{self.port}/#token={self.token}"


def wanted_port(here: Instance, cluster: Cluster) -> int:
    """0 is off: by default in every instance but the first, whose port the others must not take."""
    if cluster.editor_port is not None:
        return cluster.editor_port
    return 0 if here.root else PORT


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def read_address(here: Instance) -> Address | None:
    try:
        with open(_file(here), encoding="utf-8") as file:
            document = json.load(file)
        return Address(int(document["port"]), str(document["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ensure_address(here: Instance, port: int, chosen: bool) -> Address:
    """The address of before, or a new one; where nobody chose the port and it is taken, any free one."""
    known = read_address(here)
    if known is not None and is_free(known.port) and (known.port == port or not chosen):
        return known
    if not chosen and not is_free(port):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
    found = Address(port, secrets.token_urlsafe(32) if known is None else known.token)
    path = _file(here)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    text = json.dumps({"port": found.port, "token": found.token, "url": found.url})
    write_private(Path(path), text.encode())
    return found


def _file(here: Instance) -> str:
    return f"{here.run_dir}/editor.json"
