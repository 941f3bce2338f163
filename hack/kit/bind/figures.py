"""The results of all repeats as a table for people and as one JSON object."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kit import steps
from kit.bind.contest import Result

OURS, OURS_WITH_ADDRESSES, PEER = "innkeeper", "innkeeper, addresses claimed too", "kube-scheduler"
FLOOR = "our two writes, bare"


@dataclass
class Runs:
    """All repeats at one number of hosts."""

    hosts: int
    results: dict[str, list[Result]] = field(default_factory=dict)

    def add(self, who: str, result: Result) -> None:
        """Note one repeat."""
        self.results.setdefault(who, []).append(result)
        steps.say(f"    {self.hosts} hosts, {who}: {result.per_s:.0f} a second")

    def show(self) -> None:
        """Print the table."""
        steps.say(f"\n{self.hosts} hosts: medians of {len(next(iter(self.results.values())))}, least to most")
        head = ("", "binds/s", "spread", "from start", "own ms", "API server ms", "etcd ms")
        steps.say("{:34} {:>8} {:>13} {:>10} {:>7} {:>14} {:>8}".format(*head))
        for who, results in self.results.items():
            rates = [each.per_s for each in results]
            steps.say(
                f"{who:34} {statistics.median(rates):8.0f} {min(rates):6.0f}-{max(rates):<6.0f} "
                f"{_median(results, lambda each: each.per_s_from_start):10.0f} {self._cpu(who, 'scheduler'):7.2f} "
                f"{self._cpu(who, 'kube-apiserver'):14.2f} {self._cpu(who, 'etcd'):8.2f}"
            )

    def document(self) -> dict[str, Any]:
        """Return the figures for the last line."""
        named = {"": OURS, "peer_": PEER}
        found: dict[str, Any] = {}
        for prefix, who in named.items():
            results = self.results[who]
            found[f"{prefix}binds_per_s"] = round(_median(results, lambda each: each.per_s), 1)
            found[f"{prefix}binds_per_s_from_start"] = round(
                _median(results, lambda each: each.per_s_from_start), 1
            )
            found[f"{prefix}cpu_ms_per_bind"] = round(self._cpu(who, "scheduler"), 3)
            found[f"{prefix}api_cpu_ms_per_bind"] = round(self._cpu(who, "kube-apiserver"), 3)
            found[f"{prefix}etcd_cpu_ms_per_bind"] = round(self._cpu(who, "etcd"), 3)
        claimed = self.results.get(OURS_WITH_ADDRESSES)
        if claimed:
            found["with_addresses_binds_per_s"] = round(_median(claimed, lambda each: each.per_s), 1)
            found["with_addresses_cpu_ms_per_bind"] = round(self._cpu(OURS_WITH_ADDRESSES, "scheduler"), 3)
            found["with_addresses_api_cpu_ms_per_bind"] = round(
                self._cpu(OURS_WITH_ADDRESSES, "kube-apiserver"), 3
            )
        found["bare_writes_api_cpu_ms"] = round(self._cpu(FLOOR, "kube-apiserver"), 3)
        return found

    def _cpu(self, who: str, process: str) -> float:
        """Return milliseconds a bind; of the bare writes' own writer nothing is known."""
        return _median(self.results[who], lambda each: each.cpu_ms.get(process, 0.0))


def _median(results: Sequence[Result], read: Callable[[Result], float]) -> float:
    return statistics.median(read(each) for each in results)
