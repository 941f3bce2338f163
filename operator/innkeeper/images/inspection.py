"""Inspection: every image is read whole, once, before any guest may use it.

The operator asks again and again and gets the newest answer soon; the reading goes on in the background. A
failure is looked at again after a while, since somebody may have mended the source, but bytes that were found
wrong are read again only when the source says that it changed.
"""

import asyncio
from collections import OrderedDict
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
import structlog

from innkeeper.clock import Clock
from innkeeper.domain.images import headers
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.manifest import ManifestMaker
from innkeeper.domain.reasons import ImageReason
from innkeeper.errors import InnkeeperError
from innkeeper.images.answers import Failed, InspectAnswer, InspectRequest, Preparing, Ready
from innkeeper.images.given_manifest import Opener, WrongContentError, inspected_by_manifest
from innkeeper.images.manifests import Manifests
from innkeeper.images.sources.source import Source, SourceChangedError, SourceError, SourceInfo

log = structlog.get_logger(__name__)

DEFAULT_MAX_BYTES = 64 * 1024**3


@dataclass(frozen=True)
class Limits:
    """Caps on inspection."""

    max_bytes: int = DEFAULT_MAX_BYTES
    deadline_s: float = 4 * 3600
    parallel: int = 2
    kept: int = 10_000
    retry_after_s: float = 20
    patience_s: float = 1.5  # how long a question waits for its answer


@dataclass
class _Job:
    """What is known of one image. `task` is there while somebody reads it."""

    answer: InspectAnswer = field(default_factory=lambda: Preparing(progress="0%"))
    task: asyncio.Task[None] | None = None
    again_at: float = 0
    wrong: SourceInfo | None = None  # the version of the source whose bytes were found wrong


