"""What is measured, each with its control."""

import sys
from pathlib import Path

# The node in miniature of the datapath's tests is what the datapath's benches run on too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/bpf"))
