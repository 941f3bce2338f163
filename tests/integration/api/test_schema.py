"""What the API server refuses by the CRDs alone, with the message that a person reads, and what it fills in."""

from collections.abc import Iterator
from typing import Any

import pytest

from innkeeper.api import crdgen, v1alpha1
from innkeeper.api.model import Kind
from tests.integration.api.conftest import Server
from tests.integration.api.network_cases import GOOD_NETWORKS, REFUSED_NETWORKS
from tests.integration.api.objects import (
    DIGEST,
    DUAL_STACK,
    KEY,
    LONG_DIGEST,
    OPERATOR,
    V6_NAME,
    good,
    v6_pool,
)
from tests.integration.api.operation_cases import CHANGED_OPERATIONS, GOOD_OPERATIONS, REFUSED_OPERATIONS
from tests.integration.api.placement_cases import EVERY_WISH, LARGEST, REFUSED_PLACEMENTS, placed

pytestmark = pytest.mark.control_plane

KINDS = [kind.__name__ for kind in v1alpha1.KINDS]
SIZE = {"cpu": "500m", "memory": "1Gi", "disk": "10Gi"}
ANOTHER_KEY = KEY.replace("someone", "another")


def who_may(body: dict[str, Any]) -> str | None:
    return OPERATOR if body["kind"] in ("IPAddress", "Assignment") else None


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_object_is_admitted(server: Server, kind: str) -> None:
    body = good(kind)
    answer = server.create(body, user=who_may(body))
    assert answer.status == 201, answer.message


GOOD = [
    good("Guest", "a" * 63),
    good("Guest", drop="flavor", resources=SIZE),
    good("Guest", drop="flavor", resources={"cpu": "1.5", "memory": "1500M", "disk": "0.5Ti"}),
    good("Guest", userData={"secretName": "web-user-data"}),
    good(
        "Guest", drop="userData", sshKeys=[KEY, KEY.replace("ssh-ed25519", "ssh-rsa").partition(" some")[0]]
    ),
    good("Guest", image={"name": "debian-12", "namespace": "images"}, placement={"cluster": "lab"}),
    good("Guest", userData={"inline": "ü" * 65536}),
    good("Guest", placement=EVERY_WISH, priority=-1_000_000),
    placed(**LARGEST),
    good("Guest", readinessProbe={"tcp": {"port": 22}, "initialDelaySeconds": 5, "failureThreshold": 1}),
    good("Guest", readinessProbe={"guestAgent": {}}),
    *GOOD_OPERATIONS,
    good("Cluster", scheduling={"strategy": "Pack"}),
    good("Cluster", network={"bridge": "br0", "vlan": 5, "mtu": 9000}),
    good("Cluster", network={"managed": {}}),
    good("Cluster", network={"managed": {"bridge": "guests0", "nat": True}}),
    good("Cluster", network={"managed": {"uplink": "eth1"}}),
    good("IPPool", vlan=4094),
    good("Host", maintenance=True, taints=[{"key": "gpu", "value": "a100", "effect": "PreferNoSchedule"}]),
    good("Image", source={"directory": {"path": "debian/12..1/disk.qcow2"}}),
    good("Image", digest=LONG_DIGEST),
    *(good("Image", compression=each) for each in ("Gzip", "Xz", "Zstd")),
    good(
        "Image",
        source={"http": {"url": "https://a.test/x", "mirrors": ["https://b.test/x", "http://c.test/y"]}},
    ),
    good("Host", "h" * 58),
    good("Host", lost="burnt", overcommit={"cpuPercent": 400}),
    good("IPPool", drop="ranges", cidr="10.0.0.0/8", gateway="10.255.255.255", exclude=[]),
    good(
        "IPPool",
        ranges=[{"start": "10.7.0.9", "end": "10.7.0.9"}, {"start": "10.7.0.99", "end": "10.7.0.100"}],
    ),
    v6_pool(),
    v6_pool(
        gateway="2001:db8::1",
        reservations=[{"address": "2001:db8::5", "owner": "default/web", "reason": "r"}],
    ),
    good("IPPool", drop="clusters", clusterSelector={"matchLabels": {"net": "a"}}),
    good("IPPool", searchDomains=["lab.example"], mtu=9000, order="Lowest", maxPerNamespace=5),
    good("IPAddress", V6_NAME, address="2001:db8::7"),
    good("Guest", interfaces=DUAL_STACK),
    *GOOD_NETWORKS,
    good("IPPool", quarantine="1h30m", exclude=["10.7.0.0/28", "10.7.0.200"]),
    good("IPAddress", drop="owner", releasedAt="2026-01-02T03:04:05.678901Z"),
    good("Assignment", drop="addresses", desired="Destroyed", imageDigest=""),
    good("Assignment", imageDigest=LONG_DIGEST),
]