class Inspector:
    """Answers what an image is; reads it in the background."""

    def __init__(
        self,
        opener: Opener,
        *,
        clock: Clock,
        manifests: Manifests | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._opener = opener
        self._manifests = manifests or Manifests(None)
        self._clock = clock
        self._limits = limits or Limits()
        self._turn = asyncio.Semaphore(self._limits.parallel)
        self._jobs: OrderedDict[bytes, _Job] = OrderedDict()  # by the question as it is written

    async def ask(self, request: InspectRequest) -> InspectAnswer:
        """Return what is known after a moment: small images and mended sources need no second question."""
        answer = self.look(request)
        task = self._jobs[_key(request)].task
        if task is None:
            return answer
        await asyncio.wait([task], timeout=self._limits.patience_s)
        return self.look(request)

    def look(self, request: InspectRequest) -> InspectAnswer:
        """Return what is known, and start reading where that is needed."""
        key = _key(request)
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job()
            self._forget_old()
        self._jobs.move_to_end(key)
        due = isinstance(job.answer, Preparing) or (
            isinstance(job.answer, Failed) and self._clock.monotonic() >= job.again_at
        )
        if job.task is None and due:
            job.task = asyncio.create_task(self._run(request, job))
        return job.answer

    def read_again(self, request: InspectRequest) -> None:
        """Start to read an image once more: what was made of it is lost."""
        job = self._jobs.get(_key(request))
        if job is not None and job.task is None and isinstance(job.answer, Ready):
            job.answer = Preparing(progress="0%")
        self.look(request)

    @property
    def reading(self) -> int:
        """How many images are being read or wait for their turn."""
        return sum(job.task is not None for job in self._jobs.values())

    @property
    def known(self) -> int:
        """How many images something is known of."""
        return len(self._jobs)

    async def close(self) -> None:
        """Stop all reading."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget_old(self) -> None:
        """Drop the results that were longest not asked for; what is being read stays."""
        idle = [key for key, job in self._jobs.items() if job.task is None]
        for key in idle[: max(0, len(self._jobs) - self._limits.kept)]:
            del self._jobs[key]

    async def _run(self, request: InspectRequest, job: _Job) -> None:
        """Read, and keep the answer. An older failure stays the answer until the new one is there."""
        image = f"{request.namespace}/{request.name}"
        try:
            async with self._turn, asyncio.timeout(self._limits.deadline_s):
                job.answer = await self._inspect(request, job)
            log.info("image_inspected", image=image, digest=request.digest)
        except InnkeeperError as error:
            job.answer = Failed(reason=error.reason, message=error.message, retryable=error.retryable)
            log.warning("image_failed", image=image, reason=error.reason, message=error.message)
        except TimeoutError:
            message = f"the image was not read within {self._limits.deadline_s:.0f} s; use a faster origin"
            job.answer = Failed(reason=ImageReason.SOURCE_UNREACHABLE, message=message, retryable=True)
            log.warning("image_failed", image=image, reason=ImageReason.SOURCE_UNREACHABLE, message=message)
        except Exception:
            job.answer = Failed(
                reason="InternalError",
                message="the image server failed while it read the image; its log says why",
                retryable=True,
            )
            log.exception("image_inspection_broke", image=image)
        finally:
            job.again_at = self._clock.monotonic() + self._limits.retry_after_s
            job.task = None

    async def _inspect(self, request: InspectRequest, job: _Job) -> InspectAnswer:
        source = await self._opener.open(request.source, namespace=request.namespace)
        info = await source.stat()
        if info.etag and info == job.wrong:
            return job.answer
        limit = min(self._limits.max_bytes, request.max_bytes or self._limits.max_bytes)
        if info.size > limit:
            raise SourceError(
                f"the image has {info.size} bytes and at most {limit} are allowed; use a smaller one",
                reason=ImageReason.TOO_LARGE,
                retryable=False,
            )
        try:
            if request.manifest is not None:
                return await inspected_by_manifest(request, self._opener, source, info, self._manifests)
            return await self._read(request, job, source, info)
        except (WrongContentError, headers.ImageHeaderError):
            if request.manifest is None:
                job.wrong = info
            raise

    async def _read(self, request: InspectRequest, job: _Job, source: Source, info: SourceInfo) -> Ready:
        """Hash everything; look at the header as soon as it is there, so that a wrong file fails at once."""
        reading = _Reading(request, info)
        async with aclosing(source.read(0, info.size)) as chunks:
            async for chunk in chunks:
                # In a thread: the hash of a large image must not hold up the bytes that others wait for.
                await asyncio.to_thread(reading.take, chunk)
                if isinstance(job.answer, Preparing):
                    job.answer = Preparing(progress=f"{reading.done * 100 // max(info.size, 1)}%")
        answer = reading.result()
        if not info.has_ranges:
            return answer
        manifest = await asyncio.to_thread(reading.maker.manifest, answer.digest)
        return msgspec.structs.replace(answer, manifest_digest=await self._manifests.keep(manifest))


def _key(request: InspectRequest) -> bytes:
    return msgspec.json.encode(request)


class _Reading:
    """What one pass over the bytes finds out."""

    def __init__(self, request: InspectRequest, info: SourceInfo) -> None:
        self._request = request
        self._info = info
        self._declared = Digest.parse(request.digest)
        self._hash = self._declared.new_hash()
        self._head = bytearray()
        self._header: headers.ImageHeader | None = None
        self.maker = ManifestMaker()
        self.done = 0

    def take(self, chunk: bytes) -> None:
        """Take the next bytes; look at the header once it is whole, so that a wrong file fails at once."""
        self._hash.update(chunk)
        self.maker.take(chunk)
        self.done += len(chunk)
        if self._header is None:
            self._head += chunk
            if len(self._head) >= min(headers.HEAD_BYTES, self._info.size):
                self._parse()

    def result(self) -> Ready:
        """Return what the image is.

        Raises:
            InnkeeperError: it is not what the Image says.
        """
        if self.done != self._info.size:
            raise SourceChangedError(f"the source gave {self.done} bytes and promised {self._info.size}")
        digest = self._declared.found_by(self._hash)
        if mismatch := self._declared.mismatch(digest):
            raise WrongContentError(
                f"{mismatch}; mend the source, or create another Image with the right digest",
                reason=ImageReason.DIGEST_MISMATCH,
            )
        header = self._header or self._parse()
        return Ready(
            format=header.format, size=self.done, virtual_size=header.virtual_size, digest=str(digest)
        )

    def _parse(self) -> headers.ImageHeader:
        self._header = headers.parse(bytes(self._head), size=self._info.size, declared=self._request.format)
        return self._header
