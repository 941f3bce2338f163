"""`spec.placement` of a Guest from what a person typed. Pure: words in, document out.

Selectors are written as kubectl has them (`disk=ssd,rack notin (1,2)`), and terms about other guests as one word:
`SELECTOR[@KEY][:WEIGHT]`. Only the form is looked at here. Whether the values make sense, the API server says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from innkeeper.domain.query.selectors import label_selector
from innkeeper.domain.scheduling.selectors import Operator, Requirement

Document = dict[str, Any]
_EFFECTS = ("NoSchedule", "PreferNoSchedule")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")


@dataclass(frozen=True, kw_only=True)
class PlacementOptions:
    """What was typed."""

    cluster: str | None = None
    cluster_selectors: Sequence[str] = ()
    host_selectors: Sequence[str] = ()
    tolerations: Sequence[str] = ()
    affinity: Sequence[str] = ()
    anti_affinity: Sequence[str] = ()
    spread_over: Sequence[str] = ()


def placement(options: PlacementOptions, *, labels: Mapping[str, str]) -> Document:
    """Return the placement of a guest with these labels; an empty one where nothing was asked for.

    Raises:
        ValueError: an option has not the form that it should have; the message shows it.
    """
    found = {
        "cluster": options.cluster,
        "clusterSelector": _selector(options.cluster_selectors, "--cluster-selector"),
        "hostSelector": _selector(options.host_selectors, "--host-selector"),
        "tolerations": [_toleration(word) for word in options.tolerations],
        "affinity": _affinity(options.affinity, "--affinity"),
        "antiAffinity": _affinity(options.anti_affinity, "--anti-affinity"),
        "spread": [_spread(word, labels) for word in options.spread_over],
    }
    return {key: value for key, value in found.items() if value}


def _selector(words: Iterable[str], option: str) -> Document:
    """Read selectors, all of which must hold."""
    labels: dict[str, str] = {}
    expressions: list[Document] = []
    for word in words:
        requirements = label_selector(word, what=option).requirements
        if not requirements:
            raise ValueError(f"{option} selects everything: leave it out, or say KEY=VALUE")
        for each in requirements:
            if each.operator is Operator.IN and len(each.values) == 1 and each.key not in labels:
                labels[each.key] = next(iter(each.values))
            else:
                expressions.append(_expression(each))
    return _without_empty(matchLabels=labels, matchExpressions=expressions)


def _expression(requirement: Requirement) -> Document:
    found: Document = {"key": requirement.key, "operator": str(requirement.operator)}
    return {**found, **_without_empty(values=sorted(requirement.values))}


def _affinity(words: Iterable[str], option: str) -> Document:
    """Read `SELECTOR[@KEY][:WEIGHT]`: what has a weight is a wish, what has none must hold."""
    required, preferred = [], []
    for word in words:
        term, colon, weight = word.partition(":")
        selector, at, key = term.partition("@")
        if (colon and not (weight.isascii() and weight.isdigit())) or (at and not key):
            raise ValueError(
                f"{option} {word[:60]!r}: write SELECTOR[@KEY][:WEIGHT], as app=web@example.com/rack:50"
            )
        found = {"selector": _selector([selector], option), **_without_empty(topologyKey=key)}
        if colon:
            preferred.append({**found, "weight": int(weight)})
        else:
            required.append(found)
    return _without_empty(required=required, preferred=preferred)


def _spread(word: str, labels: Mapping[str, str]) -> Document:
    """Read `KEY`, `KEY=MAX_SKEW`, either with `:ScheduleAnyway` behind it."""
    rest, colon, unsatisfiable = word.partition(":")
    key, equals, skew = rest.partition("=")
    if colon and unsatisfiable not in _UNSATISFIABLE:
        raise ValueError(
            f"--spread-over {word[:60]!r}: behind the colon is one of {', '.join(_UNSATISFIABLE)}"
        )
    if not key or (equals and not (skew.isascii() and skew.isdigit())):
        raise ValueError(f"--spread-over {word[:60]!r}: write KEY[=MAX_SKEW][:ScheduleAnyway]")
    if not labels:
        raise ValueError(
            "--spread-over counts the guests that have the labels of this one: give it a --label"
        )
    found: Document = {"selector": {"matchLabels": dict(labels)}, "topologyKey": key}
    return {
        **found,
        **({"maxSkew": int(skew)} if equals else {}),
        **_without_empty(whenUnsatisfiable=unsatisfiable),
    }


def _toleration(word: str) -> Document:
    """Read `KEY`, `KEY=VALUE`, either with `:EFFECT` behind it."""
    rest, separator, effect = word.partition(":")
    if separator and effect not in _EFFECTS:
        raise ValueError(f"{word[:60]!r}: the effect of a toleration is one of {', '.join(_EFFECTS)}")
    key, equals, value = rest.partition("=")
    if not key:
        raise ValueError(f"{word[:60]!r} names no key of a taint")
    how: Document = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
    return {"key": key, **how, **({"effect": effect} if separator else {})}


def _without_empty(**values: Any) -> Document:
    return {key: value for key, value in values.items() if value}
