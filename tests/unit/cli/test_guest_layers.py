"""How far a guest has come, and when waiting for it has no sense any more."""

from typing import Any

import pytest

from innkeeper.cli.guest.asking import AskingError
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.layers import Layer, check, is_reached, reached, told

Document = dict[str, Any]


def condition(kind: str, status: str, reason: str, message: str = "", *, seen: int | None = 1) -> Document:
    found = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**found, "observedGeneration": seen} if seen is not None else found


def guest(*conditions: Document, generation: int = 1, deleted: bool = False, **status: Any) -> Document:
    meta = {"name": "web", "generation": generation, **({"deletionTimestamp": "now"} if deleted else {})}
    spec = {"image": {"name": "debian-12"}}
    return {"metadata": meta, "spec": spec, "status": {**status, "conditions": list(conditions)}}


RESOLVED = condition("ImageResolved", "True", "ImageResolved")
BINDING = {"host": "a", "addresses": [{"interface": "eth0", "address": "10.0.0.5"}]}
NO_HOST = condition("Scheduled", "False", "NoHostFits", "0 of 2 hosts fit")


@pytest.mark.parametrize(
    ("found", "layer"),
    [
        ({"metadata": {"name": "web"}, "spec": {}}, None),
        (guest(condition("Ready", "Unknown", "Pending", seen=None)), None),
        (guest(RESOLVED, condition("Ready", "False", "NoHostFits", seen=None)), Layer.IMAGE),
        (guest(host="a"), Layer.HOST),
        (guest(**BINDING), Layer.ADDRESS),  # the binding alone: conditions follow
        (guest(condition("Ready", "False", "Starting"), **BINDING), Layer.ADDRESS),
        (guest(condition("Ready", "False", "NotAnswering"), **BINDING), Layer.RUNNING),
        (guest(condition("Ready", "True", "Running"), **BINDING), Layer.READY),
        (guest(condition("Ready", "True", "Stopped"), **BINDING), Layer.READY),
        # What was said of an older generation does not count.
        (guest(condition("Ready", "True", "Stopped"), generation=2, **BINDING), Layer.ADDRESS),
    ],
)
def test_how_far_it_is(found: Document, layer: Layer | None) -> None:
    assert reached(found) is layer


def test_a_layer_holds_those_before_it() -> None:
    found = guest(condition("Ready", "False", "NotAnswering"), **BINDING)
    assert [layer for layer in Layer if is_reached(found, layer)] == [
        Layer.IMAGE,
        Layer.HOST,
        Layer.ADDRESS,
        Layer.RUNNING,
    ]


@pytest.mark.parametrize("layer", list(Layer))
def test_one_that_is_being_deleted_has_come_to_no_layer(layer: Layer) -> None:
    """It is bound still, which says nothing to who waits for it."""
    going = guest(RESOLVED, condition("Ready", "True", "Running"), deleted=True, **BINDING)
    with pytest.raises(AskingError, match="is being deleted") as told_so:
        is_reached(going, layer)
    assert told_so.value.code == ExitCode.DELETED


def test_a_guest_that_is_off_never_runs() -> None:
    found = guest(condition("Ready", "True", "Stopped"), **BINDING)
    assert is_reached(found, Layer.READY)
    with pytest.raises(AskingError, match="is off") as raised:
        is_reached(found, Layer.RUNNING)
    assert raised.value.code is ExitCode.STALLED


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        (guest(deleted=True), ExitCode.DELETED, "deleted"),
        (
            guest(condition("Stalled", "True", "ImageNotFound", "create it")),
            ExitCode.STALLED,
            "ImageNotFound: create it",
        ),
        (guest(NO_HOST), ExitCode.STALLED, "NoHostFits: 0 of 2 hosts fit"),
        (
            guest(condition("AddressesAssigned", "False", "PoolExhausted", "full")),
            ExitCode.STALLED,
            "PoolExhausted: full",
        ),
        (guest(condition("Ready", "False", "Paused")), ExitCode.STALLED, "guest resume web"),
    ],
)
def test_waiting_has_no_sense(found: Document, code: ExitCode, words: str) -> None:
    with pytest.raises(AskingError) as raised:
        check(found, waits_for_room=False)
    assert raised.value.code is code
    assert words in str(raised.value)


def test_it_may_still_come() -> None:
    check(guest(condition("Ready", "False", "Starting")), waits_for_room=False)
    check(guest(NO_HOST), waits_for_room=True)
    for before in (
        condition("Stalled", "True", "ImageNotFound"),
        NO_HOST,
        condition("Ready", "False", "Paused"),
    ):
        check(guest(before, generation=2), waits_for_room=False)
    check(guest(condition("Scheduled", "False", "HostLost")), waits_for_room=False)
    off = guest(condition("Ready", "False", "Paused")) | {"spec": {"power": "Stopped"}}
    check(off, waits_for_room=False)  # a paused guest that is to be off is on its way


def test_what_is_told() -> None:
    assert told(guest(condition("Ready", "False", "NoHostFits", "none"))) == "NoHostFits: none"
    assert told(guest(RESOLVED)) == "image: debian-12; Pending"
    starting = guest(condition("Ready", "False", "Starting"), **BINDING)
    assert told(starting) == "address: a 10.0.0.5; Starting"
