"""Kubernetes quantities (`500m`, `8Gi`): to plain integers and back.

The format is that of `k8s.io/apimachinery/pkg/api/resource`: a decimal number with a binary (Ki), decimal (k) or
milli (m) suffix, or an exponent. CPU is counted in thousandths of a processor, memory and disk in bytes.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache

from innkeeper.views.meta import Resources

_FORM = re.compile(
    r"([+-]?[0-9]*\.?[0-9]+|[+-]?[0-9]+\.)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?[0-9]{1,2})?"
)
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_BINARY = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")
_MAX_TEXT = 40

MOST = 1 << 60
"""The most that is counted of anything, 1Ei of bytes: sums of a few such amounts still fit into 64 bits."""


def parse(text: str) -> Decimal:
    """Return the number that a quantity means.

    Raises:
        ValueError: it is no quantity; the message shows what one looks like.
    """
    match = _FORM.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise ValueError(f"{text[:_MAX_TEXT]!r} is no quantity; write it as 500m, 2, 512Mi or 8Gi")
    number, suffix = match[1], match[2] or ""
    try:
        if suffix not in _SUFFIXES:
            return Decimal(f"{number}{suffix}")  # an exponent; `E` and `Ei` are suffixes
        return Decimal(number) * _SUFFIXES[suffix]
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no quantity; write it as 500m, 2, 512Mi or 8Gi") from error


# The same few quantities come again and again; what they mean never changes.
@lru_cache(maxsize=4096)
def cpu_millis(text: str) -> int:
    """Return thousandths of a processor, rounded up."""
    return int((parse(text) * 1000).to_integral_value(rounding=ROUND_CEILING))


@lru_cache(maxsize=4096)
def bytes_of(text: str) -> int:
    """Return bytes, rounded up."""
    return int(parse(text).to_integral_value(rounding=ROUND_CEILING))


def format_cpu(millis: int) -> str:
    """Return thousandths of a processor as a quantity: `2`, `500m`."""
    return str(millis // 1000) if millis % 1000 == 0 else f"{millis}m"


def format_bytes(count: int) -> str:
    """Return bytes as the largest binary unit that shows them exactly: `8Gi`, `1500Mi`, `123`."""
    for suffix in _BINARY:
        unit = int(_SUFFIXES[suffix])
        if count and count % unit == 0:
            return f"{count // unit}{suffix}"
    return str(count)


@dataclass(frozen=True)
class Amounts:
    """Processor, memory and disk as integers: thousandths of a processor, bytes, bytes."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0

    @classmethod
    def of(cls, resources: Resources | None) -> "Amounts":
        """Return what a set of quantities means; nothing where there is none."""
        return cls() if resources is None else _amounts(resources.cpu, resources.memory, resources.disk)

    def bounded(self) -> "Amounts":
        """Return them with no amount above MOST: whoever tells of more tells of what no machine has."""
        if self.cpu_millis <= MOST and self.memory_bytes <= MOST and self.disk_bytes <= MOST:
            return self
        return Amounts(min(self.cpu_millis, MOST), min(self.memory_bytes, MOST), min(self.disk_bytes, MOST))

    def quantities(self) -> Resources:
        """Return them as Kubernetes writes them."""
        return Resources(
            cpu=format_cpu(self.cpu_millis),
            memory=format_bytes(self.memory_bytes),
            disk=format_bytes(self.disk_bytes),
        )

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.cpu_millis + other.cpu_millis,
            self.memory_bytes + other.memory_bytes,
            self.disk_bytes + other.disk_bytes,
        )

    def __sub__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.cpu_millis - other.cpu_millis,
            self.memory_bytes - other.memory_bytes,
            self.disk_bytes - other.disk_bytes,
        )


# Most guests ask for the same few sizes.
@lru_cache(maxsize=4096)
def _amounts(cpu: str, memory: str, disk: str) -> Amounts:
    return Amounts(cpu_millis(cpu), bytes_of(memory), bytes_of(disk))
