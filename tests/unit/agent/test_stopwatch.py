"""Where the time of a build goes."""

from innkeeper.agent.build.stopwatch import Stopwatch


def test_what_is_spent_outside_is_not_our_own() -> None:
    now = 0.0
    watch = Stopwatch(lambda: now)
    now = 1.0
    with watch.outside("hypervisor"):
        now = 4.0
    with watch.outside("hypervisor"):
        now = 4.5
    now = 5.0
    assert watch.spent("hypervisor") == 3.5
    assert watch.spent("image") == 0
    assert watch.own() == 1.5
