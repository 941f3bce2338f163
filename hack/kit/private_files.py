"""Files that hold a key or a token: only their owner may read them, and readers see them whole or not at all.

Several processes may write one file at once, such as a script and the process that renews tokens: each writes a file
of its own beside it, and the last rename wins.
"""

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Write the file, private before it holds anything; the directory is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".new")
    new = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
