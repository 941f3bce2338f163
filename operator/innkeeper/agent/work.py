"""The jobs: build, start, stop and destroy one guest. Each may be repeated, and killed anywhere.

Calls to the hypervisor always run to their end, so that a job that is cancelled leaves nothing going on behind it; the
grace of a stop alone is cut.
"""

import asyncio
import errno
import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from innkeeper.agent.build.build import Build, UserDataSource
from innkeeper.agent.build.builder import Builder
from innkeeper.agent.build.ports import ImageStore
from innkeeper.agent.build.stopwatch import Stopwatch
from innkeeper.agent.drivers.driver import Driver
from innkeeper.agent.goal import goal_of
from innkeeper.agent.ledger import HeldGuest, Ledger
from innkeeper.agent.net.network import HostNet, Wanted
from innkeeper.agent.paths import StatePaths, is_guest_id
from innkeeper.agent.plan import NOT_YET, RUNNING
from innkeeper.agent.store.records import Life, Ready
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class GuestWork:
    """What the jobs work with."""

    ledger: Ledger
    driver: Driver
    network: HostNet
    images: ImageStore
    user_data: UserDataSource
    builder: Builder
    paths: StatePaths
    stop_grace_s: float

    async def build(self, guest: HeldGuest, wanted: Callable[[], Wanted]) -> None:
        """Bring a guest from its order to a running machine."""
        was_built = guest.record.life is not Life.NEW
        if guest.record.life in {Life.UP, Life.PAUSED}:
            # Its machine is defined anew: one that does not start at once has not ended by itself.
            await self._turned_off(guest)
        await self.builder.run(self._build(guest, wanted, was_built=was_built))
        await self.started(guest)

    async def start(self, guest: HeldGuest, wanted: Callable[[], Wanted]) -> None:
        """Start a guest that was built: the same machine, the same disk."""
        if guest.record.life in {Life.UP, Life.PAUSED} and not self.ledger.lived_in_this_boot(guest):
            # The host's reboot ended it: a start that fails, which the hypervisor tells as a crash, is no end by itself.
            await self._turned_off(guest)
        await self.builder.start(self._build(guest, wanted, was_built=True))
        await self.started(guest)

    async def _turned_off(self, guest: HeldGuest) -> None:
        """Keep that no restart policy is asked about a guest until it was started."""
        await self.ledger.settle(
            guest.order.guest_id, life=Life.OFF, ready=guest.record.ready, shown=guest.shown
        )

    async def resume(self, guest: HeldGuest) -> None:
        """Let a paused guest go on, once what its disk lies over can be read."""
        guest_id, image = guest.order.guest_id, guest.order.image
        if image is not None:
            await self.images.before_resume(image, guest_id, self.paths.guest(guest_id).disk)
        await self.driver.resume(guest_id)

    async def stop(self, guest: HeldGuest, off: Ready) -> None:
        """Let a guest power itself off; when its grace is over, take its power. `off` is how it stands then."""
        guest_id = guest.order.guest_id
        self.ledger.show(guest_id, Ready(status=False, reason=GuestReason.STOPPING))
        await self.driver.stop(guest_id, grace_s=self.stop_grace_s)
        if off.reason == GuestReason.SUPERSEDED:
            await self.network.release(guest_id)  # its addresses are in use elsewhere
        now = self.ledger.get(guest_id)
        # Where something else is wanted by now, it is not as it should be: what comes next says how it stands.
        if now is not None and goal_of(now.record, now.order) == goal_of(guest.record, guest.order):
            await self.ledger.settle(guest_id, life=Life.OFF, ready=off)

    async def destroy(self, guest: HeldGuest) -> None:
        """Remove machine and disk, keep a tombstone. No grace: what the guest would still write goes with its disk."""
        guest_id = guest.order.guest_id
        self.ledger.show(guest_id, Ready(status=False, reason=GuestReason.DELETING))
        await self.driver.remove(guest_id)
        await self.network.release(guest_id)
        await asyncio.to_thread(_remove_tree, self.paths.guest(guest_id).directory)
        await self.images.release(guest_id)
        await self.ledger.bury(guest.order, guest.record.order)

    def _build(self, guest: HeldGuest, wanted: Callable[[], Wanted], *, was_built: bool) -> Build:
        guest_id = guest.order.guest_id
        return Build(
            order=guest.order,
            files=self.paths.guest(guest_id),
            wanted=wanted,
            host_net=self.network,
            driver=self.driver,
            images=self.images,
            user_data=self.user_data,
            stopwatch=Stopwatch(),
            show=partial(self.ledger.show, guest_id),
            was_built=was_built,
        )

    async def forget(self, guest: HeldGuest, *, by: str) -> None:
        """Take a guest that is off from this host by a person's word: its files are set aside, never deleted."""
        guest_id = guest.order.guest_id
        await self.driver.remove(guest_id)
        await self.network.release(guest_id)
        # The tombstone first: a record whose disk is gone would be built anew. Its image stays as long as the disk does.
        await self.ledger.forget(guest.order, by=by)
        await self._put_aside(guest_id)

    async def finish_forgetting(self) -> None:
        """Set aside what an agent left that was killed between a tombstone of `forget` and its last step."""
        for guest_id in await asyncio.to_thread(self._of_whom_files_are_here):
            if self.ledger.get(guest_id) is not None:
                continue
            tombstone = await self.ledger.tombstone(guest_id)
            if tombstone is None or not tombstone.forgotten:
                continue
            try:
                await self._put_aside(guest_id)
            except (InnkeeperError, OSError) as error:
                # Other guests must not wait for that; the next start tries again.
                log.warning("files_not_set_aside", guest=guest_id, error=str(error))

    def _of_whom_files_are_here(self) -> list[str]:
        there = (self.paths.guests, self.paths.forgotten_guests)
        names = {each.name.partition(".")[0] for place in there if place.is_dir() for each in place.iterdir()}
        return sorted(filter(is_guest_id, names))

    async def _put_aside(self, guest_id: str) -> None:
        await asyncio.to_thread(
            _set_aside, self.paths.guest(guest_id).directory, self.paths.forgotten(guest_id)
        )
        await self.images.set_aside(guest_id)

    async def started(self, guest: HeldGuest) -> None:
        """Keep that a guest's machine runs by our doing; its readiness probe has not been asked."""
        ready = RUNNING if guest.order.spec.readiness_probe is None else NOT_YET
        await self.settle(guest, life=Life.UP, ready=ready)

    async def settle(self, guest: HeldGuest, *, life: Life, ready: Ready) -> None:
        """Keep how a guest stands; while it runs, how its image stands is shown with it."""
        shown = ready
        if ready == RUNNING and guest.order.image is not None:
            shown = replace(ready, message=self.images.stands(guest.order.image, guest.order.guest_id))
        await self.ledger.settle(guest.order.guest_id, life=life, ready=ready, shown=shown)


def _set_aside(directory: Path, target: Path) -> None:
    """Move a guest's files; what was set aside for this guest before keeps a number of its own.

    Where guests have a file system of their own, the files stay on it, in a place beside them, and the target is a link.
    """
    if not directory.exists():
        return
    target.parent.mkdir(mode=0o700, exist_ok=True)
    free = _free(target)
    try:
        directory.rename(free)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = directory.with_name(".forgotten") / target.name
        beside.parent.mkdir(mode=0o700, exist_ok=True)
        beside = _free(beside)
        # The link first: who is killed in between leaves one that leads nowhere, and the files where they were.
        free.symlink_to(beside)
        directory.rename(beside)


def _free(path: Path) -> Path:
    """Return the first name that nothing has, nor a link that leads nowhere."""
    return next(each for n in itertools.count() if not os.path.lexists(each := _numbered(path, n)))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _remove_tree(directory: Path) -> None:
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        if directory.exists():
            raise
