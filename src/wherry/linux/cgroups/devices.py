"""The device controller of cgroup v2: an eBPF program of ours on the group. Imports ctypes, os and struct.

The kernel calls the program on every mknod(2) and open(2) of a device node by a process of the group, with

    struct bpf_cgroup_dev_ctx { __u32 access_type; __u32 major; __u32 minor; }     access << 16 | type

and lets it pass if the program returns 1. Rules are looked at from the last to the first: the last one that matches
decides, and if none does the answer is no.
"""

from __future__ import annotations

import ctypes
import os
import struct

from wherry.linux.cgroups.files import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# <linux/bpf.h>
_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8
_BPF_PROG_DETACH = 9
_BPF_PROG_QUERY = 16
_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_ACCESS = {"m": 1, "r": 2, "w": 4}
_ALL_ACCESS = 7
_KINDS = {"b": 1, "c": 2, "u": 2}
_SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}

# opcodes
_LDX_W = 0x61
_MOV_REG, _MOV_IMM = 0xBF, 0xB7
_AND_IMM, _RSH_IMM = 0x57, 0x77
_JNE_IMM, _JNE_REG = 0x55, 0x5D
_EXIT = 0x95


def build_filter(rules: Sequence[Mapping[str, Any]]) -> bytes:
    """The eBPF of OCI device rules. Raises CgroupError for a rule that is none."""
    program = [
        _op(_LDX_W, 2, 1, 0),  # r2 = type
        _op(_AND_IMM, 2, immediate=0xFFFF),
        _op(_LDX_W, 3, 1, 0),  # r3 = access
        _op(_RSH_IMM, 3, immediate=16),
        _op(_LDX_W, 4, 1, 4),  # r4 = major
        _op(_LDX_W, 5, 1, 8),  # r5 = minor
    ]
    for rule in reversed(rules):
        block = _rule(rule)
        program += block
        if len(block) == 2:
            break  # it matches everything: the verifier refuses what can never run
    else:
        program += _answer(allow=False)
    return b"".join(program)


def attach_filter(directory: str, rules: Sequence[Mapping[str, Any]]) -> None:
    """Load the filter and put it on a group in place of the one that is there. Raises CgroupError."""
    program = build_filter(rules)
    group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        old = _attached(group)
        fd = _load(program)
        try:
            _bpf(_BPF_PROG_ATTACH, struct.pack("=IIII", group, fd, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI), "attach")
        finally:
            os.close(fd)
        # The new one is in force before the old one goes: at no instant is everything allowed.
        for number in old:
            _detach(group, number)
    finally:
        os.close(group)


def _rule(rule: Mapping[str, Any]) -> list[bytes]:
    """Conditions that jump over the answer when they do not hold."""
    kind, access = rule.get("type") or "a", rule.get("access") or "rwm"
    if kind not in ("a", *_KINDS) or set(access) - set(_ACCESS):
        raise CgroupError(f"invalid device cgroup rule: {dict(rule)!r}")
    conditions: list[tuple[bytes, int, int, int]] = []  # code before, opcode, register, immediate
    if kind != "a":
        conditions.append((b"", _JNE_IMM, 2, _KINDS[kind]))
    bits = sum(_ACCESS[letter] for letter in set(access))
    if bits != _ALL_ACCESS:
        # What is asked for must be within what the rule names: (access & bits) == access.
        within = _op(_MOV_REG, 1, 3) + _op(_AND_IMM, 1, immediate=bits)
        conditions.append((within, _JNE_REG, 1, 3))
    for register, name in ((4, "major"), (5, "minor")):
        number = rule.get(name)
        if kind != "a" and number is not None and number >= 0:
            conditions.append((b"", _JNE_IMM, register, number))
    answer = _answer(allow=bool(rule.get("allow")))
    block: list[bytes] = []
    remaining = sum(1 + len(before) // 8 for before, *_ in conditions) + len(answer)
    for before, code, register, operand in conditions:
        remaining -= 1 + len(before) // 8
        block += [before[at : at + 8] for at in range(0, len(before), 8)]
        if code == _JNE_REG:
            block.append(_op(code, register, operand, remaining))
        else:
            block.append(_op(code, register, 0, remaining, operand))
    return block + answer


def _answer(*, allow: bool) -> list[bytes]:
    return [_op(_MOV_IMM, 0, immediate=int(allow)), _op(_EXIT)]


def _op(code: int, target: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("=BBhi", code, source << 4 | target, offset, immediate)


def _load(program: bytes) -> int:
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache")
    attributes = struct.pack(
        "=IIQQ", _PROG_TYPE_CGROUP_DEVICE, len(program) // 8, ctypes.addressof(code), ctypes.addressof(licence)
    )
    return _bpf(_BPF_PROG_LOAD, attributes.ljust(128, b"\0"), "load")


def _attached(group: int) -> list[int]:
    """The ids of the device filters on a group."""
    ids = (ctypes.c_uint32 * 64)()
    attributes = ctypes.create_string_buffer(
        struct.pack("=IIIIQI", group, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), len(ids)), 128
    )
    _bpf_buffer(_BPF_PROG_QUERY, attributes, "query")
    count = struct.unpack_from("=I", attributes.raw, 24)[0]
    return list(ids[:count])


def _detach(group: int, number: int) -> None:
    get_fd_by_id = 13
    fd = _bpf(get_fd_by_id, struct.pack("=I", number).ljust(128, b"\0"), "get")
    try:
        _bpf(_BPF_PROG_DETACH, struct.pack("=III", group, fd, _ATTACH_CGROUP_DEVICE), "detach")
    finally:
        os.close(fd)


def _bpf(command: int, attributes: bytes, what: str) -> int:
    return _bpf_buffer(command, ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128), what)


def _bpf_buffer(command: int, attributes: ctypes.Array[ctypes.c_char], what: str) -> int:
    number = _SYS_BPF.get(os.uname().machine)
    if number is None:
        raise CgroupError(f"device cgroup: bpf(2) is not known on {os.uname().machine}")
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(number, command, attributes, len(attributes))
    if result < 0:
        raise CgroupError(f"device cgroup: bpf {what}: {os.strerror(ctypes.get_errno())}")
    return result
