"""A release of the chart in a real API server, from its installation to its end. No kubelet runs its pods.

Whatever is done to the release, guests, their hosts' namespaces and the CRDs stay. CRDs follow upgrades and rollbacks.
"""

import base64
import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from innkeeper.clock import SystemClock
from innkeeper.hosts.issuing import HostCertificates
from tests.kit import documents
from tests.kit.chart import CHART, NAMESPACE, WITH_AGENTS, HelmError, render, run_helm
from tests.kit.install import CHECKOUT, CRDS, apply, ask_every_kind, run, wait_for_policies
from tests.kit.own_plane import empty_plane
from tests.kit.pipeline_crds import chart_crds
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(600)]

RELEASE = "innkeeper"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:innkeeper-operator"
FOREIGN = {
    "Certificate",
    "PodMonitor",
    "PrometheusRule",
    "ServiceMonitor",
}  # kinds of others that the chart makes
CASES = ("default", "keys-outside", "nodes", "looked after by others")
GOLDEN = Path(__file__).parents[2] / "golden" / "chart"
GUEST = {
    "apiVersion": "innkeeper.dev/v1alpha1",
    "kind": "Guest",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"image": {"name": "debian"}, "flavor": "small", "interfaces": [{"pool": "lab"}]},
}


@pytest.fixture(scope="module")
def plane() -> Iterator[Path]:
    with empty_plane("chart") as (_, state):
        yield Path(state["kubeconfig"])


@pytest.fixture
def cluster(plane: Path) -> Iterator[Path]:
    """The control plane without a release. What an earlier one left may lie there: the next one takes it over."""
    yield plane
    as_operator = (f"--as={OPERATOR}", "--as-group=system:masters")  # its own rights go with the release
    run(plane, "delete", "guest", "web", "--wait=false", check=False)
    run(plane, "patch", "guest", "web", "--type=merge", *as_operator, *NO_FINALIZERS, check=False)
    if has_release(plane):
        helm(plane, "uninstall", RELEASE)
    # Nothing here looks after volumes.
    volume = ("pvc", "innkeeper-images", f"--namespace={NAMESPACE}")
    run(plane, "patch", *volume, "--type=merge", *NO_FINALIZERS, check=False)


NO_FINALIZERS = ("--patch", json.dumps({"metadata": {"finalizers": None}}))
KEPT = (
    "crd",
    "mutatingadmissionpolicy",
    "mutatingadmissionpolicybinding",
    "validatingadmissionpolicy",
    "validatingadmissionpolicybinding",
)


def clear(plane: Path) -> None:
    """Remove what releases left."""
    if run(plane, "get", "crd", "--output=name").stdout:
        ask_every_kind(plane)
    ours = ("--selector=app.kubernetes.io/name=innkeeper", "--timeout=60s")
    run(plane, "delete", ",".join(KEPT), *ours)


def helm(plane: Path, verb: str, *words: str | Path) -> str:
    return run_helm(verb, *words, "--namespace", NAMESPACE, kubeconfig=plane)


def install(plane: Path, *words: str | Path, chart: Path = CHART) -> None:
    helm(plane, "install", RELEASE, chart, "--create-namespace", *words)


def has_release(plane: Path) -> bool:
    return RELEASE in helm(plane, "list", "--all", "--short").split()


def get(plane: Path, kind: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run(plane, "get", kind, name, f"--namespace={namespace}", "--output=json").stdout
    )
    return found


async def made_guest(plane: Path) -> str:
    """Make a Guest, and return its uid. Admission knows a new kind only some time after its CRD is established."""

    def is_taken() -> bool:
        applied = run(plane, "apply", "--filename=-", stdin=json.dumps(GUEST), check=False)
        assert applied.returncode == 0, applied.stderr
        return True

    await eventually(is_taken, deadline_s=60)
    return guest_uid(plane)


def guest_uid(plane: Path) -> str:
    return str(get(plane, "guest", "web", "default")["metadata"]["uid"])


def next_chart(directory: Path) -> Path:
    """Return a later version of the chart, whose Guest has one more column."""
    chart = directory / "innkeeper"
    shutil.copytree(CHART, chart)
    crd = chart / "files" / "crds" / "innkeeper.dev_guests.yaml"
    document = yaml.safe_load(crd.read_text())
    column = {"name": "Later", "type": "string", "jsonPath": ".metadata.name"}
    document["spec"]["versions"][0]["additionalPrinterColumns"].append(column)
    crd.write_text(yaml.safe_dump(document))
    about = chart / "Chart.yaml"
    about.write_text(about.read_text().replace("version: 0.1.0", "version: 0.2.0", 1))
    return chart


