"""Reads a kubeconfig: where the server is, whom to trust, who we are.

Takes the current context unless another is named. Relative files count from the kubeconfig's folder, as in
kubectl. Credential plugins (`exec`, `auth-provider`) are refused, not ignored. Errors are one sentence.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from namewall.kube.errors import ConfigError

if TYPE_CHECKING:
    import ssl

_IN_CLUSTER = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True)
class KubeConfig:
    """What is needed to talk to one server. Certificates and keys are PEM; None where there is none."""

    server: str
    ca: bytes | None = None
    client_cert: bytes | None = None
    client_key: bytes | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    namespace: str = "default"
    context: str = ""
    contexts: tuple[str, ...] = ()
    tls_server_name: str | None = None
    insecure: bool = False

    @classmethod
    def load(cls, path: str, context: str | None = None) -> KubeConfig:
        """From a file; `context` None is the file's current one."""
        try:
            with open(path, "rb") as file:
                text = file.read()
        except OSError as error:
            raise ConfigError(f"cannot read the kubeconfig `{path}`: {_why(error)}") from error
        return cls.parse(text, path, context)

    @classmethod
    def parse(cls, text: bytes, path: str, context: str | None = None) -> KubeConfig:
        """`path` stands in messages, and its folder is where relative files begin."""
        document = _document(text, path)
        folder = os.path.dirname(os.path.abspath(path))
        wanted = context or document.get("current-context") or ""
        contexts = _named(document, "contexts", "context", path)
        if not wanted:
            raise ConfigError(f"the kubeconfig `{path}` has no current-context")
        if wanted not in contexts:
            raise ConfigError(f"the kubeconfig `{path}` has no context `{wanted}`")
        chosen = contexts[wanted]
        clusters = _named(document, "clusters", "cluster", path)
        users = _named(document, "users", "user", path)
        cluster_name, user_name = chosen.get("cluster") or "", chosen.get("user") or ""
        if cluster_name not in clusters:
            raise ConfigError(f"the kubeconfig `{path}` has no cluster `{cluster_name}`")
        if user_name and user_name not in users:
            raise ConfigError(f"the kubeconfig `{path}` has no user `{user_name}`")
        cluster, user = clusters[cluster_name], users.get(user_name, {})
        for plugin in ("exec", "auth-provider"):
            if user.get(plugin):
                raise ConfigError(
                    f"user `{user_name}` in the kubeconfig `{path}` needs a credential plugin (`{plugin}`), "
                    "which is not supported: use a client certificate or a token"
                )
        server = str(cluster.get("server") or "")
        if urlsplit(server).scheme not in ("http", "https") or not urlsplit(server).hostname:
            raise ConfigError(
                f"cluster `{cluster_name}` in the kubeconfig `{path}` must have a `server` like "
                f"https://127.0.0.1:7443, not `{server}`"
            )
        token_file = user.get("tokenFile")
        token = user.get("token") or (
            _read(folder, str(token_file)).decode(errors="replace").strip() if token_file else None
        )
        cert = _material(user, "client-certificate", folder, path)
        key = _material(user, "client-key", folder, path)
        if (cert is None) != (key is None):
            raise ConfigError(
                f"user `{user_name}` in the kubeconfig `{path}` must have a client certificate with its key"
            )
        return cls(
            server=server.rstrip("/"),
            ca=_material(cluster, "certificate-authority", folder, path),
            client_cert=cert,
            client_key=key,
            token=str(token) if token else None,
            namespace=str(chosen.get("namespace") or "default"),
            context=wanted,
            contexts=tuple(contexts),
            tls_server_name=cluster.get("tls-server-name") or None,
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
        )

    @classmethod
    def in_cluster(cls, folder: str = _IN_CLUSTER) -> KubeConfig:
        """From a pod's service account and environment, as client-go's rest.InClusterConfig."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise ConfigError(
                "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are unset"
            )
        return cls(
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            ca=_read(folder, "ca.crt"),
            token=_read(folder, "token").decode().strip(),
            namespace=_read(folder, "namespace").decode().strip() or "default",
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """For the server's URL; None where that is plain http."""
        import ssl

        if not self.server.startswith("https:"):
            return None
        try:
            context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
            # Python 3.13 made this the default; Go does not ask for it, and clusters' authorities often
            # lack the key identifiers it wants.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.client_cert and self.client_key:
                _load_cert_chain(context, self.client_cert + b"\n" + self.client_key)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(f"the certificates for {self.server} cannot be used: {error}") from error
        return context


def _load_cert_chain(context: ssl.SSLContext, pem: bytes) -> None:
    """Python's ssl takes certificates of our own only from files: give it one that no disk ever sees."""
    descriptor = os.memfd_create("namewall-client", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _document(text: bytes, path: str) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        reason = str(getattr(error, "problem", None) or "not YAML")
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ConfigError(f"the kubeconfig `{path}` cannot be read: {reason}{where}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"the kubeconfig `{path}` must be a mapping with clusters, users and contexts")
    return document


def _named(document: dict[str, Any], section: str, member: str, path: str) -> dict[str, dict[str, Any]]:
    """Kubeconfigs keep maps as lists of {name, MEMBER}."""
    entries = document.get(section) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"the kubeconfig `{path}` must have a list of mappings in `{section}`")
    result: dict[str, dict[str, Any]] = {}
    for entry in entries:
        value = entry.get(member) or {}
        if not isinstance(value, dict):
            raise ConfigError(
                f"`{section}` entry `{entry.get('name')}` in the kubeconfig `{path}` must be a mapping"
            )
        result.setdefault(str(entry.get("name") or ""), value)
    return result


def _material(entry: dict[str, Any], key: str, folder: str, path: str) -> bytes | None:
    """`KEY-data` (base64) before `KEY` (a file), as client-go has it."""
    data, file = entry.get(f"{key}-data"), entry.get(key)
    if data:
        try:
            return base64.b64decode("".join(str(data).split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError(f"`{key}-data` in the kubeconfig `{path}` is not base64") from error
    return _read(folder, str(file)) if file else None


def _read(folder: str, file: str) -> bytes:
    name = os.path.join(folder, file)
    try:
        with open(name, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise ConfigError(f"cannot read `{name}`, which the kubeconfig names: {_why(error)}") from error


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
