"""The clock: whether something keeps it right, and how far it is from the API server's."""

import ctypes
import os
from datetime import timedelta

from innkeeper.agent.doctor.finding import Finding, fail, ok, warn
from innkeeper.agent.doctor.look import Joined, Machine

_TIMEX_BYTES = 512  # more than the kernel's struct timex on any machine
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_NOTICED = timedelta(seconds=5)
_TOO_FAR = timedelta(seconds=60)
_ADVICE = "apt-get install systemd-timesyncd (or chrony), and look at: timedatectl"


async def check(_: Machine, joined: Joined) -> Finding:
    """Ask the kernel, and compare with the API server's time."""
    ahead = joined.ahead
    if ahead is not None and abs(ahead) > _NOTICED:
        where = "ahead of" if ahead > timedelta() else "behind"
        seen = f"this machine's clock is {abs(ahead).total_seconds():.0f} s {where} the API server's"
        if abs(ahead) > _TOO_FAR:
            return fail(f"{seen}: tokens and certificates look wrong with it", todo=_ADVICE)
        return warn(seen, todo=_ADVICE)
    if not is_kept_right():
        return warn("nothing keeps the clock right (no NTP)", todo=_ADVICE)
    return ok("kept right" if ahead is None else "kept right, and as the API server's")


def is_kept_right() -> bool:
    """Tell whether the kernel counts its clock as synchronised; reading needs no right."""
    library = ctypes.CDLL(None, use_errno=True)
    state: int = library.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return state != _TIME_ERROR
