"""What `innkeeper operator rebuild` tells: how far it is, and in the end what it found and did.

On a terminal the progress is one line that changes; in a pipe it is a plain line now and then.
"""

import json
from typing import TextIO

from innkeeper.errors import TerminalError
from innkeeper.processes.rebuild import RebuildWish
from innkeeper.workers.rebuild.rebuild import Outcome

SHARES = 10  # lines in a pipe, for each thing that is counted


class RebuildIncompleteError(TerminalError):
    """Something that hosts hold is not there."""

    reason = "RebuildIncomplete"


class Telling:
    """Writes progress to one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._open = False

    def say(self, sentence: str) -> None:
        """Tell one sentence."""
        self.end()
        self._stream.write(f"{sentence}\n")
        self._stream.flush()

    def progress(self, what: str, done: int, total: int) -> None:
        """Tell how far it is."""
        if self._live:
            self._stream.write(f"\r{what}: {done} of {total}\x1b[K")
            self._open = True
        elif done == total or done * SHARES // total != (done - 1) * SHARES // total:
            self._stream.write(f"{what}: {done} of {total}\n")
        self._stream.flush()

    def end(self) -> None:
        """End the line that changes."""
        if self._open:
            self._stream.write("\n")
            self._open = False

    @staticmethod
    def as_json(outcome: Outcome, wish: RebuildWish) -> str:
        """Return the result for scripts."""
        document = {
            "dryRun": wish.dry_run,
            "complete": outcome.is_complete and not outcome.failures,
            "hosts": {
                "heard": outcome.heard,
                "unheard": outcome.unheard,
                "without": sorted(wish.without),
            },
            "guests": outcome.guests,
            "missing": dict(outcome.missing),
            "made": dict(outcome.made),
            "findings": [
                {"kind": each.kind, "host": each.host, "subject": each.subject, "message": each.message}
                for each in outcome.findings
            ],
            "leftToYou": {"ipPools": outcome.absent_pools, "images": outcome.images},
        }
        return json.dumps(document, indent=2) + "\n"

    @staticmethod
    def as_text(outcome: Outcome, wish: RebuildWish) -> str:
        """Return the result for people."""
        lines = [f"hosts heard: {outcome.heard}, guests that they hold: {outcome.guests}"]
        lines += [f"not heard: {why}" for why in outcome.unheard.values()]
        lines += [f"given up: {host}" for host in sorted(wish.without)]
        told, counts = ("missing", outcome.missing) if wish.dry_run else ("made", outcome.made)
        lines += [f"{told}: {count} {kind}" for kind, count in sorted(counts.items())]
        if not counts and outcome.is_complete:
            lines.append("nothing is missing")
        lines += [str(each) for each in outcome.findings]
        if outcome.absent_pools:
            lines.append(
                f"apply these IPPools again, no host knows what else they give: {', '.join(outcome.absent_pools)}"
            )
        if outcome.images and outcome.made:
            lines.append(f"apply these Images again, for new guests: {', '.join(outcome.images)}")
        return "\n".join(lines) + "\n"

    @staticmethod
    def complain(outcome: Outcome) -> None:
        """Raise where something is left to do.

        Raises:
            RebuildIncompleteError: a host was not heard, or something could not be made.
        """
        if outcome.unheard:
            raise RebuildIncompleteError(
                f"nothing was written: {len(outcome.unheard)} host(s) could not be heard: "
                f"{', '.join(sorted(outcome.unheard))}. Have their agents run, or name those that are lost for good with "
                "--without"
            )
        if outcome.unclaimed:
            raise RebuildIncompleteError(
                f"{len(outcome.unclaimed)} guest(s) use addresses that nobody holds, so no operator leads yet; see "
                "above, and run it again"
            )
        if outcome.lagging:
            raise RebuildIncompleteError(
                f"the power of {len(outcome.lagging)} guest(s) is an older copy's, so no operator leads yet; see above, "
                "and run it again"
            )
        if outcome.failures:
            raise RebuildIncompleteError(
                f"{len(outcome.failures)} thing(s) could not be set right; see above"
            )
