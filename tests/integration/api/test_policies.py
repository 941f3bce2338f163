"""What admission policies refuse whatever rights one holds, and the finalizer that one adds."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.api.conftest import Server
from tests.integration.api.objects import HOST_NAMESPACE, OPERATOR, annotated, good

pytestmark = pytest.mark.control_plane

FINALIZER = "innkeeper.dev/guest"
EDITOR, FORCER = "an-editor", "a-forcer"
HAS_STATUS = {"status": {"host": "a"}}


@pytest.fixture
def guest(server: Server) -> Iterator[dict[str, Any]]:
    body = good("Guest", "policies")
    yield server.stored(body)
    server.discard(body)


@pytest.fixture(scope="module", autouse=True)
def people(server: Server) -> None:
    """Two people: one may edit guests, one may force their deletion as well."""
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    for user, role in ((EDITOR, "edit"), (FORCER, "edit"), (FORCER, "innkeeper-force-delete")):
        body = {
            "metadata": {"name": f"{user}-{role}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        assert server.request("POST", bindings, body).status in (201, 409)


def test_a_guest_is_stored_with_its_finalizer_by_one_write(guest: dict[str, Any]) -> None:
    """Had something patched it in later, the creation's answer would lack it, or there would be a second writer."""
    assert guest["metadata"]["finalizers"] == [FINALIZER]
    assert guest["metadata"]["generation"] == 1
    assert len(guest["metadata"]["managedFields"]) == 1


def test_finalizers_of_others_are_kept(server: Server) -> None:
    body = good("Guest", "other-finalizers")
    body["metadata"]["finalizers"] = ["example.com/other"]
    assert server.create(body).body["metadata"]["finalizers"] == ["example.com/other", FINALIZER]


def test_a_replace_that_drops_the_finalizer_gets_it_back(server: Server, guest: dict[str, Any]) -> None:
    answer = server.patch(guest, {"metadata": {"finalizers": None}})
    assert answer.status == 200, answer.message
    assert answer.body["metadata"]["finalizers"] == [FINALIZER]


def test_on_a_guest_that_is_being_deleted_only_the_operator_removes_the_finalizer(
    server: Server, guest: dict[str, Any]
) -> None:
    server.request(
        "DELETE", f"/apis/innkeeper.dev/v1alpha1/namespaces/default/guests/{guest['metadata']['name']}"
    )
    remove = {"metadata": {"finalizers": None}}
    refused = server.patch(guest, remove)
    assert refused.status == 403
    assert "only the operator removes the finalizer innkeeper.dev/guest" in refused.message
    assert "set spec.lost of that Host" in refused.message
    assert server.patch(guest, remove, user=OPERATOR, dry_run=False).status == 200
    assert server.patch(guest, remove).status == 404


def test_only_the_operator_sets_the_guest_id(server: Server, guest: dict[str, Any]) -> None:
    message = "only the operator sets the annotation innkeeper.dev/id: leave it as it is"
    created = server.create(annotated(good("Guest", "made-anew"), id="0a1b"))
    assert created.status == 403
    assert message in created.message
    change = {"metadata": {"annotations": {"innkeeper.dev/id": "0a1b"}}}
    assert message in server.patch(guest, change).message
    assert message in server.patch(guest, {"metadata": {"annotations": {"innkeeper.dev/id": ""}}}).message
    assert server.patch(guest, change, user=OPERATOR, dry_run=False).status == 200
    for value in ("0a1c", None):
        assert (
            message in server.patch(guest, {"metadata": {"annotations": {"innkeeper.dev/id": value}}}).message
        )
    assert server.patch(guest, {"spec": {"power": "Stopped"}}).status == 200


def test_only_the_operator_says_where_a_guest_that_was_made_anew_runs(
    server: Server, guest: dict[str, Any]
) -> None:
    message = "only the operator sets the annotation innkeeper.dev/revived-from: leave it as it is"
    created = server.create(annotated(good("Guest", "made-anew"), revived_from="a"))
    assert created.status == 403
    assert message in created.message
    change = {"metadata": {"annotations": {"innkeeper.dev/revived-from": "a"}}}
    assert message in server.patch(guest, change).message
    assert server.patch(guest, change, user=OPERATOR, dry_run=False).status == 200
    assert message in server.patch(guest, {"metadata": {"annotations": None}}).message
    assert server.patch(guest, {"spec": {"power": "Stopped"}}).status == 200


def test_only_the_operator_says_with_what_a_guest_was_caught_up(
    server: Server, guest: dict[str, Any]
) -> None:
    message = "only the operator sets the annotation innkeeper.dev/caught-up-with: leave it as it is"
    change = {"metadata": {"annotations": {"innkeeper.dev/caught-up-with": "0a1b/7.3"}}}
    assert message in server.patch(guest, change).message
    assert server.patch(guest, change, user=OPERATOR, dry_run=False).status == 200
    assert message in server.patch(guest, {"metadata": {"annotations": None}}).message
    assert server.patch(guest, {"spec": {"power": "Stopped"}}).status == 200
    copy = server.create(annotated(good("Guest", "copied"), caught_up_with="0a1b/7.3"))
    assert copy.status == 201, "it names another object"


