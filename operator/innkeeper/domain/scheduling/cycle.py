"""One scheduling decision: filter by the rules, score what fits, choose; or count why nothing fits.

The fleet, read between two changes, is the snapshot. Where there are many hosts, it stops at a bounded number that fit,
from a place that the seed chooses, and adds hosts that a wish of the guest names, where it met none of them. Equal hosts
are told apart by the seed, so the same seed gives the same answer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from innkeeper.domain.scheduling.columns import Bools, RowNumbers
from innkeeper.domain.scheduling.fleet import BLOCK, PRESENT, Fleet, Rows
from innkeeper.domain.scheduling.portions import portions
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules.registry import FILTERS, SCORES
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase, Scores

ENOUGH = 256
_MOST_SOUGHT = 16 * BLOCK  # rows that one wish may have looked at
_MOST_PHRASES = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: spreads neighbouring numbers far apart


@dataclass(frozen=True)
class Placement:
    """The host that was chosen, and its cluster."""

    host: str
    cluster: str


@dataclass(frozen=True)
class NoHostFits:
    """No host fits; the message counts hosts by the first rule that each fails."""

    message: str


def decide(request: Request, fleet: Fleet, *, seed: int, enough: int = ENOUGH) -> Placement | NoHostFits:
    """Choose a host for a guest."""
    rows, totals = ranked(request, fleet, seed=seed, enough=enough)
    if not rows.size:
        return no_host_fits(request, fleet)
    return placement_at(fleet, int(rows[best(rows, totals, seed=seed)]))


def placement_at(fleet: Fleet, row: int) -> Placement:
    """Return the host of a row as a decision."""
    return Placement(fleet.host_at(row), fleet.cluster_at(row))


def ranked(request: Request, fleet: Fleet, *, seed: int, enough: int = ENOUGH) -> tuple[RowNumbers, Scores]:
    """Return rows that fit, all or `enough` and those that wishes name, with the weighted total of their scores."""
    rules = asked(request, fleet)
    found: list[RowNumbers] = []
    count = 0
    for portion in portions(request, fleet, seed=seed):
        fitting = _from(portion.where(passing(request, portion, rules)), seed)
        if not fitting.size:
            fleet.note_full(portion)
            continue
        found.append(fitting)
        count += fitting.size
        if count >= enough:
            break
    rows = _joined(found)[:enough]
    if count >= enough:
        rows = _with_sought(request, fleet, rows, rules=rules, seed=seed)
    return rows, score(request, Rows(fleet, rows))


def _with_sought(
    request: Request, fleet: Fleet, rows: RowNumbers, *, rules: Sequence[FilterRule], seed: int
) -> RowNumbers:
    """Add to a part of the rows that fit those that a score likes best, where the part has none of them."""
    for rule in SCORES:
        if rule.seeks is not None and rule.applies(request, fleet):
            left = _MOST_SOUGHT
            for liked in rule.seeks(request, Rows(fleet, rows)):
                if left <= 0 or np.isin(rows, liked).any():
                    break
                fitting = _first_fitting(request, fleet, _from(liked, seed)[:left], rules)
                left -= liked.size
                if fitting.size:
                    rows = np.concatenate((rows, fitting))
                    break
    return rows


def _first_fitting(
    request: Request, fleet: Fleet, numbers: RowNumbers, rules: Sequence[FilterRule]
) -> RowNumbers:
    """Return those of the first block of rows with any that fit."""
    for begin in range(0, numbers.size, BLOCK):
        part = Rows(fleet, np.sort(numbers[begin : begin + BLOCK]))
        fitting = part.where(passing(request, part, rules))
        if fitting.size:
            return fitting
    return numbers[:0]


def _from(rows: RowNumbers, seed: int) -> RowNumbers:
    """Turn the rows of a portion so that another seed begins with other ones, where not all will be scored."""
    start = seed % rows.size if rows.size else 0
    return np.concatenate((rows[start:], rows[:start])) if start else rows


def _joined(parts: list[RowNumbers]) -> RowNumbers:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.intp)


def asked(request: Request, fleet: Fleet) -> tuple[FilterRule, ...]:
    """Return the rules that can rule out anything for this request."""
    return tuple(rule for rule in FILTERS if rule.applies(request, fleet))


def passing(request: Request, rows: Rows, rules: Sequence[FilterRule]) -> Bools:
    """Tell for each row whether its host passes all rules."""
    found: Bools = (rows.of(rows.fleet.flags) & PRESENT) != 0
    for rule in rules:
        found &= rule.mask(request, rows)
    return found


def score(request: Request, rows: Rows) -> Scores:
    """Return the weighted total of all scores for each row."""
    total = np.zeros(len(rows))
    for rule in SCORES if len(rows) else ():
        if rule.applies(request, rows.fleet):
            total += rule.weight * rule.scores(request, rows)
    return total


def best(rows: RowNumbers, totals: Scores, *, seed: int) -> int:
    """Return the index of the highest total; among equals the seed chooses."""
    equal = np.flatnonzero(totals == totals.max())
    if equal.size == 1:
        return int(equal[0])
    return int(equal[np.argmax(lots(rows[equal], seed=seed))])


def lots(rows: RowNumbers, *, seed: int) -> NDArray[np.uint64]:
    """Draw a number for each row, the same for the same seed."""
    mixed = (rows.astype(np.uint64) + np.uint64(seed & 0xFFFFFFFF)) * _GOLDEN
    return (mixed ^ (mixed >> np.uint64(29))) * _GOLDEN


def no_host_fits(request: Request, fleet: Fleet) -> NoHostFits:
    """Count the hosts by the first rule that each fails."""
    if not fleet.hosts:
        return NoHostFits("there are no hosts: create a Host and let its agent join")
    rows = fleet.all_rows()
    left: Bools = (rows.of(fleet.flags) & PRESENT) != 0
    counts: Counter[Phrase] = Counter()
    for rule in asked(request, fleet):
        passes = rule.mask(request, rows)
        failed = rows.where(left & ~passes)
        if failed.size:
            counts += rule.count(request, Rows(fleet, failed))
        left &= passes
    return NoHostFits(_message(fleet.hosts, counts))


def _message(hosts: int, counts: Counter[Phrase]) -> str:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0].one))
    parts = [phrase.after(count) for phrase, count in ordered[:_MOST_PHRASES]]
    if rest := sum(count for _, count in ordered[_MOST_PHRASES:]):
        parts.append(f"{rest} for other reasons")
    return f"0 of {hosts} hosts fit: {', '.join(parts)}"
