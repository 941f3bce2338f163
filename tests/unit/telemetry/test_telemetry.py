"""Logs, metrics and readiness, as a person or a probe sees them."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import aiohttp
import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.informer import Informer
from innkeeper.kube.resources import GUESTS
from innkeeper.telemetry import logs
from innkeeper.telemetry.definition import Process
from innkeeper.telemetry.logs import LogFormat, LogLevel
from innkeeper.telemetry.metrics import OperatorMetrics, ProcessMetrics, WatchMetrics
from innkeeper.telemetry.readiness import Readiness
from innkeeper.telemetry.server import TelemetryServer
from innkeeper.views.guest import Guest
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.objects import view


class Watch:
    """An informer's pulse."""

    def __init__(self) -> None:
        self.synced = asyncio.Event()
        self.age = 0.0

    def age_s(self) -> float:
        """Seconds since the last sign of life."""
        return self.age


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging_restored")
def test_a_json_line_has_the_fields_of_the_event() -> None:
    stream = io.StringIO()
    logs.configure(form=LogFormat.JSON, level=LogLevel.INFO, process="operator", stream=stream)
    structlog.get_logger("x").info("guest_bound", guest="g", host="h")
    structlog.get_logger("x").debug("not_worth_a_line")
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert (found["event"], found["guest"], found["host"], found["level"], found["process"]) == (
        "guest_bound",
        "g",
        "h",
        "info",
        "operator",
    )  # fmt: skip - the fields in one line
    assert found["timestamp"].endswith("Z")


@pytest.mark.usefixtures("_logging_restored")
def test_lines_of_other_libraries_look_the_same() -> None:
    stream = io.StringIO()
    logs.configure(form=LogFormat.JSON, level=LogLevel.INFO, process="operator", stream=stream)
    logging.getLogger("kopf.x").warning("a %s", "word")
    logging.getLogger("kopf.x").info("quiet")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "a word"


@pytest.mark.usefixtures("_logging_restored")
def test_console_lines_are_for_people() -> None:
    stream = io.StringIO()
    logs.configure(form=LogFormat.CONSOLE, level=LogLevel.DEBUG, process="agent", stream=stream)
    structlog.get_logger("x").debug("guest_bound", guest="g")
    assert "guest_bound" in stream.getvalue()


async def test_readiness_names_what_is_missing() -> None:
    readiness, watch = Readiness(), Watch()
    readiness.watch("guests", watch, limit_s=60)
    assert "first list" in readiness.troubles()["watch-guests"]
    watch.synced.set()
    assert readiness.troubles() == {}
    watch.age = 61
    assert "61 s" in readiness.troubles()["watch-guests"]


async def test_the_server_answers_probes_and_metrics() -> None:
    registry, readiness = CollectorRegistry(), Readiness()
    missing: list[str | None] = ["the store is closed"]
    readiness.add("store", lambda: missing[0])
    ProcessMetrics(registry, process=Process.AGENT).wrote("leases", "patch", "done")
    server = TelemetryServer(listen="127.0.0.1", port=0, registry=registry, readiness=readiness)
    async with server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        async with session.get("/readyz") as answer:
            assert answer.status == 503
            assert await answer.json() == {"ready": False, "waitingFor": {"store": "the store is closed"}}
        async with session.get("/healthz") as answer:
            assert answer.status == 200
        missing[0] = None
        async with session.get("/readyz") as answer:
            assert answer.status == 200
        async with session.get("/metrics") as answer:
            text = await answer.text()
            assert "innkeeper_build_info" in text
            told = 'innkeeper_api_writes_total{kind="leases",outcome="done",verb="patch"} 1.0'
            assert told in text
            assert "_created" not in text


async def test_metrics_of_a_watch_are_read_when_somebody_asks() -> None:
    registry, watch = CollectorRegistry(), Watch()
    metrics = WatchMetrics(registry)
    objects: list[int] = []
    metrics.watch("guests", watch, count=objects.__len__)
    watch.age = 7
    objects.append(1)
    text = generate_latest(registry).decode()
    assert 'innkeeper_watch_age_seconds{kind="guests"} 7.0' in text
    assert 'innkeeper_watch_synced{kind="guests"} 0.0' in text
    assert 'innkeeper_watched_objects{kind="guests"} 1.0' in text


def test_changes_that_were_not_taken_are_counted_by_kind() -> None:
    def refuse(_: object) -> None:
        raise OverflowError

    registry = CollectorRegistry()
    client = Client(Credentials(server="https://127.0.0.1:1"))
    informer = Informer(client, GUESTS, on_change=refuse, clock=ManualClock())
    WatchMetrics(registry).informer("guests", informer)
    informer.resume([view(objects.guest("a"), Guest), view(objects.guest("b"), Guest)], "7")
    text = generate_latest(registry).decode()
    assert 'innkeeper_watch_changes_not_taken{kind="guests"} 2.0' in text


def test_two_processes_in_one_interpreter_share_no_metric() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    OperatorMetrics(first).leader.set(1)
    OperatorMetrics(second)
    assert "innkeeper_leader 0.0" in generate_latest(second).decode()
