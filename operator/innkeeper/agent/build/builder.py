"""Runs the steps of a build in order. Each may be killed anywhere: the next run begins with the first again."""

from dataclasses import dataclass

import structlog

from innkeeper.agent import disk_room
from innkeeper.agent.build import domain, fetch, first_boot, overlay, own_disk, plug, rest_on, start
from innkeeper.agent.build.build import HYPERVISOR, IMAGE, NETWORK, Build, BuildStep
from innkeeper.agent.figures import AgentFigures

STARTING: tuple[BuildStep, ...] = (plug.plug, domain.define, start.start)
STEPS: tuple[BuildStep, ...] = (
    own_disk.find,
    fetch.fetch,
    overlay.prepare,
    rest_on.rest_on,
    first_boot.write,
    *STARTING,
)


@dataclass(frozen=True)
class Builder:
    """Builds guests and tells where the time went."""

    figures: AgentFigures
    steps: tuple[BuildStep, ...] = STEPS

    async def run(self, build: Build) -> None:
        """Bring a guest from its order to a running machine."""
        await self._go(build, self.steps, told="guest_built")

    async def start(self, build: Build) -> None:
        """Start a guest that was built: what it needs of its host is made again, its disk and seed stay."""
        await self._go(build, (own_disk.find, rest_on.rest_on, *STARTING), told="guest_started")

    async def _go(self, build: Build, steps: tuple[BuildStep, ...], *, told: str) -> None:
        watch = build.stopwatch
        for step in steps:
            began = watch.all()
            with disk_room.told():
                await step(build)
            self.figures.step_seconds.labels(name_of(step)).observe(watch.all() - began)
        seconds = {
            "agent": watch.own(),
            **{where: watch.spent(where) for where in (HYPERVISOR, IMAGE, NETWORK)},
        }
        for where, spent in seconds.items():
            self.figures.build_seconds.labels(where).observe(spent)
        structlog.get_logger(__name__).info(
            told,
            guest=build.order.guest_id,
            own_ms=round(seconds["agent"] * 1000, 1),
            driver_ms=round(seconds[HYPERVISOR] * 1000, 1),
            image_ms=round(seconds[IMAGE] * 1000, 1),
            network_ms=round(seconds[NETWORK] * 1000, 1),
        )


def name_of(step: BuildStep) -> str:
    """Return how a step is called: as the file that tells it."""
    return step.__module__.rpartition(".")[2]
