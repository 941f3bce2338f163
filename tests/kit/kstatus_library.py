"""The real kstatus of cli-utils, asked about many objects at once; compiled the first time."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def judged(program: Path, documents: Iterable[dict[str, Any]]) -> list[str]:
    """Return what the library says of each object; `program` is what `kit.kstatus` of hack/ built."""
    lines = "".join(f"{json.dumps(each)}\n" for each in documents)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()
