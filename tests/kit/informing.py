"""An informer that runs beside a test, with all that it told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, TypeVar

from innkeeper.clock import Clock, SystemClock
from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change, Informer, metadata_of
from innkeeper.kube.resources import Resource
from innkeeper.views.meta import View

V = TypeVar("V", bound=View)


@dataclass
class Told(Generic[V]):
    """What an informer told, in order."""

    changes: list[Change[V]] = field(default_factory=list)

    def names(self) -> list[str]:
        """Return the changes as `+a`, `~a`, `-a`."""
        return [f"{_sign(each)}{each.key[1]}" for each in self.changes]

    def check(self) -> None:
        """Check that the changes make one history: each begins where the one before it ended, versions only rise."""
        held: dict[tuple[str, str], V] = {}
        for each in self.changes:
            assert each.old == held.get(each.key), f"{each.key}: a change was left out or told twice"
            if each.new is None:
                assert each.old is not None, f"{each.key}: it was told as gone without having been there"
                del held[each.key]
            else:
                if each.old is not None and _uid(each.old) == _uid(each.new):
                    assert _version(each.new) > _version(each.old), f"{each.key}: it went back"
                held[each.key] = each.new


def _sign(change: Change[Any]) -> str:
    if change.new is None:
        return "-"
    return "+" if change.old is None else "~"


def _uid(view: View) -> str:
    return metadata_of(view).uid


def _version(view: View) -> int:
    return int(metadata_of(view).resource_version)


@asynccontextmanager
async def informing(
    client: Client, resource: Resource[V], *, clock: Clock | None = None, **options: Any
) -> AsyncIterator[tuple[Informer[V], Told[V]]]:
    """Run an informer until the block ends; it has its first list when the block begins."""
    told: Told[V] = Told()
    informer = Informer(
        client,
        resource,
        on_change=told.changes.append,
        clock=clock or SystemClock(),
        random=Random(1),  # noqa: S311 - a test wants the same each time
        **options,
    )
    running = asyncio.create_task(informer.run())
    try:
        async with asyncio.timeout(30):
            await informer.synced.wait()
        yield informer, told
        assert not running.done(), "an informer never ends by itself"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    told.check()
