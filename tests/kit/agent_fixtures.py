"""A host with its agent, in front of an API server: the fixtures of the tests that look at one host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.agent_host import AgentHost, agent_host
from tests.kit.agent_orders import guest_id, order


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[AgentHost]:
    """A host whose agent is not started yet."""
    async with agent_host(tmp_path) as made:
        yield made


@pytest.fixture
async def running(host: AgentHost) -> AgentHost:
    """A host on which the first guest runs."""
    host.start()
    await host.assign(order())
    await host.told(guest_id(), "Running")
    return host
