"""Who leads a guest goes on from what was written for it; only what others write has it looked at again."""

from typing import Any

from innkeeper.kube.informer import Change, key_of
from innkeeper.state.subset import Subset
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from tests.kit import objects
from tests.kit.objects import guest_id, view

KEY = ("default", "web")


def a_guest(*, version: int, host: str | None = None) -> Guest:
    document = objects.guest(status={"host": host, "epoch": 1} if host else {})
    document["metadata"] |= {"resourceVersion": str(version), "uid": "u"}
    return view(document, Guest)


def an_order(**status: Any) -> Assignment:
    return view(objects.assignment(host="a", status=status, order="{}"), Assignment)


def test_who_leads_a_guest_is_not_told_of_what_it_wrote_for_it() -> None:
    subset, told = Subset(), list[tuple[str, str]]()
    subset.assume(a_guest(version=1))
    subset.on_guest = told.append
    subset.assume(a_guest(version=2, host="a"), led=KEY)
    subset.assume(an_order(), led=KEY)
    assert told == []
    assert subset.guests[KEY].status.host == "a"
    assert subset.assignment(guest_id(), "a") is not None
    subset.assume(a_guest(version=3, host="a"), led=("default", "another"))
    assert told == [KEY], "it was written for another guest's sake"
    news = an_order(outcome="Accepted")
    subset.apply(Change(key_of(news), an_order(), news))
    assert told == [KEY, KEY], "what a host tells is looked at"
