"""How many examples a property is tried on."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

ENOUGH = 2000
"""What `make test` asks for."""
EXAMPLES = int(os.environ.get("NAMEWALL_EXAMPLES", ENOUGH))
"""`make test-long` asks for 100,000."""


QUIET = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
"""For what policy means."""
RELAXED = settings(
    QUIET,
    max_examples=EXAMPLES // 10 if EXAMPLES < ENOUGH else max(ENOUGH, EXAMPLES // 10),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
"""For the tools that read policy, slower to judge and to shrink: a tenth, and enough where enough are asked for."""
