"""The head of a filter that answers ENOSYS to syscalls newer than the profile knows.

A profile whose default is an error would answer EPERM to a syscall added to the kernel after it was written (or after
libseccomp was), and C libraries fall back to an older call only on ENOSYS. So, as the reference runtime does, whatever
is beyond the last number that the profile names on an architecture is told not to exist.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# <linux/bpf_common.h>
_LD_W_ABS = 0x20
_JEQ_K = 0x15
_JGT_K = 0x25
_JGE_K = 0x35
_RET_K = 0x06

# struct seccomp_data
_NR = 0
_ARCH = 4

_RET_ENOSYS = 0x00050000 | 38
_X86_64 = 0xC000003E
# Both report a call that they have no number for as number 0, which no call has there.
_S390 = (0x00000016, 0x80000016)
X32 = 0x4000003E
"""libseccomp's token of x32, which the kernel reports as x86_64 with a bit set in the number."""
_X32_BIT = 0x40000000


def enosys_stub(last: Mapping[int, int]) -> bytes:
    """BPF that falls through to what follows it, except for numbers above ``last`` (architecture token → number)."""
    blocks = [_block(token, number) for token, number in last.items() if token not in (_X86_64, X32)]
    if _X86_64 in last or X32 in last:
        blocks.insert(0, _block_x86_64(last.get(_X86_64), last.get(X32)))
    return b"".join(blocks)


def _block(token: int, number: int) -> bytes:
    if token in _S390:
        return b"".join(
            (
                _op(_LD_W_ABS, _ARCH),
                _op(_JEQ_K, token, 0, 4),
                _op(_LD_W_ABS, _NR),
                _op(_JEQ_K, 0, 1, 0),
                _op(_JGT_K, number, 0, 1),
                _op(_RET_K, _RET_ENOSYS),
            )
        )
    return b"".join(
        (
            _op(_LD_W_ABS, _ARCH),
            _op(_JEQ_K, token, 0, 3),
            _op(_LD_W_ABS, _NR),
            _op(_JGT_K, number, 0, 1),
            _op(_RET_K, _RET_ENOSYS),
        )
    )


def _block_x86_64(number: int | None, x32_number: int | None) -> bytes:
    """One kernel architecture, two tables. A table that the profile does not have is left to the filter."""
    return b"".join(
        (
            _op(_LD_W_ABS, _ARCH),
            _op(_JEQ_K, _X86_64, 0, 5),
            _op(_LD_W_ABS, _NR),
            _op(_JGE_K, _X32_BIT, 1, 0),
            _op(_JGT_K, _X32_BIT - 1 if number is None else number, 1, 2),
            _op(_JGT_K, 0xFFFFFFFF if x32_number is None else x32_number, 0, 1),
            _op(_RET_K, _RET_ENOSYS),
        )
    )


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
