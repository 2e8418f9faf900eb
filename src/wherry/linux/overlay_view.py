"""A read-only look at overlay layers that no mount namespace ever sees: fsopen(2), fsmount(2). Imports ctypes, os."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from wherry.linux.syscalls import c_char_p, c_int, c_uint, check, system_call

SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432

FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
_CLOEXEC = 1

_fsopen = system_call(SYS_FSOPEN, c_char_p, c_uint)
_fsconfig = system_call(SYS_FSCONFIG, c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = system_call(SYS_FSMOUNT, c_int, c_uint, c_uint)


def open_view(lower: Sequence[str]) -> int:
    """A descriptor of the root of ``lower`` (at least two directories, top-most first) merged; closing it ends it.

    Raises OSError. Kernels before 6.5 take all the layers as one string, of 255 bytes at most (EINVAL beyond).
    """
    context = check(_fsopen(b"overlay", _CLOEXEC), "fsopen", "overlay")
    try:
        _configure(context, FSCONFIG_SET_FLAG, "ro", None)
        try:
            for layer in lower:
                _configure(context, FSCONFIG_SET_STRING, "lowerdir+", layer)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _configure(context, FSCONFIG_SET_STRING, "lowerdir", ":".join(lower))
        _configure(context, FSCONFIG_CMD_CREATE, None, None)
        return check(_fsmount(context, _CLOEXEC, 0), "fsmount", "overlay")
    finally:
        os.close(context)


def _configure(context: int, command: int, key: str | None, value: str | None) -> None:
    encoded = [os.fsencode(text) if text is not None else None for text in (key, value)]
    check(_fsconfig(context, command, *encoded, 0), "fsconfig", key or "create")
