"""One job for one guest, and what cancelling one means."""

import asyncio
import contextlib

import pytest

from innkeeper.agent.jobs import Jobs
from innkeeper.agent.plan import JobKind
from innkeeper.domain.reasons import Desired
from innkeeper.to_its_end import to_its_end
from tests.kit.waiting import eventually, one_turn


async def test_a_second_job_for_the_same_guest_is_refused() -> None:
    jobs = Jobs(on_end=lambda _: None)
    jobs.start("g", JobKind.BUILD, desired="Running", work=_for_ever())
    with pytest.raises(RuntimeError, match="has a job"):
        jobs.start("g", JobKind.STOP, desired="Stopped", work=_for_ever())
    await jobs.close()


async def test_the_end_of_a_job_is_told() -> None:
    ended: list[str] = []
    jobs = Jobs(on_end=ended.append)

    async def work() -> None:
        assert jobs.get("g") is not None

    jobs.start("g", JobKind.START, desired="Running", work=work())
    await eventually(lambda: ended == ["g"])
    assert jobs.get("g") is None


async def test_a_cancelled_job_is_a_job_until_its_call_to_the_hypervisor_is_over() -> None:
    ended: list[str] = []
    jobs = Jobs(on_end=ended.append)
    call, done = asyncio.Event(), []

    async def hypervisor() -> None:
        await call.wait()
        done.append("defined")

    jobs.start("g", JobKind.BUILD, desired="Running", work=to_its_end(hypervisor()))
    await one_turn()
    for _ in range(3):
        jobs.cancel("g")
        await one_turn()
    assert jobs.get("g") is not None, "however often it is cancelled: no other job may touch the machine yet"
    call.set()
    await eventually(lambda: ended == ["g"])
    assert done == ["defined"]
    assert jobs.get("g") is None


async def test_a_job_is_told_to_end_also_while_a_deadline_inside_it_passes() -> None:
    jobs = Jobs(on_end=lambda _: None)

    async def work() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await _for_ever()
        await _for_ever()

    jobs.start("g", JobKind.BUILD, desired="Running", work=work())
    job = jobs.get("g")
    assert job is not None
    while not job.task.cancelling():  # by the deadline
        await one_turn()
    jobs.cancel("g")
    await eventually(lambda: jobs.get("g") is None)


async def test_the_next_job_of_the_same_guest_can_be_told_to_end_too() -> None:
    jobs = Jobs(on_end=lambda _: None)
    for _ in range(2):
        jobs.start("g", JobKind.BUILD, desired="Running", work=_for_ever())
        await one_turn()
        jobs.cancel("g")
        await eventually(lambda: jobs.get("g") is None)


@pytest.mark.parametrize(
    ("kind", "begun_for", "goes_on_for"),
    [
        (JobKind.STOP, Desired.STOPPED, {Desired.STOPPED, Desired.RUNNING, Desired.SUPERSEDED}),
        (JobKind.OPERATE, Desired.RUNNING, {Desired.RUNNING}),
        (JobKind.BUILD, Desired.RUNNING, {Desired.RUNNING}),
    ],
)
async def test_a_stop_alone_goes_on_where_its_guest_shall_run_again(
    kind: JobKind, begun_for: str, goes_on_for: set[str]
) -> None:
    jobs = Jobs(on_end=lambda _: None)
    jobs.start("g", kind, desired=begun_for, work=_for_ever())
    job = jobs.get("g")
    assert job is not None
    assert {each for each in Desired if job.serves(each)} == goes_on_for
    await jobs.close()


async def test_closing_does_not_wait_for_a_hypervisor_that_hangs() -> None:
    jobs = Jobs(on_end=lambda _: None)
    jobs.start("g", JobKind.STOP, desired="Stopped", work=to_its_end(_for_ever()))
    await one_turn()
    async with asyncio.timeout(5):
        await jobs.close(within_s=0.05)
    assert jobs.get("g") is None


async def _for_ever() -> None:
    await asyncio.Event().wait()
