"""From a signed order to a running machine, step by step, and what a failure on the way looks like."""

import base64

import pytest

from innkeeper.domain.orders import digest_of
from innkeeper.kube.resources import HOST_AGENTS, LEASES, SECRETS
from innkeeper.views.guest import UserData
from tests.kit.agent_host import AgentHost, failure
from tests.kit.agent_orders import GIB, HOST, STORE, guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.virtual_time import elapse
from tests.kit.waiting import eventually

GUEST = guest_id()


async def test_an_order_becomes_a_running_machine(host: AgentHost) -> None:
    host.start()
    wanted = order()
    await host.assign(wanted)
    ready = await host.told(GUEST, "Running")
    assert (ready.status, ready.observed_generation) == ("True", 1)
    held = (await host.assignment(GUEST)).status.held
    assert held is not None
    assert (held.epoch, held.serial) == (1, 1)

    spec = host.driver.spec(GUEST)
    assert spec is not None
    assert (spec.cpu_millis, spec.memory_bytes) == (1000, GIB)
    assert [(each.bridge, each.mac) for each in spec.interfaces] == [("br0", wanted.addresses[0].mac)]
    assert spec.disk == host.disk(GUEST)
    assert host.disk(GUEST).exists()
    seed = host.images.seeds[GUEST]
    assert (seed.hostname, seed.user_data, seed.addresses) == ("web-1", None, tuple(wanted.addresses))


async def test_a_fast_build_costs_one_write(host: AgentHost) -> None:
    """The design counts one status of the Assignment for each guest."""
    host.clock = clock = ManualClock()
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    await elapse(clock, 10, step_s=1)
    assert len(host.api.writes("patch assignments/status")) == 1


async def test_the_host_reports_itself_and_lives(host: AgentHost) -> None:
    host.start()

    async def reported() -> bool:
        status = (await host.admin.get(HOST_AGENTS, "host", namespace=host.namespace)).status
        return status.store_id == STORE and status.conditions[0].status == "True"

    await eventually(reported)
    status = (await host.admin.get(HOST_AGENTS, "host", namespace=host.namespace)).status
    assert (status.driver, status.hypervisor, status.observed_generation) == ("simulated", "KVM", 1)
    assert status.capacity is not None
    assert (status.capacity.cpu, status.capacity.memory, status.capacity.disk) == ("64", "256Gi", "4Ti")
    lease = await host.admin.get(LEASES, "heartbeat", namespace=host.namespace)
    assert lease.metadata.labels == {"innkeeper.dev/host": HOST}
    assert lease.spec.renew_time


async def test_each_step_is_shown_while_it_lasts(host: AgentHost) -> None:
    host.gates.held.add("fetch")
    host.start()
    await host.assign(order())
    streaming = await host.told(GUEST, "Streaming")
    assert (streaming.status, streaming.message) == ("False", "50 % of the image is here")
    host.gates.open()
    await host.told(GUEST, "Running")


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("fetch", "ImageDownloadFailed"),
        ("overlay", "ImageUnreadable"),
        ("seed", "InternalError"),
        ("before-define", "DriverFailed"),
        ("before-start", "StartFailed"),
    ],
)
async def test_a_failed_step_is_told_and_tried_again(host: AgentHost, point: str, reason: str) -> None:
    host.gates.failures[point] += [failure(reason), failure(reason)]
    host.start()
    await host.assign(order())
    failed = await host.told(GUEST, reason)
    assert (failed.status, failed.message) == ("False", "it does not work")
    await host.told(GUEST, "Running")
    assert host.driver.starts[GUEST] == 1


async def test_what_will_not_mend_by_itself_is_not_tried_at_full_speed(host: AgentHost) -> None:
    host.gates.failures["fetch"] += [failure("ImageDigestMismatch", retryable=False)] * 9
    host.start()
    await host.assign(order())
    await host.told(GUEST, "ImageDigestMismatch")
    await host.assign(order(2))
    await eventually(lambda: len(host.gates.failures["fetch"]) == 7)
    await host.told(guest_id(2), "ImageDigestMismatch")
    assert len(host.gates.failures["fetch"]) == 7


async def test_an_error_of_our_own_never_shows_a_traceback(host: AgentHost) -> None:
    host.gates.failures["overlay"].append(ZeroDivisionError("secret detail"))  # type: ignore[arg-type] # any error may come
    host.start()
    await host.assign(order())
    failed = await host.told(GUEST, "DriverFailed")
    assert "secret" not in failed.message
    assert "log" in failed.message
    await host.told(GUEST, "Running")


async def test_user_data_from_a_secret_is_used_only_as_it_was_signed(host: AgentHost) -> None:
    data = b"#cloud-config\n"
    host.start()
    await host.assign(order(user_data_secret="user-data-1", user_data_digest=digest_of(data)))
    missing = await host.told(GUEST, "UserDataNotFound")
    assert "user-data-1" in missing.message

    async def put(content: bytes) -> None:
        body = {"data": {"userData": base64.b64encode(content).decode()}}
        await host.admin.patch(SECRETS, "user-data-1", body, namespace=host.namespace)

    await host.admin.create(
        SECRETS, {"metadata": {"name": "user-data-1"}, "data": {}}, namespace=host.namespace
    )
    await put(b"#cloud-config\nruncmd: [evil]\n")
    await eventually(
        lambda: (
            host.figure("innkeeper_agent_job_failures_total", kind="build", reason="UserDataNotFound") >= 2
        )
    )
    assert host.driver.starts[GUEST] == 0
    await put(data)
    await host.told(GUEST, "Running")
    assert host.images.seeds[GUEST].user_data == data


async def test_inline_user_data_and_keys_reach_the_seed(host: AgentHost) -> None:
    host.start()
    spec = {
        "user_data": UserData(inline="#cloud-config\n"),
        "ssh_keys": ["ssh-ed25519 AAAA"],
        "hostname": "desk",
    }
    await host.assign(order(spec=spec))
    await host.told(GUEST, "Running")
    seed = host.images.seeds[GUEST]
    assert (seed.hostname, seed.ssh_keys, seed.user_data) == (
        "desk",
        ("ssh-ed25519 AAAA",),
        b"#cloud-config\n",
    )


async def test_the_agents_own_time_of_a_build_is_measured(host: AgentHost) -> None:
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    for where in ("agent", "hypervisor", "image"):
        assert host.figure("innkeeper_agent_build_seconds_count", where=where) == 1
