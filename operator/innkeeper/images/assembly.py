"""Puts the image server together from its settings: the one place that knows all its parts."""

from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from innkeeper.clock import Clock
from innkeeper.images.access import Access, Getter
from innkeeper.images.beside import Beside
from innkeeper.images.blobs import Blobs, StreamLimits
from innkeeper.images.callers import Callers
from innkeeper.images.contents import Contents
from innkeeper.images.credentials import Credentials
from innkeeper.images.figures import Figures
from innkeeper.images.inspection import Inspector, Limits
from innkeeper.images.kept_files import KeptFiles
from innkeeper.images.manifests import Manifests
from innkeeper.images.packing import Packing
from innkeeper.images.places import Places
from innkeeper.images.profiles import Profiles
from innkeeper.images.server import ImageServer
from innkeeper.images.settings import ImagesSettings
from innkeeper.images.signing import UrlSigner, load_key
from innkeeper.images.sources.deadlines import OriginDeadlines
from innkeeper.images.sources.opening import SourceOpener
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.stats import Stats
from innkeeper.images.unpacking.store import Store
from innkeeper.images.unpacking.unpacked import Unpacker
from innkeeper.kube.reviews import Poster


class ApiClient(Getter, Poster, Protocol):
    """The part of the API client that the image server uses."""


@dataclass(frozen=True)
class Parts:
    """What has to be run and closed."""

    application: web.Application
    inspector: Inspector
    packing: Packing
    store: Store | None

    async def close(self) -> None:
        """Stop what reads in the background, and leave the store."""
        await self.inspector.close()
        self.packing.close()
        if self.store is not None:
            self.store.close()


def build(
    settings: ImagesSettings,
    *,
    client: ApiClient,
    session: aiohttp.ClientSession,
    policy: OriginPolicy,
    clock: Clock,
    registry: CollectorRegistry,
    streams: StreamLimits | None = None,
    origins: OriginDeadlines | None = None,
) -> Parts:
    """Return the server's parts; nothing runs yet. Without `streams` the settings say how many there may be.

    Raises:
        OSError: another process uses the store's directory, or it cannot be written.
    """
    opener = SourceOpener(
        session,
        policy=policy,
        directory=settings.directory,
        credentials=Credentials(client, clock=clock),
        deadlines=origins,
        clock=clock,
    )
    signer = UrlSigner(
        load_key(settings.url_key_file),
        base_url=settings.base_url,
        clock=clock,
        lifetime_s=settings.url_lifetime_s,
        offer_packed=settings.offer_packed,
    )
    access = Access(client, clock=clock)
    figures = Figures(registry)
    files = KeptFiles(settings.manifest_directory) if settings.manifest_directory is not None else None
    manifests = Manifests(files)
    streams = streams or StreamLimits(at_once=settings.max_streams)
    places = Places(streams.at_once)
    of_manifests = Places(streams.at_once)  # they need no origin, so no slow one keeps them from anybody
    figures.streams.set_function(lambda: places.taken + of_manifests.taken)
    store = _store(settings, clock)
    figures.store_bytes.set_function(lambda: store.used if store else 0)
    inspector = Inspector(
        opener,
        clock=clock,
        manifests=manifests,
        unpacker=Unpacker(store, manifests),
        limits=Limits(max_bytes=settings.max_image_bytes),
    )
    packing = Packing()
    blobs = Blobs(
        signer=signer,
        contents=Contents(access=access, opener=opener, inspector=inspector, store=store, figures=figures),
        figures=figures,
        stats=Stats(clock),
        places=places,
        packing=packing,
        limits=streams,
    )
    beside = Beside(
        signer=signer,
        access=access,
        inspector=inspector,
        manifests=manifests,
        profiles=Profiles(files),
        places=of_manifests,
        write_s=streams.write_s,
    )
    server = ImageServer(
        callers=Callers(client, clock=clock),
        operator=settings.operator_user,
        inspector=inspector,
        access=access,
        signer=signer,
        blobs=blobs,
        beside=beside,
        figures=figures,
    )
    return Parts(server.application(), inspector, packing, store)


def _store(settings: ImagesSettings, clock: Clock) -> Store | None:
    if settings.store_directory is None:
        return None
    return Store(settings.store_directory, clock=clock, max_bytes=settings.max_store_bytes)
