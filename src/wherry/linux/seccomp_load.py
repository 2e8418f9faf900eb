"""Putting a compiled seccomp program on the calling process. Imports ctypes and os only: a container's init uses it."""

from __future__ import annotations

import ctypes
import os

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SECCOMP_SET_MODE_FILTER = 1
SPEC_ALLOW = 4
"""SECCOMP_FILTER_FLAG_SPEC_ALLOW: do not slow the program down by mitigations that its filter does not need."""

_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277, "riscv64": 277, "loongarch64": 277, "ppc64le": 358, "s390x": 348}


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
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long
        self._number = _SYS_SECCOMP.get(os.uname().machine, 0)
        self._flags = flags

    def load(self) -> None:
        """Load it. Needs no_new_privs or CAP_SYS_ADMIN; raises OSError."""
        pointer = ctypes.byref(self._program)
        if self._number and not self._libc.syscall(
            ctypes.c_long(self._number),
            ctypes.c_ulong(_SECCOMP_SET_MODE_FILTER),
            ctypes.c_ulong(self._flags),
            pointer,
        ):
            return
        # A kernel without the flag or the syscall: prctl(2) does the same without flags.
        if self._libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), pointer, 0, 0):
            errno = ctypes.get_errno()
            raise OSError(errno, f"seccomp: unable to load the filter: {os.strerror(errno)}")


def load(bpf: bytes) -> None:
    """Load a compiled program on the calling thread. Raises OSError; ValueError if it cannot be a program."""
    Loader(bpf).load()