@pytest.mark.parametrize("body", GOOD, ids=lambda body: str(body["kind"]))
def test_variants_are_admitted(server: Server, body: dict[str, Any]) -> None:
    answer = server.create(body, user=who_may(body))
    assert answer.status == 201, answer.message


REFUSED: list[tuple[dict[str, Any], str]] = [
    # Guest
    (good("Guest", "web.example"), "a Guest's name serves as its hostname: take at most 63 of a-z"),
    (good("Guest", "a" * 64), "a Guest's name serves as its hostname: take at most 63 of a-z"),
    (good("Guest", resources=SIZE), "set exactly one of flavor and resources"),
    (good("Guest", drop="flavor"), "set exactly one of flavor and resources"),
    (
        good("Guest", drop="flavor", resources=SIZE | {"cpu": "0"}),
        "cpu must be more than 0, for example '500m'",
    ),
    (good("Guest", drop="flavor", resources=SIZE | {"memory": "0Gi"}), "memory must be more than 0"),
    (good("Guest", drop="flavor", resources=SIZE | {"disk": "0.0"}), "disk must be more than 0"),
    (
        good("Guest", drop="flavor", resources=SIZE | {"memory": "8 GB"}),
        "spec.resources.memory in body should match",
    ),
    (good("Guest", drop="flavor", resources=SIZE | {"cpu": "-1"}), "spec.resources.cpu in body should match"),
    (
        good("Guest", drop="flavor", resources=SIZE | {"cpu": 2}),
        "spec.resources.cpu in body must be of type string",
    ),
    (
        good("Guest", drop="flavor", resources=SIZE | {"disk": "9999P"}),
        "an amount of bytes must be at most 1Ei",
    ),
    (good("Guest", userData={}), "set exactly one of inline and secretName"),
    (good("Guest", userData={"inline": "a", "secretName": "b"}), "set exactly one of inline and secretName"),
    (
        good("Guest", userData={"inline": "a" * 65537}),
        "spec.userData.inline: Too long: may not be more than 65536",
    ),
    *REFUSED_NETWORKS,
    *REFUSED_PLACEMENTS,
    (
        good("Guest", placement={"hostSelector": {"matchLabels": {"a": "b c"}}}),
        "matchLabels.a in body should match",
    ),
    (good("Guest", sshKeys=["ssh-ed25519"]), "spec.sshKeys[0] in body should match"),
    (good("Guest", sshKeys=[f"{KEY}\n{ANOTHER_KEY}"]), "spec.sshKeys[0] in body should match"),
    (good("Guest", sshKeys=['command="x" ' + KEY]), "spec.sshKeys[0] in body should match"),
    (good("Guest", sshKeys=[KEY, KEY]), "spec.sshKeys[1]: Duplicate value"),
    (good("Guest", sshKeys=[f"{KEY}{index}" for index in range(17)]), "spec.sshKeys: Too many: 17"),
    (good("Guest", sshKeys=[KEY + "a" * 4096]), "spec.sshKeys[0]: Too long"),
    (good("Guest", hostname="Web_1"), "spec.hostname in body should match"),
    (
        good("Guest", power="On"),
        'spec.power: Unsupported value: "On": supported values: "Running", "Stopped"',
    ),
    (good("Guest", restartPolicy="Maybe"), 'spec.restartPolicy: Unsupported value: "Maybe"'),
    (good("Guest", drop="image"), "spec.image: Required value"),
    (good("Guest", image={"name": "../x"}), "spec.image.name in body should match"),
    # A field that does nothing is refused, not ignored.
    (good("Guest", tolerations=[]), 'unknown field "spec.tolerations"'),
    *REFUSED_OPERATIONS,
    # Image
    (good("Image", source={}), "set exactly one of http and directory"),
    (
        good("Image", source={"http": {"url": "https://a.example/"}, "directory": {"path": "a"}}),
        "set exactly one of http and directory",
    ),
    (
        good("Image", source={"http": {"url": "ftp://a.example/b"}}),
        "spec.source.http.url in body should match",
    ),
    (
        good("Image", source={"http": {"url": "https://a.example/b c"}}),
        "spec.source.http.url in body should match",
    ),
    (
        good("Image", source={"directory": {"path": "/etc/shadow"}}),
        "path must be relative to the image server's",
    ),
    (
        good("Image", source={"directory": {"path": "a/../../b"}}),
        "path must be relative to the image server's",
    ),
    (good("Image", source={"directory": {"path": ".."}}), "path must be relative to the image server's"),
    (good("Image", source={"directory": {"path": "a//b"}}), "path must be relative to the image server's"),
    (good("Image", digest="sha256:abc"), "spec.digest in body should match"),
    (good("Image", digest=DIGEST.upper()), "spec.digest in body should match"),
    (good("Image", digest=f"sha512:{'a' * 64}"), "spec.digest in body should match"),
    (good("Image", digest=f"sha256:{'a' * 128}"), "spec.digest in body should match"),
    (good("Image", digest=f"md5:{'a' * 32}"), "spec.digest in body should match"),
    (good("Image", digest=f"{LONG_DIGEST}a"), "spec.digest: Too long: may not be more than 135"),
    (good("Image", drop="digest"), "spec.digest: Required value"),
    (good("Image", format="vmdk"), 'spec.format: Unsupported value: "vmdk"'),
    (good("Image", compression="Bzip2"), 'spec.compression: Unsupported value: "Bzip2"'),
    (
        good(
            "Image", compression="Xz", manifest={"url": "https://a.example/m", "digest": f"sha256:{'c' * 64}"}
        ),
        "a manifest is for images that are read in parts, and a compressed one is not: leave manifest out",
    ),
    # Flavor
    (good("Flavor", cpu="0m"), "cpu must be more than 0"),
    (good("Flavor", memory="0"), "memory must be more than 0"),
    (good("Flavor", disk="0Gi"), "disk must be more than 0"),
    (good("Flavor", memory="2Ei"), "an amount of bytes must be at most 1Ei"),
    (good("Flavor", memory="lots"), "spec.memory in body should match"),
    (good("Flavor", drop="disk"), "spec.disk: Required value"),
    # Host
    (good("Host", "h" * 59), "a Host's name becomes part of its namespace: take at most 58 of a-z"),
    (good("Host", "rack1.host2"), "a Host's name becomes part of its namespace: take at most 58 of a-z"),
    (good("Host", lost=""), "spec.lost in body should be at least 1 chars long"),
    (good("Host", overcommit={"cpuPercent": 0}), "spec.overcommit.cpuPercent in body should be greater than"),
    (good("Host", reserved={"memory": "-1Gi"}), "spec.reserved.memory in body should match"),
    (good("Host", reserved={"disk": "9999999999Ti"}), "an amount of bytes must be at most 1Ei"),
    (good("Host", drop="cluster"), "spec.cluster: Required value"),
    # Cluster
    (
        good("Cluster", network={"bridge": "a-name-too-long-"}),
        "spec.network.bridge: Too long: may not be more than 15",
    ),
    (good("Cluster", network={"bridge": "br0; reboot"}), "spec.network.bridge in body should match"),
    (good("Cluster", network={}), "set exactly one of bridge and managed"),
    (good("Cluster", network={"bridge": "br0", "managed": {}}), "set exactly one of bridge and managed"),
    (good("Cluster", network={"managed": {"uplink": "eth1", "nat": True}}), "take uplink, for one network"),
    (
        good("Cluster", network={"bridge": "br0", "vlan": 4095}),
        "spec.network.vlan in body should be less than",
    ),
    (good("HostAgent", network={}), "set exactly one of bridge and managed"),
    (good("HostAgent", network={"managed": {"uplink": "eth1", "nat": True}}), "take uplink, for one network"),
    (good("Guest", readinessProbe={}), "set exactly one of ping, tcp and guestAgent"),
    (good("Guest", readinessProbe={"ping": {}, "tcp": {"port": 22}}), "set exactly one of ping, tcp"),
    (good("Guest", readinessProbe={"tcp": {"port": 0}}), "port in body should be greater than or equal to 1"),
    (
        good("Guest", readinessProbe={"ping": {}, "periodSeconds": 0}),
        "periodSeconds in body should be greater",
    ),
    # What the operator writes
    (
        good("IPAddress", V6_NAME, address="2001:db8::8"),
        "an IPAddress's name must be <address space>.<address>",
    ),
    (
        good("IPAddress", "default.2001-db8--7", address="2001:db8::7"),
        "an IPAddress's name must be <address space>.<address>, IPv6 in full with - for :",
    ),
    (good("IPAddress", "default.10.7.0.11"), "an IPAddress's name must be <address space>.<address>"),
    (good("Assignment", "web"), "an Assignment's name must be the Guest ID in spec.guestId"),
    (good("Assignment", desired="Gone"), 'spec.desired: Unsupported value: "Gone"'),
    (good("HostAgent", "agent"), "a HostAgent's name must be 'host'"),
    (good("HostAgent", reserved={"disk": "9999999999Ti"}), "an amount of bytes must be at most 1Ei"),
    (
        good("HostAgent", orderKeys=[{"id": "x", "publicKey": "y"}]),
        "spec.orderKeys[0].id in body should match",
    ),
]


