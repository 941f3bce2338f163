"""JSON files in which scripts remember what they started, for the next script that is called.

Written whole or not at all, since others read them meanwhile. One that another version of the scripts wrote may have
other fields: that is said, never guessed at.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kit import steps

T = TypeVar("T")


def write(path: Path, document: Mapping[str, object], *, mode: int = 0o755) -> None:
    """Write the file, all at once; `mode` is that of a directory that has to be made."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=mode)
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(document, indent=2) + "\n")
    new.replace(path)


def read(path: Path, make: Callable[[dict[str, Any]], T]) -> T | None:
    """Return what `make` makes of the file, or None where there is none.

    Raises:
        StepError: it holds something else than this version writes.
    """
    try:
        return make(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise steps.StepError(
            f"{path} was written by another version of these scripts ({error!r}): end what it tells of with that "
            f"version; where nothing of it runs any more, remove {path.parent}"
        ) from error