def columns(plane: Path) -> list[str]:
    crd = get(plane, "crd", "guests.innkeeper.dev")
    return [each["name"] for each in crd["spec"]["versions"][0]["additionalPrinterColumns"]]


async def test_guests_and_crds_outlive_all_that_is_done_to_a_release(cluster: Path, tmp_path: Path) -> None:
    install(cluster)
    uid = await made_guest(cluster)
    run(cluster, "create", "namespace", "host-inn-a")  # as the operator makes it, and so the key
    order_key = ("create", "secret", "generic", "innkeeper-order-key")
    run(cluster, *order_key, f"--namespace={NAMESPACE}", check=False)  # an earlier test may have left it

    helm(cluster, "upgrade", RELEASE, next_chart(tmp_path))
    assert "Later" in columns(cluster)
    assert guest_uid(cluster) == uid

    helm(cluster, "rollback", RELEASE, "1")
    assert "Later" not in columns(cluster)
    assert guest_uid(cluster) == uid

    helm(cluster, "uninstall", RELEASE)
    assert guest_uid(cluster) == uid
    assert "Later" not in columns(cluster)
    for kind, name in (("namespace", "host-inn-a"), ("secret", "innkeeper-order-key")):
        assert "deletionTimestamp" not in get(cluster, kind, name)["metadata"]
    gone = run(cluster, "get", "statefulset,deployment,apiservice/v1alpha1.query.innkeeper.dev", check=False)
    assert "innkeeper" not in gone.stdout

    install(cluster)
    assert guest_uid(cluster) == uid


async def test_objects_are_guarded_also_while_nothing_is_installed(cluster: Path) -> None:
    install(cluster)
    await made_guest(cluster)
    helm(cluster, "uninstall", RELEASE)
    wait_for_policies(cluster)
    run(cluster, "delete", "guest", "web", "--wait=false")
    taken = run(cluster, "patch", "guest", "web", "--type=merge", *NO_FINALIZERS, check=False)
    assert "only the operator removes the finalizer" in taken.stderr


async def test_with_keep_off_the_crds_go_with_the_release(cluster: Path) -> None:
    clear(cluster)
    install(cluster, "--set", "crds.keep=false")
    ask_every_kind(cluster)
    helm(cluster, "uninstall", RELEASE)

    def are_gone() -> bool:
        return (
            "innkeeper.dev"
            not in run(cluster, "get", "crd,validatingadmissionpolicy", "--output=name").stdout
        )

    await eventually(are_gone, deadline_s=60)


async def test_crds_that_are_given_up_by_the_chart_stay(cluster: Path) -> None:
    """Somebody else may take care of them from now on: a pipeline, say."""
    install(cluster)
    uid = await made_guest(cluster)
    helm(cluster, "upgrade", RELEASE, CHART, "--set", "crds.install=false")
    assert guest_uid(cluster) == uid


async def test_crds_that_were_applied_by_hand_are_taken_over(cluster: Path) -> None:
    clear(cluster)
    apply(cluster, CRDS)
    uid = await made_guest(cluster)
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        install(cluster)
    install(cluster, "--take-ownership")
    assert guest_uid(cluster) == uid


def test_a_stream_outlives_its_release(cluster: Path) -> None:
    install(cluster, *WITH_AGENTS)
    before = get(cluster, "daemonset", "innkeeper-stream")["metadata"]["uid"]
    helm(cluster, "uninstall", RELEASE)
    assert get(cluster, "daemonset", "innkeeper-stream")["metadata"]["uid"] == before
    assert get(cluster, "configmap", "innkeeper-images-ca")["data"]["ca.crt"].startswith("-----BEGIN")
    assert run(cluster, "get", "daemonset", f"--namespace={NAMESPACE}", "--output=name").stdout.split() == [
        "daemonset.apps/innkeeper-stream"
    ]


def test_the_image_server_may_be_given_a_volume_later(cluster: Path) -> None:
    """Its pods are then replaced in another way, beside whose settings the API server takes none of the first."""
    install(cluster, "--set", "images.persistence.enabled=false")
    before = get(cluster, "deployment", "innkeeper-images")["spec"]["strategy"]
    assert before["type"] == "RollingUpdate"
    helm(cluster, "upgrade", RELEASE, CHART, "--set", "images.persistence.enabled=true")
    assert get(cluster, "deployment", "innkeeper-images")["spec"]["strategy"] == {"type": "Recreate"}


def certificate(plane: Path, secret: str) -> x509.Certificate:
    data = get(plane, "secret", secret)["data"]
    return x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))


def authority(plane: Path, name: str = "innkeeper-ca") -> x509.Certificate:
    data = get(plane, "secret", name)["data"]
    return x509.load_pem_x509_certificate(base64.b64decode(data["ca.crt"]))


