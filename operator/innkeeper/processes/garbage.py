"""How often the operator's memory is searched for garbage: seldom, since what it knows of the API server stays.

Its objects make no cycles; they go as soon as nobody speaks of them. Searching them again and again while they come by
the ten thousand was half of a start.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def collect_rarely() -> None:
    """Search only after many more objects came than Python's own default; for the begin of a process."""
    gc.set_threshold(50_000, 20, 50)


def spare_what_is_here() -> None:
    """Leave out of every later search what is here now: once all was listed, it stays."""
    gc.collect()
    gc.freeze()


@contextmanager
def left_alone() -> Iterator[None]:
    """Search for none while much comes that stays, and not among that afterwards."""
    was_searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_searched:
            gc.enable()
