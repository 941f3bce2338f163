"""What was found wrong with the bytes of a source, and for how long that counts without reading them again.

A source that tells a version is wrong until it tells another, if all that was read was of that version. Otherwise, and of
one that tells none, the same version may be right: it is read again after a pause; each time that it is wrong again the
pause doubles.
"""

from dataclasses import dataclass

from innkeeper.images.answers import Failed
from innkeeper.images.sources.source import SourceInfo

FIRST_PAUSE_S = 300.0
LONGEST_PAUSE_S = 4 * 3600.0


@dataclass(frozen=True)
class Verdict:
    """`answer` is what is told of the source that said `info`; `until` in the clock's monotonic seconds.

    With `is_final` it counts for as long as the source says `info`.
    """

    info: SourceInfo
    answer: Failed
    is_final: bool
    pause_s: float
    until: float

    def holds(self, info: SourceInfo, *, now: float) -> bool:
        """Tell whether a source that says `info` now need not be read."""
        return info == self.info and (self.is_final or now < self.until)


def pause_after(last: Verdict | None, info: SourceInfo) -> float:
    """Return the seconds for which a source that was found wrong just now is not read again."""
    if last is None or last.info != info:
        return FIRST_PAUSE_S
    return min(last.pause_s * 2, LONGEST_PAUSE_S)


def remark(info: SourceInfo, *, is_final: bool, pause_s: float) -> str:
    """Return what people must know besides what is wrong."""
    if is_final:
        return ""
    minutes = f"{pause_s / 60:.0f} minutes at the earliest"
    if info.etag:
        return f". Not all of it may be of the version that the source tells: it is read again in {minutes}"
    return f". The source tells no ETag: with the same size it is read again in {minutes}"
