"""Kubernetes quantities to integers and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.domain.quantity import Amounts, bytes_of, cpu_millis, format_bytes, format_cpu
from innkeeper.views.meta import Resources


@pytest.mark.parametrize(
    ("text", "millis"),
    [("1", 1000), ("500m", 500), ("0.1", 100), ("1.5", 1500), ("2k", 2_000_000), ("1e1", 10_000), ("1u", 1)],
)
def test_cpu_is_counted_in_thousandths_rounded_up(text: str, millis: int) -> None:
    assert cpu_millis(text) == millis


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("8Gi", 8 * 1024**3),
        ("1500Mi", 1500 * 1024**2),
        ("1.5Gi", 1536 * 1024**2),
        ("1G", 10**9),
        ("1E", 10**18),
        ("1Ei", 1024**6),
        ("1e3", 1000),
        ("100m", 1),
        ("0", 0),
    ],
)
def test_memory_and_disk_are_counted_in_bytes_rounded_up(text: str, count: int) -> None:
    assert bytes_of(text) == count


@pytest.mark.parametrize(
    "text", ["", "Gi", "8GiB", "8 Gi", "eight", "1e", "--1", "1" * 41, "1e999", "NaN", "0x10"]
)
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="8Gi"):
        bytes_of(text)


@given(st.integers(min_value=0, max_value=2**60))
def test_what_is_written_is_read_again(count: int) -> None:
    assert bytes_of(format_bytes(count)) == count
    assert cpu_millis(format_cpu(count)) == count


def test_the_largest_exact_unit_is_written() -> None:
    assert (format_bytes(8 * 1024**3), format_bytes(1536 * 1024**2), format_bytes(123)) == (
        "8Gi",
        "1536Mi",
        "123",
    )
    assert (format_cpu(2000), format_cpu(500), format_cpu(0)) == ("2", "500m", "0")


def test_amounts_add_up() -> None:
    one = Amounts.of(Resources(cpu="500m", memory="1Gi", disk="10Gi"))
    assert (one + one).quantities() == Resources(cpu="1", memory="2Gi", disk="20Gi")
    assert one - one == Amounts() == Amounts.of(None)
