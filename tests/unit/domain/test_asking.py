"""From a Guest's manifest to its request: nothing that it asks is lost, and equal guests ask the same."""

from typing import Any

import pytest

from innkeeper.domain.quantity import Amounts
from innkeeper.domain.scheduling.asking import request_of
from innkeeper.domain.scheduling.request import Group, Request, SpreadLimit, Term, Tolerance, Wish
from innkeeper.domain.scheduling.selectors import Operator, Requirement, Selector
from innkeeper.views.guest import Guest
from innkeeper.views.placement import HOST_TOPOLOGY
from tests.kit import objects

AMOUNTS = Amounts(1000, 1024**3, 10 * 1024**3)
WEB = Selector((Requirement("app", Operator.IN, frozenset({"web"})),))


def asked(placement: dict[str, Any] | None, *, number: int = 1, **changes: Any) -> Request:
    document = objects.guest(f"web-{number}", number=number, **changes)
    if placement is not None:
        document["spec"]["placement"] = placement
    return request_of(objects.view(document, Guest), amounts=AMOUNTS)


def test_a_guest_that_asks_nothing_asks_for_room_alone() -> None:
    assert asked(None) == Request(amounts=AMOUNTS, namespace=objects.NAMESPACE)


def test_guests_that_differ_in_name_only_ask_the_same() -> None:
    first, second = asked({"cluster": "lab"}, number=1), asked({"cluster": "lab"}, number=2)
    assert (first, hash(first)) == (second, hash(second))


def test_both_lists_of_a_selector_become_one() -> None:
    found = asked(
        {
            "clusterSelector": {"matchExpressions": [{"key": "gone", "operator": "DoesNotExist"}]},
            "hostSelector": {
                "matchLabels": {"rack": "r1"},
                "matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["hdd", "tape"]}],
            },
        }
    )
    assert found.cluster_selector == Selector((Requirement("gone", Operator.DOES_NOT_EXIST),))
    assert found.host_selector == Selector(
        (
            Requirement("rack", Operator.IN, frozenset({"r1"})),
            Requirement("disk", Operator.NOT_IN, frozenset({"hdd", "tape"})),
        )
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"key": "gpu"}, Tolerance("gpu", "")),
        ({"key": "gpu", "value": "a100"}, Tolerance("gpu", "a100")),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, Tolerance("gpu", None, "NoSchedule")),
        ({"operator": "Exists"}, Tolerance("", None)),
    ],
)
def test_tolerations(written: dict[str, str], meant: Tolerance) -> None:
    assert asked({"tolerations": [written]}).tolerations == (meant,)


def test_terms_speak_of_the_guest_s_own_namespace() -> None:
    web = {"selector": {"matchLabels": {"app": "web"}}}
    found = asked(
        {
            "affinity": {"required": [{**web, "topologyKey": "zone"}], "preferred": [{**web, "weight": 30}]},
            "antiAffinity": {"required": [web], "preferred": [{**web, "weight": 7, "topologyKey": "rack"}]},
        }
    )
    group = Group(objects.NAMESPACE, WEB)
    assert found.near == (Term(group, "zone"),)
    assert found.apart == (Term(group, HOST_TOPOLOGY),)
    assert found.wishes == (Wish(Term(group, HOST_TOPOLOGY), 30), Wish(Term(group, "rack"), -7))


def test_a_spread_is_a_limit_or_a_wish() -> None:
    web = {"selector": {"matchLabels": {"app": "web"}}, "topologyKey": "zone"}
    soft = {**web, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway"}
    found = asked({"spread": [{**web, "maxSkew": 2}, soft]})
    group = Group(objects.NAMESPACE, WEB)
    assert found.spread == (SpreadLimit(Term(group, "zone"), 2),)
    assert found.spread_wishes == (Term(group, "rack"),)
