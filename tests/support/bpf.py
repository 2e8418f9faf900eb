"""A small interpreter of classic BPF: what the kernel would answer to a system call."""

from __future__ import annotations

import struct

X86_64, X86 = 0xC000003E, 0x40000003


def run(program: bytes, number: int, *arguments: int, arch: int = X86_64) -> int:
    """What the kernel would return for a syscall."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(arguments + (0,) * 6)[:6])
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("=I", data, value)[0]
            case 0x54:
                accumulator &= value
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x25:
                at += if_true if accumulator > value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x05:
                at += value
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"opcode {code:#x}")
