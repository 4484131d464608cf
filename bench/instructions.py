"""`make bench-instructions`: what the verifier of each promised kernel makes of the programs, into docs/benchmarks.md.

This machine's kernel, and Debian's 6.1 in QEMU (tests/bpf/guest.py). Verified instructions are what a kernel's limit
of a million counts; they differ from kernel to kernel for the same object file.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from guest import CannotBoot, boot

from bench.node import cannot, node
from namewall.datapath import libbpf

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/benchmarks.md"
BEGIN, END = "<!-- written by make bench-instructions -->", "<!-- until here -->"
IN_GUEST = """
import json, os, sys
sys.path.insert(0, "tests/bpf")
from bpf_lab import Lab
from namewall.datapath import libbpf
lab = Lab("/tmp/nw-i")
lab.load()
found = {name: libbpf.program_info(fd).verified_insns for name, fd in lab.datapath._loaded().programs.items()}
print("instructions", json.dumps({os.uname().release: found}))
lab.close()
"""


def here() -> dict[str, dict[str, int]]:
    with node() as made:
        programs = made.datapath._loaded().programs
        found = {name: libbpf.program_info(fd).verified_insns for name, fd in programs.items()}
    return {os.uname().release: found}


def in_guest() -> dict[str, dict[str, int]]:
    quoted = IN_GUEST.replace("'", '"')
    code, shown = boot(f"python3 -c '{quoted}'", seconds=300)
    said = re.search(r"instructions (\{.*\})", shown)
    if code or said is None:
        raise CannotBoot(f"the guest failed: {shown[-2000:]}")
    found: dict[str, Any] = json.loads(said[1])
    return found


def table(counts: dict[str, dict[str, int]]) -> str:
    programs = list(next(iter(counts.values())))
    lines = [f"| kernel | {' | '.join(programs)} |", "|---" * (1 + len(programs)) + "|"]
    for kernel, found in counts.items():
        lines.append(f"| {kernel} | {' | '.join(f'{found[name]:,}' for name in programs)} |")
    return "\n".join(lines)


def main() -> int:
    reason = cannot()
    if reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 3
    counts = here()
    try:
        counts |= in_guest()
    except CannotBoot as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table(counts)}\n\n{END}{after}", encoding="utf-8")
    print(table(counts))
    print(json.dumps({"bench": "instructions", "verified": counts}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
