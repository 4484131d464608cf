"""How many examples a property is tried on."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

ENOUGH = 2000
"""What `make test` asks for."""
EXAMPLES = int(os.environ.get("NAMEWALL_EXAMPLES", ENOUGH))
"""`make test-long` asks for 100,000."""


def one_in(part: int) -> int:
    """A `part`-th of the examples, and at least enough where enough are asked for: for the tools that read policy."""
    return EXAMPLES // part if EXAMPLES < ENOUGH else max(ENOUGH, EXAMPLES // part)


RELAXED = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=one_in(10),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
"""For what is slower to judge, and to shrink."""
