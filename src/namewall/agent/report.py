"""What the agent says of its tables, in a file that `namewall status` reads also while the agent is dead."""

from __future__ import annotations

import json
import os
from typing import Any

from namewall.model.instance import Instance


def write_report(instance: Instance, report: dict[str, Any]) -> None:
    path = _path(instance)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(report, file)
    os.replace(f"{path}.new", path)


def read_report(instance: Instance) -> dict[str, Any] | None:
    """None before the first. `pid` of the agent that wrote it, `endpoints` and `policies` (counts), `mapBytes`,

    `error` ("" while all is programmed).
    """
    try:
        with open(_path(instance), encoding="utf-8") as file:
            report: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return report


def _path(instance: Instance) -> str:
    return f"{instance.run_dir}/datapath.json"
