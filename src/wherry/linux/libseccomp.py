"""The few calls of libseccomp that turn rules into a BPF program, by ctypes."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from functools import lru_cache
from types import TracebackType
from typing import Self

from wherry.lib.errors import Internal, Unavailable

LIBRARY = "libseccomp.so.2"

_RESOLVE_ERROR = -1
_ATTR_NO_NEW_PRIVS = 3
_ATTR_OPTIMIZE = 8
_BINARY_TREE = 2


class Condition(ctypes.Structure):
    """``struct scmp_arg_cmp``: which argument, how compared, with what."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The library with its prototypes. Raises Unavailable when it is not installed."""
    try:
        lib = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError as error:
        raise Unavailable(f"seccomp profiles need {LIBRARY}: {error}") from error
    lib.seccomp_version.restype = ctypes.POINTER(_Version)
    lib.seccomp_init.argtypes = (ctypes.c_uint32,)
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_release.argtypes = (ctypes.c_void_p,)
    lib.seccomp_release.restype = None
    lib.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    for call in (lib.seccomp_arch_add, lib.seccomp_arch_remove, lib.seccomp_arch_exist):
        call.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    lib.seccomp_arch_native.restype = ctypes.c_uint32
    lib.seccomp_arch_resolve_name.argtypes = (ctypes.c_char_p,)
    lib.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    lib.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
    lib.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Condition),
    )
    lib.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return lib


def version() -> str:
    """The version of the library that is loaded, ``2.5.4``."""
    found = library().seccomp_version().contents
    return f"{found.major}.{found.minor}.{found.micro}"


def path() -> str:
    """The file that the library was loaded from; empty if that cannot be told."""
    library()
    with open("/proc/self/maps", "rb") as file:
        found = next((line for line in file if b"/libseccomp.so" in line), b"")
    return os.fsdecode(found[found.index(b"/") :].rstrip()) if found else ""


def native_arch() -> int:
    """The token (AUDIT_ARCH number) of this machine's architecture."""
    return int(library().seccomp_arch_native())


def arch(name: str) -> int:
    """The token of an architecture by the library's name (``x86_64``); 0 if this version does not know it."""
    return int(library().seccomp_arch_resolve_name(name.encode()))


def syscall(name: str, token: int | None = None) -> int | None:
    """A syscall's number on an architecture (default: native); None if the library does not know it there.

    A number below zero stands for a call that this architecture has only inside a multiplexer such as socketcall(2).
    """
    number = int(library().seccomp_syscall_resolve_name_arch(native_arch() if token is None else token, name.encode()))
    return None if number == _RESOLVE_ERROR else number


class Filter:
    """A filter under construction; a context manager that frees it."""

    def __init__(self, default_action: int, *, tree: bool = True) -> None:
        self._lib = library()
        self._handle = self._lib.seccomp_init(default_action)
        if not self._handle:
            raise Internal(f"libseccomp refuses the default action {default_action:#x}")
        # Whoever loads the program decides about no_new_privs. Not all versions know the binary tree.
        self._check(self._lib.seccomp_attr_set(self._handle, _ATTR_NO_NEW_PRIVS, 0), "seccomp_attr_set")
        if tree:
            self._lib.seccomp_attr_set(self._handle, _ATTR_OPTIMIZE, _BINARY_TREE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lib.seccomp_release(self._handle)

    def add_arch(self, token: int) -> bool:
        """Let the rules hold on a further architecture too; False if its byte order is not the machine's."""
        if self._lib.seccomp_arch_exist(self._handle, token) == 0:
            return True
        result = self._lib.seccomp_arch_add(self._handle, token)
        if result == -errno.EDOM:
            return False
        self._check(result, "seccomp_arch_add")
        return True

    def add_rule(self, action: int, number: int, conditions: Sequence[Condition] = ()) -> None:
        """Take ``action`` on a syscall when all ``conditions`` hold."""
        array = (Condition * len(conditions))(*conditions)
        added = self._lib.seccomp_rule_add_array(self._handle, action, number, len(conditions), array)
        self._check(added, f"seccomp_rule_add_array (syscall {number})")

    def export(self) -> bytes:
        """The program: an array of ``struct sock_filter``, 8 bytes each."""
        fd = os.memfd_create("wherry-seccomp", os.MFD_CLOEXEC)
        try:
            self._check(self._lib.seccomp_export_bpf(self._handle, fd), "seccomp_export_bpf")
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)

    @staticmethod
    def _check(result: int, call: str) -> None:
        if result < 0:
            raise Internal(f"{call}: {os.strerror(-result)}")