def names_in(found: x509.Certificate) -> list[str]:
    extension = found.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(extension, x509.SubjectAlternativeName)
    return extension.get_values_for_type(x509.DNSName)


def test_certificates_are_kept_by_an_upgrade_and_made_anew_for_new_names(cluster: Path) -> None:
    install(cluster)
    before = {each: certificate(cluster, each) for each in ("innkeeper-query-tls", "innkeeper-images-tls")}
    vouching = authority(cluster)
    for each in before.values():
        each.verify_directly_issued_by(vouching)
    bundle = get(cluster, "apiservice", "v1alpha1.query.innkeeper.dev")["spec"]["caBundle"]
    assert x509.load_pem_x509_certificate(base64.b64decode(bundle)) == vouching

    helm(cluster, "upgrade", RELEASE, CHART, "--set", "images.tls.dnsNames={images.example.org}")
    assert authority(cluster) == vouching
    assert certificate(cluster, "innkeeper-query-tls") == before["innkeeper-query-tls"]
    changed = certificate(cluster, "innkeeper-images-tls")
    assert "images.example.org" in names_in(changed)
    changed.verify_directly_issued_by(vouching)


def test_a_certificate_in_the_second_half_of_its_life_is_made_anew(cluster: Path) -> None:
    install(cluster)
    before = certificate(cluster, "innkeeper-query-tls")
    old = "innkeeper.dev/renew-after=1"
    run(cluster, "annotate", "--overwrite", "secret/innkeeper-query-tls", old, f"--namespace={NAMESPACE}")
    helm(cluster, "upgrade", RELEASE, CHART)
    assert certificate(cluster, "innkeeper-query-tls") != before
    assert certificate(cluster, "innkeeper-query-tls").issuer == before.issuer


def test_the_operator_shows_hosts_a_name_that_they_ask_for_and_can_sign_for_them(
    cluster: Path, tmp_path: Path
) -> None:
    install(cluster)
    shown = certificate(cluster, "innkeeper-operator-hosts-tls")
    shown.verify_directly_issued_by(authority(cluster, "innkeeper-hosts-ca"))
    assert shown.subject.rfc4514_string() == "CN=innkeeper-operator"
    assert authority(cluster, "innkeeper-hosts-ca") != authority(cluster)
    held = get(cluster, "secret", "innkeeper-hosts-ca")["data"]
    for name in ("ca.crt", "ca.key"):
        (tmp_path / name).write_bytes(base64.b64decode(held[name]))
    HostCertificates.load(authority=tmp_path / "ca.crt", key=tmp_path / "ca.key", clock=SystemClock())


@pytest.mark.parametrize(
    ("name", "certified"),
    [
        ("innkeeper-ca", ["innkeeper-query-tls", "innkeeper-images-tls"]),
        ("innkeeper-hosts-ca", ["innkeeper-operator-hosts-tls"]),
    ],
)
def test_an_authority_that_somebody_deleted_is_made_anew_by_the_next_upgrade(
    cluster: Path, name: str, certified: list[str]
) -> None:
    install(cluster)
    before = authority(cluster, name)
    run(cluster, "delete", "secret", name, f"--namespace={NAMESPACE}")
    helm(cluster, "upgrade", RELEASE, CHART)
    after = authority(cluster, name)
    assert after != before
    for each in certified:
        certificate(cluster, each).verify_directly_issued_by(after)
    told = get(cluster, "configmap", "innkeeper-images-ca")["data"]["ca.crt"]
    assert x509.load_pem_x509_certificate(told.encode()) == authority(cluster)


def test_secrets_that_were_kept_as_the_page_says_serve_a_new_installation(
    cluster: Path, tmp_path: Path
) -> None:
    """The cluster was lost with its store; what a person kept of it is put back before the chart comes."""
    install(cluster)
    order_key = ("secret", "generic", "innkeeper-order-key", "--from-literal=privateKey=kept")
    run(cluster, "create", *order_key, f"--namespace={NAMESPACE}", check=False)
    before = authority(cluster, "innkeeper-hosts-ca")
    page = CHECKOUT / "docs" / "how-to" / "rebuild-the-control-plane.md"
    (keep,) = [each.text for each in documents.commands(page) if "innkeeper-hosts-ca; do" in each.text]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "KUBECONFIG": str(cluster), "PATH": programs}
    subprocess.run(["bash", "-euc", keep], cwd=tmp_path, env=environment, check=True)
    helm(cluster, "uninstall", RELEASE)
    run(cluster, "delete", "secret", "--all", f"--namespace={NAMESPACE}")

    for each in ("innkeeper-order-key", "innkeeper-hosts-ca"):
        run(cluster, "apply", f"--filename={tmp_path / each}.json", f"--namespace={NAMESPACE}")
    install(cluster)
    assert authority(cluster, "innkeeper-hosts-ca") == before
    certificate(cluster, "innkeeper-operator-hosts-tls").verify_directly_issued_by(before)


