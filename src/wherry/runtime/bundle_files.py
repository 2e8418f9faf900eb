"""The files of a bundle, from a shim's and an init's side: read whole, replaced whole."""

from __future__ import annotations

import os

from wherry.runtime import compact_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_file(path: str) -> bytes:
    """A file of ours, whole. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def read_json(path: str) -> dict[str, Any]:
    """A JSON object out of a file of ours. Raises OSError, ValueError."""
    value: dict[str, Any] = compact_json.loads(read_file(path))
    return value


def write_json(path: str, value: dict[str, Any]) -> None:
    """Put a file in place whole; not fsynced, it does not outlive the machine's run. Raises OSError."""
    staged = f"{path}.tmp"
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, compact_json.dumps(value))
    finally:
        os.close(fd)
    os.rename(staged, path)
