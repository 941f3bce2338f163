"""The command lines of etcd, kube-apiserver and kube-controller-manager, and the files that they name.

Pure but for `prepare_files`. Authorisation is RBAC alone; anonymous requests reach health checks only, as is
the API server's own default. etcd listens on loopback and lets in one client certificate, the API server's.
"""

import ipaddress
import shutil
from pathlib import Path

from kit import kubeconfig
from kit.control_plane.programs import API_SERVER, CONTROLLER_MANAGER, MODULES
from kit.control_plane.state import ControlPlane

ETCD_CLIENT = "etcd-client"
FRONT_PROXY = "front-proxy-client"
_GIBIBYTE = 1024**3


def prepare_files(plane: ControlPlane) -> None:
    """Make certificates, kubeconfigs and the audit policy."""
    authority = plane.authority
    authority.ensure()
    authority.issue_server("etcd", alternative_names=["127.0.0.1", "localhost"])
    authority.ensure_client(ETCD_CLIENT, user=ETCD_CLIENT)
    authority.issue_server("kube-apiserver", alternative_names=_names(plane))
    authority.ensure_signing_key("service-accounts")
    plane.front_proxy.ensure()
    plane.front_proxy.ensure_client(FRONT_PROXY, user=FRONT_PROXY)
    admin = authority.ensure_client("admin", user="innkeeper-trial-admin", group="system:masters")
    manager = authority.ensure_client("controller-manager", user="system:kube-controller-manager")
    for path, client, user in (
        (plane.kubeconfig, admin, "admin"),
        (plane.directory / "controller-manager.kubeconfig", manager, "controller-manager"),
    ):
        certificate = authority.own.certificate
        kubeconfig.write(
            path, server=plane.url, authority=certificate, client=client, user=user, cluster=plane.name
        )
    if plane.wishes.audit_log:
        Path(plane.wishes.audit_log).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(MODULES / "audit-policy.json", plane.directory / "audit-policy.json")


def _names(plane: ControlPlane) -> list[str]:
    """Return every name and address that the API server may be called by."""
    first_service = str(next(ipaddress.ip_network(plane.wishes.service_cidr).hosts()))
    service = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    asked = [plane.wishes.listen, plane.address, *plane.wishes.sans]
    return ["127.0.0.1", "localhost", first_service, *service, *asked]


def etcd(plane: ControlPlane) -> list[str]:
    """Return the command line of etcd."""
    pair = plane.authority.pair("etcd")
    ca = plane.authority.own.certificate
    peer = f"http://127.0.0.1:{plane.etcd_peer_port}"
    return [
        plane.programs["etcd"],
        f"--name={plane.name}",
        f"--data-dir={plane.directory / 'etcd-data'}",
        f"--listen-client-urls={plane.etcd_url}",
        f"--advertise-client-urls={plane.etcd_url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={plane.name}={peer}",
        f"--cert-file={pair.certificate}",
        f"--key-file={pair.key}",
        f"--trusted-ca-file={ca}",
        "--client-cert-auth",
        f"--client-cert-allowed-hostname={ETCD_CLIENT}",
        "--enable-grpc-gateway=false",
        # A trial's data may die with the machine; waiting for the disk would make every write slower.
        "--unsafe-no-fsync",
        f"--quota-backend-bytes={8 * _GIBIBYTE}",
        "--log-level=warn",
    ]


def api_server(plane: ControlPlane) -> list[str]:
    """Return the command line of kube-apiserver."""
    pki = plane.authority
    own, client, ca = pki.pair("kube-apiserver"), pki.pair(ETCD_CLIENT), pki.own.certificate
    command = [
        plane.programs[API_SERVER],
        f"--bind-address={plane.wishes.listen}",
        f"--secure-port={plane.port}",
        f"--etcd-servers={plane.etcd_url}",
        f"--etcd-cafile={ca}",
        f"--etcd-certfile={client.certificate}",
        f"--etcd-keyfile={client.key}",
        f"--tls-cert-file={own.certificate}",
        f"--tls-private-key-file={own.key}",
        f"--client-ca-file={ca}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki.public_key('service-accounts')}",
        f"--service-account-signing-key-file={pki.pair('service-accounts').key}",
        f"--service-cluster-ip-range={plane.wishes.service_cidr}",
        "--allow-privileged=true",
        "--profiling=false",
        f"--advertise-address={plane.address}",
        *_aggregation(plane),
    ]
    if plane.wishes.advertise is None:
        # The default address is loopback, which the API server refuses to publish as an endpoint.
        command.append("--endpoint-reconciler-type=none")
    if plane.wishes.audit_log:
        command += [
            f"--audit-policy-file={plane.directory / 'audit-policy.json'}",
            f"--audit-log-path={plane.wishes.audit_log}",
            "--audit-log-format=json",
            # Whoever counts writes wants one file: no rotation before this many mebibytes.
            "--audit-log-maxsize=10000",
        ]
    return [*command, *plane.wishes.api_server_arguments]


def _aggregation(plane: ControlPlane) -> list[str]:
    """Return what lets the API server pass requests on to others, and prove to them whom it passes on."""
    pair = plane.front_proxy.pair(FRONT_PROXY)
    return [
        f"--requestheader-client-ca-file={plane.front_proxy.own.certificate}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-uid-headers=X-Remote-Uid",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pair.certificate}",
        f"--proxy-client-key-file={pair.key}",
        # There is no kube-proxy here, so a Service's own address leads nowhere: go to its endpoints.
        "--enable-aggregator-routing=true",
    ]


def controller_manager(plane: ControlPlane) -> list[str]:
    """Return the command line of kube-controller-manager."""
    return [
        plane.programs[CONTROLLER_MANAGER],
        f"--kubeconfig={plane.directory / 'controller-manager.kubeconfig'}",
        "--leader-elect=false",
        f"--controllers={plane.wishes.controllers}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={plane.authority.pair('service-accounts').key}",
        f"--root-ca-file={plane.authority.own.certificate}",
        f"--service-cluster-ip-range={plane.wishes.service_cidr}",
        "--secure-port=0",
        "--profiling=false",
    ]
