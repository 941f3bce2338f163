"""Whatever waits has the same exit code for the same end: the guest is gone, or out of sight, or nobody answers."""

from typing import Any

import pytest
from typer.testing import CliRunner

from innkeeper.cli.guest.asking import AskingError, Refusal
from innkeeper.cli.guest.commands import app
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.domain.lifecycle.projection import Situation
from tests.kit.situations import guest, report, told

Document = dict[str, Any]
STARTING = told(Situation(guest=guest(), assignment=report("False", "Starting")))
CREATE = ["create", "web", "--image=debian", "--flavor=small", "--pool=lab", "--wait=ready"]
ENDS = [
    (AskingError("forbidden", refusal=Refusal.FORBIDDEN), ExitCode.FAILED),
    (AskingError("log in", refusal=Refusal.UNAUTHORIZED), ExitCode.FAILED),
    (AskingError("not found", refusal=Refusal.NOT_FOUND), ExitCode.DELETED),
]


class Server:
    """Shows a guest on its way once, and says the same for ever after."""

    def __init__(self, after: AskingError) -> None:
        self.after = after
        self.is_seen = False

    def get(self, _: str) -> Document:
        if self.is_seen:
            raise self.after
        self.is_seen = True
        return STARTING

    def create(self, path: str, _: Document) -> Document:
        operation = {
            "metadata": {"name": "web-reboot-x", "namespace": "default"},
            "spec": {"guestName": "web", "operation": "Reboot"},
        }
        return operation if "guestoperations" in path else STARTING

    def namespace(self) -> str:
        return "default"

    def rest(self, seconds: float) -> None:
        assert seconds > 0


@pytest.mark.parametrize(
    "words", [["wait", "web"], ["start", "web"], ["reboot", "web"], CREATE], ids=lambda words: words[0]
)
@pytest.mark.parametrize(("after", "code"), ENDS, ids=lambda each: getattr(each, "refusal", None))
def test_what_no_waiting_mends_ends_it_at_once(words: list[str], after: AskingError, code: ExitCode) -> None:
    done = CliRunner().invoke(app, words, obj=Server(after))
    assert isinstance(done.exception, AskingError), done.output
    assert done.exception.code is code


@pytest.mark.parametrize(
    "words", [["wait", "web"], ["start", "web"], ["reboot", "web"], CREATE], ids=lambda words: words[0]
)
def test_an_api_server_that_is_away_at_the_end_of_the_time_is_no_refusal(words: list[str]) -> None:
    server = Server(AskingError("the connection was refused"))
    done = CliRunner().invoke(app, [*words, "--timeout=300ms"], obj=server)
    assert isinstance(done.exception, AskingError), done.output
    assert done.exception.code is ExitCode.TIMED_OUT


def test_a_guest_that_was_never_seen_is_not_waited_for() -> None:
    server = Server(AskingError("the connection was refused"))
    server.is_seen = True
    done = CliRunner().invoke(app, ["wait", "web"], obj=server)
    assert isinstance(done.exception, AskingError), done.output
    assert done.exception.code is ExitCode.FAILED
