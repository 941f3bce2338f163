"""Pools of one address space that would give the same address: the older pool serves it, the newer one waits."""

from collections.abc import Iterable
from dataclasses import dataclass

from innkeeper.domain.addressing.intervals import shared
from innkeeper.domain.addressing.pool import Pool


@dataclass(frozen=True)
class Overlap:
    """What a pool shares with an older one."""

    other: str
    first: str
    last: str

    def __str__(self) -> str:
        """Say it, and what to do."""
        return (
            f"{self.first} to {self.last} are in the older IPPool {self.other!r} of the same address space too: "
            "change the ranges of one of them, or give it an addressSpace of its own"
        )


def overlaps(pools: Iterable[tuple[str, Pool]]) -> dict[str, Overlap]:
    """Return what each pool that may not serve shares with an older one; `pools` come oldest first.

    A pool that may not serve takes no address from those that come after it.
    """
    serving: list[tuple[str, Pool]] = []
    found: dict[str, Overlap] = {}
    for name, pool in pools:
        clash = next((each for each in (_shared(pool, *older) for older in serving) if each), None)
        if clash is None:
            serving.append((name, pool))
        else:
            found[name] = clash
    return found


def _shared(pool: Pool, other_name: str, other: Pool) -> Overlap | None:
    if pool.space != other.space or pool.network.version != other.network.version:
        return None
    both = shared(pool.intervals, other.intervals)
    return None if both is None else Overlap(other_name, pool.text(both[0]), pool.text(both[1]))