@pytest.mark.parametrize(("body", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_is_refused(server: Server, body: dict[str, Any], message: str) -> None:
    answer = server.create(body, user=who_may(body))
    assert answer.status in (400, 422), answer.body
    assert message in answer.message


AGAIN = "immutable: delete the Guest and create it again"
CHANGES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    *CHANGED_OPERATIONS,
    (good("Guest"), {"image": {"name": "other"}}, f"spec.image: Invalid value: image is {AGAIN}"),
    (good("Guest"), {"flavor": "big"}, f"flavor is {AGAIN}"),
    (good("Guest"), {"flavor": None, "resources": SIZE}, f"resources is {AGAIN}"),
    (good("Guest"), {"interfaces": [{"pool": "other"}]}, f"interfaces is {AGAIN}"),
    (good("Guest"), {"placement": {"cluster": "other"}}, f"placement is {AGAIN}"),
    (good("Guest"), {"placement": None}, f"placement is {AGAIN}"),
    (good("Guest"), {"priority": 5}, f"priority is {AGAIN}"),
    (placed(**EVERY_WISH), {"placement": {"spread": None}}, f"placement is {AGAIN}"),
    (good("Guest"), {"sshKeys": [KEY, ANOTHER_KEY]}, f"sshKeys is {AGAIN}"),
    (good("Guest"), {"userData": {"inline": "other"}}, f"userData is {AGAIN}"),
    (good("Guest"), {"hostname": None}, f"hostname is {AGAIN}"),
    (good("Guest", drop="hostname"), {"hostname": "web"}, f"hostname is {AGAIN}"),
    (
        good("Image"),
        {"source": {"http": {"url": "https://a.example/"}}},
        "source is immutable: create another Image",
    ),
    (
        good("Image", source={"http": {"url": "https://a.example/", "secretRef": {"name": "store"}}}),
        {"source": {"http": {"secretRef": {"name": "other"}}}},
        "source is immutable: create another Image",
    ),
    (good("Image"), {"format": "raw"}, "format is immutable: create another Image under another name"),
    (good("Image"), {"digest": f"sha256:{'b' * 64}"}, "digest is immutable: create another Image"),
    (good("Image"), {"digest": LONG_DIGEST}, "digest is immutable: create another Image"),
    (good("Image"), {"compression": "Xz"}, "compression is immutable: create another Image"),
    (good("Image", compression="Gzip"), {"compression": None}, "compression is immutable: create another"),
    (
        good("Image"),
        {"manifest": {"url": "https://images.example.com/m.json", "digest": f"sha256:{'c' * 64}"}},
        "manifest is immutable: create another Image",
    ),
    (good("Guest"), {"storage": "Copy"}, f"storage is {AGAIN}"),
    (good("Flavor"), {"cpu": "1"}, "cpu is immutable: create another Flavor under another name"),
    (good("Flavor"), {"memory": "2Gi"}, "memory is immutable: create another Flavor"),
    (good("Flavor"), {"disk": "20Gi"}, "disk is immutable: create another Flavor"),
    (good("Host"), {"cluster": "other"}, "cluster is immutable: its guests have addresses of that network"),
    (
        good("Host", lost="burnt"),
        {"lost": None},
        "lost cannot be cleared: what the host held may run elsewhere",
    ),
    (
        good("IPPool"),
        {"cidr": "10.7.0.0/23"},
        "cidr is immutable: guests hold addresses of it; create another IPPool",
    ),
    (good("IPPool"), {"vlan": 5}, "vlan is immutable: guests hold addresses of it"),
    (good("IPPool"), {"addressSpace": "other"}, "addressSpace is immutable: guests hold addresses of it"),
    (good("IPAddress"), {"pool": "other"}, "pool is immutable: delete the IPAddress"),
    (good("IPAddress"), {"address": "10.7.0.11"}, "address is immutable: delete the IPAddress"),
    (good("IPAddress"), {"addressSpace": "other"}, "addressSpace is immutable: delete the IPAddress"),
    (
        good("Assignment"),
        {"guest": {"name": "other"}},
        "guest is immutable: another guest has another Assignment",
    ),
    (good("Assignment"), {"guestId": "other"}, "guestId is immutable: another guest has another Assignment"),
    (good("Assignment"), {"serial": 2}, "an order never takes the place of a later one"),
    (good("Assignment"), {"epoch": 1, "serial": 9}, "an order never takes the place of a later one"),
]


@pytest.mark.parametrize(
    ("body", "change", "message"), CHANGES, ids=[f"{row[0]['kind']}-{row[2][:40]}" for row in CHANGES]
)
def test_change_is_refused(
    server: Server, body: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    server.stored(body)
    answer = server.patch(body, {"spec": change}, user=who_may(body))
    server.discard(body)
    assert answer.status == 422, answer.body
    assert message in answer.message


def messages(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the message of each rule in a schema."""
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
    for field in schema.get("properties", {}).values():
        yield from messages(field)
    if "items" in schema:
        yield from messages(schema["items"])


@pytest.mark.parametrize("kind", v1alpha1.KINDS, ids=lambda kind: str(kind.__name__))
def test_no_rule_is_left_out_above(kind: type[Kind]) -> None:
    rows = [*REFUSED, *((body, message) for body, _, message in CHANGES)]
    seen = [text.rpartition("Invalid value: ")[2] for body, text in rows if body["kind"] == kind.__name__]
    unseen = {rule for rule in messages(crdgen.root_schema(kind)) if not any(text in rule for text in seen)}
    assert unseen == set()


ALLOWED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (good("Guest"), {"power": "Stopped"}),
    (good("Guest"), {"restartPolicy": "Never"}),
    (good("Guest"), {"readinessProbe": {"ping": {}}}),
    (good("Cluster"), {"network": {"bridge": None, "managed": {"nat": True}}}),
    (placed(**LARGEST), {"power": "Stopped"}),
    (good("Image"), {"shared": True}),
    (good("Host"), {"unschedulable": True, "lost": "burnt", "overcommit": {"cpuPercent": 200}}),
    (good("Host", lost="burnt"), {"lost": "burnt to the ground"}),
    (good("Host"), {"maintenance": True, "taints": [{"key": "gpu", "effect": "NoSchedule"}]}),
    (good("Cluster"), {"scheduling": {"strategy": "Pack"}}),
    (good("Cluster"), {"network": {"bridge": "br1"}}),
    (good("IPPool"), {"ranges": None, "clusters": ["lab", "other"], "quarantine": "0s"}),
    (good("IPAddress"), {"owner": None, "releasedAt": "2026-01-02T03:04:05Z"}),
    (good("Assignment"), {"order": "{ }", "desired": "Stopped", "serial": 4}),
    (good("Assignment"), {"epoch": 3, "serial": 0}),
]


@pytest.mark.parametrize(
    ("body", "change"), ALLOWED, ids=[f"{row[0]['kind']}-{','.join(row[1])}" for row in ALLOWED]
)
def test_change_is_admitted(server: Server, body: dict[str, Any], change: dict[str, Any]) -> None:
    server.stored(body)
    answer = server.patch(body, {"spec": change}, user=who_may(body))
    server.discard(body)
    assert answer.status == 200, answer.message


def test_defaults_appear(server: Server) -> None:
    guest = server.create(good("Guest")).body["spec"]
    assert (guest["power"], guest["restartPolicy"], guest["interfaces"][0]["name"]) == (
        "Running",
        "Always",
        "eth0",
    )
    host = server.create(good("Host", reserved={"cpu": "1"})).body["spec"]
    assert host["reserved"] == {"cpu": "1", "memory": "0", "disk": "0"}
    assert host["overcommit"] == {"cpuPercent": 100, "memoryPercent": 100, "diskPercent": 100}
    assert (host["unschedulable"], host["allowEmulation"]) == (False, False)
    pool = server.create(good("IPPool")).body["spec"]
    assert (pool["addressSpace"], pool["quarantine"]) == ("default", "5m")


@pytest.mark.parametrize("kind", ["Guest", "Image", "Host", "Cluster", "IPPool", "Assignment", "HostAgent"])
def test_an_untouched_object_is_never_taken_for_current(server: Server, kind: str) -> None:
    body = good(kind, "host" if kind == "HostAgent" else None)
    try:
        assert server.stored(body)["status"] == {"observedGeneration": -1}
    finally:
        server.discard(body)


def test_a_status_in_a_manifest_is_dropped(server: Server) -> None:
    body = good("Host") | {"status": {"guests": 7}}
    try:
        assert server.stored(body)["status"] == {"observedGeneration": -1}
    finally:
        server.discard(body)
