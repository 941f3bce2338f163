"""A line of guests against a slow reference that walks it from its head."""

from hypothesis import given
from hypothesis import strategies as st

from innkeeper.kube.informer import Key
from innkeeper.state.backlog import Rank
from innkeeper.state.line import Line

GUESTS = [("default", name) for name in "abcdefgh"]
ranks = st.tuples(st.integers(-1, 1), st.sampled_from(["2026-01-01", "2026-01-02"]))
needs = st.integers(1, 4)
stands = st.dictionaries(st.sampled_from(GUESTS), st.tuples(ranks, needs))
moves = st.lists(st.tuples(st.sampled_from(GUESTS), ranks, needs) | st.sampled_from(GUESTS), max_size=12)

Stands = dict[Key, tuple[Rank, int]]


def walked(stands: Stands, *, free: int, until: tuple[Rank, Key] | None = None) -> tuple[list[Key], int]:
    """Return who is served, and what is left then, by looking at each before a place in turn."""
    served, is_kept = [], False
    for rank, guest, need in sorted((rank, guest, need) for guest, (rank, need) in stands.items()):
        if until is not None and ((rank, guest) >= until or guest == until[1]):
            continue
        if need <= free:
            served.append(guest)
            free -= need
        elif not is_kept and free:
            is_kept = True
            free -= 1
    return served, free


def lined(stands: Stands) -> Line:
    line = Line()
    for guest, (rank, need) in stands.items():
        line.put(guest, rank, need=need)
    return line


@given(stands=stands, free=st.integers(0, 12), guest=st.sampled_from(GUESTS), rank=ranks)
def test_a_line_leaves_and_serves_what_a_walk_along_it_does(
    stands: Stands, free: int, guest: Key, rank: Rank
) -> None:
    line = lined(stands)
    assert list(line.served(free)) == walked(stands, free=free)[0]
    assert line.left(guest, rank, free=free) == walked(stands, free=free, until=(rank, guest))[1]
    others = [(each, need) for each, (other, need) in stands.items() if (other, each) < (rank, guest)]
    before = [need for each, need in others if each != guest]
    assert (line.before(guest, rank), line.needed_before(guest, rank)) == (len(before), sum(before))


@given(stands=stands, moves=moves)
def test_who_moves_stands_once_and_in_order_and_the_end_is_empty(
    stands: Stands, moves: list[tuple[Key, Rank, int] | Key]
) -> None:
    line = lined(stands)
    for move in moves:
        if len(move) == 2:
            line.drop(move)
            stands.pop(move, None)
        else:
            guest, rank, need = move
            was = stands.get(guest, (rank, need))[1]
            assert line.put(guest, rank, need=need) == (was < need)
            stands[guest] = (rank, need)
        assert list(line) == sorted(stands, key=lambda each: (stands[each][0], each))
        assert len(line) == len(stands)
    for guest in GUESTS:
        line.drop(guest)
    assert not line
    assert (line._stands, line._rows) == ({}, {})


def test_many_that_need_more_than_there_is_are_not_looked_at_one_by_one() -> None:
    """A row that counts who looks into it: 1,000 large guests and one free address."""
    looks = 0

    class Row(list[tuple[Rank, Key]]):
        def __getitem__(self, index: object) -> object:  # type: ignore[override] # counts and passes on
            nonlocal looks
            looks += 1
            return super().__getitem__(index)  # type: ignore[index] # as it came

    line = Line()
    for number in range(1000):
        line.put(("default", f"large-{number:04}"), (0, ""), need=8)
    line._rows = {need: Row(row) for need, row in line._rows.items()}
    assert line.left(("default", "small"), (0, ""), free=7) == 6
    assert list(line.served(7)) == []
    assert looks < 100
