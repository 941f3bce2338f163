"""Selectors as Kubernetes writes them, and pages that stay right while the list changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.domain.query.pages import Paging, page
from innkeeper.domain.query.selectors import QueryInvalidError, field_selector, label_selector

LABELS = {"app": "web", "tier": "front", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        (" app = web , tier != back ", True),
        ("app=db", False),
        ("app!=web", False),
        ("other!=web", True),
        ("app in (db, web)", True),
        ("app notin (db,web)", False),
        ("other notin (db)", True),
        ("app,!other", True),
        ("!app", False),
        ("empty=", True),
        ("app in (web),tier in (back,front),!gone", True),
    ],
)
def test_label_selectors(text: str, *, matches: bool) -> None:
    assert label_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    "text", ["=web", "app in web", "app in (web", "a b", "app=web tier=x", ",", "a" * 5000]
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(QueryInvalidError):
        label_selector(text)


def test_fields_are_known_and_have_values() -> None:
    known = ("status.host", "spec.power")
    found = field_selector("status.host=a,spec.power!=Stopped", known=known)
    assert found.matches({"status.host": "a", "spec.power": "Running"}.__getitem__)
    assert not found.matches({"status.host": "a", "spec.power": "Stopped"}.__getitem__)
    for text in ("metadata.uid=x", "status.host"):
        with pytest.raises(QueryInvalidError):
            field_selector(text, known=known)


@given(
    start=st.sets(st.integers(0, 60), max_size=40),
    changes=st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=30),
    limit=st.integers(1, 9),
    reverse=st.booleans(),
)
def test_what_stays_is_seen_once_whatever_comes_and_goes(
    start: set[int], changes: list[tuple[int, bool]], limit: int, *, reverse: bool
) -> None:
    there, stayed = set(start), set(start)
    seen: list[int] = []
    after = ""
    waiting = list(changes)
    while True:
        found = page(
            there, lambda number: (number % 7, f"{number:02}"), limit=limit, after=after, reverse=reverse
        )
        seen += found.items
        assert len(found.items) <= limit
        assert bool(found.next) is bool(found.remaining)
        after = found.next
        if not after:
            break
        if waiting:
            number, comes = waiting.pop()
            (there.add if comes else there.discard)(number)
            stayed -= set() if comes else {number}
    assert len(seen) == len(set(seen))
    assert stayed <= set(seen)


@given(
    items=st.lists(st.integers(0, 99), unique=True, max_size=60),
    part=st.integers(1, 20),
    limit=st.integers(1, 9),
    reverse=st.booleans(),
)
def test_a_page_of_parts_is_that_of_the_sorted_list(
    items: list[int], part: int, limit: int, *, reverse: bool
) -> None:
    def place(number: int) -> tuple[int, str]:
        return (number % 7, f"{number:02}")

    expected = sorted(items, key=place, reverse=reverse)
    after, seen = "", 0
    while True:
        paging = Paging(place, limit=limit, after=after, reverse=reverse)
        for begin in range(0, len(items), part):
            paging.take(items[begin : begin + part])
        found = paging.page()
        assert found.items == expected[seen : seen + limit]
        seen += len(found.items)
        assert found.remaining == len(items) - seen
        after = found.next
        if not after:
            break
    assert seen == len(items)


@pytest.mark.parametrize("token", ["x", "e30=", "W251bGxd", "WzEuNV0="])
def test_a_made_up_continue_is_refused(token: str) -> None:
    with pytest.raises(QueryInvalidError):
        page([1, 2], lambda number: ("a", number), limit=1, after=token)
