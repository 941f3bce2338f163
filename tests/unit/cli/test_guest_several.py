"""Several guests in one call: one end for all of them, and none is left out because of another."""

from typing import Any

import pytest
from typer.testing import CliRunner

from innkeeper.cli.guest import following
from innkeeper.cli.guest.asking import AskingError, Refusal
from innkeeper.cli.guest.commands import app
from innkeeper.cli.guest.exit_codes import ExitCode

Document = dict[str, Any]
VERBS = ("stop", "pause", "wait --for=running")


class Server:
    """Has guests that are, or never come, where they are wanted; `now` goes on as long as somebody rests."""

    def __init__(self, **are_there: bool) -> None:
        self.are_there = are_there
        self.now = 0.0
        self.sent: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.now += seconds

    def namespace(self) -> str:
        return "default"

    def get(self, path: str) -> Document:
        kind, name = path.split("/")[-2:]
        return self._operation(name) if kind == "guestoperations" else self._guest(name)

    def create(self, path: str, body: Document) -> Document:
        assert path.endswith("/guestoperations")
        name = body["spec"]["guestName"]
        self.sent.append(name)
        return self._operation(name)

    def patch(self, resource: str, name: str, change: Document, *, namespace: str) -> Document:
        assert (resource, namespace, change["spec"]) == (
            "guests.innkeeper.dev",
            "default",
            {"power": "Stopped"},
        )
        self.sent.append(name)
        return self._guest(name)

    def _guest(self, name: str) -> Document:
        if name not in self.are_there:
            raise AskingError(f'guests "{name}" not found', refusal=Refusal.NOT_FOUND)
        ready = {"type": "Ready", "observedGeneration": 1, "reason": "Building", "status": "False"}
        if self.are_there[name]:
            ready |= {"reason": "Stopped" if self.sent else "Running", "status": "True"}
        metadata = {"namespace": "default", "name": name, "uid": name, "generation": 1}
        return {"kind": "Guest", "metadata": metadata, "spec": {}, "status": {"conditions": [ready]}}

    def _operation(self, name: str) -> Document:
        metadata = {"namespace": "default", "name": name}
        spec = {"guestName": name, "operation": "Pause"}
        phase = "Succeeded" if self.are_there[name] else "Pending"
        return {"kind": "GuestOperation", "metadata": metadata, "spec": spec, "status": {"phase": phase}}


def run(server: Server, monkeypatch: pytest.MonkeyPatch, line: str) -> tuple[str, AskingError]:
    monkeypatch.setattr(following, "time", server)
    done = CliRunner().invoke(app, line.split(), obj=server)
    assert isinstance(done.exception, AskingError), done.output
    return done.output, done.exception


@pytest.mark.parametrize("verb", VERBS)
def test_the_time_out_is_one_for_all(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(a=False, b=False, c=False)
    _, error = run(server, monkeypatch, f"{verb} a b c --timeout=60s")
    assert 60 <= server.now < 61
    assert error.code is ExitCode.TIMED_OUT
    assert str(error).count("within 60 s") == 3, "and says of each how long that was"


@pytest.mark.parametrize("verb", VERBS)
def test_who_came_there_is_told_although_another_did_not(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output, error = run(Server(a=False, b=True), monkeypatch, f"{verb} a b --timeout=3s --output=name")
    assert output.splitlines()[-1].endswith("/b")
    assert (error.code, str(error).count(";")) == (ExitCode.TIMED_OUT, 0)


@pytest.mark.parametrize("verb", ["stop", "pause"])
def test_of_a_name_that_is_wrong_is_told_before_anything_is_done(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(a=True)
    _, error = run(server, monkeypatch, f"{verb} a typo")
    assert (server.sent, error.code) == ([], ExitCode.FAILED)
    assert '"typo" not found' in str(error)


def test_a_name_that_is_wrong_keeps_nobody_from_being_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    output, error = run(Server(a=True), monkeypatch, "wait typo a --for=running --output=name")
    assert output.splitlines()[-1] == "guest.innkeeper.dev/a"
    assert error.code is ExitCode.FAILED
