"""libc by ctypes: its functions with their C types, and the error check. Imports ctypes and os.

Every wrapper in this package is encode, call, ``check``. A failure is an OSError that names the call as the manual page
does, what it was about, and the errno.

The types are declared once, at import: a forked process that makes a ctypes type copies some seventy pages for it.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_ulong, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Function = Callable[..., int]

__all__ = ["c_char_p", "c_int", "c_long", "c_size_t", "c_uint", "c_ulong", "c_void_p"]

# The numbers above 423 are the same on every architecture.
SYS_OPENAT2 = 437
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_CLOSE_RANGE = 436
SYS_MOUNT_SETATTR = 442

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

_UINT_MAX = 0xFFFFFFFF

# Symbols are looked up once, before any pivot_root.
libc = ctypes.CDLL(None, use_errno=True)


def function(name: str, *types: Any, result: Any = c_int) -> Function:
    """Libc's ``name`` for arguments of these types."""
    found = libc[name]
    found.argtypes = types
    found.restype = result
    return found


def system_call(number: int, *types: Any) -> Function:
    """The system call ``number``, for those that libc does not have everywhere."""
    found = function("syscall", c_long, *types, result=c_long)
    return lambda *arguments: found(number, *arguments)


def syscall(number: int, name: str, subject: object, *arguments: object) -> int:
    """Make the system call ``number`` with arguments that are ctypes already, and ``check``: for rare ones."""
    return check(libc.syscall(c_long(number), *arguments), name, subject)


def check(result: int, name: str, subject: object = "") -> int:
    """``result`` unless it is negative: then an OSError out of errno, with the call's name and what it was about."""
    if result < 0:
        raise failure(ctypes.get_errno(), name, subject)
    return result


def failure(code: int, name: str, subject: object = "") -> OSError:
    """The OSError of class and errno ``code`` that ``check`` would raise."""
    about = f" {subject}" if subject != "" else ""
    return OSError(code, f"{name}{about}: {os.strerror(code)}")


def encode(path: str | bytes) -> bytes:
    """A path as the kernel wants it; undecodable bytes were kept as surrogates."""
    return path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path


_close_range = system_call(SYS_CLOSE_RANGE, c_uint, c_uint, c_uint)


def close_all_but(kept: set[int]) -> None:
    """Close every descriptor that is not among ``kept``."""
    lowest = 0
    for number in sorted(kept):
        if number > lowest:
            check(_close_range(lowest, number - 1, 0), "close_range", lowest)
        lowest = number + 1
    close_from(lowest)


def close_from(lowest: int) -> None:
    """Close every descriptor from ``lowest`` on: close_range(2)."""
    check(_close_range(lowest, _UINT_MAX, 0), "close_range", lowest)
