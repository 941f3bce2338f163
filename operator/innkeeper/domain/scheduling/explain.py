"""A decision for people: where the guest would go, and every rule's verdict on hosts, with the scores of those that fit.

It runs the rules of the decision. It changes nothing and promises nothing. A decision compares a bounded share of the
hosts that fit; verdicts compare all of them, so the host that is chosen need not have the highest total of all.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.columns import RowNumbers
from innkeeper.domain.scheduling.explanation import Explanation, Failure, HostVerdict, RuleInfo, RuleKind
from innkeeper.domain.scheduling.fleet import PRESENT, Fleet, Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules.registry import FILTERS, SCORES


def explain(request: Request, fleet: Fleet, *, seed: int) -> Explanation:
    """Return what would be decided for a request that is decided alone: what equal requests used up is not known here."""
    decision = cycle.decide(request, fleet, seed=seed)
    fits = int(_fitting(request, fleet).size)
    if isinstance(decision, cycle.NoHostFits):
        return Explanation(message=decision.message, rules=rule_infos(), hosts=fleet.hosts, fits=fits)
    message = f"{fits} of {fleet.hosts} hosts fit"
    return Explanation(message=message, rules=rule_infos(), hosts=fleet.hosts, fits=fits, chosen=decision)


def verdicts(request: Request, fleet: Fleet, hosts: Iterable[str]) -> list[HostVerdict]:
    """Return what each rule says of some hosts, in their order; who is no host is left out."""
    known = [row for name in hosts if (row := fleet.row_of.get(name)) is not None]
    asked = [row for row in known if fleet.flags[row] & PRESENT]
    failures = _failures(request, Rows(fleet, np.array(sorted(asked), dtype=np.intp)))
    scored = _scored(request, fleet, [row for row in asked if not failures[row]])
    return [scored[row] if row in scored else _verdict(fleet, row, failures[row]) for row in asked]


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


def _fitting(request: Request, fleet: Fleet) -> RowNumbers:
    rows = fleet.all_rows()
    return rows.where(cycle.passing(request, rows, cycle.asked(request, fleet)))


def _scored(request: Request, fleet: Fleet, fitting: Sequence[int]) -> dict[int, HostVerdict]:
    """Return the verdicts of hosts that fit, with each rule's score: some scores compare all that fit."""
    if not fitting:
        return {}
    rows = Rows(fleet, _fitting(request, fleet))
    by_rule = {rule.name: rule.scores(request, rows) for rule in SCORES if rule.applies(request, fleet)}
    totals = cycle.score(request, rows)
    places = np.searchsorted(rows.numbers, fitting)
    return {
        row: HostVerdict(
            host=fleet.host_at(row),
            cluster=fleet.cluster_at(row),
            scores={name: round(float(scores[at]), 3) for name, scores in by_rule.items()},
            total=round(float(totals[at]), 3),
        )
        for row, at in zip(fitting, places.tolist(), strict=True)
    }
