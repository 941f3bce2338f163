"""A feed tells everyone, whoever of them cannot take it."""

import pytest

from innkeeper.kube.informer import Change
from innkeeper.views.host import Host
from innkeeper.workers.hosts.feed import Feed
from tests.kit import objects
from tests.kit.objects import view


def test_a_listener_that_cannot_take_a_change_keeps_it_from_no_other() -> None:
    told: list[Change[Host]] = []

    def refuse(_: Change[Host]) -> None:
        raise OverflowError("no such number")

    feed: Feed[Host] = Feed()
    feed.join(refuse, known={})
    feed.join(told.append, known={})
    change = Change(("", "a"), None, view(objects.host("a"), Host))
    with pytest.RaisesGroup(OverflowError):
        feed(change)
    assert told == [change]
