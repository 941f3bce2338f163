"""How old the view is that answers are made from.

A table has no field for that, so a warning of HTTP tells it where the view is old; kubectl prints it. The ages are those
of the operator's own watches.
"""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

# A watch gives a sign of life each minute, however quiet it is.
OLD_S = 75.0


@dataclass(frozen=True, kw_only=True)
class ViewAges:
    """Seconds since the operator last heard: of guests, and of whatever a placement hangs on and was heard of least."""

    of_guests: Callable[[], float]
    of_all: Callable[[], float]


def old_view(answer: web.Response, *, age_s: float) -> web.Response:
    """Have kubectl print a warning above a table that shows an old view."""
    if age_s > OLD_S:
        answer.headers["Warning"] = (
            f'299 - "this view is {age_s:.0f} s old: the API server was not heard since"'
        )
    return answer
