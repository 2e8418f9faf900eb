"""New file systems by descriptor: fsopen(2), fsconfig(2), fsmount(2) (Linux 5.2). Imports ctypes, os.

What mount(2) would attach at once is had detached here: it can be dressed (attributes, ids, propagation) and filled
before anybody can reach it, and is then put down by ``mounts.move_mount``, without a second look at a path.
"""

from __future__ import annotations

import os

from wherry.linux.syscalls import c_char_p, c_int, c_uint, check, encode, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432

FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6

VALUE_LIMIT = 255
"""Bytes of an option's value that fsconfig(2) takes."""

_fsopen = system_call(SYS_FSOPEN, c_char_p, c_uint)
_fsconfig = system_call(SYS_FSCONFIG, c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = system_call(SYS_FSMOUNT, c_int, c_uint, c_uint)


def fsopen(fstype: str) -> int:
    """A context in which a file system of the kind ``fstype`` is described."""
    return check(_fsopen(encode(fstype), FSOPEN_CLOEXEC), "fsopen", fstype)


def configure(context: int, key: str, value: str | None = None) -> None:
    """Set an option; without a value it is a flag."""
    command = FSCONFIG_SET_FLAG if value is None else FSCONFIG_SET_STRING
    text = None if value is None else encode(value)
    check(_fsconfig(context, command, encode(key), text, 0), "fsconfig", key)


def fsmount(context: int, attributes: int = 0) -> int:
    """Create what has been described; an O_PATH descriptor of its detached mount (``MOUNT_ATTR_`` attributes)."""
    check(_fsconfig(context, FSCONFIG_CMD_CREATE, None, None, 0), "fsconfig", "create")
    return check(_fsmount(context, FSMOUNT_CLOEXEC, attributes), "fsmount")


def create(fstype: str, options: Iterable[tuple[str, str | None]], attributes: int = 0) -> int:
    """The three calls in one: a detached mount of a new file system. Raises OSError."""
    context = fsopen(fstype)
    try:
        for key, value in options:
            configure(context, key, value)
        return fsmount(context, attributes)
    finally:
        os.close(context)
