"""Writing the user's files: whole or not at all; config.json readable by its owner only."""

from __future__ import annotations

import errno
import json
import os

from wherry.cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_NEW_MODE = 0o600


def write_config(path: str, values: Mapping[str, Any]) -> None:
    """Replace the file, or what the link there leads to, in one step. Raises ``CliError``."""
    target = os.path.realpath(path)
    text = json.dumps(values, indent="\t", ensure_ascii=False)
    try:
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        replace_file(target, text.encode("utf-8", "surrogateescape"), mode=_NEW_MODE)
    except OSError as error:
        raise CliError(f"Error saving credentials: {error.filename}: {(error.strerror or '').lower()}") from error


def replace_file(path: str, data: bytes, *, mode: int) -> None:
    """Write a file under a draft's name, then give it its own; ``mode`` is a new file's. Raises ``OSError``."""
    _only_files(path)
    draft = f"{path}.{os.getpid()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            _resemble(file.fileno(), path)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _only_files(path: str) -> None:
    """Raises ``OSError`` where something else than a file stands, /dev/null say: it must not be replaced by one."""
    if os.path.lexists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "is not a regular file", path)


def _resemble(fd: int, path: str) -> None:
    """Take over owner and mode of the file to be replaced, if there is one."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    os.fchmod(fd, found.st_mode & 0o7777)
    if os.geteuid() == 0:
        os.fchown(fd, found.st_uid, found.st_gid)
