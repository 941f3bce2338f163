"""GuestOperations for the schema's tests: good ones, refused ones, and changes that are refused."""

from typing import Any

from tests.integration.api.objects import good

_IMMUTABLE = "a GuestOperation's spec is immutable: create another GuestOperation"

GOOD_OPERATIONS: list[dict[str, Any]] = [
    good("GuestOperation", operation="HardReboot", ttlSecondsAfterFinished=0),
    good("GuestOperation", operation="Pause", ttlSecondsAfterFinished=2_592_000),
]
REFUSED_OPERATIONS: list[tuple[dict[str, Any], str]] = [
    (good("GuestOperation", operation="Teleport"), 'spec.operation: Unsupported value: "Teleport"'),
    (good("GuestOperation", drop="operation"), "spec.operation: Required value"),
    (good("GuestOperation", guestName="web.example"), "spec.guestName in body should match"),
    (
        good("GuestOperation", ttlSecondsAfterFinished=-1),
        "ttlSecondsAfterFinished in body should be greater than or equal to 0",
    ),
]
CHANGED_OPERATIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (good("GuestOperation"), {"guestName": "db"}, _IMMUTABLE),
    (good("GuestOperation"), {"operation": "Pause"}, _IMMUTABLE),
    (good("GuestOperation"), {"ttlSecondsAfterFinished": 1}, _IMMUTABLE),
]
