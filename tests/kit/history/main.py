"""Runs a range of seeds and prints what failed: what `hack/history` starts."""

import argparse
import logging
import sys
import time

import structlog

from tests.kit.history import histories
from tests.kit.history.putting_back import PutBackWorld
from tests.kit.history.world import World


def main() -> int:
    """Run the seeds; return 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=2, required=True)
    parser.add_argument("--events", type=int, default=histories.EVENTS)
    parser.add_argument("--put-back", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    level = logging.INFO if options.verbose else logging.CRITICAL
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    tell = _print if options.verbose else _nothing
    world_kind = PutBackWorld if options.put_back else World
    failed = 0
    for seed in range(options.seeds[0], options.seeds[1] + 1):
        began = time.monotonic()
        history = histories.run(seed, events=options.events, world_kind=world_kind, tell=tell)
        failed += bool(history.complaints)
        outcome = "failed" if history.complaints else "well"
        _print(f"seed {seed}: {outcome} in {time.monotonic() - began:.1f} s")
        if history.complaints:
            _print(history.story)
    return int(failed > 0)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _nothing(_: str) -> None:
    """Say nothing."""


if __name__ == "__main__":
    sys.exit(main())
