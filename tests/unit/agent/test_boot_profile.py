"""When a boot counts as over: only then does the rest of its image come; an end seen too early costs the link."""

import pytest

from innkeeper.agent.streaming.boot_profile import LONGEST_S, BootWatch
from tests.kit.clock import ManualClock


class Boot:
    """A guest that reads one new chunk after each of some pauses, in seconds."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.watch = BootWatch(100, self.clock)
        self._next = 0

    def reads(self, *pauses: float) -> None:
        """Read on; nowhere in between is the boot over."""
        for pause in pauses:
            self.clock.advance(pause)
            assert not self.watch.is_over, f"after {self._next} chunks"
            self.watch.touch(self._next, self._next + 1)
            self._next += 1


def test_nothing_is_over_before_it_began() -> None:
    boot = Boot()
    boot.clock.advance(3600)
    assert not boot.watch.is_over


def test_a_boot_is_over_after_a_while_without_new_reads() -> None:
    boot = Boot()
    boot.reads(0, 1, 1, 11)
    boot.clock.advance(11)
    boot.watch.touch(0, 2)  # what was read before is no news
    boot.clock.advance(1)
    assert boot.watch.is_over


@pytest.mark.parametrize("slowness", [1, 3, 10])
def test_a_slow_processor_has_longer_pauses(slowness: int) -> None:
    boot = Boot()
    boot.reads(0, *(pause * slowness for pause in (0.5, 0.5, 1, 1, 1.2, 1.8, 2.5)))
    boot.clock.advance(12 * slowness)
    assert boot.watch.is_over


def test_a_guest_that_reads_something_new_now_and_then_does_not_boot_for_ever() -> None:
    """Its image would never be all here, and it would need the image server for as long as it runs."""
    boot = Boot()
    pause, reads = 5.0, [0.0]
    while sum(reads) + pause < LONGEST_S:
        reads.append(pause)
        pause = max(5.0, 0.3 * sum(reads))
    boot.reads(*reads)
    boot.clock.advance(LONGEST_S - sum(reads) + 1)
    assert boot.watch.is_over
