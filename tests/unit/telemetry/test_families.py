"""The definitions of all metrics: named as Prometheus wants it, each once, and with labels that have a bound."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

import innkeeper
from innkeeper.agent import judge, plan
from innkeeper.agent.build import builder
from innkeeper.agent.net import port_rules
from innkeeper.state.recount import Drift
from innkeeper.state.snapshot import Refused
from innkeeper.telemetry import families
from innkeeper.telemetry.definition import CounterFamily, Family, GaugeFamily, HistogramFamily
from innkeeper.workers.hosts.records import Pull
from innkeeper.workers.sweeper import Finding

NAME = re.compile(r"innkeeper_[a-z]+(_[a-z]+)*")
NOT_BASE = re.compile(r"_(ms|millis|milliseconds|minutes|hours|kib|mib|mb|gb|percent)(_|$)")

each_family = pytest.mark.parametrize("family", families.ALL, ids=lambda family: family.name)


def values(family: Family, label: str) -> tuple[str, ...]:
    return next(each.values for each in family.labels if each.name == label)


def test_each_name_is_used_once() -> None:
    names = [each.name for each in families.ALL]
    assert len(names) == len(set(names)) > 50


@each_family
def test_names_are_in_base_units_and_counters_get_their_suffix_by_themselves(family: Family) -> None:
    assert NAME.fullmatch(family.name)
    assert not NOT_BASE.search(family.name)
    assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info")) or family.name.endswith(
        "build_info"
    )


@each_family
def test_help_is_one_short_sentence(family: Family) -> None:
    assert family.help.endswith(".")
    assert "\n" not in family.help
    assert family.told_by


@each_family
def test_every_label_is_known_or_says_what_bounds_it(family: Family) -> None:
    for label in family.labels:
        assert bool(label.values) != bool(label.bound), label.name
        assert len(label.values) < 100


@each_family
def test_no_label_takes_the_name_of_one_that_prometheus_adds(family: Family) -> None:
    added = {
        "job",
        "instance",
        "pod",
        "namespace",
        "node",
        "container",
        "endpoint",
        "service",
        "le",
        "quantile",
    }
    assert not added & set(family.label_names)


@each_family
def test_a_family_can_be_made_and_written_out_under_the_names_that_it_says(family: Family) -> None:
    assert isinstance(family, CounterFamily | GaugeFamily | HistogramFamily)
    registry = CollectorRegistry()
    made = family.on(registry)
    child = made.labels(*("x" for _ in family.labels)) if family.labels else made
    child.observe(1) if isinstance(family, HistogramFamily) else child.inc()  # type: ignore[union-attr]
    text = generate_latest(registry).decode()
    for series in family.series:
        assert re.search(rf"^{series}(\{{| )", text, re.MULTILINE), series


def test_counters_of_known_labels_begin_at_zero() -> None:
    registry = CollectorRegistry()
    families.SUBSET_DRIFT.on(registry)
    assert registry.get_sample_value("innkeeper_subset_drift_total", {"kind": "Promise"}) == 0


def test_known_values_are_those_that_the_code_tells() -> None:
    steps = {builder.name_of(each) for each in builder.STEPS}
    assert set(values(families.AGENT_BUILD_STEP, "step")) == steps
    assert values(families.SUBSET_DRIFT, "kind") == tuple(Drift)
    assert values(families.ADDRESS_FINDINGS, "finding") == tuple(Finding)
    assert values(families.HOST_RECORD_PULLS, "outcome") == tuple(Pull)
    assert values(families.SNAPSHOT_LOADS, "outcome") == ("used", *Refused)
    assert values(families.AGENT_GUEST_FRAMES_DROPPED, "why") == port_rules.WHYS
    assert values(families.AGENT_JOB_FAILURES, "kind") == tuple(each.value for each in plan.JobKind)
    meanings = tuple(each.name.lower() for each in judge.Meaning)
    assert values(families.AGENT_ORDERS, "meaning") == (*meanings, "invalid")


def test_metrics_are_made_from_definitions_alone() -> None:
    made = re.compile(
        r"^\s*from prometheus_client(\.\w+)? import .*(Counter|Gauge|Histogram|Summary|Enum|Info)",
        re.MULTILINE,
    )
    package = Path(innkeeper.__file__).parent
    others = [each for each in package.rglob("*.py") if made.search(each.read_text())]
    assert [each.relative_to(package).as_posix() for each in others] == ["telemetry/definition.py"]
