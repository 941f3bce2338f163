"""What Guests may ask of placement, and what the API server refuses, in Guests, Hosts and Clusters."""

from typing import Any

from tests.integration.api.objects import good

WEB = {"matchLabels": {"app": "web"}}


def placed(**placement: Any) -> dict[str, Any]:
    return good("Guest", placement=placement)


def expressed(operator: str, *values: str, key: str = "disk") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


EVERY_WISH = {
    "cluster": "lab",
    "clusterSelector": expressed("DoesNotExist"),
    "hostSelector": {"matchLabels": {"example.com/rack": ""}, **expressed("NotIn", "hdd", "")},
    "tolerations": [{"operator": "Exists"}, {"key": "gpu", "value": "a100", "effect": "NoSchedule"}],
    "affinity": {"required": [{"selector": WEB, "topologyKey": "zone"}]},
    "antiAffinity": {"required": [{"selector": WEB}], "preferred": [{"selector": WEB, "weight": 100}]},
    "spread": [
        {"selector": WEB, "topologyKey": "zone", "maxSkew": 2},
        {"selector": WEB, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
    ],
}

LONG_PREFIX = f"{'p' * 240}.example"
FULL_SELECTOR = {
    "matchLabels": {f"{LONG_PREFIX}/{number:063}": "v" * 63 for number in range(16)},
    "matchExpressions": [
        {
            "key": f"{LONG_PREFIX}/{number:063}",
            "operator": "In",
            "values": [f"{each:063}" for each in range(16)],
        }
        for number in range(16)
    ],
}
FULL_TERM = {"selector": FULL_SELECTOR, "topologyKey": f"{LONG_PREFIX}/zone"}
FULL_AFFINITY = {"required": [FULL_TERM] * 8, "preferred": [{**FULL_TERM, "weight": 100}] * 8}
LARGEST = {
    "cluster": "c" * 253,
    "clusterSelector": FULL_SELECTOR,
    "hostSelector": FULL_SELECTOR,
    "tolerations": [
        {"key": f"{LONG_PREFIX}/{number:063}", "value": "v" * 63, "effect": "NoSchedule"}
        for number in range(16)
    ],
    "affinity": FULL_AFFINITY,
    "antiAffinity": FULL_AFFINITY,
    "spread": [
        {"selector": FULL_SELECTOR, "topologyKey": f"zone-{number}", "maxSkew": 1000} for number in range(4)
    ],
}


REFUSED_PLACEMENTS: list[tuple[dict[str, Any], str]] = [
    (good("Guest", placement={}), "set at least one field of placement, or leave placement out"),
    (
        good("Guest", placement={"hostSelector": {"matchLabels": {}}}),
        "an empty selector would select everything",
    ),
    (good("Guest", placement={"clusterSelector": {}}), "an empty selector would select everything"),
    (
        placed(hostSelector={"matchLabels": {"a rack": "7"}}),
        "a key of matchLabels is no label: write NAME or PREFIX/NAME",
    ),
    (
        placed(antiAffinity={"required": [{"selector": {"matchLabels": {"/x": "7"}}}]}),
        "a key of matchLabels is no label",
    ),
    (placed(affinity={"required": [{"selector": {}}]}), "an empty selector would select everything"),
    (placed(spread=[{"selector": {}, "topologyKey": "zone"}]), "an empty selector would select everything"),
    (placed(tolerations=[{"key": "a b"}]), "spec.placement.tolerations[0].key in body should match"),
    (placed(tolerations=[{"key": "gpu"}] * 17), "tolerations: Too many: 17: must have at most 16 items"),
    (
        placed(hostSelector={"matchLabels": {f"key-{number}": "" for number in range(17)}}),
        "matchLabels: Too many: 17: must have at most 16 items",
    ),
    (placed(hostSelector=expressed("In", *map(str, range(17)))), "values: Too many: 17"),
    (placed(hostSelector=expressed("In")), "In and NotIn need values; Exists and DoesNotExist take none"),
    (
        placed(hostSelector=expressed("Exists", "x")),
        "In and NotIn need values; Exists and DoesNotExist take none",
    ),
    (placed(hostSelector=expressed("Gt", "1")), 'operator: Unsupported value: "Gt"'),
    (placed(hostSelector=expressed("In", key="a b")), "matchExpressions[0].key in body should match"),
    (
        placed(tolerations=[{"operator": "Equal", "value": "x"}]),
        "a toleration without a key tolerates every taint",
    ),
    (
        placed(tolerations=[{"key": "gpu", "operator": "Exists", "value": "x"}]),
        "operator Exists takes any value",
    ),
    (placed(tolerations=[{"key": "gpu", "effect": "NoExecute"}]), 'effect: Unsupported value: "NoExecute"'),
    (placed(affinity={}), "set required or preferred, or leave it out"),
    (placed(antiAffinity={"required": []}), "set required or preferred, or leave it out"),
    (
        placed(antiAffinity={"preferred": [{"selector": WEB, "weight": 0}]}),
        "weight in body should be greater than",
    ),
    (placed(spread=[{"selector": WEB}]), "spec.placement.spread[0].topologyKey: Required value"),
    (
        placed(spread=[{"selector": WEB, "topologyKey": "zone", "maxSkew": 0}]),
        "maxSkew in body should be greater",
    ),
    (
        placed(spread=[{"selector": WEB, "topologyKey": "zone"}] * 2),
        "spec.placement.spread[1]: Duplicate value",
    ),
    (good("Guest", priority=-1_000_001), "spec.priority in body should be greater than or equal to -1000000"),
    (good("Guest", priority=1_000_001), "spec.priority in body should be less than or equal to 1000000"),
    (good("Host", taints=[{"key": "", "effect": "NoSchedule"}]), "spec.taints[0].key in body should"),
    (good("Host", taints=[{"key": "gpu", "effect": "NoExecute"}]), 'effect: Unsupported value: "NoExecute"'),
    (
        good("Host", taints=[{"key": "gpu", "value": "a b", "effect": "NoSchedule"}]),
        "spec.taints[0].value in body should match",
    ),
    (good("Host", taints=[{"key": "gpu"}]), "spec.taints[0].effect: Required value"),
    (good("Host", taints=[{"key": "gpu", "effect": "NoSchedule"}] * 2), "spec.taints[1]: Duplicate value"),
    (good("Cluster", scheduling={"strategy": "Random"}), 'strategy: Unsupported value: "Random"'),
]
