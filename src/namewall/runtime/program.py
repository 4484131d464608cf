"""Namewall's own program as directories, for pods of runtime class `namewall`.

A clone may lie where containers see nothing (below /tmp or a home): then the virtual environment, the package
and the Python that made the environment are shown again, read-only.
"""

from __future__ import annotations

import os
import sys

import namewall
from namewall.runtime.rootfs import Bind


def binds() -> list[Bind]:
    """Each at its own path; all links on the way to the interpreter are followed, and shown as
    directories.
    """
    package = os.path.dirname(os.path.abspath(namewall.__file__))
    wanted = {sys.prefix, package, sys.base_prefix, sys.base_exec_prefix}
    step = sys.executable
    while os.path.islink(step):
        step = os.path.normpath(os.path.join(os.path.dirname(step), os.readlink(step)))
        wanted.add(os.path.dirname(os.path.dirname(step)))
    wanted |= {os.path.realpath(path) for path in wanted}
    shown = [
        path for path in sorted(wanted) if os.path.isdir(path) and path not in ("/", "/usr", "/usr/local")
    ]
    return [
        Bind(path, path)
        for path in shown
        if not any(path.startswith(f"{other}/") for other in shown if other != path)
    ]
