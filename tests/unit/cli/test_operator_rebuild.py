"""What `innkeeper operator rebuild` tells people, pipes and scripts."""

import io
import json

import pytest

from innkeeper.cli.rebuild_told import RebuildIncompleteError, Telling
from innkeeper.domain.rebuild.findings import Finding, FindingKind
from innkeeper.processes.rebuild import RebuildWish
from innkeeper.workers.rebuild.rebuild import Outcome


class Terminal(io.StringIO):
    """A stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


def a_finding(kind: FindingKind) -> Finding:
    return Finding(kind=kind, host="a", subject="x", message=f"something is {kind}")


def test_a_terminal_sees_one_line_that_changes() -> None:
    stream = Terminal()
    telling = Telling(stream)
    for done in (1, 2, 3):
        telling.progress("hosts heard", done, 3)
    telling.say("a sentence")
    assert stream.getvalue().count("\n") == 2
    assert stream.getvalue().endswith("hosts heard: 3 of 3\x1b[K\na sentence\n")


def test_a_pipe_gets_few_plain_lines() -> None:
    stream = io.StringIO()
    telling = Telling(stream)
    for done in range(1, 1001):
        telling.progress("guests made anew", done, 1000)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1] == "guests made anew: 1000 of 1000"
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(heard=1, unheard={"b": "host b does not answer"}), "--without"),
        (Outcome(heard=1, findings=[a_finding(FindingKind.NOT_CLAIMED)]), "no operator leads yet"),
        (Outcome(heard=1, findings=[a_finding(FindingKind.NOT_REVIVED)]), "could not be set right"),
        (Outcome(heard=1, findings=[a_finding(FindingKind.SETTINGS_UNKNOWN)]), "could not be set right"),
    ],
)
def test_what_is_left_to_do_ends_it_with_an_error(outcome: Outcome, words: str) -> None:
    with pytest.raises(RebuildIncompleteError, match=words):
        Telling.complain(outcome)
    assert json.loads(Telling.as_json(outcome, RebuildWish()))["complete"] is False


def test_what_only_differs_is_told_and_is_no_error() -> None:
    outcome = Outcome(heard=2, guests=1, findings=[a_finding(FindingKind.SUPERSEDED)], absent_pools=["lab"])
    Telling.complain(outcome)
    text = Telling.as_text(outcome, RebuildWish(without=frozenset({"c"})))
    assert "something is Superseded" in text
    assert "given up: c" in text
    assert "apply these IPPools again" in text
    document = json.loads(Telling.as_json(outcome, RebuildWish()))
    assert document["complete"] is True
    assert document["findings"][0]["kind"] == "Superseded"
