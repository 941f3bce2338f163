"""Paths of the API are built from names; a name never reaches outside its place in the path."""

import pytest

from innkeeper.kube.resources import GUESTS, HOSTS, LEASES, NAMESPACES, SECRETS


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (GUESTS.path(), "/apis/innkeeper.dev/v1alpha1/guests"),
        (GUESTS.path(namespace="shop"), "/apis/innkeeper.dev/v1alpha1/namespaces/shop/guests"),
        (
            GUESTS.path(namespace="shop", name="web", subresource="status"),
            "/apis/innkeeper.dev/v1alpha1/namespaces/shop/guests/web/status",
        ),
        (HOSTS.path(name="a"), "/apis/innkeeper.dev/v1alpha1/hosts/a"),
        (HOSTS.path(namespace="ignored", name="a"), "/apis/innkeeper.dev/v1alpha1/hosts/a"),
        (SECRETS.path(namespace="shop", name="key"), "/api/v1/namespaces/shop/secrets/key"),
        (NAMESPACES.path(name="shop"), "/api/v1/namespaces/shop"),
        (LEASES.path(namespace="n"), "/apis/coordination.k8s.io/v1/namespaces/n/leases"),
    ],
)
def test_paths(path: str, wanted: str) -> None:
    assert path == wanted


def test_a_name_cannot_leave_its_place() -> None:
    path = SECRETS.path(namespace="shop", name="../../kube-system/secrets/token?x=1#y")
    assert path == "/api/v1/namespaces/shop/secrets/..%2F..%2Fkube-system%2Fsecrets%2Ftoken%3Fx%3D1%23y"


def test_api_versions() -> None:
    assert (GUESTS.api_version, SECRETS.api_version) == ("innkeeper.dev/v1alpha1", "v1")
    assert GUESTS.kind == "Guest"
