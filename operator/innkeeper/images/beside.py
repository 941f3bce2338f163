"""What is given beside the bytes of an image: its manifest and its boot profile. The signed URL is the only right."""

import re
from contextlib import aclosing

from aiohttp import web

from innkeeper.domain.images import profile
from innkeeper.errors import InnkeeperError
from innkeeper.images.access import Access, NothingThereError
from innkeeper.images.answers import Failed, InspectRequest
from innkeeper.images.contents import BusyError
from innkeeper.images.inspection import Inspector, Resting
from innkeeper.images.manifests import Manifests, OpenManifest
from innkeeper.images.permits import permitted
from innkeeper.images.places import Places
from innkeeper.images.profiles import Profiles
from innkeeper.images.sending import send
from innkeeper.images.signing import BlobName, UrlSigner

_MANIFEST = re.compile(r"sha256:[0-9a-f]{64}")


class Beside:
    """The handlers of `/v1/manifests/...` and `/v1/profiles/...`."""

    def __init__(
        self,
        *,
        signer: UrlSigner,
        access: Access,
        inspector: Inspector,
        manifests: Manifests,
        profiles: Profiles,
        places: Places,
        write_s: float,
    ) -> None:
        self._signer = signer
        self._access = access
        self._inspector = inspector
        self._manifests = manifests
        self._profiles = profiles
        self._places = places
        self._write_s = write_s

    async def manifest(self, request: web.Request) -> web.StreamResponse:
        """Check the signature, then send the manifest whose digest is asked for: `?manifest=sha256:...`."""
        blob = permitted(request, self._signer)
        wanted = request.query.get("manifest", "")
        if not _MANIFEST.fullmatch(wanted):
            raise NothingThereError("name the manifest by its digest: manifest=sha256:...")
        with self._places.place(blob):
            async with self._manifests.opened(blob.digest, wanted) as found:
                if found is not None:
                    return await self._given(request, found)
        raise await self._made_again(blob, wanted)

    async def _given(self, request: web.Request, found: OpenManifest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = found.size
        if request.method == "HEAD":
            return response
        async with aclosing(found.pieces()) as pieces:
            await send(request, response, await anext(pieces, b""), pieces, write_s=self._write_s)
        return response

    async def profile(self, request: web.Request) -> web.StreamResponse:
        """Check the signature, then send the boot profile."""
        found = await self._profiles.get(permitted(request, self._signer).digest)
        if found is None:
            raise NothingThereError("nobody has told yet what guests read first of this image")
        encoded = profile.encode(found.chunks, boots=found.boots)
        return web.Response(body=encoded, content_type="application/json")

    async def learn(self, request: web.Request) -> web.StreamResponse:
        """Check the signature, then add what a host saw a guest read first."""
        blob = permitted(request, self._signer)
        await self._profiles.learn(blob.digest, profile.decode(await request.read()))
        return web.Response(status=204)

    async def _made_again(self, blob: BlobName, wanted: str) -> InnkeeperError:
        """Have a manifest made that was lost, with the process that held it for example; return what to say meanwhile.

        Any host may ask for any digest, and each reading may cost the origin the whole image: so only the manifest that
        the image's status names is worth one.
        """
        image = await self._access.image_of(blob)
        if image.status.manifest_digest != wanted:
            return NothingThereError("the image has no manifest with this digest")
        answer = self._inspector.read_again(InspectRequest.of(image))
        if isinstance(answer, Failed):
            # Not its reason: a source that is gone would read as if there were no such manifest.
            return BusyError(
                f"the manifest of this image is lost, and cannot be made again: {answer.message}"
            )
        if isinstance(answer, Resting):
            return BusyError(
                "the manifest of this image was made just now and is lost already: "
                f"it is made again in {answer.left_s:.0f} s at the earliest"
            )
        return BusyError("the manifest of this image is being made again; ask again soon")
