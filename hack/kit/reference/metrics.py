"""`docs/reference/metrics.md`: every metric of every process, from their definitions."""

from collections.abc import Iterable

from innkeeper.telemetry import families
from innkeeper.telemetry.definition import Family, HistogramFamily, Label, Process
from kit.reference.table import code, page, table

_MANY = 12  # known values that are shown at the label itself
_INTRO = """\
Each process serves `/metrics` for Prometheus, at the address of `--listen` and the port of `--metrics-port`: 9101 for the
operator, 9102 for the image server, 9103 for the agent. No label holds the name of a guest, a host or an image, and each
label that is no fixed list says below what keeps its values few.

Counters begin at 0 with their process. What only a leader tells is empty, or 0, in a replica that does not lead, so `max`
over replicas is right. [Alerts](alerts.md) read these metrics.
"""
_SECTIONS = {
    (Process.OPERATOR, Process.IMAGES, Process.AGENT): "Every process",
    (Process.OPERATOR, Process.AGENT): "The operator and the agent",
    (Process.OPERATOR,): "The operator",
    (Process.IMAGES,): "The image server",
    (Process.AGENT,): "The agent",
}


def render() -> str:
    """Return the whole page."""
    parts = [_section(title, told_by) for told_by, title in _SECTIONS.items()]
    return page("Metrics", source="operator/innkeeper/telemetry/families.py", intro=_INTRO, parts=parts)


def _section(title: str, told_by: tuple[Process, ...]) -> str:
    rows = [
        (code(_name(each)), each.kind, _told(each), _labels(each.labels))
        for each in families.ALL
        if each.told_by == told_by
    ]
    return f"## {title}\n\n{table(('metric', 'type', 'what it tells', 'labels'), rows)}"


def _name(family: Family) -> str:
    """Return the name that a query asks for; a histogram's has several endings."""
    return family.series[0] if len(family.series) == 1 else family.name


def _told(family: Family) -> str:
    if not isinstance(family, HistogramFamily):
        return family.help
    return f"{family.help} Bounds: {', '.join(f'{each:g}' for each in family.buckets)}."


def _labels(labels: Iterable[Label]) -> str:
    return "<br>".join(f"{code(each.name)}: {_values(each)}" for each in labels)


def _values(label: Label) -> str:
    if label.bound:
        return label.bound
    if len(label.values) > _MANY:
        return f"one of {len(label.values)}: the [reasons](conditions.md) of Ready, `None`, or `Other`"
    return ", ".join(code(each) for each in label.values)
