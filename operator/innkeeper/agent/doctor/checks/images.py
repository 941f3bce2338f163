"""Whether the image server can be reached from here; any answer over HTTP is one."""

import asyncio
from urllib.parse import urlsplit

import aiohttp

from innkeeper.agent.doctor.finding import Finding, fail, ok
from innkeeper.agent.doctor.look import ANSWER_WITHIN_S, Joined, Machine
from innkeeper.agent.imaging.image_server import ImageServerSession
from innkeeper.domain import orders
from innkeeper.errors import InnkeeperError


async def check(machine: Machine, joined: Joined) -> Finding:
    """Ask where the option, else the order of a guest, says that it is."""
    url = machine.images_url or _url_of_a_guest(joined)
    if url is None:
        return ok("not asked: no guest of this host says where it is (--images-url does)")
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    try:
        async with (
            asyncio.timeout(ANSWER_WITHIN_S),
            ImageServerSession(machine.images_ca_file) as session,
            session.ask("GET", f"{origin}/"),
        ):
            return ok(f"{origin} answers")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return fail(
            f"the image server {origin} does not answer: {str(error) or type(error).__name__}",
            todo="can this machine reach it, and is its authority the right one (--images-ca-file)?",
        )


def _url_of_a_guest(joined: Joined) -> str | None:
    for each in joined.assignments:
        try:
            image = orders.peek(each.spec.order).image
        except InnkeeperError:
            continue
        if image is not None:
            return image.url
    return None
