"""Durations as Go writes them."""

import pytest

from innkeeper.domain.durations import seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("5m", 300), ("1h30m", 5400), ("500ms", 0.5), ("1.5s", 1.5), ("0s", 0)]
)
def test_a_duration_is_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5d", "-5m", "5m!", "m5"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        seconds(text)
