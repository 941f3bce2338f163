"""Settings of the kernel's network, of this network namespace (sysctl(8)). Nothing is written that is so already."""

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/proc/sys/net")


def put(name: str, value: str) -> bool:
    """Have a setting, such as `ipv4/ip_forward`; return whether it was another before.

    Raises:
        OSError: the kernel does not have it, or refuses.
    """
    path = _ROOT / name
    if path.read_text().strip() == value:
        return False
    path.write_text(value)
    return True


def is_set(name: str, value: str) -> bool:
    """Tell whether a setting is there and has a value."""
    try:
        return (_ROOT / name).read_text().strip() == value
    except FileNotFoundError:
        return False


def interfaces(family: str) -> Iterator[str]:
    """Yield the interfaces that have settings of a family, such as `ipv6`."""
    yield from (each.name for each in (_ROOT / family / "conf").iterdir())
