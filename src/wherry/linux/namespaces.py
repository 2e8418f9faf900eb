"""Namespaces: their names in the OCI specification and what enters and leaves them. Imports ctypes."""

from __future__ import annotations

from wherry.linux.syscalls import c_int, check, function

CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

FLAGS = {
    "mount": CLONE_NEWNS,
    "cgroup": CLONE_NEWCGROUP,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "user": CLONE_NEWUSER,
    "pid": CLONE_NEWPID,
    "network": CLONE_NEWNET,
    "time": CLONE_NEWTIME,
}
"""By the type that config.json names."""


def _nested() -> bool:
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() != ["0", "0", "4294967295"]


IN_USER_NAMESPACE = _nested()
"""Whether this program was started in another user namespace than the machine's first."""

_unshare = function("unshare", c_int)
_setns = function("setns", c_int, c_int)


def unshare(flags: int) -> None:
    """Move the caller to new namespaces; CLONE_NEWPID concerns its next child instead."""
    check(_unshare(flags), "unshare", hex(flags))


def setns(fd: int, flags: int) -> None:
    """Enter the namespace of ``fd``, or those that ``flags`` names of the process behind a pidfd (Linux 5.8)."""
    check(_setns(fd, flags), "setns", hex(flags))