def test_what_once_held_the_keys_is_deleted_as_the_page_says(cluster: Path) -> None:
    """Keys on volumes leave the former ones where they were: in Secrets, and as rendered in Helm's own."""
    install(cluster)
    key = get(cluster, "secret", "innkeeper-hosts-ca")["data"]["ca.key"]
    run(
        cluster, "create", "secret", "generic", "innkeeper-order-key", f"--namespace={NAMESPACE}", check=False
    )
    values = GOLDEN / "keys-outside" / "values.yaml"
    kept = {name: yaml.safe_load(values.read_text())["operator"][name] for name in ("orderKey", "hosts")}
    helm(cluster, "upgrade", RELEASE, CHART, "--set-json", f"operator={json.dumps(kept)}")
    assert secrets_in(cluster).count(key) == 2

    page = CHECKOUT / "docs" / "how-to" / "install-with-helm.md"
    (block,) = [each.text for each in documents.commands(page) if "status!=deployed" in each.text]
    for line in block.strip().splitlines():
        run(cluster, *shlex.split(line)[1:])
    assert key not in secrets_in(cluster)
    helm(cluster, "upgrade", RELEASE, CHART, "--reuse-values")
    assert key not in secrets_in(cluster)


def test_image_servers_that_share_a_volume_may_become_one(cluster: Path) -> None:
    """The API server refuses, beside Recreate, what it added to a rolling update by itself: Helm takes it away."""
    shared = ("--set", "images.persistence.accessModes={ReadWriteMany}")
    install(cluster, *shared, "--set", "images.replicas=2")
    assert get(cluster, "deployment", "innkeeper-images")["spec"]["strategy"]["rollingUpdate"]
    helm(cluster, "upgrade", RELEASE, CHART, *shared)
    assert get(cluster, "deployment", "innkeeper-images")["spec"]["strategy"] == {"type": "Recreate"}


def secrets_in(cluster: Path) -> str:
    """Return all that the Secrets of the release's namespace hold, Helm's releases unpacked."""
    found = json.loads(run(cluster, "get", "secrets", f"--namespace={NAMESPACE}", "--output=json").stdout)
    texts = [json.dumps(each.get("data", {})) for each in found["items"]]
    releases = [each["data"]["release"] for each in found["items"] if each["type"] == "helm.sh/release.v1"]
    packed = (base64.b64decode(base64.b64decode(each)) for each in releases)
    return "\n".join((*texts, *(gzip.decompress(each).decode() for each in packed)))


@pytest.fixture(scope="module")
def with_foreign_kinds(plane: Path) -> None:
    """The kinds of the Prometheus operator and of cert-manager, as these bring them."""
    files = [f"--filename={path}" for path in chart_crds()]
    run(plane, "apply", "--server-side", *files)
    run(plane, "wait", "--for=condition=Established", "--timeout=60s", *files)


@pytest.mark.usefixtures("with_foreign_kinds")
@pytest.mark.parametrize("case", CASES)
async def test_the_api_server_takes_every_object(cluster: Path, case: str) -> None:
    run(cluster, "create", "namespace", NAMESPACE, check=False)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": rendered(case)})
    how = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")

    def are_taken() -> bool:
        applied = run(cluster, "apply", *how, "--filename=-", stdin=text, check=False)
        # Admission knows a new kind only some time after its CRD is established.
        assert applied.returncode == 0 or "no matches for kind" in applied.stderr, applied.stderr
        return applied.returncode == 0

    await eventually(are_taken, deadline_s=60)


def test_kinds_of_others_are_among_them() -> None:
    kinds = {each["kind"] for case in CASES for each in rendered(case)}
    assert kinds >= FOREIGN


def rendered(case: str) -> list[dict[str, Any]]:
    if case != "looked after by others":
        return render("--values", GOLDEN / case / "values.yaml")
    switched_on = {f"monitoring.{each}": True for each in ("serviceMonitors", "rules", "dashboards")}
    issued = {
        key: value
        for part in ("query", "images", "operator.hosts")
        for key, value in ((f"{part}.tls.source", "CertManager"), (f"{part}.tls.issuerRef.name", "ours"))
    }
    named = {"images.tls.ipAddresses": "{192.0.2.1}", "images.tls.publicAuthority": True}
    settings = {**switched_on, **issued, **named}
    words = [
        f"--set={key}={str(value).lower() if value is True else value}" for key, value in settings.items()
    ]
    return render("--values", GOLDEN / "nodes" / "values.yaml", *words)
