"""clone(2) for what fork(2) does not offer. Imports ctypes, os."""

from __future__ import annotations

import ctypes
import os

from wherry.linux.syscalls import failure

_CLONE_PARENT = 0x00008000
_SIGCHLD = 17
_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120, "s390x": 120}

# A PyDLL call keeps the interpreter's lock: the child comes out of it as the parent went in.
_syscall = ctypes.PyDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, *(ctypes.c_ulong,) * 5)
_before = ctypes.pythonapi.PyOS_BeforeFork
_after_in_parent = ctypes.pythonapi.PyOS_AfterFork_Parent
_after_in_child = ctypes.pythonapi.PyOS_AfterFork_Child


def fork_sibling() -> int:
    """As fork(2), but the child is our parent's: 0 there, its pid in our pid namespace here. Raises OSError.

    So our parent can wait for it whatever pid namespace it is born into. The caller has one thread.
    """
    flags = _CLONE_PARENT | _SIGCHLD
    # s390x takes the stack first.
    words = (0, flags) if os.uname().machine == "s390x" else (flags, 0)
    number = _SYS_CLONE.get(os.uname().machine, -1)
    _before()
    pid: int = _syscall(number, *words, 0, 0, 0)
    code = ctypes.get_errno()
    if pid == 0:
        _after_in_child()
        return 0
    _after_in_parent()
    if pid < 0:
        raise failure(code, "clone")
    return pid
