"""Giving up what a container's program is not to have: groups, ids, capabilities, and other people's terminals."""

from __future__ import annotations

import errno
import os
import stat

from wherry.linux import process
from wherry.runtime import users
from wherry.runtime.init_errors import Plain, Step, from_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_ID = (1 << 32) - 2
"""The last id of the kernel: the next is -1, which set*id calls take as "no change"."""


def given(process_spec: dict[str, Any], home: bytes) -> users.Identity:
    """The ids of config.json, exactly: its additional groups are all that there are. ``home`` is the passwd file.

    Raises StartError.
    """
    user = process_spec.get("user") or {}
    uid, gid = user.get("uid") or 0, user.get("gid") or 0
    groups = tuple(dict.fromkeys(user.get("additionalGids") or ()))
    if not all(0 <= number <= _MAX_ID for number in (uid, gid, *groups)):
        raise Plain(f"unable to setup user: uids and gids must be in range 0-{_MAX_ID}")
    return users.Identity(uid, gid, groups, users.home(uid, home))


def become(identity: users.Identity, sets: dict[str, int], *, user_namespace: bool) -> None:
    """Take the ids and the five capability sets. Raises StartError."""
    # The bounding set before the ids change, because that needs CAP_SETPCAP; the other sets after they have.
    with Step("unable to apply bounding set", Plain):
        process.drop_bounding(sets["bounding"])
    with Step("unable to set keep caps", Plain):
        process.set_keep_capabilities(keep=True)
    _set_groups(identity.groups, user_namespace=user_namespace)
    # With the privilege to, setgid(2) and setuid(2) change all three ids: the calls that profiles made for runc allow.
    _set_id("gid", os.setgid, identity.gid)
    _set_id("uid", os.setuid, identity.uid)
    with Step("unable to clear keep caps", Plain):
        process.set_keep_capabilities(keep=False)
    with Step("unable to apply caps", Plain):
        process.set_capabilities(sets["effective"], sets["permitted"], sets["inheritable"])
        # What is not in both others cannot be ambient, and is passed over as under runc.
        process.set_ambient(sets["ambient"] & sets["permitted"] & sets["inheritable"])


def own_stdio(uid: int) -> None:
    """Give the pipes and the terminal to the user, so that /dev/stdout can be opened again."""
    for fd in (0, 1, 2):
        try:
            status = os.fstat(fd)
        except OSError as error:
            raise from_errno("unable to setup user: fstat of stdio", error.errno, Plain) from error
        if status.st_uid == uid or (stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)):
            continue
        try:
            os.fchown(fd, uid, -1)
        except OSError as error:
            # Read-only file systems, and owners without an id in our user namespace: what it has may still do.
            if error.errno not in (errno.EPERM, errno.EROFS, errno.EINVAL):
                raise from_errno("unable to setup user: chown of stdio", error.errno, Plain) from error


def verify_directory() -> None:
    """A directory outside our root has no path: the kernel says "(unreachable)", libc ENOENT (CVE-2024-21626)."""
    try:
        if os.getcwd().startswith("/"):
            return
    except FileNotFoundError:
        pass
    raise Plain(
        "current working directory is outside of container mount namespace root -- possible container breakout detected"
    )


def _set_groups(groups: tuple[int, ...], *, user_namespace: bool) -> None:
    try:
        os.setgroups(groups)
    except OSError as error:
        # A user namespace made without privileges may not change them (CVE-2014-8989): those of its maker stay.
        if user_namespace and error.errno == errno.EPERM:
            if not groups:
                return
            raise Plain("unable to setup user: cannot set any additional groups in a rootless container") from error
        if user_namespace and error.errno == errno.EINVAL:
            raise Plain(
                f"unable to setup user: cannot setgroups to unmapped gids {list(groups)} in user namespace"
            ) from error
        raise from_errno("unable to setup user: setgroups", error.errno, Plain) from error


def _set_id(kind: str, call: Any, number: int) -> None:
    try:
        call(number)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise Plain(f"unable to setup user: cannot set {kind} to unmapped user in user namespace") from error
        raise from_errno(f"unable to setup user: set{kind}", error.errno, Plain) from error
