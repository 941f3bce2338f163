"""What a person sees through kubectl: columns, short names, the category, and a typing error that is refused."""

import json
from typing import Any

import pytest

from tests.integration.api.conftest import Server
from tests.integration.api.objects import DIGEST, OPERATOR, good, path_of
from tests.kit.install import install, run

pytestmark = pytest.mark.control_plane

SIZE = {"cpu": "3500m", "memory": "14Gi", "disk": "90Gi"}


def ready(status: str, reason: str, kind: str = "Ready") -> dict[str, Any]:
    condition = {"type": kind, "status": status, "reason": reason, "message": "So it is."}
    return condition | {"lastTransitionTime": "2026-01-02T03:04:05Z"}


SHORT = {
    "Guest": "gst",
    "GuestOperation": "gop",
    "Host": "hst",
    "IPPool": "ipp",
    "Image": "img",
    "Cluster": "clu",
}
ROWS: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    (
        good("Guest", "web"),
        {
            "host": "a",
            "addresses": [
                {"interface": "eth0", "pool": "lab", "address": "10.7.0.10", "mac": "02:00:00:00:00:01"}
            ],
            "conditions": [ready("True", "Running")],
        },
        [
            "NAME READY POWER HOST IP REASON IMAGE FLAVOR PRIORITY AGE",
            "web True Running a 10.7.0.10 Running debian-12 small",
        ],
    ),
    (
        good("GuestOperation", "again"),
        {"phase": "Failed", "conditions": [ready("False", "GuestStopped")]},
        ["NAME GUEST OPERATION PHASE REASON AGE", "again web Reboot Failed GuestStopped"],
    ),
    (
        good("Host", "a"),
        {
            "schedulable": True,
            "guests": 3,
            "capacity": SIZE,
            "allocatable": SIZE,
            "allocated": SIZE,
            "conditions": [ready("True", "Ready"), ready("True", "GuestsRemain", "Maintenance")],
        },
        [
            "NAME READY SCHEDULABLE CLUSTER GUESTS CPU MEMORY MAINTENANCE AGE",
            "a True true lab 3 3500m 14Gi GuestsRemain",
        ],
    ),
    (
        good("IPPool", "lab"),
        {
            "total": 191,
            "used": 2,
            "free": 188,
            "quarantined": 1,
            "conditions": [ready("True", "Ready"), ready("False", "AddressesFree", "Exhausted")],
        },
        ["NAME CIDR TOTAL USED FREE QUARANTINED READY AGE", "lab 10.7.0.0/24 191 2 188 1 True"],
    ),
    (
        good("Image", "debian-12"),
        {"digest": DIGEST, "size": "178Mi", "progress": "37%", "conditions": [ready("False", "Preparing")]},
        ["NAME READY SIZE PROGRESS FORMAT DIGEST AGE", "debian-12 False 178Mi 37%"],
    ),
    (
        good("Cluster", "lab"),
        {"hosts": 2, "guests": 3, "conditions": [ready("True", "Ready")]},
        ["NAME READY HOSTS GUESTS AGE", "lab True 2 3"],
    ),
]


@pytest.mark.parametrize(("body", "status", "lines"), ROWS, ids=[row[0]["kind"] for row in ROWS])
def test_columns(server: Server, body: dict[str, Any], status: dict[str, Any], lines: list[str]) -> None:
    short = SHORT[body["kind"]]
    server.stored(body)
    try:
        written = server.patch(body, {"status": status}, subresource="/status", user=OPERATOR, dry_run=False)
        assert written.status == 200, written.message
        shown = run(server.kubeconfig, "get", short, body["metadata"]["name"], "--output=wide").stdout
    finally:
        server.discard(body)
    heading, row = (" ".join(line.split()) for line in shown.splitlines())
    assert heading == lines[0]
    assert row.startswith(lines[1])


def test_the_category_lists_every_kind(server: Server) -> None:
    listed = run(server.kubeconfig, "api-resources", "--categories=innkeeper", "--output=name").stdout.split()
    assert sorted(name.partition(".")[0] for name in listed) == [
        "assignments",
        "clusters",
        "flavors",
        "guestoperations",
        "guests",
        "hostagents",
        "hosts",
        "images",
        "ipaddresses",
        "ippools",
    ]


@pytest.mark.parametrize("way", [[], ["--server-side"]], ids=["client-side", "server-side"])
def test_a_typing_error_is_refused_by_kubectl_apply(server: Server, way: list[str]) -> None:
    manifest = json.dumps(good("Guest", "typing-error", sshkeys=["a"]))
    done = run(server.kubeconfig, "apply", *way, "--filename=-", stdin=manifest, check=False)
    assert done.returncode == 1
    assert "spec.sshkeys" in done.stderr


def test_a_pipeline_sees_no_drift(server: Server) -> None:
    """What defaults and policies add is no difference to what was applied."""
    body = good("Guest", "no-drift")
    manifest = json.dumps(body)
    try:
        for _ in range(2):
            run(server.kubeconfig, "apply", "--server-side", "--filename=-", stdin=manifest)
        assert server.request("GET", path_of(body)).body["metadata"]["generation"] == 1
        run(server.kubeconfig, "diff", "--server-side", "--filename=-", stdin=manifest)
    finally:
        server.discard(body)


def test_kubectl_explain_tells_what_a_field_is_for(server: Server) -> None:
    explained = run(server.kubeconfig, "explain", "guest.spec.power").stdout
    assert "A stopped guest keeps its host, disk and addresses." in " ".join(explained.split())


def test_installing_again_changes_nothing(server: Server) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/guests.innkeeper.dev"
    before = server.request("GET", path).body["metadata"]["resourceVersion"]
    install(server.kubeconfig)
    assert server.request("GET", path).body["metadata"]["resourceVersion"] == before
