"""When a container that ended is started again (pure). Source: kubelet's doBackOff, client-go's flowcontrol.

The first restart is at once; then 10 s after the end, 20 s, … 300 s. A container that ran for ten minutes has
earned a clean slate.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST, LONGEST = 10.0, 300.0
FORGIVEN_AFTER = 600.0


def restarts(policy: str, exit_code: int) -> bool:
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


@dataclass(slots=True)
class Backoff:
    """One container's. Times are seconds since the epoch."""

    delay: float = 0.0

    def next(self, started_at: float | None, finished_at: float, now: float) -> float:
        """Seconds from `now` until it may start again."""
        if started_at is not None and finished_at - started_at >= FORGIVEN_AFTER:
            self.delay = 0.0
        wait = max(0.0, finished_at + self.delay - now)
        self.delay = min(LONGEST, max(FIRST, self.delay * 2))
        return wait
