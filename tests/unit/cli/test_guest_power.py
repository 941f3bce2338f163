"""start and stop as people meet them, on Guests with the very status that the operator writes."""

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from innkeeper.cli.guest.asking import AskingError
from innkeeper.cli.guest.commands import app
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.domain.lifecycle.projection import Situation
from innkeeper.domain.reasons import ConditionType, GuestReason
from tests.kit.situations import DELETED, WAS_RUNNING, blocked, guest, report, told

Document = dict[str, Any]
NEW = {"rank": (1, 2), "held": (1, 2), "generation": 2}


class Server:
    """Answers with one Guest after another, the last one again and again; changes nothing."""

    def __init__(self, *guests: Document) -> None:
        self.guests = list(guests)
        self.sent: list[tuple[str, Document]] = []

    def get(self, path: str) -> Document:
        assert path.endswith("/namespaces/default/guests/web")
        return self.guests.pop(0) if len(self.guests) > 1 else self.guests[0]

    def patch(self, resource: str, name: str, change: Document, *, namespace: str) -> Document:
        self.sent.append((f"{namespace}/{resource}/{name}", change))
        return self.guests[0]

    def namespace(self) -> str:
        return "default"

    def rest(self, seconds: float) -> None:
        assert seconds > 0


def run(server: Server, *words: str) -> Result:
    return CliRunner().invoke(app, list(words), obj=server)


def ended(server: Server, verb: str) -> tuple[ExitCode, str]:
    """Return what a verb ends with where it fails, and what it says. It waits for nothing."""
    done = run(server, verb, "web", "--timeout=0s")
    assert isinstance(done.exception, AskingError), done.output
    return done.exception.code, str(done.exception)


@pytest.mark.parametrize(
    ("verb", "before", "wanted", "done"),
    [("stop", "Running", "Stopped", "stopped"), ("start", "Stopped", "Running", "started")],
)
def test_power_is_changed_of_the_very_guest_and_followed(
    verb: str, before: str, wanted: str, done: str
) -> None:
    old = guest(spec={"power": before}, ready={**WAS_RUNNING, "reason": before})
    new = guest(spec={"power": wanted}, generation=2, ready={**WAS_RUNNING, "reason": before})
    server = Server(
        told(Situation(guest=old, assignment=report(reason=before))),
        told(Situation(guest=new, assignment=report(reason=before))),
        told(Situation(guest=new, assignment=report("False", "Stopping", **NEW))),
        told(Situation(guest=new, assignment=report("True", wanted, **NEW))),
    )
    ended = run(server, verb, "web")
    assert ended.exit_code == 0, ended.output
    assert server.sent == [
        ("default/guests.innkeeper.dev/web", {"metadata": {"uid": "u1"}, "spec": {"power": wanted}})
    ]
    assert ended.output.splitlines() == [
        f"web: {before}",
        "web: Stopping",
        f"web: {wanted}",
        f"guest.innkeeper.dev/web {done}",
    ]


def test_a_guest_that_has_the_power_is_not_written() -> None:
    server = Server(told(Situation(guest=guest(), assignment=report())))
    assert run(server, "start", "web").exit_code == 0
    assert server.sent == []


NO_HOST = blocked(GuestReason.NO_HOST_FITS, ConditionType.SCHEDULED, passed=(ConditionType.IMAGE_RESOLVED,))
NO_ADDRESS = blocked(GuestReason.POOL_EXHAUSTED, ConditionType.ADDRESSES_ASSIGNED)


@pytest.mark.parametrize("verb", ["start", "stop"])
@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (Situation(guest=guest(), host_lost=True), "HostLost: host a is lost"),
        (
            Situation(guest=guest(bound=False), blocked=blocked(GuestReason.IMAGE_NOT_FOUND)),
            "ImageNotFound: what to do",
        ),
        (Situation(guest=guest(bound=False), blocked=NO_HOST), "NoHostFits: what to do"),
        (Situation(guest=guest(bound=False), blocked=NO_ADDRESS), "PoolExhausted: what to do"),
        (
            Situation(
                guest=guest(), assignment=report("False", "OrderInvalid", held=None, outcome="Invalid")
            ),
            "OrderInvalid",
        ),
        # It goes on as it was, and the order that was to change it cannot be made.
        (
            Situation(
                guest=guest(generation=2, ready=WAS_RUNNING),
                assignment=report(),
                blocked=blocked(GuestReason.USER_DATA_NOT_FOUND),
            ),
            "UserDataNotFound: what to do",
        ),
        (Situation(guest=guest(), assignment=report("False", "DiskMissing")), "DiskMissing"),
    ],
)
def test_a_guest_that_cannot_go_on_ends_it_at_once(verb: str, situation: Situation, words: str) -> None:
    code, said = ended(Server(told(situation)), verb)
    assert (code, words in said) == (ExitCode.STALLED, True), said


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [("False", "Paused", "kubectl guest resume web"), ("True", "Completed", "kubectl guest stop web")],
)
def test_a_guest_that_rests_does_not_start_by_itself(status: str, reason: str, words: str) -> None:
    code, said = ended(Server(told(Situation(guest=guest(), assignment=report(status, reason)))), "start")
    assert (code, words in said) == (ExitCode.STALLED, True), said


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_a_guest_that_is_being_deleted_ends_it_at_once(verb: str) -> None:
    assert ended(Server(told(Situation(guest=guest(**DELETED)))), verb)[0] is ExitCode.DELETED


@pytest.mark.parametrize(
    "situation",
    [
        # What was reported of the order before this one: its host has the new one in a moment.
        Situation(guest=guest(generation=2), assignment=report("False", "StoppedAtHost")),
        Situation(guest=guest(generation=2), assignment=report("False", "Paused")),
        Situation(guest=guest(ready=WAS_RUNNING), assignment=report(), host_silent=True),
        Situation(guest=guest(bound=False)),
    ],
)
def test_what_may_pass_by_itself_is_waited_for(situation: Situation) -> None:
    assert ended(Server(told(situation)), "start")[0] is ExitCode.TIMED_OUT
