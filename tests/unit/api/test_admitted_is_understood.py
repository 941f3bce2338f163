"""What the schema admits, the domain understands; what the domain writes, the schema admits.

Else a value would pass the API server and fail later, where nobody sees the message at once.
"""

import re

from hypothesis import given
from hypothesis import strategies as st

from innkeeper.api.fields import BYTES_PATTERN, CPU_PATTERN
from innkeeper.api.v1alpha1.ippool import IPPoolSpec
from innkeeper.domain.durations import seconds
from innkeeper.domain.quantity import bytes_of, cpu_millis, format_bytes, format_cpu

QUARANTINE = next(
    part.pattern for part in IPPoolSpec.model_fields["quarantine"].metadata if getattr(part, "pattern", None)
)


@given(st.from_regex(CPU_PATTERN.removesuffix("$") + r"\Z"))
def test_every_admitted_cpu_is_understood(text: str) -> None:
    assert cpu_millis(text) >= 0


@given(st.from_regex(BYTES_PATTERN.removesuffix("$") + r"\Z"))
def test_every_admitted_amount_of_bytes_is_understood(text: str) -> None:
    assert bytes_of(text) >= 0


@given(st.from_regex(QUARANTINE.removesuffix("$") + r"\Z"))
def test_every_admitted_duration_is_understood(text: str) -> None:
    assert seconds(text) >= 0


@given(st.integers(0, 10**9))
def test_every_written_cpu_is_admitted(millis: int) -> None:
    written = format_cpu(millis)
    assert re.search(CPU_PATTERN, written)
    assert cpu_millis(written) == millis


@given(st.integers(0, 2**62))
def test_every_written_amount_of_bytes_is_admitted(count: int) -> None:
    written = format_bytes(count)
    assert bytes_of(written) == count
    assert re.search(BYTES_PATTERN, written)
