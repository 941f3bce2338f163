"""Whether an operator may lead in the store that it finds."""

from typing import Any

import pytest

from innkeeper.domain.rebuild.gate import Action, RebuildPolicy, RebuildState, Standing, Store, action

NEW: dict[str, Any] = {
    "standing": Standing.UNKNOWN,
    "state": None,
    "was_led": False,
    "has_bound_guests": False,
    "can_ask": True,
    "are_listed": True,
}


def a_store(**changes: Any) -> Store:
    return Store(**{**NEW, **changes})


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (RebuildPolicy.NEVER, Action.LEAD),
        (RebuildPolicy.MANUAL, Action.WAIT),
        (RebuildPolicy.AUTO, Action.HEAL),
    ],
)
@pytest.mark.parametrize("state", [None, RebuildState.REBUILDING])
@pytest.mark.parametrize("standing", [Standing.UNKNOWN, Standing.OTHER_STORE])
def test_in_a_new_store_the_policy_decides(
    policy: RebuildPolicy, expected: Action, state: RebuildState | None, standing: Standing
) -> None:
    assert action(a_store(state=state, standing=standing), policy) is expected


@pytest.mark.parametrize(
    "known",
    [
        {"state": RebuildState.DONE},
        {"was_led": True},
        {"are_listed": False},
        {"can_ask": False},
        {"can_ask": False, "standing": Standing.OTHER_STORE, "was_led": True},
        {"can_ask": False, "standing": Standing.OTHER_STORE, "has_bound_guests": True},
        {"can_ask": False, "standing": Standing.OTHER_STORE, "are_listed": False},
        {"has_bound_guests": True},
        {"state": RebuildState.DONE, "standing": Standing.OTHER_STORE},
    ],
)
@pytest.mark.parametrize("policy", list(RebuildPolicy))
def test_nobody_waits_where_nothing_can_be_missing_or_nobody_can_be_asked(
    known: dict[str, Any], policy: RebuildPolicy
) -> None:
    assert action(a_store(**known), policy) is Action.LEAD


@pytest.mark.parametrize(
    "found",
    [
        {"standing": Standing.OTHER_HISTORY, "state": RebuildState.DONE, "was_led": True},
        {"standing": Standing.OTHER_HISTORY, "are_listed": False},
        {"state": RebuildState.HEALING, "was_led": True, "standing": Standing.SAME},
        {"standing": Standing.OTHER_STORE, "has_bound_guests": True},
    ],
)
@pytest.mark.parametrize("policy", [RebuildPolicy.MANUAL, RebuildPolicy.AUTO])
def test_in_a_store_that_was_put_back_hosts_are_heard_first(
    found: dict[str, Any], policy: RebuildPolicy
) -> None:
    assert action(a_store(**found), policy) is Action.HEAL


@pytest.mark.parametrize("policy", [RebuildPolicy.MANUAL, RebuildPolicy.AUTO])
def test_a_new_store_is_not_led_beside_known_hosts_that_nobody_can_ask(policy: RebuildPolicy) -> None:
    found = a_store(standing=Standing.OTHER_STORE, can_ask=False)
    assert action(found, policy) is Action.WAIT
    assert action(found, RebuildPolicy.NEVER) is Action.LEAD


def test_guests_that_a_pipeline_applied_to_a_new_store_do_not_open_the_gate() -> None:
    # They are bound to no host: `has_bound_guests` is what counts.
    assert action(a_store(has_bound_guests=False), RebuildPolicy.MANUAL) is Action.WAIT
