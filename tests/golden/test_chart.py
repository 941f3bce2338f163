"""What Helm makes of the chart, as checked in, for a few sets of values.

INNKEEPER_UPDATE_GOLDEN=1 writes the files anew; look at the difference before it is committed. Keys and certificates
differ each time and are masked. Of what the chart takes as it is from files/, names are listed alone: another test
compares it.
"""

import base64
import json
import os
import re
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from kit.documents import reading
from kit.reference import settings

from innkeeper import __version__
from innkeeper.agent.settings import AgentSettings
from innkeeper.clock import SystemClock
from innkeeper.domain.reasons import OrphanPolicy
from innkeeper.domain.rebuild.gate import RebuildPolicy
from innkeeper.images.unpacking.store import Store
from innkeeper.telemetry.logs import LogFormat, LogLevel
from tests.kit.chart import CHART, WITH_AGENTS, find, pod_specs, render, run_helm
from tests.kit.install import CHECKOUT

GOLDEN = Path(__file__).parent / "chart"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/values.yaml"))
FROM_FILES = {
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
FILES = ("rbac/operator", "rbac/images", "rbac/users", "rbac/agent-node", "policies/*", "crds/*")
CHART_LABELS = re.compile(r"(app\.kubernetes\.io|helm\.sh)/")


def masked(document: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what is made anew each time."""
    if document["kind"] == "Secret":
        document["data"] = dict.fromkeys(document["data"], "MADE")
    if document["kind"] == "ConfigMap" and "ca.crt" in document["data"]:
        document["data"]["ca.crt"] = "MADE"
    if document["kind"] == "APIService" and "caBundle" in document["spec"]:
        document["spec"]["caBundle"] = "MADE"
    pod = document.get("spec", {}).get("template", {})
    for metadata in (document["metadata"], pod.get("metadata", {}) if isinstance(pod, dict) else {}):
        annotations = metadata.get("annotations", {})
        for name in annotations:
            if name.startswith("checksum/") or name == "innkeeper.dev/renew-after":
                annotations[name] = "MADE"
    return document


def as_text(objects: list[dict[str, Any]]) -> str:
    """Return rendered objects in the form that is checked in."""
    ordered = sorted(objects, key=lambda each: (each["kind"], each["metadata"]["name"]))
    listed = [
        f"# {each['kind']} {each['metadata']['name']}\n" for each in ordered if each["kind"] in FROM_FILES
    ]
    whole = [masked(each) for each in ordered if each["kind"] not in FROM_FILES]
    return "".join(listed) + yaml.safe_dump_all(whole, sort_keys=True, width=120)


@pytest.mark.parametrize("case", CASES)
def test_is_rendered_as_checked_in(case: str) -> None:
    text = as_text(render("--values", GOLDEN / case / "values.yaml"))
    file = GOLDEN / case / "rendered.yaml"
    if os.environ.get("INNKEEPER_UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


def test_the_notes_name_no_file_that_a_packaged_chart_has_not() -> None:
    """The tutorial's manifests least of all: they are of a demo, whose hosts emulate and promise more than there is."""
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    files = re.findall(r"(?<![\w./-])[\w-]+(?:/[\w.-]+)*/(?=[\w\s])[\w.-]*", re.sub(r"{{.*?}}", "", notes))
    assert [each for each in files if not (CHART / each).exists()] == []


@pytest.mark.parametrize("case", CASES)
def test_lint_finds_nothing(case: str) -> None:
    run_helm("lint", "--strict", CHART, "--values", GOLDEN / case / "values.yaml")


def test_agents_take_backups_by_the_variables_that_the_page_shows() -> None:
    page = (CHECKOUT / "docs" / "how-to" / "back-up-a-host.md").read_text()
    [shown] = [each.text for each in reading.blocks(page) if each.language == "yaml"]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as values:
        values.write(shown)
        values.flush()
        [agent] = [
            each["spec"]["template"]["spec"]["containers"][0]
            for each in render(*WITH_AGENTS, "--values", values.name)
            if each["kind"] == "DaemonSet" and each["metadata"]["name"] == "innkeeper-agent"
        ]
    wanted = yaml.safe_load(shown)["agent"]["extraEnv"]
    assert {each["name"] for each in wanted} > {"INNKEEPER_AGENT_BACKUP_URL", "AWS_ACCESS_KEY_ID"}
    assert [each for each in wanted if each not in agent["env"]] == []
    assert settings.variable(AgentSettings, "backup_url") == "INNKEEPER_AGENT_BACKUP_URL"
    [state] = [each for each in agent["volumeMounts"] if each["name"] == "state"]
    assert state["mountPropagation"] == "HostToContainer"  # a file system that is mounted there later


SHARED = ("--set", "images.persistence.accessModes={ReadWriteMany}")
WITHOUT_VOLUME = ("--set", "images.persistence.enabled=false")
SEVERAL = ("--set", "images.replicas=3")


def place_of(pod: dict[str, Any], option: str, *, shared: Path, own: Path) -> Path:
    """Return where a directory of an image server lies, were one directory the volume and another one its node."""
    [container] = pod["containers"]
    [inside] = [each.partition("=")[2] for each in container["args"] if each.startswith(f"{option}=")]
    [mount] = [each for each in container["volumeMounts"] if each["mountPath"] == inside]
    [volume] = [each for each in pod["volumes"] if each["name"] == mount["name"]]
    place = (own if "emptyDir" in volume else shared) / volume["name"] / mount.get("subPath", "")
    place.mkdir(parents=True, exist_ok=True)
    return place


@pytest.mark.parametrize("words", [(), SHARED, WITHOUT_VOLUME, SHARED + SEVERAL, WITHOUT_VOLUME + SEVERAL])
def test_image_servers_that_run_at_once_have_each_a_store(words: tuple[str, ...], tmp_path: Path) -> None:
    """Else all but one end at once; while they are replaced, one of the new ones runs beside the old ones."""
    spec = find(render(*words), "Deployment", "innkeeper-images")["spec"]
    at_once = spec["replicas"] + (spec["strategy"]["type"] == "RollingUpdate")
    with ExitStack() as running:
        for number in range(at_once):
            place = place_of(
                spec["template"]["spec"],
                "--store-directory",
                shared=tmp_path,
                own=tmp_path / f"node-{number}",
            )
            running.enter_context(closing(Store(place, clock=SystemClock())))


@pytest.mark.parametrize("words", [(), SHARED])
def test_a_single_image_server_finds_again_what_it_unpacked(words: tuple[str, ...], tmp_path: Path) -> None:
    pod = pod_specs(render(*words))["innkeeper-images"]
    places = [
        place_of(pod, "--store-directory", shared=tmp_path, own=tmp_path / node) for node in ("one", "other")
    ]
    assert places[0] == places[1]


def test_image_servers_share_manifests_on_their_volume(tmp_path: Path) -> None:
    pod = pod_specs(render(*SHARED, *SEVERAL))["innkeeper-images"]
    places = [
        place_of(pod, "--manifest-directory", shared=tmp_path, own=tmp_path / node)
        for node in ("one", "other")
    ]
    assert places[0] == places[1]


def test_the_version_is_the_programs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


@pytest.mark.parametrize("namespace", ["innkeeper-system", "elsewhere"])
def test_what_files_say_is_what_is_installed(namespace: str) -> None:
    """Those who install without Helm apply the same rights and policies."""
    rendered = {
        (each["kind"], each["metadata"]["name"]): each
        for each in render(*WITH_AGENTS, namespace=namespace)
        if each["kind"] in FROM_FILES | {"ServiceAccount"} and each["metadata"]["name"] != "innkeeper-stream"
    }
    written = {}
    for pattern in FILES:
        for path in (CHART / "files").glob(f"{pattern}.yaml"):
            text = path.read_text().replace("innkeeper-system", namespace)
            for document in filter(None, yaml.safe_load_all(text)):
                written[document["kind"], document["metadata"]["name"]] = document
    assert rendered.keys() == written.keys()
    for key, each in rendered.items():
        metadata = each["metadata"]
        metadata["labels"] = {
            name: value for name, value in metadata["labels"].items() if not CHART_LABELS.match(name)
        }
        metadata.get("annotations", {}).pop("helm.sh/resource-policy", None)
        metadata |= {name: value or None for name, value in metadata.items()}
        each["metadata"] = {name: value for name, value in metadata.items() if value}
        assert each == written[key]


def test_no_manifest_is_left_out() -> None:
    known = {path for pattern in FILES for path in (CHART / "files").glob(f"{pattern}.yaml")}
    assert set((CHART / "files").glob("*/*.yaml")) - known <= {
        CHART / "files" / "rbac" / "00-namespace.yaml",  # helm install --create-namespace
        *(CHART / "files" / "query").iterdir(),
        *(CHART / "files").glob("alerts/*"),
    }


def test_an_api_server_without_mutating_policies_gets_none() -> None:
    kinds = {each["kind"] for each in render("--kube-version", "1.35.0")}
    assert "ValidatingAdmissionPolicy" in kinds
    assert not {each for each in kinds if each.startswith("Mutating")}


def test_what_guards_objects_stays_as_long_as_they_do() -> None:
    for each in render(*WITH_AGENTS):
        kept = each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
        guards = each["kind"] == "CustomResourceDefinition" or "AdmissionPolicy" in each["kind"]
        streams = each["metadata"]["name"] in {"innkeeper-stream", "innkeeper-images-ca"}
        authority = each["kind"] == "Secret" and each["metadata"]["name"] in {
            "innkeeper-ca",
            "innkeeper-hosts-ca",
        }
        assert kept == (guards or streams or authority), each["metadata"]["name"]


def test_with_keep_off_crds_go_with_the_release() -> None:
    for each in render("--set", "crds.keep=false"):
        if each["kind"] == "CustomResourceDefinition":
            assert "annotations" not in each["metadata"]


def properties(schema: dict[str, Any], root: dict[str, Any], at: str = "") -> set[str]:
    """Return the paths of all values that a schema knows; what Kubernetes defines ends a path."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    known = schema.get("properties", {})
    below = (properties(each, root, f"{at}.{name}") for name, each in known.items())
    return {f"{at}.{name}" for name in known}.union(*below) if known else set()


def values(document: dict[str, Any], at: str = "") -> set[str]:
    """Return the paths of all values that a file sets."""
    below = (values(each, f"{at}.{name}") for name, each in document.items() if isinstance(each, dict))
    return {f"{at}.{name}" for name in document}.union(*below)


def test_every_value_of_the_schema_has_a_default() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = {each for each in properties(schema, schema) if ".resources." not in each} - {".global"}
    given = values(yaml.safe_load((CHART / "values.yaml").read_text()))
    assert known <= given


def test_words_of_the_schema_are_the_programs() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    operator, log = schema["operator"]["properties"], schema["log"]["properties"]
    assert set(operator["orphanPolicy"]["enum"]) == set(OrphanPolicy)
    assert set(operator["rebuild"]["enum"]) == set(RebuildPolicy)
    assert set(log["format"]["enum"]) == set(LogFormat)
    assert set(log["level"]["enum"]) == set(LogLevel)


def test_pods_hold_no_right_that_they_do_not_need() -> None:
    pods = pod_specs(render(*WITH_AGENTS))
    assert pods.keys() == {"innkeeper-operator", "innkeeper-images", "innkeeper-agent", "innkeeper-stream"}
    for name in ("innkeeper-operator", "innkeeper-images"):
        assert pods[name]["securityContext"]["runAsNonRoot"] is True
        assert pods[name]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pods[name].get("hostNetwork")
        for volume in pods[name]["volumes"]:
            assert "hostPath" not in volume
    for name, pod in pods.items():
        (container,) = pod["containers"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert pod["enableServiceLinks"] is False, "INNKEEPER_IMAGES_PORT would be read as a setting"
        if name != "innkeeper-agent":
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
    assert pods["innkeeper-stream"]["automountServiceAccountToken"] is False
    assert pods["innkeeper-stream"]["containers"][0]["securityContext"]["capabilities"]["add"] == ["CHOWN"]


def test_an_agent_may_do_without_privileges() -> None:
    agent = pod_specs(render(*WITH_AGENTS, "--set", "agent.privileged=false"))["innkeeper-agent"]
    context = agent["containers"][0]["securityContext"]
    assert "privileged" not in context
    assert context["allowPrivilegeEscalation"] is False
    assert {"NET_ADMIN", "NET_RAW"} <= set(context["capabilities"]["add"])
    assert "SYS_ADMIN" not in context["capabilities"]["add"]
    assert agent["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_no_pod_of_a_host_refers_to_a_secret() -> None:
    """A node may read the Secrets that its pods name, whole."""
    pods = pod_specs(render(*WITH_AGENTS))
    for name in ("innkeeper-agent", "innkeeper-stream"):
        assert not [volume for volume in pods[name]["volumes"] if "secret" in volume]


def test_paths_on_a_host_are_the_same_inside_as_outside() -> None:
    pods = pod_specs(render(*WITH_AGENTS, "--set", "agent.stateDirectory=/srv/innkeeper"))
    for name in ("innkeeper-agent", "innkeeper-stream"):
        volumes = {each["name"]: each for each in pods[name]["volumes"]}
        mounts = {each["name"]: each for each in pods[name]["containers"][0]["volumeMounts"]}
        assert volumes["state"]["hostPath"]["path"] == mounts["state"]["mountPath"] == "/srv/innkeeper"


def test_alerts_and_dashboards_are_wrapped_as_they_are() -> None:
    given = ("monitoring.rules=true", "monitoring.dashboards=true", "monitoring.labels.release=prometheus")
    objects = render(*(word for each in given for word in ("--set", each)))
    rules = [each for each in objects if each["kind"] == "PrometheusRule"]
    alerts = sorted((CHART / "files" / "alerts").glob("*.rules.yaml"))
    assert [each["spec"] for each in rules] == [yaml.safe_load(path.read_text()) for path in alerts]
    assert all(each["metadata"]["labels"]["release"] == "prometheus" for each in rules)
    labelled = [each for each in objects if "grafana_dashboard" in each["metadata"].get("labels", {})]
    shown = {name: json.loads(text) for each in labelled for name, text in each["data"].items()}
    dashboards = (CHART / "files" / "dashboards").glob("*.json")
    assert shown == {path.name: json.loads(path.read_text()) for path in dashboards}


def test_runbooks_may_be_published_elsewhere() -> None:
    given = ("monitoring.rules=true", "monitoring.runbooks=https://wiki.example.org/innkeeper")
    objects = render(*(word for each in given for word in ("--set", each)))
    groups = [
        group for each in objects if each["kind"] == "PrometheusRule" for group in each["spec"]["groups"]
    ]
    urls = [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]]
    assert len(urls) > 10
    assert all(each.startswith("https://wiki.example.org/innkeeper/Innkeeper") for each in urls)


def test_no_upgrade_restarts_a_stream() -> None:
    assert find(render(*WITH_AGENTS), "DaemonSet", "innkeeper-stream")["spec"]["updateStrategy"] == {
        "type": "OnDelete"
    }


ELSEWHERE = "images.enabled=false,images.publicUrl=https://images.example.org"


def images_ca_of(workload: str, *given: str) -> dict[str, Any] | None:
    """Return the volume by which pods know the authority of the image server; None where they need none."""
    pod = pod_specs(render(*(word for each in given for word in ("--set", each))))[workload]
    return next((each for each in pod["volumes"] if each["name"] == "images-ca"), None)


def test_an_image_server_elsewhere_is_known_by_the_authority_that_is_given() -> None:
    """Nothing makes the Secret of an image server that the release does not have."""
    bundle = f"images.tls.caBundle={base64.b64encode(b'-----BEGIN CERTIFICATE-----').decode()}"
    volume = images_ca_of("innkeeper-operator", ELSEWHERE, bundle)
    assert volume == {"name": "images-ca", "configMap": {"name": "innkeeper-images-ca"}}
    objects = render("--set", ELSEWHERE, "--set", bundle)
    given = find(objects, "ConfigMap", "innkeeper-images-ca")["data"]["ca.crt"]
    assert given.strip() == "-----BEGIN CERTIFICATE-----"
    assert images_ca_of("innkeeper-operator", ELSEWHERE, "images.tls.publicAuthority=true") is None
    assert images_ca_of("innkeeper-operator", ELSEWHERE.replace("https", "http")) is None


@pytest.mark.parametrize("source", ["Generated", "None"])
def test_a_proxy_before_the_image_server_is_known_by_the_authority_that_is_given(source: str) -> None:
    bundle = f"images.tls.caBundle={base64.b64encode(b'-----BEGIN CERTIFICATE-----').decode()}"
    settings = (f"images.tls.source={source}", "images.publicUrl=https://images.example.org", bundle)
    volume = images_ca_of("innkeeper-operator", *settings)
    assert volume == {"name": "images-ca", "configMap": {"name": "innkeeper-images-ca"}}
    objects = render(*(word for each in settings for word in ("--set", each)))
    given = find(objects, "ConfigMap", "innkeeper-images-ca")["data"]["ca.crt"]
    assert given.strip() == "-----BEGIN CERTIFICATE-----"


def test_a_query_api_that_is_off_has_no_certificate() -> None:
    issued = ("query.tls.source=CertManager", "query.tls.issuerRef.name=ours")
    words = [word for each in issued for word in ("--set", each)]
    find(render(*words), "Certificate", "innkeeper-query-tls")
    assert "Certificate" not in {each["kind"] for each in render(*words, "--set", "query.enabled=false")}


@pytest.mark.parametrize("case", CASES)
def test_every_secret_and_config_map_of_a_pod_is_there_or_is_the_users(case: str) -> None:
    objects = render("--values", GOLDEN / case / "values.yaml")
    chosen = {"images-example-org", "images-url-key", "innkeeper-hosts-file"}
    # cert-manager makes the Secret of each Certificate.
    made = {(each["kind"], each["metadata"]["name"]) for each in objects}
    made |= {("Secret", each["spec"]["secretName"]) for each in objects if each["kind"] == "Certificate"}
    for pod in pod_specs(objects).values():
        for volume in pod["volumes"]:
            named = {
                ("Secret", volume.get("secret", {}).get("secretName")),
                ("ConfigMap", volume.get("configMap", {}).get("name")),
            }
            assert {each for each in named if each[1] and each[1] not in chosen} <= made, volume


def test_metrics_that_nobody_may_read_are_open_to_nobody() -> None:
    """A rule with an empty `from` would be one for everybody."""
    for each in render("--set-json", "networkPolicy.metricsFrom=[]"):
        if each["kind"] == "NetworkPolicy":
            ports = [port["port"] for rule in each["spec"]["ingress"] for port in rule["ports"]]
            assert ports == [{"innkeeper-operator": 9443, "innkeeper-images": 8090}[each["metadata"]["name"]]]


def test_a_broken_operator_keeps_no_node_from_being_drained() -> None:
    budget = find(render(), "PodDisruptionBudget", "innkeeper-operator")["spec"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_metrics_of_an_agent_name_its_host() -> None:
    """What alerts say of `instance` must be a name by which a person finds the host."""
    monitors = render(*WITH_AGENTS, "--set", "monitoring.serviceMonitors=true")
    (endpoint,) = find(monitors, "PodMonitor", "innkeeper-agent")["spec"]["podMetricsEndpoints"]
    named = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "instance"}
    assert endpoint["relabelings"] == [named]
