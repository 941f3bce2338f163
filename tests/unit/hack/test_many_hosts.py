"""The hosts bench splits its agents over processes."""

import pytest
from kit.many_hosts.main import portions


@pytest.mark.parametrize(
    ("first", "count", "each", "found"),
    [
        (0, 20, 1500, [(0, 20)]),
        (20, 60, 1500, [(20, 60)]),
        (0, 5000, 1500, [(0, 1250), (1250, 2500), (2500, 3750), (3750, 5000)]),
        (3, 8, 2, [(3, 4), (4, 6), (6, 8)]),
    ],
)
def test_parts_are_nearly_equal_and_none_is_too_large(
    first: int, count: int, each: int, found: list[tuple[int, int]]
) -> None:
    assert portions(first, count, each=each) == found
    assert max(end - begin for begin, end in found) <= each
