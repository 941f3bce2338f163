"""A guest may name labels that its host must carry."""

from innkeeper.domain.scheduling.facts import HostFacts, Request
from innkeeper.domain.scheduling.rules.rule import Rule


def _carries(request: Request, host: HostFacts) -> bool:
    return all(host.labels.get(key) == value for key, value in request.host_labels.items())


RULE = Rule("hostSelector", _carries, "without the labels of hostSelector")
