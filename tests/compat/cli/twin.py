"""The same words for kubectl and for namewall, against the same server, and what each says."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass

from tests.compat.server import ROOT, Ran, Server

_MAIN = "from namewall.cli.main import main; main(prog_name='namewall')"
COMMAND = [sys.executable, "-W", "error", "-c", _MAIN]


@dataclass
class Twin:
    server: Server

    def environment(self) -> dict[str, str]:
        return {**self.server.environment(), "PYTHONPATH": str(ROOT / "src")}

    def namewall(self, *arguments: str, input: str | None = None, timeout: float = 60) -> Ran:
        ran = subprocess.run(
            [*COMMAND, *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def same(self, *arguments: str, input: str | None = None) -> Ran:
        """Both say the same; ages apart, which go on between the two. Three tries, for whatever else moves."""
        for attempt in range(3):
            theirs = self.server.kubectl(*arguments, input=input)
            ours = self.namewall(*arguments, input=input)
            if _still(theirs) == _still(ours) or attempt == 2:
                break
        assert _still(ours) == _still(theirs), " ".join(arguments)
        return ours


_AGE = re.compile(r"\b\d+[smhd](?:\d+[smhd])? *")


def _still(ran: Ran) -> tuple[int, str, str]:
    return ran.code, _AGE.sub("AGE ", ran.out), _AGE.sub("AGE ", ran.err)
