"""When a host counts as silent: only listening counts, and many at once are nobody."""

import pytest

from innkeeper.workers.hosts.silence import Hearing, Silence


class Listener:
    """A silence that is looked at each second, as the operator does."""

    def __init__(self, **options: float) -> None:
        self.silence = Silence(**options)
        self.now = 100.0
        self.silence.look(self.now, watch_age_s=0)

    def listen(self, seconds: int, *, watch_age_s: float = 0, beating: tuple[str, ...] = ()) -> None:
        """Let time pass; the hosts in `beating` renew their Leases all the while."""
        for _ in range(seconds):
            self.now += 1
            for host in beating:
                self.silence.beat(host, f"{self.now}")
            self.silence.look(self.now, watch_age_s=watch_age_s)

    def hearing(self, *hosts: str) -> list[Hearing]:
        """What is known of these hosts."""
        return [self.silence.hearing(host) for host in hosts]


def test_a_host_without_a_lease_was_never_heard() -> None:
    assert Silence().hearing("a") is Hearing.UNKNOWN


def test_a_host_is_silent_after_the_limit_and_heard_again_at_once() -> None:
    listener = Listener(limit_s=40)
    listener.silence.beat("a", "1")
    listener.listen(40)
    assert listener.hearing("a") == [Hearing.HEARD]
    listener.listen(1)
    assert listener.hearing("a") == [Hearing.SILENT]
    listener.silence.beat("a", "2")
    assert listener.hearing("a") == [Hearing.HEARD]


def test_a_lease_that_is_seen_again_unchanged_is_no_sign_of_life() -> None:
    listener = Listener(limit_s=10)
    listener.silence.beat("a", "1")
    listener.listen(6)
    listener.silence.beat("a", "1")
    listener.listen(6)
    assert listener.hearing("a") == [Hearing.SILENT]


def test_time_without_a_watch_does_not_count() -> None:
    listener = Listener(limit_s=40, deaf_after_s=15)
    listener.silence.beat("a", "1")
    listener.listen(3600, watch_age_s=16)
    assert listener.hearing("a") == [Hearing.HEARD]
    listener.listen(41)
    assert listener.hearing("a") == [Hearing.SILENT]


def test_time_in_which_this_process_stood_still_does_not_count() -> None:
    listener = Listener(limit_s=40)
    listener.silence.beat("a", "1")
    listener.now += 600
    listener.silence.look(listener.now, watch_age_s=0)
    assert listener.hearing("a") == [Hearing.HEARD]


def test_when_most_fall_silent_together_none_is() -> None:
    listener = Listener(limit_s=40)
    for host in "abcde":
        listener.silence.beat(host, "1")
    listener.listen(300, beating=("a", "b"))
    assert listener.hearing(*"abcde") == [Hearing.HEARD] * 2 + [Hearing.DOUBTFUL] * 3
    assert listener.silence.held_back() == 3


def test_heartbeats_that_are_spread_over_time_are_not_judged_one_by_one() -> None:
    """The first host to be overdue must not be declared before the others are seen to be late as well."""
    listener = Listener(limit_s=40)
    for host in "abcde":
        listener.silence.beat(host, "1")
        listener.listen(2)
    listener.listen(300)
    assert set(listener.hearing(*"abcde")) == {Hearing.DOUBTFUL}


def test_a_few_of_many_are_silent() -> None:
    listener = Listener(limit_s=40)
    for host in "abcde":
        listener.silence.beat(host, "1")
    listener.listen(60, beating=("a", "b", "c"))
    assert listener.hearing("c", "d", "e") == [Hearing.HEARD, Hearing.SILENT, Hearing.SILENT]


def test_hosts_that_fall_silent_one_after_the_other_all_count() -> None:
    listener = Listener(limit_s=40)
    alive = ["a", "b", "c", "d"]
    for host in alive:
        listener.silence.beat(host, "1")
    while alive:
        alive.pop()
        listener.listen(60, beating=tuple(alive))
    assert set(listener.hearing(*"abcd")) == {Hearing.SILENT}


@pytest.mark.parametrize("hosts", ["a", "ab"])
def test_one_and_two_hosts_are_no_crowd(hosts: str) -> None:
    listener = Listener(limit_s=40)
    for host in hosts:
        listener.silence.beat(host, "1")
    listener.listen(60)
    assert set(listener.hearing(*hosts)) == {Hearing.SILENT}


def test_a_new_operator_keeps_to_what_the_one_before_found() -> None:
    """An old Lease, seen for the first time, is no sign of life: a dead host must not come back for a while."""
    listener = Listener(limit_s=40)
    listener.silence.beat("dead", "old")
    listener.silence.expect("dead", was_silent=True)
    listener.silence.expect("gone", was_silent=True)
    listener.silence.beat("gone", "old")
    assert listener.hearing("dead", "gone") == [Hearing.SILENT, Hearing.SILENT]
    listener.silence.beat("dead", "new")
    assert listener.hearing("dead", "gone") == [Hearing.HEARD, Hearing.SILENT]


def test_a_host_whose_lease_was_deleted_is_silent_in_time() -> None:
    listener = Listener(limit_s=40)
    listener.silence.expect("a", was_silent=False)
    listener.listen(40)
    assert listener.hearing("a") == [Hearing.HEARD]
    listener.listen(1)
    assert listener.hearing("a") == [Hearing.SILENT]


def test_a_look_names_the_hosts_whose_hearing_changed() -> None:
    silence = Silence(limit_s=3)
    silence.look(0, watch_age_s=0)
    silence.beat("a", "1")
    assert silence.look(3, watch_age_s=0) == frozenset()
    assert silence.look(4, watch_age_s=0) == {"a"}
    assert silence.look(5, watch_age_s=0) == frozenset()


def test_a_host_that_is_forgotten_was_never_heard() -> None:
    silence = Silence()
    silence.beat("a", "1")
    silence.forget("a")
    assert silence.hearing("a") is Hearing.UNKNOWN
    assert silence.longest_quiet_s() == 0
