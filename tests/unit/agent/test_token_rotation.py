"""When a host's token is renewed, and what becomes of one that cannot be; the clock is turned by the test."""

import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from innkeeper.agent.joining import files
from innkeeper.agent.joining.rotation import FIRST_PAUSE_S, LONGEST_PAUSE_S, TokenFigures, TokenRotation
from innkeeper.kube.errors import ForbiddenError, UnavailableError
from innkeeper.kube.tokens import Token
from tests.kit.account_tokens import token
from tests.kit.clock import ManualClock

HOUR = 3600.0


class Source:
    """Gives a token of an hour, or the error that the test set."""

    when_over = "join again"

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.asked = 0
        self.error: Exception | None = None

    async def ask(self) -> Token:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return Token.read(token(issued=self._clock.now(), lifetime_s=HOUR))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source(clock: ManualClock) -> Source:
    return Source(clock)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(token(lifetime_s=HOUR) + "\n")
    return path


@pytest.fixture
def rotation(clock: ManualClock, source: Source, registry: CollectorRegistry, file: Path) -> TokenRotation:
    return TokenRotation(file, source, clock=clock, figures=TokenFigures(registry))


def content(file: Path) -> str:
    return file.read_text().strip()


def put(file: Path, text: str) -> None:
    file.write_text(text)


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def names_in(directory: Path) -> list[str]:
    return [each.name for each in directory.iterdir()]


async def _until(rotation: TokenRotation, clock: ManualClock, moment_s: float) -> None:
    """Step until so many seconds of the clock are over."""
    end = clock.monotonic() + moment_s
    while clock.monotonic() < end:
        clock.advance(await rotation.step())


async def test_a_young_token_is_left_and_an_older_one_renewed_in_good_time(
    rotation: TokenRotation, clock: ManualClock, source: Source, file: Path
) -> None:
    old = content(file)
    await _until(rotation, clock, HOUR / 3 - 61)
    assert (source.asked, content(file)) == (0, old)
    await _until(rotation, clock, 122)
    assert source.asked == 1
    assert Token.read(content(file)).expires > Token.read(old).expires
    assert mode(file) == 0o600
    await _until(rotation, clock, 24 * HOUR)
    assert 70 <= source.asked <= 73, "each twenty minutes, and no more"


async def test_it_is_told_when_the_token_is_to_be_renewed_unless_others_do_that(
    rotation: TokenRotation, clock: ManualClock, source: Source, registry: CollectorRegistry, file: Path
) -> None:
    def due() -> float | None:
        return registry.get_sample_value("innkeeper_agent_token_renewal_due_timestamp_seconds")

    began = clock.now().timestamp()
    await rotation.step()
    assert due() == began + HOUR / 3
    clock.advance(HOUR / 2)
    source.error = UnavailableError("away")
    await rotation.step()
    assert due() == began + HOUR / 3, "it stays overdue while none is given"
    source.error = None
    await rotation.step()
    assert due() == clock.now().timestamp() + HOUR / 3
    for text in (token(secret=None), "no token at all"):
        put(file, text)
        await rotation.step()
        assert due() == 0


async def test_a_clock_that_is_far_ahead_does_not_have_it_ask_without_end(
    source: Source, registry: CollectorRegistry, file: Path
) -> None:
    """By such a clock each new token is old already."""
    ahead = ManualClock()
    ahead.advance(HOUR / 2)
    rotation = TokenRotation(file, source, clock=ahead, figures=TokenFigures(registry))
    await _until(rotation, ahead, HOUR)
    assert 1 < source.asked <= 60


async def test_a_clock_that_is_behind_does_not_have_it_end_first(
    source: Source, clock: ManualClock, registry: CollectorRegistry, file: Path
) -> None:
    """By such a clock each new token is good for long."""
    behind = ManualClock()
    clock.advance(HOUR * 3 / 4)  # the API server's
    put(file, (await source.ask()).value)
    rotation = TokenRotation(
        file, source, clock=behind, figures=TokenFigures(registry), is_ours=lambda _: True, at_once=True
    )
    for _ in range(200):
        pause = await rotation.step()
        assert Token.read(content(file)).expires > clock.now()
        clock.advance(pause)
        behind.advance(pause)
    assert source.asked < 15


