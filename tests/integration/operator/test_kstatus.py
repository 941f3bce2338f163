"""What kstatus says of every kind at each moment of its life: what Flux waits for, without any rule of ours.

The real API server and operator; agent and image server say what the test wants. Every version of every object that was
ever to be seen is judged, by our own checker and by the library itself.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from kit import kstatus as library

from innkeeper.domain.reasons import OrderOutcome
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import CLUSTERS, GUEST_OPERATIONS, GUESTS, HOSTS, IMAGES, IP_POOLS
from tests.integration.operator import scene
from tests.kit.journal import OWN, Document, Journal, journal
from tests.kit.kstatus import Status, status_of
from tests.kit.kstatus_library import judged
from tests.kit.operator_process import StubImageServer, leads, running_operator
from tests.kit.scripted_agent import ScriptedAgent
from tests.kit.waiting import eventually

# The library is compiled the first time.
pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900)]

WITHOUT_STATUS = ("Flavor", "IPAddress")
PREPARING = {"state": "Preparing", "progress": "10%"}


def failed(reason: str, *, retryable: bool) -> dict[str, Any]:
    return {"state": "Failed", "reason": reason, "message": "what is wrong", "retryable": retryable}


@pytest.fixture
async def book(admin: Client) -> AsyncIterator[Journal]:
    """What was to be seen; in the end every version of it is judged."""
    async with journal(admin) as found:
        yield found
    program = await asyncio.to_thread(library.program)
    assert judged(program, found.all()) == [str(status_of(each)) for each in found.all()]
    hasty = [each for each in found.all() if is_current_too_early(each)]
    assert not hasty, f"Current before it was Ready: {hasty[0]}"


def is_current_too_early(document: Document) -> bool:
    """Tell whether kstatus takes for done what no Ready condition of this very generation says."""
    if document["kind"] in WITHOUT_STATUS or status_of(document) is not Status.CURRENT:
        return False
    ready = next((each for each in document["status"]["conditions"] if each["type"] == "Ready"), None)
    generation = document["metadata"]["generation"]
    return ready is None or (ready["status"], ready.get("observedGeneration")) != ("True", generation)


async def becomes(book: Journal, kind: str, name: str, status: Status) -> None:
    """Wait until kstatus says so."""

    def said() -> bool:
        found = book.newest(kind, name)
        assert status_of(found) is status, f"{kind} is {status_of(found)}: {found}"
        return True

    await eventually(said, deadline_s=60)


async def test_the_life_of_each_kind(
    admin: Client, operator_credentials: Credentials, images: StubImageServer, name: str, book: Journal
) -> None:
    images.answers[name] = PREPARING
    await scene.infrastructure(admin, name)
    await scene.guest(admin, name)
    for kind in ("Cluster", "IPPool", "Host", "Image", "Guest"):
        await becomes(book, kind, name, Status.IN_PROGRESS)
    await becomes(book, "Flavor", name, Status.CURRENT)

    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(
            running_operator(operator_credentials, images_url=images.url, host_silence_s=600)
        )
        await leads(process)
        agent = await stack.enter_async_context(ScriptedAgent(admin, name))
        await becomes(book, "IPPool", name, Status.CURRENT)
        await agent.join()
        await becomes(book, "Host", name, Status.CURRENT)
        await becomes(book, "Cluster", name, Status.CURRENT)
        assert book.status("Image", name) is Status.IN_PROGRESS
        assert book.status("Guest", name) is Status.IN_PROGRESS
        del images.answers[name]
        await becomes(book, "Image", name, Status.CURRENT)
        await _a_guest_lives(admin, agent, book, name)
        await _all_are_deleted(admin, agent, book, name)
    assert book.course("Guest", name) == ["InProgress", "Current", "InProgress", "Current", "Terminating"]
    assert book.course("Image", name) == ["InProgress", "Current", "Terminating"]
    assert {each["kind"] for each in book.all()} == set(OWN), "no kind was left out"


async def _a_guest_lives(admin: Client, agent: ScriptedAgent, book: Journal, name: str) -> None:
    assignment, order = await agent.order()
    await agent.answer(assignment, order, outcome=OrderOutcome.ACCEPTED, ready="False", reason="Streaming")
    await scene.ready(admin, GUESTS, name, reason="Streaming")
    await becomes(book, "Guest", name, Status.IN_PROGRESS)
    await agent.run_guest()
    await becomes(book, "Guest", name, Status.CURRENT)

    spec = {"guestName": name, "operation": "Reboot"}
    await admin.create(GUEST_OPERATIONS, {"metadata": {"name": name}, "spec": spec}, namespace="default")
    await becomes(book, "GuestOperation", name, Status.IN_PROGRESS)
    assignment, order = await eventually(lambda: _with_operation(agent), deadline_s=60)
    assert book.status("GuestOperation", name) is Status.IN_PROGRESS
    done = {"id": order.operation.id, "phase": "Succeeded", "finishedAt": "2026-01-01T00:00:00Z"}
    said = {"outcome": OrderOutcome.ACCEPTED, "ready": "True", "reason": "Running"}
    await agent.answer(assignment, order, **said, operation=done)
    await becomes(book, "GuestOperation", name, Status.CURRENT)
    await becomes(book, "Guest", name, Status.CURRENT)

    await admin.patch(GUESTS, name, {"spec": {"power": "Stopped"}}, namespace="default")
    await becomes(book, "Guest", name, Status.IN_PROGRESS)
    await eventually(lambda: _is_seen(book, name), deadline_s=60)
    assert book.status("Guest", name) is Status.IN_PROGRESS, "it still runs, as its host said last"
    await agent.stop_guest()
    await becomes(book, "Guest", name, Status.CURRENT)


async def _with_operation(agent: ScriptedAgent) -> Any:
    found = await agent.order()
    return found if found[1].operation is not None else None


def _is_seen(book: Journal, name: str) -> bool:
    """Tell whether the operator has seen the newest generation of a Guest."""
    found = book.newest("Guest", name) or {}
    return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])


async def _all_are_deleted(admin: Client, agent: ScriptedAgent, book: Journal, name: str) -> None:
    await admin.delete(IMAGES, name, namespace="default")
    await admin.delete(HOSTS, name)
    await becomes(book, "Image", name, Status.TERMINATING)
    await becomes(book, "Host", name, Status.TERMINATING)
    await admin.delete(GUESTS, name, namespace="default")
    await becomes(book, "Guest", name, Status.TERMINATING)
    await agent.destroy_guest()
    for resource in (GUESTS, HOSTS, IMAGES):
        await becomes(book, resource.kind, name, Status.NOT_FOUND)


async def test_what_a_person_has_to_mend_is_failed_and_heals(
    admin: Client, operator: object, images: StubImageServer, name: str, book: Journal
) -> None:
    assert operator is not None
    pool = {"cidr": "2001:db8::/64", "addressSpace": name, "clusters": [name]}
    backwards = {**pool, "ranges": [{"start": "2001:db8::9", "end": "2001:db8::1"}]}
    await admin.create(IP_POOLS, {"metadata": {"name": name}, "spec": backwards})
    await becomes(book, "IPPool", name, Status.FAILED)
    await admin.patch(IP_POOLS, name, {"spec": {"ranges": [{"start": "2001:db8::1", "end": "2001:db8::9"}]}})
    await becomes(book, "IPPool", name, Status.CURRENT)

    images.answers[name] = failed("SourceUnreachable", retryable=True)
    await scene.image(admin, name)
    await scene.ready(admin, IMAGES, name, reason="SourceUnreachable")
    assert book.status("Image", name) is Status.IN_PROGRESS, "the source may come back by itself"
    images.answers[name] = failed("DigestMismatch", retryable=False)
    await becomes(book, "Image", name, Status.FAILED)

    await admin.create(HOSTS, {"metadata": {"name": name}, "spec": {"cluster": name}})
    await becomes(book, "Host", name, Status.FAILED)
    await admin.create(CLUSTERS, {"metadata": {"name": name}, "spec": {"network": {"bridge": "br0"}}})
    await becomes(book, "Host", name, Status.IN_PROGRESS)
    await admin.patch(HOSTS, name, {"spec": {"lost": "the machine burnt"}})
    await becomes(book, "Host", name, Status.FAILED)


async def test_a_guest_that_names_what_is_not_there_is_failed_until_it_is(
    admin: Client, operator: object, name: str, book: Journal
) -> None:
    assert operator is not None
    await scene.guest(admin, name)
    await becomes(book, "Guest", name, Status.FAILED)
    await scene.infrastructure(admin, name)
    await becomes(book, "Guest", name, Status.IN_PROGRESS)
    spec = {"guestName": f"{name}-nobody", "operation": "Reboot"}
    await admin.create(GUEST_OPERATIONS, {"metadata": {"name": name}, "spec": spec}, namespace="default")
    await becomes(book, "GuestOperation", name, Status.FAILED)
