"""Programs that stand in for those of a machine: small shell scripts in a directory that becomes PATH."""

from pathlib import Path


def put(directory: Path, name: str, script: str) -> Path:
    """Write a program for /bin/sh; return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program