@pytest.mark.parametrize("value", ["", "../x", "A", "a" * 64])
def test_a_guest_id_that_could_not_name_things_is_refused(
    server: Server, guest: dict[str, Any], value: str
) -> None:
    change = {"metadata": {"annotations": {"innkeeper.dev/id": value}}}
    assert "must be at most 63 of a-z, 0-9 and -" in server.patch(guest, change, user=OPERATOR).message


def test_force_delete_is_a_right_of_its_own(server: Server, guest: dict[str, Any]) -> None:
    change = {"metadata": {"annotations": {"innkeeper.dev/force-delete": "the host burnt"}}}
    refused = server.patch(guest, change, user=EDITOR)
    assert refused.status == 403
    assert "needs the right to update guests/force-delete" in refused.message
    assert server.patch(guest, change, user=FORCER).status == 200
    created = server.create(annotated(good("Guest", "forced"), force_delete="why not"), user=EDITOR)
    assert "needs the right to update guests/force-delete" in created.message


def test_once_set_it_hinders_no_other_change(server: Server, guest: dict[str, Any]) -> None:
    change = {"metadata": {"annotations": {"innkeeper.dev/force-delete": "the host burnt"}}}
    assert server.patch(guest, change, user=FORCER, dry_run=False).status == 200
    assert server.patch(guest, {"spec": {"power": "Stopped"}}, user=EDITOR).status == 200
    assert server.patch(guest, {"metadata": {"annotations": None}}, user=EDITOR).status == 200


@pytest.mark.parametrize("reason", ["", "  ", "x" * 257])
def test_force_delete_must_say_why(server: Server, guest: dict[str, Any], reason: str) -> None:
    answer = server.patch(
        guest, {"metadata": {"annotations": {"innkeeper.dev/force-delete": reason}}}, user=FORCER
    )
    assert answer.status == 422
    assert "must say why, in at most 256 characters" in answer.message


def test_only_the_operator_writes_a_guests_status(server: Server, guest: dict[str, Any]) -> None:
    refused = server.patch(guest, HAS_STATUS, subresource="/status")
    assert refused.status == 403
    assert "only the operator writes the status of Guests: change the Guest's spec instead" in refused.message
    written = server.patch(guest, HAS_STATUS, subresource="/status", user=OPERATOR)
    assert written.status == 200, written.message


def test_only_the_operator_writes_an_operations_status(server: Server) -> None:
    body = good("GuestOperation", "policies")
    server.stored(body)
    try:
        refused = server.patch(body, {"status": {"phase": "Succeeded"}}, subresource="/status")
        assert refused.status == 403
        assert "only the operator writes the status of GuestOperations" in refused.message
        written = server.patch(body, {"status": {"phase": "Pending"}}, subresource="/status", user=OPERATOR)
        assert written.status == 200, written.message
    finally:
        server.discard(body)


def test_only_the_operator_writes_ip_addresses(server: Server) -> None:
    message = "only the operator writes IPAddresses: to keep an address from guests, add it to spec.exclude"
    body = good("IPAddress")
    assert message in server.create(body).message
    server.stored(body | {"metadata": body["metadata"] | {"finalizers": ["innkeeper.dev/address"]}})
    try:
        assert message in server.patch(body, {"spec": {"owner": None}}).message
        server.request("DELETE", f"/apis/innkeeper.dev/v1alpha1/ipaddresses/{body['metadata']['name']}")
        refused = server.patch(body, {"metadata": {"finalizers": None}})
        assert refused.status == 403
        assert message in refused.message
    finally:
        server.discard(body)


def test_only_the_operator_orders(server: Server) -> None:
    message = "only the operator writes Assignments: change or delete the Guest instead"
    body = good("Assignment")
    assert message in server.create(body).message
    server.stored(body)
    try:
        assert message in server.patch(body, {"spec": {"serial": 9}}).message
        labelled = server.patch(body, {"metadata": {"labels": {"a": "b"}}})
        assert labelled.status == 200, labelled.message
        agent = f"system:serviceaccount:{HOST_NAMESPACE}:agent"
        assert server.patch(body, {"spec": {"serial": 9}}, user=agent).status == 403
        word = {"metadata": {"annotations": {"innkeeper.dev/remove-orphan": "2.3"}}}
        assert message in server.patch(body, word).message, "as good as an order to destroy the guest"
        assert server.patch(body, word, user=OPERATOR, dry_run=False).status == 200
        assert message in server.patch(body, {"metadata": {"annotations": None}}).message
        deleted = server.request(
            "DELETE", f"/apis/innkeeper.dev/v1alpha1/namespaces/{HOST_NAMESPACE}/assignments/0a1b"
        )
        assert deleted.status == 200, deleted.message
    finally:
        server.discard(body)
