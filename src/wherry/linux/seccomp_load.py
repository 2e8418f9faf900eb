"""Putting a compiled seccomp program on the calling process. Imports ctypes and os only: a container's init uses it."""

from __future__ import annotations

import ctypes
import os

from wherry.linux.seccomp_rules import FLAGS, NEW_LISTENER
from wherry.linux.syscalls import c_int, c_ulong, c_void_p, check, function, system_call

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SECCOMP_SET_MODE_FILTER = 1
SPEC_ALLOW = FLAGS["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
"""Do not slow the program down by mitigations that its filter does not need."""

_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277, "riscv64": 277, "loongarch64": 277, "ppc64le": 358, "s390x": 348}

_seccomp = system_call(_SYS_SECCOMP.get(os.uname().machine, -1), c_ulong, c_ulong, c_void_p)
_prctl = function("prctl", c_int, c_ulong, c_void_p, c_ulong, c_ulong)


class Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Loader:
    """A program made ready before the process loses what it needs for that (memory maps, libc lookups)."""

    def __init__(self, bpf: bytes, *, flags: int = SPEC_ALLOW) -> None:
        if not bpf or len(bpf) % 8 or len(bpf) // 8 > 4096:
            raise ValueError(f"not a BPF program: {len(bpf)} bytes")
        self._buffer = ctypes.create_string_buffer(bpf, len(bpf))
        self._program = Program(len(bpf) // 8, ctypes.addressof(self._buffer))
        self._flags = flags

    @property
    def listens(self) -> bool:
        """Whether loading gives a descriptor for a supervisor."""
        return bool(self._flags & NEW_LISTENER)

    def load(self) -> int:
        """Load it. Needs no_new_privs or CAP_SYS_ADMIN; raises OSError.

        Of a program that listens the supervisor's descriptor, close-on-exec; else 0.
        """
        pointer = ctypes.addressof(self._program)
        result = _seccomp(_SECCOMP_SET_MODE_FILTER, self._flags, pointer)
        if result >= 0:
            return result
        if self._flags in (0, SPEC_ALLOW):
            # A kernel without the flag or the syscall: prctl(2) does the same without flags.
            result = _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, pointer, 0, 0)
        return check(result, "seccomp", "loading the filter")


def load(bpf: bytes) -> None:
    """Load a compiled program on the calling thread. Raises OSError; ValueError if it cannot be a program."""
    Loader(bpf).load()
