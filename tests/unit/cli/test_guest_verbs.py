"""The verbs of `kubectl guest` that change something or follow it: what they send, print, and end with."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from innkeeper.cli.guest.asking import AskingError
from innkeeper.cli.guest.commands import app

OWN = "/apis/innkeeper.dev/v1alpha1/namespaces/default"
AT = "2026-01-01T00:00:00Z"
Document = dict[str, Any]


def conditions(status: str, reason: str, message: str = "", *, generation: int = 1) -> Document:
    """Return a status with Ready."""
    ready = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": AT,
    }
    return {"conditions": [ready]}


def guest(name: str = "web", *, power: str = "Running", generation: int = 1, **status: Any) -> Document:
    """Return a Guest."""
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": "u1",
        "generation": generation,
        "creationTimestamp": AT,
    }
    return {"metadata": metadata, "spec": {"power": power}, "status": status}


def operation(phase: str | None = None, kind: str = "Reboot", **status: Any) -> Document:
    """Return a GuestOperation."""
    told = {"phase": phase, **status} if phase else {}
    return {
        "metadata": {"name": "web-reboot-x", "namespace": "default"},
        "spec": {"guestName": "web", "operation": kind},
        "status": told,
    }


class Server:
    """Answers each path with what a test laid there: the last one again and again."""

    def __init__(self, **answers: list[Document | AskingError]) -> None:
        self.answers = {name: list(each) for name, each in answers.items()}
        self.sent: list[tuple[str, Document]] = []
        self.rests = 0

    def get(self, path: str) -> Document:
        words = path.partition("?")[0].removeprefix(f"{OWN}/").split("/")
        return self._next(words[0] if len(words) == 2 else f"{words[-1]}_list")

    def create(self, path: str, body: Document) -> Document:
        self.sent.append((path, body))
        return self._next("created")

    def patch(self, resource: str, name: str, change: Document, *, namespace: str) -> Document:
        self.sent.append((f"{namespace}/{resource}/{name}", change))
        return self._next("patched")

    def namespace(self) -> str:
        return "default"

    def rest(self, seconds: float) -> None:
        assert seconds > 0
        self.rests += 1

    def _next(self, name: str) -> Document:
        left = self.answers[name]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, AskingError):
            raise answer
        return answer


def run(server: Server, *words: str) -> Result:
    return CliRunner().invoke(app, list(words), obj=server)


def lines(done: Result) -> Iterable[str]:
    return done.output.splitlines()


@pytest.mark.parametrize(
    ("words", "kind", "done"),
    [
        (["reboot", "web"], "Reboot", "rebooted"),
        (["reboot", "--hard", "web"], "HardReboot", "rebooted"),
        (["pause", "web"], "Pause", "paused"),
        (["resume", "web"], "Resume", "resumed"),
    ],
)
def test_an_operation_is_made_and_followed_to_its_end(words: list[str], kind: str, done: str) -> None:
    server = Server(
        guests=[guest()],
        created=[operation(kind=kind)],
        guestoperations=[
            operation(kind=kind),
            operation("Pending", kind, **conditions("False", "WaitsForGuest", "it does not run yet")),
            operation("Running", kind, **conditions("False", "Running")),
            operation("Running", kind, **conditions("False", "Running")),
            operation("Succeeded", kind, **conditions("True", "Succeeded")),
        ],
    )
    ended = run(server, *words)
    assert ended.exit_code == 0, ended.output
    [(path, body)] = server.sent
    assert path == f"{OWN}/guestoperations"
    assert body["spec"] == {"guestName": "web", "operation": kind}
    assert body["metadata"]["generateName"].startswith("web-")
    assert list(lines(ended)) == [
        "web: Pending",
        "web: WaitsForGuest: it does not run yet",
        "web: Running",
        "web: Succeeded",
        f"guest.innkeeper.dev/web {done}",
    ]


def test_an_operation_that_fails_ends_with_1_and_says_why() -> None:
    failed = operation("Failed", **conditions("False", "StartFailed", "the machine does not start"))
    ended = run(Server(guests=[guest()], created=[operation()], guestoperations=[failed]), "reboot", "web")
    assert ended.exit_code == 1
    assert "error: web: StartFailed: the machine does not start" in ended.output


def test_several_guests_are_rebooted_side_by_side() -> None:
    server = Server(guests=[guest()], created=[operation()], guestoperations=[operation("Succeeded")])
    assert run(server, "reboot", "web", "db").exit_code == 0
    assert [body["spec"]["guestName"] for _, body in server.sent] == ["web", "db"]


def test_nothing_is_followed_where_nobody_wants_to_wait() -> None:
    server = Server(guests=[guest()], created=[operation()])
    assert (
        run(server, "reboot", "web", "--no-wait").output
        == "guestoperation.innkeeper.dev/web-reboot-x created\n"
    )
    assert run(server, "reboot", "web", "--no-wait", "-o", "name").output.strip().endswith("/web-reboot-x")
    assert yaml.safe_load(run(server, "reboot", "web", "--no-wait", "-o", "yaml").output) == operation()
    assert server.rests == 0


def test_a_name_that_is_wrong_is_told_and_nothing_is_made() -> None:
    server = Server(guests=[AskingError('guests.innkeeper.dev "wbe" not found')])
    ended = run(server, "reboot", "wbe")
    assert isinstance(ended.exception, AskingError)
    assert server.sent == []


@pytest.mark.parametrize("verb", ["reboot", "pause", "resume", "start", "stop"])
def test_one_wrong_name_among_others_is_told_before_anything_is_made(verb: str) -> None:
    """Who mends the name and types the command again must not reboot the first guest twice."""
    power = "Running" if verb == "stop" else "Stopped"
    server = Server(guests=[guest(power=power), AskingError('guests.innkeeper.dev "dbb" not found')])
    ended = run(server, verb, "web", "dbb")
    assert isinstance(ended.exception, AskingError)
    assert server.sent == []


def test_following_ends_with_its_time_and_outlives_an_api_server_that_is_away_for_a_while() -> None:
    away = AskingError("the connection was refused")
    server = Server(guests=[guest()], created=[operation()], guestoperations=[away, operation("Succeeded")])
    assert run(server, "reboot", "web").exit_code == 0
    server = Server(guests=[guest()], created=[operation()], guestoperations=[operation("Running")])
    ended = run(server, "reboot", "web", "--timeout", "0s")
    assert "not over within 0 s: web: Running" in str(ended.exception)
    assert run(server, "reboot", "web", "--timeout", "soon").exit_code == 2


def test_events_are_one_list_by_time() -> None:
    steps = [
        {"name": "Accepted", "at": "2026-01-01T00:00:05Z"},
        {"name": "Finished", "at": "2026-01-01T00:00:09Z"},
    ]
    mine = operation("Succeeded", guestId="g1", steps=steps, **conditions("True", "Succeeded"))
    other = operation("Succeeded", guestId="g0", steps=steps)
    event = {
        "metadata": {"creationTimestamp": AT},
        "reason": "Scheduled",
        "message": "host a\n",
        "eventTime": "2026-01-01T00:00:07.123456Z",
    }
    server = Server(
        guests=[guest(id="g1", **conditions("True", "Running"))],
        guestoperations_list=[{"items": [mine, other], "metadata": {}}],
        events_list=[{"items": [event], "metadata": {}}],
    )
    found = json.loads(run(server, "events", "web", "-o", "json").output)["items"]
    assert [(each["source"], each["reason"]) for each in found] == [
        ("Guest", "Created"),
        ("Ready=True", "Running"),
        ("Reboot", "Accepted"),
        ("Event", "Scheduled"),
        ("Reboot", "Finished"),
    ]
    shown = run(server, "events", "web").output.splitlines()
    assert shown[0].split() == ["AGE", "TIME", "SOURCE", "REASON", "MESSAGE"]
    assert shown[-1].endswith("web-reboot-x: Succeeded")
