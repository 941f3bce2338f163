"""What a Guest that is made anew carries of the labels and annotations that it had: all, but no mark of a pipeline's."""

import msgspec

from innkeeper.domain import names
from innkeeper.domain.lifecycle.revival import guest_document
from tests.kit.agent_orders import order


def test_what_a_person_wrote_comes_back_and_what_argo_cd_would_prune_by_does_not() -> None:
    held = msgspec.structs.replace(
        order(1),
        labels={"team": "web", names.ARGO_INSTANCE_LABEL: "shop"},
        annotations={
            "argocd.argoproj.io/sync-options": "Prune=false",
            names.ARGO_TRACKING_ANNOTATION: "shop:innkeeper.dev/Guest:default/web",  # in orders of former versions
        },
    )
    metadata = guest_document(held)["metadata"]
    assert metadata["labels"] == {"team": "web"}
    assert metadata["annotations"] == {
        "argocd.argoproj.io/sync-options": "Prune=false",
        names.ID_ANNOTATION: held.guest_id,
        names.REVIVED_FROM_ANNOTATION: held.host,
    }
