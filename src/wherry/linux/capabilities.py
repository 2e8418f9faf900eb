"""Capabilities: names and numbers, what the machine offers, and what ``--cap-add`` and ``--cap-drop`` leave of it.

Imports os: ``wherry-oci`` uses it.
"""

from __future__ import annotations

import os

from wherry.lib.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

NAMES: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""In the kernel's numbering: the index is the number (capabilities(7))."""

DEFAULT: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
"""Docker's default set, in Docker's order."""

ALL = "ALL"

SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
"""The five sets of a process, by their names in config.json."""

_NUMBERS = {name: number for number, name in enumerate(NAMES)}


def mask(names: Iterable[str]) -> int:
    """The bit set of the kernel for ``CAP_…`` names. Raises KeyError for a name that does not exist."""
    bits = 0
    for name in names:
        bits |= 1 << _NUMBERS[name]
    return bits


def masks(sets: Mapping[str, Sequence[str] | None]) -> tuple[dict[str, int], tuple[str, ...]]:
    """The five sets of config.json as the kernel's bits, and the names that do not exist, which are left out.

    The reference runtime warns of those in the words ``ignoring unknown or unavailable capabilities: [CAP_X]``.
    """
    known = {kind: [name for name in sets.get(kind) or () if name in _NUMBERS] for kind in SETS}
    unknown = {name for kind in SETS for name in sets.get(kind) or () if name not in _NUMBERS}
    return {kind: mask(wanted) for kind, wanted in known.items()}, tuple(sorted(unknown))


def names(bits: int) -> tuple[str, ...]:
    """The names in a bit set, by number; bits that have no name here are left out."""
    return tuple(name for number, name in enumerate(NAMES) if bits >> number & 1)


def available(status: str | os.PathLike[str] = "/proc/self/status") -> tuple[str, ...]:
    """The capabilities that this process can hand on: in its permitted and in its bounding set."""
    with open(status, encoding="ascii", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file if line.startswith("Cap"))
    return names(int(fields["CapPrm"], 16) & int(fields["CapBnd"], 16))


def normalize(wanted: Iterable[str], offered: Collection[str]) -> tuple[str, ...]:
    """``wanted`` in capital letters with the prefix, ``ALL`` as it is. Raises InvalidArgument in Docker's words."""
    return tuple(_normalize(name.upper(), offered) for name in wanted)


def tweak(
    *,
    offered: Sequence[str],
    add: Iterable[str] = (),
    drop: Iterable[str] = (),
    privileged: bool = False,
    basics: Iterable[str] = DEFAULT,
) -> tuple[str, ...]:
    """The capabilities of a container, in Docker's order and only from those ``offered``.

    ``ALL`` in ``add`` wins over ``ALL`` in ``drop``; a name in both is added, unless all are. Raises InvalidArgument.
    """
    if privileged:
        return tuple(offered)
    adds, drops = normalize(add, offered), normalize(drop, offered)
    if ALL in adds:
        return tuple(name for name in offered if name not in drops)
    kept = () if ALL in drops else tuple(name for name in basics if name in offered and name not in drops)
    return tuple(dict.fromkeys([*kept, *adds]))


def _normalize(name: str, offered: Collection[str]) -> str:
    if name == ALL:
        return name
    full = name if name.startswith("CAP_") else f"CAP_{name}"
    if full not in _NUMBERS:
        raise InvalidArgument(f'unknown capability: "{full}"')
    if full not in offered:
        raise InvalidArgument(
            f'capability not supported by your kernel or not available in the current environment: "{full}"'
        )
    return full
