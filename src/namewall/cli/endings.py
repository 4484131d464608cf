"""How the program ends where neither the user's words nor the answer decide it. Exit code 1 stays a finding."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def endings() -> Iterator[None]:
    """Ctrl-C and a reader that went away end in silence, with the codes that a shell gives those signals; a full disk
    is said."""
    from namewall.cli.context import CANNOT

    try:
        yield
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _mute()
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        _mute()
        click.echo(f"namewall: cannot write to stdout: {os.strerror(error.errno).lower()}", err=True)
        sys.exit(CANNOT)


def _mute() -> None:
    """What is still to be written would fail again when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
