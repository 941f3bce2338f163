"""What a metric is: a family with a name, a type, help, and labels whose values are bounded.

A family is data. `on` makes the real metric on a registry that the caller passes in; `read` makes one whose samples are
read from their owner at the moment somebody asks. Which families there are is said in `families` alone.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

MOST_AT_ZERO = 64  # combinations of labels that begin at 0


class Process(StrEnum):
    """Who tells a metric."""

    OPERATOR = "operator"
    IMAGES = "images"
    AGENT = "agent"


@dataclass(frozen=True, kw_only=True)
class Label:
    """One label. Either all its values are known, or `bound` says what keeps their number small."""

    name: str
    values: tuple[str, ...] = ()
    bound: str = ""


def one_of(name: str, values: Iterable[str]) -> Label:
    """Return a label whose values are all known."""
    return Label(name=name, values=tuple(str(each) for each in values))


def bounded(name: str, bound: str) -> Label:
    """Return a label whose values are not known beforehand, with the words that say why they are few."""
    return Label(name=name, bound=bound)


Samples = Callable[[], Iterable[tuple[Sequence[str], float]]]
"""What the samples of a family are now: the values of its labels, in their order, and the number."""


def _nothing() -> Iterable[tuple[Sequence[str], float]]:
    return ()


class ReadMetric(Collector):
    """A metric that is read from whoever knows it, when somebody asks; nobody knows it before `samples` is set."""

    def __init__(self, family: "CounterFamily | GaugeFamily") -> None:
        self.samples: Samples = _nothing
        self._family = family

    def describe(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the metric without samples: its name is taken, whether or not anything is known."""
        yield self._family.wire()

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the metric as it is now."""
        found = self._family.wire()
        for values, number in self.samples():
            found.add_metric(list(values), number)
        yield found


@dataclass(frozen=True, kw_only=True)
class Family:
    """What every family has. `told_by` names the processes that tell it."""

    name: str
    help: str
    told_by: tuple[Process, ...]
    labels: tuple[Label, ...] = ()
    kind: ClassVar[str] = ""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of its labels, in their order."""
        return tuple(each.name for each in self.labels)

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which its samples are found."""
        return (self.name,)

    @property
    def known_values(self) -> list[tuple[str, ...]]:
        """Every combination of its labels' values; none where one of them is not known beforehand, or they are many."""
        found = list(itertools.product(*(each.values for each in self.labels)))
        return found if self.labels and len(found) <= MOST_AT_ZERO else []


@dataclass(frozen=True, kw_only=True)
class CounterFamily(Family):
    """A number that only rises while its process lives."""

    kind = "counter"

    @property
    def series(self) -> tuple[str, ...]:
        """The name under which its samples are found."""
        return (f"{self.name}_total",)

    def on(self, registry: CollectorRegistry) -> Counter:
        """Return the metric. Known combinations of labels begin at 0, so that even the first rise can be seen."""
        made = Counter(self.name, self.help, self.label_names, registry=registry)
        for values in self.known_values:
            made.labels(*values)
        return made

    def read(self, registry: CollectorRegistry) -> ReadMetric:
        """Return the metric as one that is read when somebody asks."""
        made = ReadMetric(self)
        registry.register(made)
        return made

    def wire(self) -> CounterMetricFamily:
        """Return the metric as it is written out, without samples."""
        return CounterMetricFamily(self.name, self.help, labels=self.label_names)


@dataclass(frozen=True, kw_only=True)
class GaugeFamily(Family):
    """A number that rises and falls."""

    kind = "gauge"

    def on(self, registry: CollectorRegistry) -> Gauge:
        """Return the metric."""
        return Gauge(self.name, self.help, self.label_names, registry=registry)

    def read(self, registry: CollectorRegistry) -> ReadMetric:
        """Return the metric as one that is read when somebody asks."""
        made = ReadMetric(self)
        registry.register(made)
        return made

    def wire(self) -> GaugeMetricFamily:
        """Return the metric as it is written out, without samples."""
        return GaugeMetricFamily(self.name, self.help, labels=self.label_names)


@dataclass(frozen=True, kw_only=True)
class HistogramFamily(Family):
    """How often a number lay below each of some bounds."""

    buckets: tuple[float, ...]
    kind = "histogram"

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which its samples are found."""
        return tuple(f"{self.name}_{each}" for each in ("bucket", "count", "sum"))

    def on(self, registry: CollectorRegistry) -> Histogram:
        """Return the metric; known combinations of labels begin at 0."""
        made = Histogram(self.name, self.help, self.label_names, buckets=self.buckets, registry=registry)
        for values in self.known_values:
            made.labels(*values)
        return made


def by_value(numbers: Mapping[str, float]) -> Iterable[tuple[Sequence[str], float]]:
    """Return the samples of a family with one label from a number for each of its values."""
    return [((value,), float(number)) for value, number in numbers.items()]
