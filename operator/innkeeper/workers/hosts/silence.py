"""Which hosts are silent: arithmetic over heartbeats, without a clock of its own.

A host is silent when no heartbeat came for a while *of listening*: time counts only while our own watch of
Leases was alive, so an operator that is cut off, stopped, or overloaded finds nobody silent. The times inside
Leases are never compared with ours: only that a Lease changed counts, so clocks may differ.

When many fall silent together it is more likely we who are deaf. Of three hosts and more, when at least two,
and over half of those that still spoke, have missed half the limit, none newly counts as silent; half the
limit, because heartbeats are spread over time and the first to be missed must not be judged alone. Those that
counted before still do.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

MANY = 3
LONGEST_STEP_S = 5.0  # a longer gap between two looks means that this process itself stood still


class Hearing(StrEnum):
    """What is known of a host's voice."""

    UNKNOWN = "Unknown"  # no heartbeat was ever seen
    HEARD = "Heard"
    DOUBTFUL = "Doubtful"  # not heard, but neither are most others
    SILENT = "Silent"


@dataclass(frozen=True)
class _Voice:
    beat: str | None  # the heartbeat as it was last seen; any change is a sign of life
    heard_at: float  # on the listening clock
    silent: bool = False


@dataclass
class Silence:
    """The listening clock and the last sign of life of each host."""

    limit_s: float = 40.0
    deaf_after_s: float = 15.0
    _listened_s: float = 0.0
    _looked_at: float | None = None
    _voices: dict[str, _Voice] = field(default_factory=dict)

    def expect(self, host: str, *, was_silent: bool) -> None:
        """Begin to listen for a host that was heard before us, by an operator that may have found it silent."""
        known = self._voices.get(host)
        if known is None:
            self._voices[host] = _Voice(None, self._listened_s, silent=was_silent)
        else:
            self._voices[host] = replace(known, silent=was_silent)

    def beat(self, host: str, beat: str) -> None:
        """Note the host's Lease as it is now.

        The first sight of one says little, since the Lease may be old: only a change is a sign of life.
        """
        known = self._voices.get(host)
        if known is None:
            self._voices[host] = _Voice(beat, self._listened_s)
        elif known.beat is None:
            self._voices[host] = replace(known, beat=beat)
        elif known.beat != beat:
            self._voices[host] = _Voice(beat, self._listened_s)

    def forget(self, host: str) -> None:
        """Forget a host that is no more."""
        self._voices.pop(host, None)

    def look(self, now: float, *, watch_age_s: float) -> frozenset[str]:
        """Let time pass until `now` (monotonic); return the hosts whose hearing may have changed.

        `watch_age_s` is how long the watch of Leases has given no sign of life.
        """
        step = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        before = {host: self.hearing(host) for host in self._voices}
        if watch_age_s <= self.deaf_after_s:
            self._listened_s += min(step, LONGEST_STEP_S)
        self._declare()
        return frozenset(host for host, hearing in before.items() if self.hearing(host) is not hearing)

    def hearing(self, host: str) -> Hearing:
        """Return what is known of one host's voice."""
        voice = self._voices.get(host)
        if voice is None:
            return Hearing.UNKNOWN
        if voice.silent:
            return Hearing.SILENT
        return Hearing.DOUBTFUL if self._quiet_for(voice) > self.limit_s else Hearing.HEARD

    def longest_quiet_s(self) -> float:
        """Return for how long of listening the host was not heard that is quiet for longest, silent ones left out."""
        speaking = (voice for voice in self._voices.values() if not voice.silent)
        return max((self._quiet_for(voice) for voice in speaking), default=0.0)

    def held_back(self) -> int:
        """Return how many hosts are quiet but do not count as silent."""
        return sum(self.hearing(host) is Hearing.DOUBTFUL for host in self._voices)

    def _declare(self) -> None:
        speaking = {host: voice for host, voice in self._voices.items() if not voice.silent}
        late = sum(self._quiet_for(voice) > self.limit_s / 2 for voice in speaking.values())
        if len(self._voices) >= MANY and late > 1 and 2 * late > len(speaking):
            return
        for host, voice in speaking.items():
            if self._quiet_for(voice) > self.limit_s:
                self._voices[host] = replace(voice, silent=True)

    def _quiet_for(self, voice: _Voice) -> float:
        return self._listened_s - voice.heard_at
