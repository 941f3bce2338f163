"""How a command runs: an event loop, an end at SIGTERM or SIGINT, and errors as one line for people.

It makes a command of a coroutine; it knows nothing of what the coroutine does.

Exit codes: 0 after a signal to a service, 1 when it had to end (as when the Lease is lost), 2 for wrong options. What
has an end of its own and was ended by a signal before it ends with 128 and the signal's number: it was not done.
"""

import asyncio
import functools
import inspect
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import typer
from pydantic import ValidationError

from innkeeper.errors import InnkeeperError
from innkeeper.event_loop import EventLoop

Main = Callable[..., Coroutine[Any, Any, None]]
Loop = Callable[[], asyncio.AbstractEventLoop]
_CONTEXT = {"help_option_names": ["-h", "--help"]}


def command_of(
    name: str,
    main: Main,
    *,
    first_line: str,
    epilog: str = "",
    is_service: bool = True,
    loop: Loop = EventLoop,
) -> Any:
    """Return the command `name`, whose options are the parameters of `main`; `epilog` stands below them in its help."""

    @functools.wraps(main)
    def run(**options: Any) -> None:
        sys.exit(run_process(name, functools.partial(main, **options), is_service=is_service, loop=loop))

    late = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    text = inspect.getdoc(main) or first_line
    late.command(name, help=text, epilog=epilog or None, context_settings=_CONTEXT)(run)
    return typer.main.get_command(late)


def run_process(
    name: str,
    main: Callable[[], Coroutine[Any, Any, None]],
    *,
    is_service: bool = True,
    loop: Loop = EventLoop,
) -> int:
    """Run `main` to its end or to a signal; return the exit code. A service has no end but a signal."""
    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            number = runner.run(_until_signal(main))
    except ValidationError as error:
        return _complain(name, _options_of(error), code=2)
    except BaseExceptionGroup as group:
        return _complain(name, _first_of(group), code=1)
    except InnkeeperError as error:
        return _complain(name, error.message, code=1)
    except OSError as error:
        return _complain(name, str(error), code=1)
    return 0 if is_service or number is None else 128 + number


async def _until_signal(main: Callable[[], Coroutine[Any, Any, None]]) -> int | None:
    """Return the signal that ended `main`; None where it came to its own end."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(main())
    asked: list[int] = []

    def end(number: int) -> None:
        asked.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    try:
        await task
    except asyncio.CancelledError:
        if not asked:
            raise
        return asked[0]
    return None


def _options_of(error: ValidationError) -> str:
    """Return which options are wrong; of one that may be of several forms, what is wrong by the first of them."""
    told: dict[tuple[str | int, ...], str] = {}
    for each in error.errors(include_url=False):
        option = f"--{each['loc'][0]}: ".replace("_", "-") if each["loc"] else ""
        told.setdefault(each["loc"][:2], f"{option}{each['msg'].removeprefix('Value error, ')}")
    return "; ".join(told.values())


def _first_of(group: BaseExceptionGroup[BaseException]) -> str:
    """Return the message of the innermost first error; one that is no message of ours is shown with its traceback."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    if isinstance(inner, InnkeeperError | OSError):
        return getattr(inner, "message", str(inner))
    raise group


def _complain(name: str, message: str, *, code: int) -> int:
    sys.stderr.write(f"innkeeper {name}: {message}\n")
    return code
