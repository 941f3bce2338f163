"""The whole of a decision, for people: every rule's verdict on every host, and the scores of those that fit.

It runs the rules of the decision on all rows. It changes nothing and promises nothing.
"""

import numpy as np

from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.explanation import Explanation, Failure, HostVerdict, RuleInfo, RuleKind
from innkeeper.domain.scheduling.fleet import PRESENT, Fleet, Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules.registry import FILTERS, SCORES

ALL_HOSTS = 1 << 62


def explain(request: Request, fleet: Fleet, *, seed: int) -> Explanation:
    """Return what each rule says of each host; hosts that fit come first, best first, all others by name."""
    rows = fleet.all_rows()
    present = np.flatnonzero((rows.of(fleet.flags) & PRESENT) != 0)
    failures = _failures(request, Rows(fleet, present))
    fitting = np.array([row for row in present.tolist() if not failures[row]], dtype=np.intp)
    verdicts = {row: _verdict(fleet, row, failures[row]) for row in present.tolist()}
    verdicts |= _scored(request, Rows(fleet, fitting))
    decision = cycle.decide(request, fleet, seed=seed, enough=ALL_HOSTS)
    if isinstance(decision, cycle.NoHostFits):
        message, chosen = decision.message, None
    else:
        message, chosen = f"{fitting.size} of {fleet.hosts} hosts fit", decision.host
    ordered = sorted(verdicts.values(), key=lambda each: (each.total is None, -(each.total or 0), each.host))
    return Explanation(message=message, rules=rule_infos(), hosts=tuple(ordered), chosen=chosen)


def rule_infos() -> tuple[RuleInfo, ...]:
    """Return the registry: every rule, in order."""
    filters = (RuleInfo(name=each.name, kind=RuleKind.FILTER) for each in FILTERS)
    scores = (
        RuleInfo(
            name=each.name,
            kind=RuleKind.SCORE,
            lowest=each.lowest,
            highest=each.highest,
            weight=each.weight,
        )
        for each in SCORES
    )
    return (*filters, *scores)


def _failures(request: Request, rows: Rows) -> dict[int, list[Failure]]:
    fleet = rows.fleet
    found: dict[int, list[Failure]] = {int(row): [] for row in rows.numbers}
    for rule in cycle.asked(request, fleet):
        for row in rows.where(~rule.mask(request, rows)).tolist():
            message = rule.tell(request, fleet, row)
            found[row].append(Failure(rule=rule.name, reason=rule.reason, message=message))
    return found


def _verdict(fleet: Fleet, row: int, failures: list[Failure]) -> HostVerdict:
    return HostVerdict(host=fleet.host_at(row), cluster=fleet.cluster_at(row), failures=tuple(failures))


def _scored(request: Request, rows: Rows) -> dict[int, HostVerdict]:
    """Return the verdicts of hosts that fit, with each rule's score."""
    fleet = rows.fleet
    if not len(rows):
        return {}
    by_rule = {rule.name: rule.scores(request, rows) for rule in SCORES if rule.applies(request, fleet)}
    totals = cycle.score(request, rows)
    return {
        int(row): HostVerdict(
            host=fleet.host_at(int(row)),
            cluster=fleet.cluster_at(int(row)),
            scores={name: round(float(scores[at]), 3) for name, scores in by_rule.items()},
            total=round(float(totals[at]), 3),
        )
        for at, row in enumerate(rows.numbers)
    }
