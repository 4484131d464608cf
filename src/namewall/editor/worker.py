"""A process that judges and can be ended at any time: what it reads may be anybody's.

One request after another on its standard input, a socket: a line `VERB LENGTH`, then the body; the answer is a line
`STATUS LENGTH`, then the body. It has no rights: as root's child it is nobody, its memory is bounded, and it opens
nothing.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import socket
from typing import Any

MEMORY = 1 << 30
"""Bytes of address space beyond what it begins with."""
NOBODY = 65534


def main() -> None:
    from namewall.review.answers import ANSWERS
    from namewall.review.lint import public_suffixes

    public_suffixes()
    _give_up_rights()
    gc.freeze()
    gc.disable()
    with socket.socket(fileno=0) as here, here.makefile("rwb") as stream:
        for line in stream:
            verb, length = line.split()
            body = stream.read(int(length))
            status, answer = _answer(ANSWERS[verb.decode()], body)
            stream.write(b"%d %d\n" % (status, len(answer)))
            stream.write(answer)
            stream.flush()
            gc.collect()  # nobody waits for that now


def _answer(function: Any, body: bytes) -> tuple[int, bytes]:
    from namewall.review.wrong import Wrong

    try:
        asked = json.loads(body) if body else {}
        if not isinstance(asked, dict):
            raise Wrong("the body must be a JSON object")
        return 200, _dumped(function(asked))
    except Wrong as error:
        return 400, _dumped({"error": str(error), "path": error.path})
    except (UnicodeError, json.JSONDecodeError) as error:
        return 400, _dumped({"error": f"the body is no JSON: {error}", "path": None})
    except (MemoryError, RecursionError):
        return 413, _dumped({"error": "this is too large to be judged here", "path": None})


def _dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _give_up_rights() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


if __name__ == "__main__":
    main()
