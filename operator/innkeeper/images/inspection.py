"""Inspection: every image is read whole, once, before any guest may use it.

The operator asks again and again and gets the newest answer soon; the reading goes on in the background. A failure is
looked at again after a while, since somebody may have mended the source. Bytes that were read, right or wrong, are read
again only when the source says that it changed, or seldom where it cannot say so: an image that is known costs one
question to its source. Namespaces take turns, and an image with a manifest of its own waits for no other's whole reading.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from math import inf

import msgspec
import structlog

from innkeeper.clock import Clock
from innkeeper.domain.images import headers
from innkeeper.domain.reasons import WRONG_CONTENT, ImageReason
from innkeeper.errors import InnkeeperError
from innkeeper.images.answers import Failed, InspectAnswer, InspectRequest, Preparing, Ready
from innkeeper.images.given_manifest import Opener, WrongContentError, inspected_by_manifest
from innkeeper.images.manifests import Manifests
from innkeeper.images.reading import Reading
from innkeeper.images.sources.mirrored import Mirrored
from innkeeper.images.sources.source import Source, SourceError, SourceInfo
from innkeeper.images.turns import Turns
from innkeeper.images.unpacking.unpacked import Unpacker
from innkeeper.images.verdicts import Verdict, pause_after, remark

log = structlog.get_logger(__name__)

DEFAULT_MAX_BYTES = 64 * 1024**3


@dataclass(frozen=True)
class Limits:
    """Caps on inspection."""

    max_bytes: int = DEFAULT_MAX_BYTES
    deadline_s: float = 4 * 3600
    look_s: float = 60  # how long a source may take to say whether it changed
    parallel: int = 3  # each may take the memory of a decoder
    parallel_by_manifest: int = 2  # each may take four times its manifest: 256 MiB
    waiting: int = 100  # of one namespace; the others get into the line when they are asked about again
    kept: int = 10_000
    retry_after_s: float = 20
    rest_s: float = 60  # at least, between readings for what was lost of an image
    patience_s: float = 1.5  # how long a question waits for its answer


@dataclass(frozen=True)
class Resting:
    """An image that is not read again yet for what was lost of it: `left_s` seconds from now it may be."""

    left_s: float


@dataclass
class _Job:
    """What is known of one image: `task` while somebody reads it, `wrong` what was said of which wrong source."""

    answer: InspectAnswer = field(default_factory=lambda: Preparing(progress="0%"))
    task: asyncio.Task[None] | None = None
    again_at: float = 0
    ended_at: float = -inf  # of the last reading
    took_s: float = 0
    wrong: Verdict | None = None


class Inspector:
    """Answers what an image is; reads it in the background."""

    def __init__(
        self,
        opener: Opener,
        *,
        clock: Clock,
        manifests: Manifests | None = None,
        unpacker: Unpacker | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._opener = opener
        self._manifests = manifests or Manifests(None)
        self._unpacker = unpacker or Unpacker(None, self._manifests)
        self._clock = clock
        self._limits = limits or Limits()
        self._whole = Turns(self._limits.parallel)
        self._by_manifest = Turns(self._limits.parallel_by_manifest)
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
        if job.task is None and self._is_due(job, request) and self._has_room(request):
            if request.known is not None:
                # What was found before is no answer to whether it is still so.
                job.answer = Preparing(progress="0%")
            job.task = asyncio.create_task(self._run(request, job))
        return job.answer

    def _is_due(self, job: _Job, request: InspectRequest) -> bool:
        if isinstance(job.answer, Preparing):
            return True
        doubted = isinstance(job.answer, Failed) or request.known is not None
        return doubted and self._clock.monotonic() >= job.again_at

    def _has_room(self, request: InspectRequest) -> bool:
        """Tell whether one more of the namespace may wait; one that is known most likely waits for no turn."""
        return request.known is not None or (
            self._turns(request).waiting(request.namespace) < self._limits.waiting
        )

    def _turns(self, request: InspectRequest) -> Turns:
        return self._by_manifest if _is_by_manifest(request) else self._whole

    def unpack_again(self, request: InspectRequest) -> InspectAnswer | Resting:
        """Start to unpack an image once more, unless that was just done: the store has lost it, and guests wait for it.

        Return what is known of that reading.
        """
        return self._again(request, rest_s=self._limits.rest_s)

    def read_again(self, request: InspectRequest) -> InspectAnswer | Resting:
        """Start to read an image once more, for its manifest, which is lost.

        It rests for at least as long as its last reading took. Return what is known of that reading.
        """
        job = self._jobs.get(_key(request), _Job())
        return self._again(request, rest_s=max(self._limits.rest_s, job.took_s))

    def _again(self, request: InspectRequest, *, rest_s: float) -> InspectAnswer | Resting:
        job = self._jobs.get(_key(request))
        if job is not None and job.task is None and isinstance(job.answer, Ready):
            left_s = job.ended_at + rest_s - self._clock.monotonic()
            if left_s > 0:
                return Resting(left_s)
            job.answer = Preparing(progress="0%")
        return self.look(request)

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
        """Look or read, and keep the answer. An older failure stays the answer until the new one is there."""
        image = f"{request.namespace}/{request.name}"
        try:
            if request.known is not None and await self._is_as_it_was(request, request.known):
                job.answer = request.known
                return
            async with self._turns(request).turn(request.namespace):
                await self._inspect_in_turn(request, job)
            log.info("image_inspected", image=image, digest=request.digest)
        except InnkeeperError as error:
            job.answer = _failed(error, request)
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

    async def _is_as_it_was(self, request: InspectRequest, known: Ready) -> bool:
        """Ask the source whether it is still what was read; no turn is waited for."""
        try:
            async with asyncio.timeout(self._limits.look_s):
                source = await self._opener.open(request.source, namespace=request.namespace)
                return (await source.stat()).version == known.source_version
        except TimeoutError as error:
            raise SourceError(f"the source did not answer within {self._limits.look_s:.0f} s") from error

    async def _inspect_in_turn(self, request: InspectRequest, job: _Job) -> None:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                job.answer = await self._inspect(request, job)
        finally:
            job.ended_at = self._clock.monotonic()
            job.took_s = job.ended_at - began

    async def _inspect(self, request: InspectRequest, job: _Job) -> InspectAnswer:
        source = await self._opener.open(request.source, namespace=request.namespace)
        info = await source.stat()
        if job.wrong is not None and job.wrong.holds(info, now=self._clock.monotonic()):
            return job.wrong.answer
        limit = min(self._limits.max_bytes, request.max_bytes or self._limits.max_bytes)
        if info.size > limit:
            raise SourceError(
                f"the image has {info.size} bytes and at most {limit} are allowed; use a smaller one",
                reason=ImageReason.TOO_LARGE,
                retryable=False,
            )
        told = partial(_tell, job, info.size)
        if _is_by_manifest(request):
            return await inspected_by_manifest(request, self._opener, source, info, self._manifests)
        try:
            if request.compression is not None:
                return await self._unpacker.inspected(request, source, info, most=limit, told=told)
            # Of an image that guests boot from, people want to see the digest that it has now.
            reading = Reading(request, info, to_the_end=request.known is not None)
            return await self._read(reading, source, info, told=told)
        except (WrongContentError, headers.ImageHeaderError) as error:
            is_final = await _was_all_of(source, info)
            pause_s = pause_after(job.wrong, info)
            told_too = remark(info, is_final=is_final, pause_s=pause_s)
            wrong = WrongContentError(error.message + told_too, reason=error.reason)
            until = self._clock.monotonic() + pause_s
            answer = _failed(wrong, request)
            job.wrong = Verdict(info, answer, is_final=is_final, pause_s=pause_s, until=until)
            raise wrong from error

    async def _read(
        self, reading: Reading, source: Source, info: SourceInfo, *, told: Callable[[int], None]
    ) -> Ready:
        """Hash everything; the manifest is made on the way."""
        async with aclosing(source.read(0, info.size)) as chunks:
            async for chunk in chunks:
                # In a thread: the hash of a large image must not hold up the bytes that others wait for.
                await asyncio.to_thread(reading.take, chunk)
                told(reading.done)
        answer = reading.result()
        if not info.has_ranges:
            return answer
        manifest = await asyncio.to_thread(reading.maker.manifest, answer.digest)
        return msgspec.structs.replace(answer, manifest_digest=await self._manifests.keep(manifest))


async def _was_all_of(source: Source, info: SourceInfo) -> bool:
    """Tell whether what was read just now was the version that the source told of before, and nothing else."""
    if not info.etag or (isinstance(source, Mirrored) and source.strayed):
        return False
    try:
        return await source.stat() == info
    except SourceError:
        return False


def _tell(job: _Job, size: int, done: int) -> None:
    if isinstance(job.answer, Preparing):
        job.answer = Preparing(progress=f"{done * 100 // max(size, 1)}%")


def _is_by_manifest(request: InspectRequest) -> bool:
    """Tell whether the image needs no reading of all its bytes."""
    return request.manifest is not None and request.compression is None


def _key(request: InspectRequest) -> bytes:
    """Return the question as it is written, without what the operator knows already."""
    return msgspec.json.encode(msgspec.structs.replace(request, known=None))


def _failed(error: InnkeeperError, request: InspectRequest) -> Failed:
    """Return what the operator is told; of an image that was Ready, what it means for guests."""
    message = error.message
    if request.known is not None and error.reason in WRONG_CONTENT:
        message = f"the source changed: {message}. Guests that have the image run on; new ones wait"
    return Failed(reason=error.reason, message=message, retryable=error.retryable)
