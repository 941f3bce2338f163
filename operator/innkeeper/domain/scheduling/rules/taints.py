"""A host's taints keep guests off that do not tolerate them.

Hosts with the same taints share a number, so a request is compared with each set of taints once.
"""

from collections import Counter

import numpy as np

from innkeeper.domain.scheduling.columns import Bools
from innkeeper.domain.scheduling.fleet import Fleet, Rows
from innkeeper.domain.scheduling.request import Effect, Request
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase
from innkeeper.views.placement import Taint


def untolerated(request: Request, taints: tuple[Taint, ...], effect: Effect) -> list[Taint]:
    """Return the taints with an effect that the guest does not put up with."""
    return [
        taint
        for taint in taints
        if taint.effect == effect and not any(each.covers(taint) for each in request.tolerations)
    ]


def _table(request: Request, fleet: Fleet) -> Bools:
    return np.array([not untolerated(request, each, Effect.NO_SCHEDULE) for each in fleet.taint_sets])


def _mask(request: Request, rows: Rows) -> Bools:
    fleet = rows.fleet
    key = ("taints", request.tolerations)
    tolerated = fleet.memo(key, len(fleet.taint_sets), lambda: _table(request, fleet))
    return tolerated[rows.of(fleet.taints)]


def _phrases(request: Request, failed: Rows) -> Counter[Phrase]:
    numbers, counts = np.unique(failed.of(failed.fleet.taints), return_counts=True)
    found: Counter[Phrase] = Counter()
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        taint = untolerated(request, failed.fleet.taint_sets[number], Effect.NO_SCHEDULE)[0]
        shown = f"{taint.key}={taint.value}" if taint.value else taint.key
        found[Phrase(f"is tainted {shown}", f"are tainted {shown}")] += count
    return found


RULE = FilterRule(
    name="taints",
    reason="Tainted",
    phrase=Phrase("is tainted", "are tainted"),
    mask=_mask,
    applies=lambda _, fleet: len(fleet.taint_sets) > 1,
    phrases=_phrases,
)
