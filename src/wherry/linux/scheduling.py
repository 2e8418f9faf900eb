"""When a process runs: policy, I/O priority, the machine it believes to be on. Imports ctypes, os, struct."""

from __future__ import annotations

import os
import struct

from wherry.linux.syscalls import c_char_p, c_int, c_uint, c_ulong, check, function, system_call

# The architectures of the generic table share their numbers.
_GENERIC = ("aarch64", "riscv64", "loongarch64")
_SYS_SCHED_SETATTR = {"x86_64": 314, "ppc64le": 355, "s390x": 345, **dict.fromkeys(_GENERIC, 274)}
_SYS_IOPRIO_SET = {"x86_64": 251, "ppc64le": 273, "s390x": 282, **dict.fromkeys(_GENERIC, 30)}

PER_LINUX = 0x0000
PER_LINUX32 = 0x0008

_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_SHIFT = 13
_MACHINE = os.uname().machine

_sched_setattr = system_call(_SYS_SCHED_SETATTR.get(_MACHINE, -1), c_int, c_char_p, c_uint)
_ioprio_set = system_call(_SYS_IOPRIO_SET.get(_MACHINE, -1), c_int, c_int, c_int)
_personality = function("personality", c_ulong)


def set_attributes(
    policy: int, flags: int, *, nice: int = 0, priority: int = 0, runtime: int = 0, deadline: int = 0, period: int = 0
) -> None:
    """sched_setattr(2) for the caller; ``runtime``, ``deadline`` and ``period`` in nanoseconds."""
    layout = "=IIQiIQQQII"  # struct sched_attr; the last two are the utilization clamps
    size = struct.calcsize(layout)
    attributes = struct.pack(layout, size, policy, flags, nice, priority, runtime, deadline, period, 0, 0)
    check(_sched_setattr(0, attributes, 0), "sched_setattr")


def set_io_priority(kind: int, priority: int) -> None:
    """ioprio_set(2) for the caller: class 1 real time, 2 best effort, 3 idle; priority 0 (first) to 7."""
    check(_ioprio_set(_IOPRIO_WHO_PROCESS, 0, kind << _IOPRIO_CLASS_SHIFT | priority), "ioprio_set")


def set_personality(domain: int) -> None:
    """personality(2): the execution domain; PER_LINUX32 has uname(2) name a 32-bit machine."""
    check(_personality(domain), "personality", hex(domain))