async def test_while_the_api_server_is_away_it_is_asked_again_with_growing_pauses(
    rotation: TokenRotation, clock: ManualClock, source: Source, registry: CollectorRegistry
) -> None:
    source.error = UnavailableError("away")
    clock.advance(HOUR / 2)
    pauses = [await rotation.step() for _ in range(10)]
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    name, labels = "innkeeper_agent_token_renewals_total", {"outcome": "Unavailable"}
    assert registry.get_sample_value(name, labels) == 10


async def test_a_token_that_is_over_is_told_once_with_what_to_do_and_tried_again(
    rotation: TokenRotation, clock: ManualClock, source: Source, file: Path
) -> None:
    source.error = ForbiddenError("revoked")
    clock.advance(2 * HOUR)
    with capture_logs() as logs:
        await rotation.step()
        await rotation.step()
    told = [each for each in logs if each["event"] == "token_over"]
    assert [each["message"] for each in told] == ["guests run on; join again"]
    source.error = None
    await rotation.step()
    assert Token.read(content(file)).expires > clock.now()


async def test_a_token_that_came_from_no_join_is_left_to_who_made_it(
    rotation: TokenRotation, clock: ManualClock, source: Source, file: Path
) -> None:
    for text in (token(secret=None), token(secret="another"), "no token at all"):
        put(file, text)
        clock.advance(2 * HOUR)
        await rotation.step()
    assert source.asked == 0


async def test_a_token_that_is_missing_is_told_as_missing(
    rotation: TokenRotation, file: Path, clock: ManualClock
) -> None:
    """Each time anew, and not as one that somebody else renews."""
    with capture_logs() as logs:
        for text in ("", token(secret=None), token(issued=clock.now()), ""):
            put(file, text)
            await rotation.step()
            await rotation.step()
    missing = f"{file} holds no token that can be read; join again"
    assert [(each["log_level"], each["message"] == missing) for each in logs] == [
        ("warning", True),
        ("info", False),
        ("warning", True),
    ]


async def test_a_renewed_token_is_written_beside_the_loop(
    rotation: TokenRotation, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync may take as long as guests keep the disk busy; the host must be heard meanwhile."""
    threads = []

    def write(_: Path, __: str) -> None:
        threads.append(threading.current_thread())

    monkeypatch.setattr(files, "write_private", write)
    clock.advance(HOUR / 2)
    await rotation.step()
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_a_person_may_put_a_new_token_there_at_any_time(
    rotation: TokenRotation, clock: ManualClock, source: Source, file: Path
) -> None:
    source.error = ForbiddenError("revoked")
    clock.advance(2 * HOUR)
    await rotation.step()
    put(file, token(issued=clock.now()))
    await rotation.step()
    assert source.asked == 1, "the new one is young"


async def test_a_file_that_cannot_be_written_is_a_failure_like_others(
    clock: ManualClock, source: Source, registry: CollectorRegistry, tmp_path: Path
) -> None:
    """A directory lies in the place of the file: root may write nearly everywhere else."""
    path = tmp_path / "token"
    path.mkdir()
    (path / "full").touch()
    rotation = TokenRotation(
        path, source, clock=clock, figures=TokenFigures(registry), is_ours=lambda _: True, at_once=True
    )
    assert await rotation.step() == FIRST_PAUSE_S
    assert names_in(tmp_path) == [path.name], "nothing half-written is left"


async def test_an_agent_in_a_pod_asks_at_once_whatever_lies_there(
    clock: ManualClock, source: Source, registry: CollectorRegistry, file: Path
) -> None:
    """Its node may have been made anew, and then the token that is there is worth nothing."""
    rotation = TokenRotation(
        file, source, clock=clock, figures=TokenFigures(registry), is_ours=lambda _: True, at_once=True
    )
    await rotation.step()
    await rotation.step()
    assert source.asked == 1
