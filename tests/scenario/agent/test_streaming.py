"""Guests whose disks lie over a stream: they go on when it was gone, wait where it is wrong, and leave it in the end."""

from innkeeper.agent.build.ports import Streamed
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from innkeeper.kube.resources import HOST_AGENTS
from tests.kit.agent_host import PULL_BYTES_PER_S, AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()
IMAGE = "ab" * 32


async def test_a_guest_that_was_paused_by_its_disk_goes_on_and_is_not_started_again(
    running: AgentHost,
) -> None:
    running.driver.fail_disk(GUEST)
    await eventually(lambda: running.driver.running() == {GUEST} and running.driver.resumes[GUEST] == 1)
    assert running.driver.starts[GUEST] == 1
    assert (await running.told(GUEST, "Running")).status == "True"


async def test_a_guest_waits_for_right_bytes_and_says_so(running: AgentHost) -> None:
    running.images.bad_image = InnkeeperError("byte 4096 is wrong", reason=GuestReason.IMAGE_CHUNK_MISMATCH)
    running.driver.fail_disk(GUEST)
    told = await running.told(GUEST, GuestReason.IMAGE_CHUNK_MISMATCH)
    assert (told.status, told.message) == ("False", "byte 4096 is wrong")
    assert running.driver.resumes[GUEST] == 0, "it would read them"
    running.images.bad_image = None
    assert (await running.told(GUEST, "Running")).status == "True"
    assert running.driver.starts[GUEST] == 1


async def test_a_disk_that_fails_on_its_own_is_told(running: AgentHost) -> None:
    running.driver.disk_fails.add(GUEST)
    running.driver.fail_disk(GUEST)
    assert (await running.told(GUEST, GuestReason.DISK_FAILED)).status == "False"
    running.driver.disk_fails.clear()
    await running.told(GUEST, "Running")


async def test_once_the_image_is_here_the_disk_becomes_whole_and_the_stream_ends(running: AgentHost) -> None:
    running.images.on_stream.add(GUEST)
    running.images.standing = "Streaming, 45 % of the image is here"
    running.images.streams[IMAGE] = Streamed(is_whole=False, guests=(GUEST,))
    running.images.news.set()

    async def tells(message: str) -> bool:
        told = await running.told(GUEST, "Running")
        return (told.status, told.message) == ("True", message)

    await eventually(lambda: tells("Streaming, 45 % of the image is here"))
    assert running.driver.pulls[GUEST] == 0
    running.images.streams[IMAGE] = Streamed(is_whole=True, guests=(GUEST,))
    running.images.news.set()
    await eventually(lambda: running.driver.pulls[GUEST] > 0)
    assert running.driver.pull_limits == {PULL_BYTES_PER_S}, "other guests use the disk as well"
    assert IMAGE in running.images.streams, "the disk still lies over it"
    running.images.on_stream.clear()
    running.images.standing = "the image is Local"
    await eventually(lambda: IMAGE not in running.images.streams)
    await eventually(lambda: tells("the image is Local"))


async def test_a_guest_that_is_off_keeps_no_stream_of_a_whole_image_alive(running: AgentHost) -> None:
    await running.assign(order(serial=2, desired="Stopped"))
    await running.told(GUEST, "Stopped")
    running.images.on_stream.add(GUEST)
    running.images.streams[IMAGE] = Streamed(is_whole=True, guests=(GUEST, "0b0b0b0b-gone"))
    running.images.news.set()
    await eventually(lambda: not running.images.streams)
    assert running.driver.pulls[GUEST] == 0


async def test_the_host_tells_which_images_it_has(running: AgentHost) -> None:
    whole = f"sha256:{IMAGE}"
    running.images.images_held = {whole: 100}
    running.images.news.set()

    async def told() -> dict[str, int]:
        agent = await running.admin.get(HOST_AGENTS, "host", namespace=running.namespace)
        return {each.digest: each.percent for each in agent.status.images}

    async def is_told() -> bool:
        return await told() == {whole: 100}

    await eventually(is_told, deadline_s=20)
