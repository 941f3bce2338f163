"""Whether the image server can be reached from here; any answer over HTTP is one."""

from urllib.parse import urlsplit

import aiohttp

from innkeeper.agent.doctor.finding import Finding, fail, ok
from innkeeper.agent.doctor.look import ANSWER_WITHIN_S, Joined, Machine
from innkeeper.agent.imaging.image_server import client_session
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
            client_session(machine.images_ca_file) as session,
            session.get(
                f"{origin}/", timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S), allow_redirects=False
            ),
        ):
            return ok(f"{origin} answers")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return fail(
            f"the image server {origin} does not answer: {error or type(error).__name__}",
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
