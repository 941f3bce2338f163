"""Values that the chart refuses, each with a word of what is wrong."""

import re

import pytest

from tests.kit.chart import ORDER_KEY, WITH_AGENTS, HelmError, render

AGENTS = f"agent.enabled=true,agent.orderKeys={{{ORDER_KEY}}}"
NONE_GENERATED = "query.enabled=false,images.tls.source=None,operator.hosts.tls.source=None"
REFUSED = {
    "nonsense=1": "additional properties 'nonsense' not allowed",
    "operator.replicas=0": "operator/replicas",
    "operator.replicas=two": "operator/replicas",
    "operator.hosts.tls.sourc=None": "'sourc' not allowed",
    "operator.orphanPolicy=Delete": "operator/orphanPolicy",
    "operator.extraArgs={help}": "operator/extraArgs/0",
    "operator.orderKey.path=/etc/key": "operator/orderKey/path",
    "operator.snapshot.size=large": "operator/snapshot/size",
    "image.digest=sha256:1": "image/digest",
    "images.tls.source=Self": "images/tls/source",
    "images.publicUrl=images.example": "images/publicUrl",
    "agent.orderKeys={abc}": "agent/orderKeys/0",
    "agent.stateDirectory=var/lib": "agent/stateDirectory",
    "listen=everywhere": "/listen",
    "agent.enabled=true": "agent.orderKeys is missing",
    f"{AGENTS},policies.install=false": "could become any host",
    "operator.hosts.tls.source=Volume": "operator.hosts.tls.volume is missing",
    "operator.hosts.tls.caKeySecret=ca": "the source is Generated",
    "operator.hosts.tls.source=None,operator.hosts.tls.caKeySecret=ca": "the source is None",
    "operator.hosts.tls.caKeyPath=ca.key": "caKeyPath are for the source Volume",
    "operator.hosts.tls.source=Volume,operator.hosts.tls.volume.csi.driver=keys.example,"
    "operator.hosts.tls.caKeySecret=ca,operator.hosts.tls.caKeyPath=ca.key": "caKeySecret and caKeyPath are both set",
    "operator.hosts.tls.volume.csi.driver=keys.example": "and the source is Generated",
    "operator.orderKey.previousPath=before": "operator.orderKey.volume is missing",
    "operator.orderKey.path=new": "operator.orderKey.volume is missing",
    f"{AGENTS},operator.hosts.tls.source=Existing": ("operator.hosts.tls.caBundle is missing"),
    f"{AGENTS},operator.hosts.tls.source=None,agent.hostApi.directory=/etc/x": (
        "agent.hostApi.directory is of no use"
    ),
    "query.tls.source=Existing": "query.tls.caBundle is missing",
    "query.tls.source=CertManager": "cert-manager must know who issues it",
    "query.tls.caBundle=YWJj": "query.tls.caBundle is of no use: the source is Generated",
    "query.tls.issuerRef.name=ours": "query.tls.issuerRef is for the source CertManager",
    "operator.hosts.tls.caBundle=YWJj": "operator.hosts.tls.caBundle is of no use: the source is Generated",
    "operator.hosts.tls.source=None,operator.hosts.tls.caBundle=YWJj": "the source is None",
    "operator.hosts.tls.issuerRef.name=ours": "operator.hosts.tls.issuerRef is for the source CertManager",
    "images.tls.caBundle=YWJj": "images.tls.caBundle is of no use: the source is Generated",
    "images.tls.source=None,images.tls.caBundle=YWJj": "images.tls.caBundle is of no use: the source is None",
    "images.tls.source=None,images.tls.issuerRef.name=ours": "images.tls.issuerRef is for the source CertManager",
    "images.tls.source=Existing,images.tls.publicAuthority=true,images.tls.caBundle=YWJj": "are both set",
    "images.enabled=false": "images.publicUrl is missing",
    "images.enabled=false,images.publicUrl=https://images.example.org": "images.tls.caBundle is missing",
    "images.publicUrl=http://images.example:8090": "the image server speaks TLS",
    "images.tls.publicAuthority=true": "the authority is this release's own",
    "operator.hosts.file.path=all.yaml": "operator.hosts.file.volume is missing",
    "images.replicas=2": "a volume that all replicas may write",
    f"{AGENTS},images.tls.source=Existing": "images.tls.caBundle is missing",
    "query.tls.source=CertManager,query.tls.issuerRef.name=ours,query.tls.caBundle=YWJj": (
        "query.tls.caBundle is of no use: the source is CertManager"
    ),
    "operator.hosts.tls.source=None,operator.hosts.tls.secretName=ours": (
        "operator.hosts.tls.secretName is of no use: the source is None"
    ),
    "operator.hosts.tls.source=Volume,operator.hosts.tls.volume.csi.driver=keys.example,"
    "operator.hosts.tls.secretName=ours": "operator.hosts.tls.secretName is of no use: the source is Volume",
    "images.tls.source=None,images.tls.secretName=ours": "images.tls.secretName is of no use: the source is None",
    "operator.hosts.tls.source=None,operator.hosts.file.volume.configMap.name=hosts": (
        "operator.hosts.file.volume is of no use"
    ),
    "operator.hosts.tls.source=None,operator.rebuild=Auto": "operator.rebuild cannot be Auto",
    "images.tls.source=None,images.tls.dnsNames={images.example.org}": "for the sources Generated and CertManager",
    "images.tls.source=Existing,images.tls.ipAddresses={192.0.2.1}": "for the sources Generated and CertManager",
    "images.tls.source=None,images.tls.publicAuthority=true": "images.tls.publicAuthority and caBundle are of no use",
    "images.enabled=false,images.publicUrl=http://images.example.org,images.tls.caBundle=YWJj": (
        "images.tls.publicAuthority and caBundle are of no use"
    ),
    "images.service.loadBalancerIP=192.0.2.1": "images.service.loadBalancerIP is of no use: the type is ClusterIP",
    "images.persistence.enabled=false,images.persistence.existingClaim=ours": (
        "images.persistence.existingClaim is of no use"
    ),
    "images.persistence.existingClaim=ours,images.persistence.size=90Gi": "are of the claim that the chart makes",
    "images.persistence.existingClaim=ours,images.persistence.storageClassName=fast": (
        "are of the claim that the chart makes"
    ),
    f"{AGENTS},agent.hostApi.enabled=false,agent.hostApi.directory=/etc/x": (
        "agent.hostApi.directory is of no use: agent.hostApi.enabled is false"
    ),
    f"{AGENTS},operator.hosts.tls.source=Existing,operator.hosts.tls.caBundle=YWJj,agent.hostApi.directory=/etc/x": (
        "agent.hostApi.directory and operator.hosts.tls.caBundle are both set"
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_wrong_values_are_refused_with_a_word_of_what_is_wrong(wrong: str) -> None:
    with pytest.raises(HelmError, match=re.escape(REFUSED[wrong])):
        render("--set", wrong)


@pytest.mark.parametrize(
    "right",
    [
        "query.enabled=false,query.tls.source=Existing,query.tls.secretName=ours",  # a part that is off for now
        "query.enabled=false,query.tls.source=CertManager",
        f"{NONE_GENERATED},images.publicUrl=https://images.example.org,images.tls.publicAuthority=true",
        "images.persistence.existingClaim=ours,images.persistence.accessModes={ReadWriteMany},images.replicas=2",
        "images.service.type=LoadBalancer,images.service.loadBalancerIP=192.0.2.1",
        "operator.hosts.tls.source=Existing,operator.hosts.tls.secretName=ours,certificates.days=90,operator.rebuild=Auto",
        f"{AGENTS},operator.hosts.tls.source=Existing,agent.hostApi.directory=/etc/x",
        "operator.hosts.tls.source=None,operator.rebuild=Never,operator.orphanPolicy=Adopt",
    ],
)
def test_values_of_use_beside_each_other_are_taken(right: str) -> None:
    assert render("--set", right)


def test_an_old_cluster_gets_no_agents() -> None:
    with pytest.raises(HelmError, match=r"Kubernetes 1\.31 or later"):
        render(*WITH_AGENTS, "--kube-version", "1.30.4")
