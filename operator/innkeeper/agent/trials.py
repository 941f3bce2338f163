"""When a guest that ended or failed is tried again: after 1 s, then twice as long each time, 5 minutes at most.

The count starts anew after ten minutes of running. Nothing of this is stored: an agent that restarts tries at once. From
the same count it is told which guests end again and again.
"""

from dataclasses import dataclass

FIRST_S = 1.0
LONGEST_S = 300.0
FORGIVEN_AFTER_S = 600.0
CRASHING_AFTER = 6  # ends and failures, whose pauses are a minute together
_MAX_DOUBLINGS = 9  # 2**9 s is beyond the longest pause


@dataclass
class Trials:
    """The tries of one guest."""

    failures: int = 0
    started_at: float | None = None
    not_before: float | None = None  # set while a try is due
    pause_s: float = 0.0  # the pause that was last asked for

    def started(self, now: float) -> None:
        """The machine runs."""
        self.started_at = now
        self.not_before = None

    def due(self, now: float) -> float:
        """Return when the next try is due. The first call after a start counts the end of the machine."""
        if self.not_before is None:
            if self.started_at is not None and now - self.started_at >= FORGIVEN_AFTER_S:
                self.failures = 0
            self.not_before = now + self._next_pause()
        return self.not_before

    def failed(self, now: float, *, retryable: bool) -> float:
        """Count a failed try and return when the next one is due; what will not mend by itself waits the longest."""
        pause = self._next_pause()
        self.pause_s = pause if retryable else LONGEST_S
        self.not_before = now + self.pause_s
        return self.not_before

    def wait_s(self, now: float) -> float:
        """Return how long a try that is due must still wait."""
        return 0.0 if self.not_before is None else max(0.0, self.not_before - now)

    def crashing(self, now: float) -> bool:
        """Tell whether a machine that did run ends, or fails to start, again and again, and never runs for long."""
        if self.started_at is None or self.failures < CRASHING_AFTER:
            return False
        return self.not_before is not None or now - self.started_at < FORGIVEN_AFTER_S

    def _next_pause(self) -> float:
        pause = min(FIRST_S * 2.0 ** min(self.failures, _MAX_DOUBLINGS), LONGEST_S)
        self.failures += 1
        self.pause_s = pause
        return pause
