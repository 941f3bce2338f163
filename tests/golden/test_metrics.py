"""What `/metrics` says is as Prometheus' own lint wants it, and as the reference page lists it."""

import subprocess
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from innkeeper.telemetry import families
from innkeeper.telemetry.definition import CounterFamily, GaugeFamily, HistogramFamily
from tests.kit.promql import program

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def exposition() -> bytes:
    """Return all metrics of all processes as one text, each with a sample."""
    registry = CollectorRegistry()
    for family in families.ALL:
        assert isinstance(family, CounterFamily | GaugeFamily | HistogramFamily)
        made = family.on(registry)
        if family.labels:
            made.labels(*(each.values[0] if each.values else "any" for each in family.labels))
    return generate_latest(registry)


def test_the_lint_of_prometheus_finds_nothing() -> None:
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=exposition(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.decode()) == (0, "")


def test_every_metric_is_in_the_reference() -> None:
    page = REFERENCE.read_text()
    missing = [each.name for each in families.ALL if f"| `{each.name}" not in page]
    assert not missing
