"""Programs of the host that the agent runs: with an argument list and no shell, within a deadline, their complaint told.

What a program says is bounded where it becomes a message. It knows no program by name.
"""

import asyncio
import shutil
from collections.abc import Callable, Sequence

from innkeeper.errors import InnkeeperError

_MOST_WORDS = 300  # of a complaint


async def run(
    program: str,
    arguments: Sequence[str],
    *,
    package: str,
    failure: Callable[[str], InnkeeperError],
    deadline_s: float,
    under: Sequence[str] = (),
    given: bytes = b"",
    files: Sequence[int] = (),
) -> bytes:
    """Return what a program prints. `under` are programs that start it, such as one that sets limits.

    `files` are open descriptors that it gets under the same numbers.

    Raises:
        InnkeeperError: made by `failure`: the program is not installed, does not end in time, or fails.
    """
    if shutil.which(program) is None:
        raise failure(f"{program} is not installed: install the package {package}")
    try:
        process = await asyncio.create_subprocess_exec(
            *under,
            program,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=files,
            start_new_session=True,  # one that puts itself into the background is not ended with the agent
        )
    except OSError as error:
        raise failure(f"{program} cannot be run: {error.strerror}") from error
    try:
        async with asyncio.timeout(deadline_s):
            answer, complaint = await process.communicate(given)
    except TimeoutError as error:
        raise failure(f"{program} did not end within {deadline_s:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise failure(f"{program} refuses: {complaint.decode(errors='replace').strip()[:_MOST_WORDS]}")
    return answer
