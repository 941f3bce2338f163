"""Which pools labels choose, and which clusters pools serve: worked out once, and kept until pools or Clusters change.

Every guest that chooses pools by labels asks for it, and there may be many pools and Clusters. Reads the pool catalog and
the Clusters; whoever changes them calls `forget`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from innkeeper.domain.scheduling.selectors import Selector
from innkeeper.state.pool_catalog import PoolCatalog
from innkeeper.views.catalog import Cluster

Key = TypeVar("Key")
Value = TypeVar("Value")

_MOST_KEPT = 256  # selectors: guests write them, so there may be any number
_ELSEWHERE = ""
"""Stands for the clusters that no pool names. No Cluster is called so: only pools that serve all clusters serve it."""


@dataclass(frozen=True)
class Labelled:
    """The pools that a selector chooses, by name, and where they serve."""

    names: tuple[str, ...]
    by_cluster: Mapping[str, tuple[str, ...]]  # who serves a cluster, of those that any pool names
    elsewhere: tuple[str, ...]  # who serves all clusters
    clusters: frozenset[str] | None  # where any of them serves; None: everywhere

    def at(self, cluster: str) -> tuple[str, ...]:
        """Return the pools that serve a cluster, by name."""
        return self.by_cluster.get(cluster, self.elsewhere)


class ServedClusters:
    """Answers from memory."""

    def __init__(self, catalog: PoolCatalog, clusters: Mapping[str, Cluster]) -> None:
        self._catalog = catalog
        self._clusters = clusters
        self._labels: dict[str, dict[str, str]] = {}
        self._of_selector: dict[Selector, frozenset[str]] = {}
        self._of_pool: dict[str, frozenset[str] | None] = {}
        self._labelled: dict[Selector, Labelled] = {}
        self._serving: dict[tuple[Selector, frozenset[str]], tuple[str, ...]] = {}
        self._parts: dict[tuple[tuple[Selector, ...], frozenset[str] | None], tuple[frozenset[str], ...]] = {}

    def forget(self) -> None:
        """Pools changed, or the labels of Clusters that pools choose; work it out anew when somebody asks."""
        labels = {name: each.metadata.labels for name, each in self._clusters.items()}
        if labels != self._labels:
            self._labels = labels
            self._of_selector.clear()
        for table in (self._of_pool, self._labelled, self._serving, self._parts):
            table.clear()

    def of(self, name: str) -> frozenset[str] | None:
        """Return the clusters that a pool serves; None where it serves all, or where there is no such pool."""
        view = self._catalog.view(name)
        if view is None:
            return None
        if name not in self._of_pool:
            by_labels = view.spec.cluster_selector
            named = frozenset(view.spec.clusters or ()) or None
            self._of_pool[name] = named if by_labels is None else self._chosen_by(Selector.of(by_labels))
        return self._of_pool[name]

    def by_all(self, names: Iterable[str]) -> frozenset[str] | None:
        """Return the clusters that all these pools serve; None where they serve all."""
        found: frozenset[str] | None = None
        for name in names:
            found = both(found, self.of(name))
        return found

    def labelled(self, selector: Selector) -> Labelled:
        """Return the pools with such labels."""
        known = self._labelled.get(selector)
        return known or _keep(self._labelled, selector, self._read(selector))

    def serving(self, selector: Selector, within: frozenset[str] | None) -> tuple[str, ...]:
        """Return the pools with such labels that serve any of some clusters (None: all), by name."""
        labelled = self.labelled(selector)
        if within is None:
            return labelled.names
        if len(within) == 1:
            return labelled.at(*within)
        known = self._serving.get((selector, within))
        if known is not None:
            return known
        found = tuple(name for name in labelled.names if (of := self.of(name)) is None or of & within)
        return _keep(self._serving, (selector, within), found)

    def parts(
        self, selectors: tuple[Selector, ...], within: frozenset[str] | None
    ) -> tuple[frozenset[str], ...]:
        """Return one cluster of each set of clusters that the same pools serve, of those that selectors choose."""
        known = self._parts.get((selectors, within))
        if known is not None:
            return known
        labelled = [self.labelled(each) for each in selectors]
        reached = within
        if reached is None:
            reached = frozenset((_ELSEWHERE, *(cluster for each in labelled for cluster in each.by_cluster)))
        parts: dict[tuple[tuple[str, ...], ...], str] = {}
        for cluster in sorted(reached):
            parts.setdefault(tuple(each.at(cluster) for each in labelled), cluster)
        found = tuple(frozenset({cluster}) for serving, cluster in parts.items() if all(serving))
        return _keep(self._parts, (selectors, within), found)

    def _chosen_by(self, selector: Selector) -> frozenset[str]:
        """Return the Clusters that a pool chooses by their labels: few pools change when Clusters do not."""
        known = self._of_selector.get(selector)
        if known is not None:
            return known
        found = frozenset(name for name, labels in self._labels.items() if selector.matches(labels))
        return _keep(self._of_selector, selector, found)

    def _read(self, selector: Selector) -> Labelled:
        views = ((name, self._catalog.view(name)) for name in self._catalog)
        names = tuple(
            name for name, view in views if view is not None and selector.matches(view.metadata.labels)
        )
        elsewhere = tuple(name for name in names if self.of(name) is None)
        serving: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            for cluster in self.of(name) or ():
                serving[cluster].append(name)
        return Labelled(
            names=names,
            by_cluster={cluster: tuple(sorted((*each, *elsewhere))) for cluster, each in serving.items()},
            elsewhere=elsewhere,
            clusters=None if elsewhere else frozenset(serving),
        )


def both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """Return the clusters that are in both sets, where None stands for all."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _keep(table: dict[Key, Value], key: Key, value: Value) -> Value:
    if len(table) >= _MOST_KEPT:
        table.clear()
    table[key] = value
    return value
