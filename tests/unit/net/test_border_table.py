"""When the border is loaded, and what is told where the kernel cannot have it."""

import pytest

from innkeeper.agent.net.border import Border
from innkeeper.agent.net.border_table import BorderTable
from innkeeper.agent.net.nft import FilterError, Nft

CLOSED = Border(closed=("innkeeper0",))


class KernelWithoutFib(Nft):
    """Refuses all that asks `fib`; what it loads it lists."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.there: str | None = None

    async def load(self, text: str) -> None:
        """Load it, or not."""
        if "fib" in text:
            raise FilterError("Could not process rule: No such file or directory")
        self.loaded.append(text)
        self.there = text if "{" in text else None

    async def listing(self, family: str, table: str) -> str | None:
        """Return what was loaded last."""
        assert (family, table) == ("inet", "innkeeper")
        return self.there


async def test_what_the_kernel_lacks_is_told_each_time() -> None:
    nft = KernelWithoutFib()
    border = BorderTable(nft)
    for _ in range(2):
        with pytest.raises(FilterError, match=r"cannot be kept from the host.*fib") as told:
            await border.have(CLOSED, {})
        assert told.value.reason == "NetworkFailed"


async def test_where_nothing_is_to_be_said_nothing_is_loaded() -> None:
    nft = KernelWithoutFib()
    await BorderTable(nft).have(Border(), {})
    assert nft.loaded == []


async def test_it_is_loaded_once_and_again_after_a_change_and_goes_when_it_is_over() -> None:
    nft = KernelWithoutFib()
    border = BorderTable(nft)
    hidden = Border(hidden=("10.0.0.0/24",))
    await border.have(hidden, {})
    await border.have(hidden, {})
    assert len(nft.loaded) == 1
    nft.there = None
    await border.have(hidden, {})
    assert len(nft.loaded) == 2
    await border.have(Border(), {})
    assert nft.there is None
    await border.have(Border(), {})
    assert len(nft.loaded) == 3


async def test_what_another_agent_left_goes() -> None:
    nft = KernelWithoutFib()
    nft.there = "table inet innkeeper { }"
    await BorderTable(nft).have(Border(), {})
    assert nft.there is None
