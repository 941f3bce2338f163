"""Whatever comes, goes and is given back: once all who were offered something looked, nobody waits in vain."""

from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from innkeeper.kube.informer import Key
from innkeeper.state import waiting
from innkeeper.state.backlog import Rank
from innkeeper.state.waiting import Waiting

LAB = waiting.pool("lab")
MOST_NEEDED = 4
TOGETHER = 2 * MOST_NEEDED  # that are offered at once


class Guests(RuleBasedStateMachine):
    """Guests look as the flow of guests has them look: when they come, and when they are offered something."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = Waiting()
        self.free = 10
        self.asks: dict[Key, tuple[Rank, int]] = {}
        self.held: list[int] = []
        self.comers = 0
        self.woken: deque[Key] = deque()

    @rule(priority=st.integers(-1, 1), need=st.integers(1, MOST_NEEDED))
    def a_guest_comes(self, priority: int, need: int) -> None:
        self.comers += 1
        key = ("default", f"g{self.comers:03}")
        self.asks[key] = ((-priority, key[1]), need)
        self.look(key, known=max(1, need - 1))

    @precondition(lambda self: self.asks)
    @rule(data=st.data())
    def a_guest_that_waits_goes(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.asks)))
        del self.asks[key]
        self.offer(self.waiting.forget(key))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_guest_that_was_served_gives_back_one_by_one(self, data: Any) -> None:
        for _ in range(self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))):
            self.free += 1
            self.offer([LAB])

    @rule()
    def who_was_offered_something_looks(self) -> None:
        self.look_on()

    def look(self, key: Key, *, known: int | None = None) -> None:
        """Have a guest look; `known` is what it says of its need, where that is too little."""
        rank, need = self.asks[key]
        if self.waiting.left(LAB, key, rank, free=self.free) >= need:
            self.free -= need
            self.held.append(need)
            del self.asks[key]
            self.offer(self.waiting.forget(key))
        else:
            self.offer(self.waiting.wait(key, [LAB], rank=rank, needs={LAB: known or need}))
            if known is not None:
                self.woken.append(key)

    def look_on(self) -> None:
        while self.woken:
            key = self.woken.popleft()
            if key in self.asks:
                self.look(key)

    def offer(self, causes: list[str]) -> None:
        for cause in causes:
            self.woken.extend(self.waiting.first(cause, min(self.free, TOGETHER)))

    @invariant()
    def nobody_may_have_what_it_waits_for(self) -> None:
        for key, (rank, need) in self.asks.items() if not self.woken else ():
            assert self.waiting.left(LAB, key, rank, free=self.free) < need, "it was not offered to it"


TestGuests = Guests.TestCase
TestGuests.settings = settings(max_examples=200, stateful_step_count=20)
