"""Writes `docs/reference/metrics.md` from the definitions of all metrics."""

from collections.abc import Iterable, Iterator

from innkeeper.telemetry import families
from innkeeper.telemetry.definition import Family, HistogramFamily, Label, Process

_MANY = 12  # known values that are shown at the label itself

_HEAD = """\
<!-- Made by hack/generate from operator/innkeeper/telemetry/families.py; do not edit. -->
# Metrics

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
    parts = [_HEAD]
    for told_by, title in _SECTIONS.items():
        parts.append("\n".join(_section(title, [each for each in families.ALL if each.told_by == told_by])))
    return "\n".join(parts)


def _section(title: str, told: Iterable[Family]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| metric | type | what it tells | labels |"
    yield "|---|---|---|---|"
    for family in told:
        name = family.series[0] if len(family.series) == 1 else family.name
        yield f"| `{name}` | {family.kind} | {_told(family)} | {_labels(family.labels)} |"
    yield ""


def _told(family: Family) -> str:
    if not isinstance(family, HistogramFamily):
        return _cell(family.help)
    bounds = ", ".join(f"{each:g}" for each in family.buckets)
    return f"{_cell(family.help)} Bounds: {bounds}."


def _labels(labels: Iterable[Label]) -> str:
    return "<br>".join(f"`{each.name}`: {_cell(_values(each))}" for each in labels)


def _values(label: Label) -> str:
    if label.bound:
        return label.bound
    shown = [f"`{each}`" for each in label.values]
    if len(shown) > _MANY:
        return f"one of {len(shown)}: the reasons in the [API reference](api.md#reasons), `None`, or `Other`"
    return ", ".join(shown)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
