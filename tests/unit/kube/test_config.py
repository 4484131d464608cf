"""Kubeconfigs, good and bad."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from namewall.kube.config import KubeConfig
from namewall.kube.errors import ConfigError


def document(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "ns"}},
            {"name": "there", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:7443/"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        **changes,
    }


def parse(value: Any, context: str | None = None, path: str = "/tmp/x") -> KubeConfig:
    return KubeConfig.parse(json.dumps(value).encode(), path, context)


def test_the_current_context_or_the_one_named() -> None:
    config = parse(document())
    assert (config.server, config.namespace, config.token) == ("https://127.0.0.1:7443", "ns", "secret")
    assert config.contexts == ("here", "there")
    assert parse(document(), "there").namespace == "default"


def test_secrets_do_not_show() -> None:
    assert "secret" not in repr(parse(document()))


def test_data_wins_over_files_and_files_count_from_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(b"from file")
    (tmp_path / "token").write_bytes(b"from file\n")
    cluster = {"server": "https://h", "certificate-authority": "ca.crt"}
    users = [{"name": "u", "user": {"tokenFile": "token"}}]
    wanted = document(clusters=[{"name": "c", "cluster": cluster}], users=users)
    path = str(tmp_path / "config")
    assert parse(wanted, path=path).ca == b"from file"
    assert parse(wanted, path=path).token == "from file"
    cluster["certificate-authority-data"] = base64.b64encode(b"from data").decode()
    assert parse(wanted, path=path).ca == b"from data"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "must be a mapping"),
        (b"a: [", "cannot be read: .* in line"),
        (b"{}", "has no current-context"),
        (json.dumps(document(contexts=[])).encode(), "has no context `here`"),
        (json.dumps(document(contexts="x")).encode(), "must have a list of mappings in `contexts`"),
        (json.dumps(document(clusters=[])).encode(), "has no cluster `c`"),
        (json.dumps(document(users=[])).encode(), "has no user `u`"),
        (json.dumps(document(clusters=[{"name": "c", "cluster": {"server": "x"}}])).encode(), "not `x`"),
        (
            json.dumps(document(users=[{"name": "u", "user": {"exec": {"command": "x"}}}])).encode(),
            "credential plugin",
        ),
        (
            json.dumps(document(users=[{"name": "u", "user": {"client-key-data": "eA=="}}])).encode(),
            "a client certificate with its key",
        ),
        (
            json.dumps(document(users=[{"name": "u", "user": {"client-key-data": "%"}}])).encode(),
            "`client-key-data` in the kubeconfig `/tmp/x` is not base64",
        ),
        (json.dumps(document(users=[{"name": "u", "user": {"tokenFile": "/no/such"}}])).encode(), "/no/such"),
    ],
)
def test_errors_are_one_sentence(text: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        KubeConfig.parse(text, "/tmp/x")
    assert "\n" not in str(caught.value)


def test_no_file() -> None:
    with pytest.raises(ConfigError, match="cannot read the kubeconfig `/no/such`: no such file or directory"):
        KubeConfig.load("/no/such")


def test_broken_certificates_are_told() -> None:
    config = KubeConfig("https://h", ca=b"no certificate")
    with pytest.raises(ConfigError, match="the certificates for https://h cannot be used"):
        config.ssl_context()
    assert KubeConfig("http://h").ssl_context() is None


def test_in_cluster_reads_the_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("ca.crt", "ca"), ("token", "t\n"), ("namespace", "kube-system")):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    config = KubeConfig.in_cluster(str(tmp_path))
    assert (config.server, config.token, config.namespace) == ("https://[fd00::1]:443", "t", "kube-system")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(ConfigError, match="not in a cluster"):
        KubeConfig.in_cluster(str(tmp_path))
