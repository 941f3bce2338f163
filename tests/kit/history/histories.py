"""Runs the history of one seed and judges it: random events, then calm, then a look at everything.

After each event nothing may have happened that must never happen (the witness). In the end faults are over, time
passes, everything must have converged (the verdict), and nobody may write any more.
"""

import asyncio
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from unittest.mock import patch

from innkeeper.kube import informer, sole_heartbeat
from tests.kit.history import grammar
from tests.kit.history.at_host import Ears
from tests.kit.history.verdict import verdict
from tests.kit.history.world import World
from tests.kit.virtual_loop import VirtualLoop

EVENTS = 60
PAUSES_S = (0.0, 0.02, 0.3, 3.0, 20.0, 90.0)
OVERLAP_S = 0.5
CALM_S = 720.0  # longer than a quarantine, its sweep, and every back-off
STILL_S = 120.0
MOST_COMPLAINTS = 10
_FAST = Path("/dev/shm")  # noqa: S108 - the stores of agents sync each commit


@dataclass(frozen=True)
class History:
    """How one seed went."""

    seed: int
    log: list[str] = field(repr=False)
    complaints: list[str]
    how: str = ""  # an option of the command that shows it again

    @property
    def story(self) -> str:
        """What happened, up to what is wrong, and the command that shows it again."""
        wrong = "\n".join(f"  {each}" for each in self.complaints)
        log = "\n".join(self.log)
        return (
            f"{log}\nseed {self.seed}:\n{wrong}\nagain: hack/history --seed {self.seed}{self.how} --verbose"
        )


def run(
    seed: int,
    *,
    events: int = EVENTS,
    world_kind: type[World] = World,
    tell: Callable[[str], None] = lambda line: None,  # noqa: ARG005 - a default that does nothing
) -> History:
    """Run one history to its end."""
    parent = _FAST if _FAST.is_dir() else None
    with (
        tempfile.TemporaryDirectory(dir=parent, prefix="history-") as directory,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
        _seeded(seed),
        Ears().open(),
    ):
        world = world_kind(seed, directory=Path(directory), tell=tell)
        complaints = runner.run(_history(world, events))
        return History(seed, world.log, complaints, world.again)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let the chance that nobody hands in follow the seed: uids, and the pauses of informers and heartbeats."""
    random = Random(seed)  # noqa: S311 - it makes a history, not a secret

    def uuid4() -> uuid.UUID:
        return uuid.UUID(int=random.getrandbits(128), version=4)

    with (
        patch.object(uuid, "uuid4", uuid4),
        patch.object(informer, "Random", partial(Random, seed)),
        patch.object(sole_heartbeat, "Random", partial(Random, seed)),
    ):
        yield


async def _history(world: World, events: int) -> list[str]:
    await world.begin()
    try:
        for _ in range(events):
            world.say(await grammar.draw(world))
            await world.pass_time(_pause_s(world))
            if world.witness.complaints:
                return world.witness.complaints
        await _calm(world)
        await world.pass_time(CALM_S)
        found = [*world.witness.complaints, *islice(verdict(world), MOST_COMPLAINTS)]
        return found or await _stillness(world)
    finally:
        await world.end()


def _pause_s(world: World) -> float:
    """Return how long it takes until the next event; two operators overlap for a moment only, as their Lease has it."""
    pause_s = world.random.choice(PAUSES_S) * world.random.random()
    return min(pause_s, OVERLAP_S) if len(world.operators) > 1 else pause_s


async def _calm(world: World) -> None:
    """End every fault: what was killed is started, what was cut is mended, and clocks are set."""
    world.say("calm")
    await world.api.up()
    world.api.faults.clear()
    for extra in world.operators[1:]:
        await extra.kill()
    del world.operators[1:]
    if not world.operators:
        world.start_operator()
    for host in world.hosts.values():
        host.cut_off(is_cut=False)
        if not host.runs and not host.is_burnt:
            host.start()
    for process in (*world.operators, *world.hosts.values()):
        process.clock.offset_s = 0.0
    world.settle()


async def _stillness(world: World) -> list[str]:
    """What has converged is written no more; only heartbeats go on."""
    world.api.calls.clear()
    await world.pass_time(STILL_S)
    writes = [each for each in world.api.calls if each.is_write and each.resource != "leases"]
    found = [f"still written in the calm: {each} by {each.user}" for each in writes[:MOST_COMPLAINTS]]
    return [*world.witness.complaints, *found]
