"""ConfigMap volumes: a directory whose content changes all at once, as the kubelet's atomic writer has it.

VOLUME/..data -> ..N          the one rename that switches
VOLUME/..N/key                the files
VOLUME/key -> ..data/key
"""

from __future__ import annotations

import base64
import os
import shutil
from typing import Any

from namewall.runtime.environment import ConfigError

Object = dict[str, Any]


def files(source: Object, config_map: Object | None, pod_namespace: str) -> dict[str, tuple[bytes, int]]:
    """Relative path → (content, mode) of a `configMap` volume source. Pure."""
    name = source.get("name") or ""
    optional = bool(source.get("optional"))
    if config_map is None:
        if optional:
            return {}
        raise ConfigError(f'configmap "{name}" not found')
    content = {key: value.encode() for key, value in (config_map.get("data") or {}).items()}
    content |= {key: base64.b64decode(value) for key, value in (config_map.get("binaryData") or {}).items()}
    default_mode = int(source.get("defaultMode") or 0o644)
    if not source.get("items"):
        return {key: (value, default_mode) for key, value in content.items()}
    chosen = {}
    for item in source["items"]:
        if item["key"] in content:
            path = os.path.normpath(item["path"])
            if path.startswith(("/", "..")):
                raise ConfigError(
                    f"volume item path `{item['path']}` must be relative and stay inside the volume"
                )
            chosen[path] = (content[item["key"]], int(item.get("mode") or default_mode))
        elif not optional:
            raise ConfigError(
                f"configmap references non-existent config key: {item['key']} in {pod_namespace}/{name}"
            )
    return chosen


def write(directory: str, wanted: dict[str, tuple[bytes, int]]) -> bool:
    """Make the volume hold exactly `wanted`; False where it did already."""
    os.makedirs(directory, mode=0o755, exist_ok=True)
    link = f"{directory}/..data"
    old = os.readlink(link) if os.path.islink(link) else None
    if old is not None and _holds(f"{directory}/{old}") == wanted:
        return False
    number = int(old.removeprefix("..")) + 1 if old else 0
    fresh = f"{directory}/..{number}"
    shutil.rmtree(fresh, ignore_errors=True)
    os.mkdir(fresh, 0o755)
    for path, (content, mode) in wanted.items():
        os.makedirs(os.path.dirname(f"{fresh}/{path}"), mode=0o755, exist_ok=True)
        with open(f"{fresh}/{path}", "wb") as file:
            file.write(content)
        os.chmod(f"{fresh}/{path}", mode)
    _link(f"..{number}", link)
    tops = {path.partition("/")[0] for path in wanted}
    for top in tops:
        if not os.path.islink(f"{directory}/{top}"):
            _link(f"..data/{top}", f"{directory}/{top}")
    for name in os.listdir(directory):
        if not name.startswith("..") and name not in tops:
            os.unlink(f"{directory}/{name}")
    if old is not None:
        shutil.rmtree(f"{directory}/{old}", ignore_errors=True)
    return True


def _link(target: str, path: str) -> None:
    new = f"{path}.new" if not path.endswith("..data") else f"{path}_tmp"
    os.symlink(target, new)
    os.replace(new, path)


def _holds(directory: str) -> dict[str, tuple[bytes, int]]:
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = f"{folder}/{name}"
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = (file.read(), os.stat(path).st_mode & 0o7777)
    return found
