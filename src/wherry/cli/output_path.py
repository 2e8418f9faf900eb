"""Where ``save`` and ``export`` write: to standard output, or with ``-o`` to a file. The words are docker's."""

from __future__ import annotations

import os
import stat

from wherry.cli.app import is_terminal, write
from wherry.cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STDOUT = 1
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link directly",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device file",
    stat.S_IFBLK: "a block device file",
}


def write_archive(path: str, failed: str, pieces: Callable[[], Iterable[bytes]]) -> None:
    """Write what ``pieces`` brings, which is not called where it could not be written. Raises ``CliError``."""
    if path:
        _check(path, failed)
        _write_whole(path, failed, pieces())
        return
    if is_terminal(STDOUT):
        raise CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    for piece in pieces():
        write(STDOUT, piece)


def _check(path: str, failed: str) -> None:
    """Raise unless the path is free or a regular file's, in a directory: the archive takes the place of what is there.

    The message begins with what has ``failed``.
    """
    directory = os.path.dirname(path) or "."
    try:
        os.stat(f"{directory}/.")
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise CliError(f"{failed}: invalid output path: stat {directory}: {reason}") from error
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise CliError(f"{failed}: lstat {path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISREG(mode):
        raise CliError(f"{failed}: cannot write to {_KINDS.get(stat.S_IFMT(mode), 'an irregular file')}")


def _write_whole(path: str, failed: str, pieces: Iterable[bytes]) -> None:
    """The file appears under its name only when it is complete."""
    _check(path, failed)  # once more: the daemon may have taken its time to answer
    draft = f"{path}.tmp-{os.getpid()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for piece in pieces:
            write(fd, piece)
        os.fsync(fd)
        os.rename(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    finally:
        os.close(fd)
