"""What a control group uses, as values. For the daemon: a shim does not import this."""

from __future__ import annotations

from dataclasses import dataclass, field

UNLIMITED = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class BlockCounter:
    """One counter of one block device."""

    major: int
    minor: int
    op: str
    """``Read``, ``Write``, ``Sync``, ``Async``, ``Discard``, ``Total`` on v1, ``read`` and ``write`` on v2."""
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupStats:
    """Counters since the group was made. Times in ns, sizes in bytes."""

    cpu_total: int = 0
    cpu_user: int = 0
    cpu_system: int = 0
    per_cpu: tuple[int, ...] = ()
    """v1 only."""
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0
    memory_usage: int = 0
    memory_peak: int = 0
    memory_limit: int = UNLIMITED
    memory_failures: int = 0
    """How often the limit was hit (v1) or the group was out of memory (v2)."""
    memory: dict[str, int] = field(default_factory=dict)
    """memory.stat, by the kernel's names."""
    pids: int = 0
    pids_limit: int = 0
    """0 is none."""
    block_bytes: tuple[BlockCounter, ...] = ()
    block_operations: tuple[BlockCounter, ...] = ()


def number(text: str, default: int = 0) -> int:
    """A counter or limit; ``max`` and the v1 kernel's largest page count are ``UNLIMITED``, nothing is ``default``."""
    text = text.strip()
    if text == "max":
        return UNLIMITED
    return int(text) if text.isdigit() else default


def flat(text: str) -> dict[str, int]:
    """``name value`` lines; what is no number is left out."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
