"""Times decisions, each promise applied before the next; started by hack/bench/decide with Innkeeper's own Python."""

import argparse
import gc
import json
import random
import resource
import time

from innkeeper.domain.scheduling.cycle import NoHostFits
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.domain.scheduling.fleet import Fleet
from innkeeper.domain.scheduling.shortlist import Shortlists
from kit import command_line, steps
from kit.decide import fleets
from kit.decide.fleets import Make

SEED = 20
EQUAL = 10_000


def main() -> int:
    """Measure, print a table and a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, nargs="+", required=True)
    parser.add_argument("--decisions", type=int, required=True)
    options = parser.parse_args()
    steps.say(
        f"{'hosts':>9} " + " ".join(f"{sort + ' us':>17}" for sort in fleets.SORTS) + f" {'bytes/host':>11}"
    )
    found: dict[str, dict[str, float]] = {}
    for hosts in options.hosts:
        found[str(hosts)] = figures = _measure(hosts, options.decisions)
        times = " ".join(f"{figures[f'{sort}_us']:17.1f}" for sort in fleets.SORTS)
        steps.say(f"{hosts:9,} {times} {figures['bytes_per_host']:11.0f}")
    steps.say(json.dumps({"decisions": options.decisions, "equal": EQUAL, "hosts": found}))
    return 0


def _measure(hosts: int, decisions: int) -> dict[str, float]:
    seed = random.Random(SEED)  # noqa: S311 - a benchmark wants the same numbers each time
    gc.collect()
    before = _resident_bytes()
    fleet = fleets.fleet(hosts, seed)
    grown = _resident_bytes() - before
    # Names and guests are Python objects of their own: what they take is not the arrays'.
    figures: dict[str, float] = {
        "bytes_per_host": round(fleet.nbytes() / hosts, 1),
        "process_bytes_per_host": round(grown / hosts),
    }
    gc.collect()
    gc.freeze()
    for sort, make in fleets.SORTS.items():
        count = EQUAL if sort == "equal" else min(decisions, hosts)
        figures[f"{sort}_us"] = round(_timed(fleet, sort, make, count, seed), 1)
    gc.unfreeze()
    return figures


def _timed(fleet: Fleet, sort: str, make: Make, count: int, seed: random.Random) -> float:
    """Return microseconds of processor time for one decision and its promise; the requests are made before."""
    shortlists = Shortlists(fleet)
    requests = [make(number) for number in range(count)]
    seeds = [seed.getrandbits(60) for _ in range(count)]
    shortlists.decide(requests[0], seed=0)  # what is worked out once for a label is not a decision's cost
    began = time.process_time()
    for number, (request, own) in enumerate(zip(requests, seeds, strict=True)):
        decision = shortlists.decide(request, seed=own)
        if isinstance(decision, NoHostFits):
            raise SystemExit(f"{sort}: {decision.message}")
        resident = Resident(
            host=decision.host,
            amounts=request.amounts,
            namespace=request.namespace,
            labels=dict(request.labels),
            apart=request.apart,
        )
        fleet.reserve(f"{sort}-{number}", resident)
    spent = time.process_time() - began
    for number in range(count):
        fleet.release(f"{sort}-{number}")
    return spent / count * 1e6


def _resident_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    command_line.run(main)
