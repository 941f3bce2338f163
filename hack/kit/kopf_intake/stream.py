"""A made-up API server: one kind, one list, one watch, as fast as a reader can take it.

It knows nothing but what the two readers ask: discovery, a list of Guests, one Guest, and a watch. With `--relist` the
watch ends at once with 410, and the next list lacks one object: that is what a reader sees when its watch was expired for
a while.
"""

import argparse
import asyncio
import json
from typing import Any

from aiohttp import web

PLURAL = "guests"
OWN = "innkeeper.dev/v1alpha1"
EXTENSIONS = "apiextensions.k8s.io/v1"  # kopf waits until it has found it
ROOT = f"/apis/{OWN}"
OBJECT_BYTES = 2700  # a Guest with managedFields, as an API server sends it
BATCH = 50  # events in one write
FIRST_VERSION = 1000


def main() -> None:
    """Serve on a free port of the loopback, print the port, and go on until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--relist", action="store_true")
    options = parser.parse_args()
    asyncio.run(_serve(Stream(objects=options.objects, events=options.events, relist=options.relist)))


async def _serve(stream: "Stream") -> None:
    runner = web.AppRunner(stream.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


class Stream:
    """The one kind and its events: objects take turns, so each is changed equally often."""

    def __init__(self, *, objects: int, events: int, relist: bool) -> None:
        self._count = objects
        self._events = events
        self._relist = relist
        self._lists = 0

    def application(self) -> web.Application:
        """Return the application."""
        application = web.Application()
        application.router.add_get("/version", self._answer({"major": "1", "minor": "36"}))
        application.router.add_get("/api", self._answer({"versions": ["v1"]}))
        application.router.add_get(
            "/api/v1", self._answer({"resources": [_resource("namespaces", "Namespace")]})
        )
        application.router.add_get("/apis", self._answer({"groups": [_group(OWN), _group(EXTENSIONS)]}))
        crds = _resource("customresourcedefinitions", "CustomResourceDefinition")
        application.router.add_get(f"/apis/{EXTENSIONS}", self._answer({"resources": [crds]}))
        application.router.add_get(ROOT, self._answer({"resources": [_resource(PLURAL, "Guest")]}))
        application.router.add_get(f"{ROOT}/{PLURAL}", self._guests)
        application.router.add_get(f"{ROOT}/namespaces/bench/{PLURAL}/{{name}}", self._guest)
        return application

    def _answer(self, body: dict[str, Any]) -> Any:
        async def handle(_request: web.Request) -> web.Response:
            return web.json_response(body)

        return handle

    async def _guest(self, request: web.Request) -> web.Response:
        number = int(request.match_info["name"].removeprefix("guest-"))
        return web.json_response(guest(number, FIRST_VERSION * self._lists))

    async def _guests(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") in ("1", "true"):
            return await self._watch(request)
        self._lists += 1
        vanished = 1 if self._relist and self._lists > 1 else 0
        version = FIRST_VERSION * self._lists
        items = [guest(number, version) for number in range(self._count - vanished)]
        body = {
            "apiVersion": "innkeeper.dev/v1alpha1",
            "kind": "GuestList",
            "metadata": {"resourceVersion": str(version)},
            "items": items,
        }
        return web.json_response(body)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if self._relist and self._lists == 1:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            return response
        if not self._relist:
            await self._flood(response)
        await asyncio.Event().wait()
        return response

    async def _flood(self, response: web.StreamResponse) -> None:
        halves = [_halves(number) for number in range(self._count)]
        for first in range(0, self._events, BATCH):
            lines = []
            for event in range(first, min(first + BATCH, self._events)):
                before, after = halves[event % self._count]
                lines.append(before + str(FIRST_VERSION + 1 + event).encode() + after)
            await response.write(b"".join(lines))


def final_version(number: int, *, objects: int, events: int) -> str:
    """Return the resourceVersion that object `number` has at the end of the stream."""
    last_turn = (events - 1 - number) // objects
    return str(FIRST_VERSION + 1 + last_turn * objects + number)


def guest(number: int, version: int | str) -> dict[str, Any]:
    """Return a Guest of `OBJECT_BYTES`, as an API server would send it."""
    body: dict[str, Any] = {
        "apiVersion": "innkeeper.dev/v1alpha1",
        "kind": "Guest",
        "metadata": {
            "name": f"guest-{number:05}",
            "namespace": "bench",
            "uid": f"00000000-0000-4000-8000-{number:012}",
            "resourceVersion": str(version),
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "bench"},
            "managedFields": [{"manager": "bench", "operation": "Update", "fieldsV1": {"f:padding": ""}}],
        },
        "spec": {
            "flavor": "small",
            "image": {"name": "debian-12"},
            "interfaces": [{"name": "eth0", "pool": "lab"}],
        },
        "status": {"observedGeneration": 1, "conditions": [_condition(kind) for kind in _CONDITIONS]},
    }
    padding = OBJECT_BYTES - len(json.dumps(body))
    body["metadata"]["managedFields"][0]["fieldsV1"]["f:padding"] = "x" * max(0, padding)
    return body


_CONDITIONS = ("ImageResolved", "Scheduled", "AddressesAssigned", "Ready")


def _group(name_and_version: str) -> dict[str, Any]:
    name, version = name_and_version.split("/")
    here = {"groupVersion": name_and_version, "version": version}
    return {"name": name, "versions": [here], "preferredVersion": here}


def _resource(plural: str, kind: str) -> dict[str, Any]:
    verbs = ["get", "list", "watch", "patch"]
    return {
        "name": plural,
        "singularName": kind.lower(),
        "kind": kind,
        "namespaced": kind == "Guest",
        "verbs": verbs,
    }


def _condition(kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "reason": kind,
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def _halves(number: int) -> tuple[bytes, bytes]:
    """Return an event's line without its resourceVersion, in two parts: encoding must not be the bottleneck."""
    line = json.dumps({"type": "MODIFIED", "object": guest(number, "@VERSION@")}).encode() + b"\n"
    before, after = line.split(b"@VERSION@")
    return before, after


if __name__ == "__main__":
    main()
