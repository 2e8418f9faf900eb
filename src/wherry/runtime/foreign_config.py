"""What another OCI runtime's configuration needs besides ours: everything that our own init finds out by itself.

The user by number, HOME, capabilities for that user, the working directory made. The container's files are hostile:
they are read below a descriptor of its root, bounded (see ``users``), from outside. Within the import budget of a shim.
"""

from __future__ import annotations

import os
import stat

from wherry.linux import paths
from wherry.runtime import users
from wherry.runtime.init_errors import StartError, Step, from_errno
from wherry.runtime.init_exec_find import with_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def complete_process(process: dict[str, Any], request: dict[str, Any], root: int) -> None:
    """Make ``process`` of config.json hold for a runtime that knows no names; ``root`` is the container's root.

    Raises StartError.
    """
    identity = _identity(request, root)
    user = {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups)}
    process["user"] = {**(process.get("user") or {}), **user}
    process["env"] = with_home(list(process.get("env") or ()), identity.home)
    if identity.uid != 0 and process.get("capabilities"):
        # As execve(2) would leave them: a runtime gives the user what it is told to give.
        process["capabilities"] = {**process["capabilities"], "effective": [], "permitted": [], "ambient": []}


def make_directory(path: str, root: int, owner: tuple[int, int]) -> None:
    """The working directory, if it is missing, belonging to ``owner``. Raises StartError."""
    # The files of a user namespace's container can only be made by one of its own users.
    os.setegid(owner[1])
    os.seteuid(owner[0])
    try:
        with Step(f'mkdir "{path}"'):
            fd = paths.make_in(root, path, directory=True)
    finally:
        os.seteuid(0)
        os.setegid(0)
    is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
    os.close(fd)
    if not is_directory:
        raise StartError(f"Cannot mkdir: {path} is not a directory", engine=True)


def _identity(request: dict[str, Any], root: int) -> users.Identity:
    try:
        passwd = paths.read_bounded(root, "/etc/passwd", users.MAX_FILE)
        group = paths.read_bounded(root, "/etc/group", users.MAX_FILE)
        return users.resolve(request["user"] or "", request["group_add"], passwd, group)
    except OSError as error:
        raise from_errno("unable to find user", error.errno) from error
    except users.UserError as error:
        raise StartError(str(error), engine=True) from error
