"""`python -m tests.fuzz --count N [--seed S]`: N DNS messages and N/4 frames; the last line is one JSON object.

Exit code 1 and the cases in --out (default .cache/fuzz) where anything differs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/bpf"))

from bpf_lab import Lab  # noqa: E402

from tests.fuzz.campaign import Messages, Result  # noqa: E402
from tests.fuzz.frames import Frames  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--out", type=Path, default=ROOT / ".cache/fuzz")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    root = tempfile.mkdtemp(prefix="nw-", dir="/tmp")
    lab = None
    began = time.monotonic()
    try:
        lab = Lab(root)
        lab.load()
        messages = Messages(lab, lab.pod(2))
        results = {"messages": messages.run(options.count, options.seed)}
        messages.close()
        results["frames"] = Frames(lab, lab.pod(1)).run(options.count // 4, options.seed)
    finally:
        if lab is not None:
            lab.close()
        shutil.rmtree(root, ignore_errors=True)
    return report(results, options, time.monotonic() - began)


def report(results: dict[str, Result], options: argparse.Namespace, seconds: float) -> int:
    summary: dict[str, object] = {"seed": options.seed, "seconds": round(seconds, 1)}
    options.out.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for kind, result in results.items():
        for what, number in sorted(result.counts.items()):
            print(f"{what:40} {number:>10}")
        summary |= result.counts
        wrong += len(result.found)
        for number, (about, case) in enumerate(result.found[:200]):
            (options.out / f"{kind}-{options.seed}-{number}.txt").write_text(f"# {about}\n{case}\n")
            if number < 20:
                print(f"{kind}: {about[:300]}")
    summary["disagreements"] = wrong
    print(json.dumps(summary))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
