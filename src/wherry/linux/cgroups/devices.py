"""The device controller of cgroup v2: an eBPF program of ours on the group. Imports ctypes, errno, os and struct.

The kernel calls the program on every mknod(2) and open(2) of a device node by a process of the group, with

    struct bpf_cgroup_dev_ctx { __u32 access_type; __u32 major; __u32 minor; }     access << 16 | type

and lets it pass if the program returns 1. Ours is one block per exception (``device_rules``), then the default.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from wherry.linux.cgroups.device_rules import ANY
from wherry.linux.cgroups.files import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.linux.cgroups.device_rules import Device, DeviceRules

# <linux/bpf.h>
_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8
_BPF_PROG_DETACH = 9
_BPF_PROG_GET_FD_BY_ID = 13
_BPF_PROG_QUERY = 16
_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_REPLACE = 4
_ACCESS = {"m": 1, "r": 2, "w": 4}
_ALL_ACCESS = 7
_KINDS = {"b": 1, "c": 2}
_SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}

# opcodes
_LDX_W = 0x61
_MOV_REG, _MOV_IMM = 0xBF, 0xB7
_AND_IMM, _RSH_IMM = 0x57, 0x77
_JEQ_IMM, _JNE_IMM, _JNE_REG = 0x15, 0x55, 0x5D
# The 64-bit jump extends its immediate by the sign; the 32-bit one is there since Linux 5.1 only.
_JNE32_IMM = 0x56
_NEGATIVE = 1 << 31
_EXIT = 0x95


def build_filter(rules: DeviceRules) -> bytes:
    """The program."""
    program = [
        _op(_LDX_W, 2, 1, 0),  # r2 = type
        _op(_AND_IMM, 2, immediate=0xFFFF),
        _op(_LDX_W, 3, 1, 0),  # r3 = access
        _op(_RSH_IMM, 3, immediate=16),
        _op(_LDX_W, 4, 1, 4),  # r4 = major
        _op(_LDX_W, 5, 1, 8),  # r5 = minor
    ]
    for device, access in rules.sorted():
        program += _block(device, access, allow=not rules.allow)
    return b"".join([*program, *_answer(allow=rules.allow)])


def attach_filter(directory: str, rules: DeviceRules) -> None:
    """Load the filter and put it on a group in place of the one that is there. Raises CgroupError."""
    group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    old: list[int] = []
    try:
        old = _attached(group)
        fd = _load(build_filter(rules))
        try:
            replaced = len(old) == 1 and _attach(group, fd, old[0])
            if not replaced:
                _attach(group, fd)
        finally:
            os.close(fd)
        # The new one is in force before the old ones go: at no instant is everything allowed.
        for program in () if replaced else old:
            _bpf(_BPF_PROG_DETACH, struct.pack("=III", group, program, _ATTACH_CGROUP_DEVICE), "detach")
    finally:
        for fd in (group, *old):
            os.close(fd)


def _block(device: Device, access: str, *, allow: bool) -> list[bytes]:
    """Conditions that jump over the answer when they do not hold."""
    kind, major, minor = device
    bits = sum(_ACCESS[mode] for mode in access)
    # Code that ends in a jump, whose offset is still to be known.
    conditions: list[tuple[list[bytes], int, int, int, int]] = [([], _JNE_IMM, 2, 0, _KINDS[kind])]
    masked = [_op(_MOV_REG, 1, 3), _op(_AND_IMM, 1, immediate=bits)]
    if not allow:
        conditions.append((masked, _JEQ_IMM, 1, 0, 0))  # nothing asked for is denied
    elif bits != _ALL_ACCESS:
        conditions.append((masked, _JNE_REG, 1, 3, 0))  # something asked for is not allowed
    for register, number in ((4, major), (5, minor)):
        if number != ANY:
            conditions.append(([], _JNE_IMM if number < _NEGATIVE else _JNE32_IMM, register, 0, number))
    block = _answer(allow=allow)
    for before, code, target, source, immediate in reversed(conditions):
        block = [*before, _op(code, target, source, len(block), immediate), *block]
    return block


def _answer(*, allow: bool) -> list[bytes]:
    return [_op(_MOV_IMM, 0, immediate=int(allow)), _op(_EXIT)]


def _op(code: int, target: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("=BBhI", code, source << 4 | target, offset, immediate)


def _load(program: bytes) -> int:
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache")
    attributes = struct.pack(
        "=IIQQ", _PROG_TYPE_CGROUP_DEVICE, len(program) // 8, ctypes.addressof(code), ctypes.addressof(licence)
    )
    try:
        return _bpf(_BPF_PROG_LOAD, attributes, "load")
    except _BpfError as error:
        if error.number != errno.EPERM or not _raise_memory_lock():
            raise
        return _bpf(_BPF_PROG_LOAD, attributes, "load")


def _raise_memory_lock() -> bool:
    """Before Linux 5.11 a program counts as locked memory, of which a process may have little."""
    import resource  # noqa: PLC0415  needed on old kernels alone

    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        return False
    return True


def _attached(group: int) -> list[int]:
    """Descriptors of the device filters on a group; without those that a security module keeps to itself."""
    ids = (ctypes.c_uint32 * 64)()  # more do not fit on a group
    attributes = ctypes.create_string_buffer(
        struct.pack("=IIIIQI", group, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), len(ids)), 128
    )
    _bpf_buffer(_BPF_PROG_QUERY, attributes, "query")
    count = struct.unpack_from("=I", attributes.raw, 24)[0]
    found: list[int] = []
    for number in ids[:count]:
        try:
            found.append(_bpf(_BPF_PROG_GET_FD_BY_ID, struct.pack("=I", number), "get"))
        except _BpfError as error:
            if error.number not in (errno.EPERM, errno.EACCES, errno.ENOENT):
                for fd in found:
                    os.close(fd)
                raise
    return found


def _attach(group: int, program: int, replaces: int = -1) -> bool:
    """False when the kernel (before 5.6) cannot replace."""
    flags, other = (_ALLOW_MULTI, 0) if replaces < 0 else (_ALLOW_MULTI | _REPLACE, replaces)
    try:
        _bpf(_BPF_PROG_ATTACH, struct.pack("=IIIII", group, program, _ATTACH_CGROUP_DEVICE, flags, other), "attach")
    except _BpfError as error:
        if replaces < 0 or error.number != errno.EINVAL:
            raise
        return False
    return True


class _BpfError(CgroupError):
    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"failed to call BPF_PROG_{what.upper()} (BPF_CGROUP_DEVICE): {os.strerror(number).lower()}")
        self.number = number


def _bpf(command: int, attributes: bytes, what: str) -> int:
    return _bpf_buffer(command, ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128), what)


def _bpf_buffer(command: int, attributes: ctypes.Array[ctypes.c_char], what: str) -> int:
    number = _SYS_BPF.get(os.uname().machine)
    if number is None:
        raise CgroupError(f"device cgroup: bpf(2) is not known on {os.uname().machine}")
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(number, command, attributes, len(attributes))
    if result < 0:
        raise _BpfError(what, ctypes.get_errno())
    return result
