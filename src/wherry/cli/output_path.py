"""Where ``-o`` may write: to a new file or over a regular one, in a directory that exists. The words are docker's."""

from __future__ import annotations

import os
import stat

from wherry.cli.errors import CliError

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link directly",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device file",
    stat.S_IFBLK: "a block device file",
}


def check_output(path: str, failed: str) -> None:
    """Raise ``CliError``, beginning with what has ``failed``, if the file cannot be put in place."""
    directory = os.path.dirname(path) or "."
    try:
        os.stat(f"{directory}/.")
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise CliError(f"{failed}: invalid output path: stat {directory}: {reason}") from error
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise CliError(f"{failed}: cannot write to {_KINDS[stat.S_IFMT(mode)]}")
