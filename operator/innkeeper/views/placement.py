"""What placement speaks of: label selectors, taints and tolerations, terms about other guests.

`topologyKey` names a label of Hosts; hosts with the same value are one place. Two keys need no label:
`innkeeper.dev/host` (each host a place of its own) and `innkeeper.dev/cluster`.
"""

from innkeeper.views.meta import View

HOST_TOPOLOGY = "innkeeper.dev/host"
CLUSTER_TOPOLOGY = "innkeeper.dev/cluster"


class LabelExpression(View, frozen=True, kw_only=True):
    """One requirement on a label: `In`, `NotIn`, `Exists` or `DoesNotExist`."""

    key: str
    operator: str
    values: list[str] = []


class LabelSelector(View, frozen=True, kw_only=True):
    """Labels that must be carried: all of both lists."""

    match_labels: dict[str, str] = {}
    match_expressions: list[LabelExpression] = []


class Taint(View, frozen=True, kw_only=True):
    """What keeps guests off a host unless they tolerate it: `NoSchedule` or `PreferNoSchedule`."""

    key: str
    effect: str
    value: str = ""


class Toleration(View, frozen=True, kw_only=True):
    """Taints that a guest puts up with: one value (`Equal`) or any (`Exists`); without an effect, every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str | None = None


class GuestTerm(View, frozen=True, kw_only=True):
    """Guests of the same namespace, chosen by their labels, and what counts as the same place."""

    selector: LabelSelector
    topology_key: str = HOST_TOPOLOGY


class WeightedGuestTerm(GuestTerm, frozen=True, kw_only=True):
    """A wish: 1 to 100 says how strong it is against other wishes."""

    weight: int = 1


class SpreadConstraint(GuestTerm, frozen=True, kw_only=True):
    """How unevenly chosen guests may lie over places: the fullest at most `maxSkew` above the emptiest."""

    max_skew: int = 1
    when_unsatisfiable: str = "DoNotSchedule"
