"""What placement speaks of: label selectors, taints and tolerations, terms about other guests.

`topologyKey` names a label of Hosts; hosts with the same value are one place. `innkeeper.dev/host` and
`innkeeper.dev/cluster` need no label: each host, or each cluster, is a place of its own.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from innkeeper.api.fields import LabelValue, ObjectName
from innkeeper.api.model import ATOMIC, SET, ApiModel, Rule, map_keys

_KEY = r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=f"^{_KEY}$")]
LabelKeyOrNone = Annotated[str, Field(max_length=317, pattern=f"^({_KEY})?$")]
Effect = Literal["NoSchedule", "PreferNoSchedule"]
HOST_TOPOLOGY = "innkeeper.dev/host"


class LabelExpression(ApiModel):
    """One requirement on a label."""

    rules: ClassVar = (
        Rule(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
            "In and NotIn need values; Exists and DoesNotExist take none",
        ),
    )

    key: LabelKey
    """The label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How its value is looked at. `NotIn` also holds where the label is absent."""
    values: Annotated[list[LabelValue], Field(max_length=16), SET] = Field(default_factory=list)
    """Values for `In` and `NotIn`."""


class LabelSelector(ApiModel):
    """Labels that must be carried: all of both lists."""

    rules: ClassVar = (
        Rule(
            "(has(self.matchLabels) && self.matchLabels.size() > 0) || "
            "(has(self.matchExpressions) && self.matchExpressions.size() > 0)",
            "an empty selector would select everything: set matchLabels or matchExpressions, or leave it out",
        ),
        Rule(
            f"!has(self.matchLabels) || self.matchLabels.all(key, key.matches(r'^{_KEY}$'))",
            "a key of matchLabels is no label: write NAME or PREFIX/NAME, for example example.com/rack",
        ),
    )

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=16)] = Field(default_factory=dict)
    """All of these labels, with these values."""
    match_expressions: Annotated[list[LabelExpression], Field(max_length=16), ATOMIC] = Field(
        default_factory=list
    )
    """All of these requirements."""


class Taint(ApiModel):
    """What keeps guests off a host unless they tolerate it."""

    key: LabelKey
    """Its name."""
    value: LabelValue = ""
    """What exactly."""
    effect: Effect
    """`NoSchedule` keeps guests off; before a host with `PreferNoSchedule` go others. Neither ends a guest."""


class Toleration(ApiModel):
    """Taints that the guest puts up with."""

    rules: ClassVar = (
        Rule(
            "has(self.key) && self.key.size() > 0 || self.operator == 'Exists'",
            "a toleration without a key tolerates every taint: say so with operator Exists",
        ),
        Rule(
            "self.operator == 'Equal' || !has(self.value) || self.value == ''",
            "operator Exists takes any value: leave value out",
        ),
    )

    key: LabelKeyOrNone = ""
    """The taint's key; every key where it is left out."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """`Equal`: only with this value; `Exists`: with any."""
    value: LabelValue = ""
    """The taint's value."""
    effect: Effect | None = None
    """Only taints with this effect; every effect where it is left out."""


class GuestTerm(ApiModel):
    """Other guests, and what counts as the same place."""

    selector: LabelSelector
    """Labels of guests of the same namespace."""
    topology_key: LabelKey = HOST_TOPOLOGY
    """A label of Hosts: hosts with the same value are one place."""


class WeightedGuestTerm(GuestTerm):
    """A wish about other guests."""

    weight: Annotated[int, Field(ge=1, le=100)] = 1
    """How strong it is against the other wishes."""


class Affinity(ApiModel):
    """Other guests to be near to, or apart from."""

    rules: ClassVar = (
        Rule(
            "(has(self.required) && self.required.size() > 0) || (has(self.preferred) && self.preferred.size() > 0)",
            "set required or preferred, or leave it out",
        ),
    )

    required: Annotated[list[GuestTerm], Field(max_length=8), ATOMIC] = Field(default_factory=list)
    """What must hold when the guest is placed."""
    preferred: Annotated[list[WeightedGuestTerm], Field(max_length=8), ATOMIC] = Field(default_factory=list)
    """What should hold."""


class SpreadConstraint(ApiModel):
    """How unevenly certain guests may lie over places."""

    selector: LabelSelector
    """Labels of guests of the same namespace that are counted."""
    topology_key: LabelKey
    """A label of Hosts: hosts with the same value are one place."""
    max_skew: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many more of them a place may have than the emptiest one."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "DoNotSchedule"
    """Whether the guest waits, or only prefers emptier places."""


class Placement(ApiModel):
    """Where the guest may run, and where it would rather run."""

    rules: ClassVar = (
        Rule(
            " || ".join(
                f"has(self.{field})"
                for field in (
                    "cluster",
                    "clusterSelector",
                    "hostSelector",
                    "tolerations",
                    "affinity",
                    "antiAffinity",
                    "spread",
                )
            ),
            "set at least one field of placement, or leave placement out",
        ),
    )

    cluster: ObjectName | None = None
    """Only on hosts of this Cluster."""
    cluster_selector: LabelSelector | None = None
    """Only on hosts of Clusters with these labels."""
    host_selector: LabelSelector | None = None
    """Only on hosts with these labels."""
    tolerations: Annotated[list[Toleration], Field(max_length=16), ATOMIC] = Field(default_factory=list)
    """Taints of hosts that it puts up with."""
    affinity: Affinity | None = None
    """Guests to be near to."""
    anti_affinity: Affinity | None = None
    """Guests to be apart from. What is required holds both ways: they also come to no place where this guest is."""
    spread: Annotated[
        list[SpreadConstraint], Field(max_length=4), map_keys("topologyKey", "whenUnsatisfiable")
    ] = Field(default_factory=list)
    """Over which places certain guests lie evenly."""
