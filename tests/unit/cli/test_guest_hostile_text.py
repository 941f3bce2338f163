"""What hosts, guests and other people wrote is shown on one line, and no terminal obeys it; documents keep every byte."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from innkeeper.cli.guest.commands import app
from innkeeper.cli.guest.printable import one_line
from innkeeper.domain.lifecycle.projection import Situation
from tests.kit.fake_kubectl import FakeKubectl
from tests.kit.situations import guest, report, told

Document = dict[str, Any]
EVIL = "full\n\x1b]52;c;eA==\x07\x1b[2Jerror: \u202ereboot \x9b31m"
SHOWN = r"full \x1b]52;c;eA==\x07\x1b[2Jerror: \u202ereboot \x9b31m"
AT = "2026-01-01T00:00:00Z"
WEB = told(
    Situation(guest=guest(creationTimestamp=AT), assignment=report("False", "DriverFailed", message=EVIL))
)
HALF = {"reason": "Failed", "message": EVIL, "type": "Ready", "status": "False", "lastTransitionTime": AT}
OPERATION = {
    "metadata": {"name": "web-reboot-x", "namespace": "default"},
    "spec": {"guestName": "web", "operation": "Reboot"},
    "status": {
        "phase": "Failed",
        "guestId": "g1",
        "steps": [{"name": "Finished", "at": AT}],
        "conditions": [HALF],
    },
}
WEB["status"]["id"] = "g1"
EVENT = {"metadata": {"creationTimestamp": AT}, "reason": "Crashed", "message": EVIL}
VIEW = {
    "metadata": {"name": "web", "namespace": "default", "creationTimestamp": AT},
    "spec": {"power": "Running", "flavor": "small", "image": "debian", "priority": 0},
    "status": {"ready": "True", "host": "a", "addresses": [], "reason": EVIL, "cluster": "lab"},
}
ORPHAN = {
    "metadata": {"name": "id-web", "namespace": "default"},
    "status": {"guest": EVIL, "host": "a", "since": AT, "state": "Held", "epoch": 1, "serial": 1},
}
EXPLANATION = {
    "metadata": {"name": "web", "namespace": "default"},
    "status": {
        "viewAgeSeconds": 0.1,
        "message": EVIL,
        "chosen": None,
        "rules": [],
        "verdicts": [
            {
                "host": "a",
                "cluster": "lab",
                "failures": [{"rule": "memory", "reason": "R", "message": EVIL}],
                "scores": {},
                "total": None,
            }
        ],
    },
}


class Server:
    """Has the same to say of everything."""

    def get(self, path: str) -> Document:
        answers: dict[str, Document] = {
            "guestviews": {"items": [VIEW], "viewAgeSeconds": 0.0, "metadata": {}},
            "explanation": EXPLANATION,
            "guestoperations": {"items": [OPERATION], "metadata": {}},
            "events": {"items": [EVENT], "metadata": {}},
            "orphans": {"items": [ORPHAN]},
            "guestusages": {"items": [], "missing": [{"guests": 1, "message": EVIL}], "metadata": {}},
            "web-reboot-x": OPERATION,
            "web": WEB,
        }
        return answers[path.partition("?")[0].rpartition("/")[2]]

    def create(self, _path: str, _body: Document) -> Document:
        return OPERATION

    def namespace(self) -> str:
        return "default"

    def rest(self, seconds: float) -> None:
        assert seconds > 0


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), obj=Server())


@pytest.mark.parametrize(
    ("words", "times", "lines"),
    [
        (["list"], 1, 2),
        (["orphans"], 1, 2),
        (["explain", "web"], 2, 4),
        (["events", "web"], 3, 8),  # of the condition, of the operation, and the Event
        (["reboot", "web"], 2, 2),  # the step, and the error
        (["wait", "web", "--timeout=0s"], 1, 1),  # the step
        (["start", "web", "--timeout=0s"], 1, 1),
        (["top"], 1, 1),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else None,
)
def test_every_line_for_people_is_one_line_that_nothing_obeys(
    words: list[str], times: int, lines: int
) -> None:
    output = run(*words).output
    assert output.count(SHOWN.removeprefix("full ")) == times, output
    assert all(each.isprintable() for each in output.splitlines()), repr(output)
    assert len(output.splitlines()) == lines, output


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_documents_for_machines_keep_every_byte(output: str, read: Callable[[str], Any]) -> None:
    printed = run("list", "-o", output).output
    assert read(printed)["items"][0]["status"]["reason"] == EVIL
    assert "\x1b" not in printed


def test_an_error_is_one_line_that_nothing_obeys(tmp_path: Path) -> None:
    kubectl = FakeKubectl(tmp_path)
    kubectl.install()
    (tmp_path / "said").write_text(EVIL)
    kubectl.program("kubectl", f"#!/bin/sh\ncat {tmp_path}/said >&2\nexit 1\n")
    done = kubectl.run("get", "web", "-n", "default")
    assert done.stderr == f"error: {SHOWN}\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9 \u4e2d", "plain \u00e9 \u4e2d"),
        ("a\r\n\tb", "a b"),
        ("a\u2028b", "a b"),
        ("\x00\x7f", r"\x00\x7f"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_cannot_be_printed_is_seen(text: str, shown: str) -> None:
    assert one_line(text) == shown
