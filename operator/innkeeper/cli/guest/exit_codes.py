"""What `kubectl guest` ends with: one number for each kind of end, which scripts may rely on."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Ends of a call; a signal ends it with 128 and its number. `ssh` ends as ssh does, once it was started."""

    DONE = 0  # it is as was asked for
    FAILED = (
        1  # refused, not found, no answer; an operation failed; or, with --exit-code, it cannot be placed
    )
    USAGE = 2  # the command line is wrong; nothing was asked
    TIMED_OUT = 3  # it was not so in time, or nobody answered then; it may become so without anybody's help
    STALLED = 4  # it cannot go on by itself: Stalled, no host fits, no address is free; the message says why
    DELETED = 5  # the guest was deleted while it was waited for
    NOT_REACHABLE = 6  # ssh: the guest has no address, or is not Ready
