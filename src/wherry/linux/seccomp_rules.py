"""What a seccomp profile comes down to, whoever wrote it: actions, conditions, rules, and how they are loaded.

Pure, and light: ``wherry-oci`` and a container's init import it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# SECCOMP_RET_* of <linux/seccomp.h>; the low 16 bits carry an errno or a tracer's message.
ALLOW = 0x7FFF0000
LOG = 0x7FFC0000
TRACE = 0x7FF00000
NOTIFY = 0x7FC00000
ERRNO = 0x00050000

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_NOTIFY": NOTIFY,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ALLOW": ALLOW,
}
WITH_DATA = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
"""The actions that take an errnoRet."""
EPERM = 1
ENOSYS = 38

# enum scmp_compare of <seccomp.h>
OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

ARCHITECTURES = (
    *("SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"),
    *("SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32"),
    *("SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32"),
    *("SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390", "SCMP_ARCH_S390X"),
    *("SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64"),
    *("SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB"),
)

# SECCOMP_FILTER_FLAG_* of <linux/seccomp.h>. TSYNC is known but needless: the process that loads has one thread.
_SPEC_ALLOW = 1 << 2
NEW_LISTENER = 1 << 3
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": _SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_LOG": 1 << 1,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 1 << 5,
}


class Argument:
    """A condition on a syscall's argument."""

    __slots__ = ("index", "op", "value", "value_two")

    def __init__(self, index: int, op: int, value: int, value_two: int) -> None:
        self.index = index
        self.op = op
        self.value = value
        self.value_two = value_two


class Rule:
    """An action for some syscalls under conditions that must all hold."""

    __slots__ = ("action", "arguments", "names")

    def __init__(self, names: tuple[str, ...], action: int, arguments: tuple[Argument, ...]) -> None:
        self.names = names
        self.action = action
        self.arguments = arguments


class Rules:
    """A profile for one machine and one set of capabilities."""

    __slots__ = ("architectures", "default_action", "rules")

    def __init__(self, default_action: int, architectures: tuple[str, ...], rules: tuple[Rule, ...]) -> None:
        self.default_action = default_action
        self.architectures = architectures
        """Names as libseccomp has them (``x86_64``); empty means native only."""
        self.rules = rules


def denies(action: int) -> bool:
    """Whether an action keeps the syscall from running; ALLOW, LOG and TRACE let it run."""
    return action < TRACE or action >= 0x80000000


def load_flags(seccomp: dict[str, Any] | None) -> int:
    """The flags to load the filter of config.json's ``linux.seccomp`` with.

    Without a list of them SPEC_ALLOW is set, as under the reference runtime; an empty list is none at all.
    """
    if seccomp is None:
        return _SPEC_ALLOW
    given = seccomp.get("flags")
    flags = 0
    for name in ("SECCOMP_FILTER_FLAG_SPEC_ALLOW",) if given is None else given:
        flags |= FLAGS[name]
    return flags | (NEW_LISTENER if notifies(seccomp) else 0)


def notifies(seccomp: dict[str, Any]) -> bool:
    """Whether a supervisor decides about some of the calls."""
    return any(call.get("action") == "SCMP_ACT_NOTIFY" for call in seccomp.get("syscalls") or ())
