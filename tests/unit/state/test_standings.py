"""How all Guests stand: sums that follow every change, and the age of what is not Ready."""

from datetime import timedelta
from typing import Any

import pytest

from innkeeper.kube.conditions import documents
from innkeeper.kube.informer import Change
from innkeeper.state.standings import Standings
from innkeeper.views.guest import Guest
from tests.kit.clock import START
from tests.kit.objects import guest as a_guest
from tests.kit.objects import ready, view


def the_standings(*silent: str) -> Standings:
    return Standings(host_is_told_silent=lambda host: host in silent)


def guest(*conditions: dict[str, Any], **status: object) -> Guest:
    status_now = {"conditions": list(conditions), **status}
    return view(a_guest(status=status_now, creationTimestamp="2026-01-01T00:00:00Z"), Guest)


def condition(reason: str, status: str = "False", at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {**ready(status, reason), "lastTransitionTime": at}


def changed(standings: Standings, old: Guest | None, new: Guest | None, name: str = "web") -> None:
    standings.guest_changed(Change(("default", name), old, new))


def test_a_guest_is_counted_where_it_stands_now_and_nowhere_else() -> None:
    standings = the_standings()
    starting, running = guest(condition("Starting")), guest(condition("Running", "True"))
    changed(standings, None, starting)
    assert standings.by_reason == {"Starting": 1}
    changed(standings, starting, running)
    assert standings.by_reason == {"Running": 1}
    assert standings.unready_s(START) == {}
    changed(standings, running, None)
    assert standings.by_reason == {}


def test_the_age_is_that_of_the_guest_that_waits_for_longest() -> None:
    standings = the_standings()
    changed(standings, None, guest(condition("NoHostFits")), "old")
    changed(standings, None, guest(condition("NoHostFits", at="2026-01-01T00:09:00Z")), "young")
    changed(standings, None, guest(), "new")
    now = START + timedelta(minutes=10)
    assert standings.unready_s(now) == {"NoHostFits": 600, "None": 600}
    changed(standings, guest(condition("NoHostFits")), guest(condition("Running", "True")), "old")
    assert standings.unready_s(now)["NoHostFits"] == 60


def test_the_age_goes_on_while_each_try_turns_the_reason() -> None:
    standings, now = the_standings(), START + timedelta(minutes=10)
    old = guest(condition("ImageDownloadFailed"))
    changed(standings, None, old)
    again = view(
        a_guest(
            status={
                "conditions": documents(
                    old.status.conditions, guest(condition("Streaming")).status.conditions, now=now
                )
            }
        ),
        Guest,
    )
    changed(standings, old, again)
    assert standings.unready_s(now) == {"Streaming": 600}


def test_a_guest_that_waited_for_room_counts_from_its_binding() -> None:
    standings, now = the_standings(), START + timedelta(hours=2, minutes=10)
    waited = [
        condition("NoHostFits"),
        {**condition("NoHostFits"), "type": "Scheduled"},
        {**condition("Pending", "Unknown"), "type": "AddressesAssigned"},
    ]
    old = guest(*waited)
    changed(standings, None, old)
    assert standings.unready_s(now) == {"NoHostFits": 7800}
    at = "2026-01-01T02:00:00Z"
    placed = [
        condition("Streaming"),
        {**condition("Scheduled", "True", at=at), "type": "Scheduled"},
        {**condition("AddressesAssigned", "True", at=at), "type": "AddressesAssigned"},
    ]
    bound = guest(*placed, host="a")
    changed(standings, old, bound)
    assert standings.unready_s(now) == {"Streaming": 600}
    later = guest({**placed[0], "lastTransitionTime": "2026-01-01T02:09:00Z"}, *placed[1:], host="a")
    changed(standings, bound, later)
    assert standings.unready_s(now) == {"Streaming": 60}, "it was Ready since"


def test_a_guest_that_is_bound_and_tells_of_no_step_yet_counts_from_when_it_was_not_ready() -> None:
    standings = the_standings()
    changed(standings, None, guest(condition("WaitingForHost"), host="a", epoch=1))
    assert standings.unready_s(START + timedelta(minutes=10)) == {"WaitingForHost": 600}


def test_a_guest_that_is_refused_again_and_again_grows_old() -> None:
    standings = the_standings()
    at = "2026-01-01T00:09:00Z"
    steps = [
        {**condition("Scheduled", "True", at=at), "type": "Scheduled"},
        {**condition("AddressesAssigned", "True", at=at), "type": "AddressesAssigned"},
    ]
    first = guest(condition("WaitingForHost"), *steps, host="a", epoch=1)
    changed(standings, None, first)
    now = START + timedelta(minutes=10)
    assert standings.unready_s(now) == {"WaitingForHost": 60}
    changed(standings, first, guest(condition("WaitingForHost"), *steps, host="b", epoch=2))
    assert standings.unready_s(now) == {"WaitingForHost": 600}


@pytest.mark.parametrize("reason", ["HostUnreachable", "DeletionWaitsForHost"])
def test_a_host_that_is_told_silent_stands_for_its_guests_and_no_other_host_does(reason: str) -> None:
    silent: set[str] = {"silent"}
    standings, now = Standings(host_is_told_silent=silent.__contains__), START + timedelta(minutes=10)
    changed(standings, None, guest(condition(reason), host="silent"), "web")
    assert standings.unready_s(now) == {}
    assert standings.by_reason == {reason: 1}
    changed(standings, None, guest(condition(reason, at="2026-01-01T00:09:00Z"), host="absent"), "db")
    assert standings.unready_s(now) == {reason: 60}
    silent.clear()
    assert standings.unready_s(now) == {reason: 600}, "its Host was deleted"


def test_a_guest_that_is_stuck_for_another_reason_counts_on_a_silent_host() -> None:
    standings = the_standings("silent")
    changed(standings, None, guest(condition("Deleting"), host="silent"))
    assert standings.unready_s(START + timedelta(minutes=10)) == {"Deleting": 600}


def test_a_guest_that_waits_for_an_address_did_not_get_its_place_when_a_host_was_found() -> None:
    standings, scheduled = the_standings(), {**condition("Scheduled", "True"), "type": "Scheduled"}
    scheduled["lastTransitionTime"] = "2026-01-01T00:09:00Z"
    changed(standings, None, guest(condition("PoolExhausted"), scheduled))
    assert standings.unready_s(START + timedelta(minutes=10)) == {"PoolExhausted": 600}


def test_a_time_that_is_none_or_lies_ahead_is_no_age() -> None:
    standings = the_standings()
    changed(standings, None, guest(condition("Starting", at="soon")))
    changed(standings, None, guest(condition("Streaming", at="2027-01-01T00:00:00Z")), "ahead")
    assert standings.unready_s(START) == {"Starting": 0, "Streaming": 0}


def test_a_guest_that_cannot_go_on_is_counted_by_why() -> None:
    standings, stalled = the_standings(), {**condition("FlavorNotFound", "True"), "type": "Stalled"}
    blocked = guest(condition("FlavorNotFound"), stalled)
    changed(standings, None, blocked)
    assert standings.stalled == {"FlavorNotFound": 1}
    changed(standings, blocked, guest(condition("Running", "True")))
    assert standings.stalled == {}


def test_reasons_that_a_host_made_up_share_one_line() -> None:
    standings = the_standings()
    for number in range(5):
        changed(standings, None, guest(condition(f"MadeUp{number}")), f"web-{number}")
    assert standings.by_reason == {"Other": 5}
