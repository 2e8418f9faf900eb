"""What a process sets about itself: prctl(2), signals, capabilities, keyring. Imports ctypes, os."""

from __future__ import annotations

import ctypes
import errno
import os

from wherry.linux.syscalls import c_char_p, c_int, c_size_t, c_ulong, c_void_p, check, function, system_call

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

_CAPABILITY_VERSION_3 = 0x20080522
_U32 = 0xFFFFFFFF
_SYS_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "ppc64le": 271, "s390x": 280}

_SYS_RT_SIGACTION = {"x86_64": 13, "aarch64": 134, "riscv64": 134, "loongarch64": 134, "ppc64le": 173, "s390x": 174}

_SIG_SETMASK = 2
_LIBC_SIGNALS = (32, 33)
"""Libc keeps these for itself; a parent that was started by make ignores them."""
_SIGKILL = 9
_KEYCTL_JOIN_SESSION_KEYRING = 1


_prctl_number = function("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_prctl_text = function("prctl", c_int, c_char_p, c_ulong, c_ulong, c_ulong)
_signal = function("signal", c_int, c_void_p, result=c_void_p)
_sigprocmask = function("sigprocmask", c_int, c_char_p, c_void_p)
_setfsuid = function("setfsuid", c_int)
_setfsgid = function("setfsgid", c_int)
_rt_sigaction = system_call(_SYS_RT_SIGACTION.get(os.uname().machine, -1), c_int, c_char_p, c_void_p, c_size_t)
_sethostname = function("sethostname", c_char_p, c_size_t)
_setdomainname = function("setdomainname", c_char_p, c_size_t)
_keyctl = system_call(_SYS_KEYCTL.get(os.uname().machine, -1), c_int, c_void_p)


def _prctl(name: str, option: int, value: int, further: int = 0) -> None:
    check(_prctl_number(option, value, further, 0, 0), f"prctl {name}")


def set_name(name: str) -> None:
    """What ps and /proc/<pid>/comm show; fifteen bytes."""
    check(_prctl_text(PR_SET_NAME, name.encode()[:15], 0, 0, 0), "prctl PR_SET_NAME")


def _argument_area() -> tuple[int, int]:
    """Where our command line stands in memory: fields 48 and 49 of /proc/self/stat."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[45]), int(fields[46])


_ARGUMENTS = _argument_area()


def set_title(text: str) -> None:
    """What ps and /proc/<pid>/cmdline show, as much as has room where the command line was; and ``set_name``.

    A container with --init would else read the host's paths in /proc/1/cmdline.
    """
    set_name(text.partition(" ")[0])
    start, end = _ARGUMENTS
    title = text.encode()[: end - start - 1]
    ctypes.memmove(start, title.ljust(end - start, b"\0"), end - start)


def set_dumpable(value: int) -> None:
    """0: nobody but the kernel's root may trace the process or follow its /proc links."""
    _prctl("PR_SET_DUMPABLE", PR_SET_DUMPABLE, value)


def set_death_signal(number: int) -> None:
    """The signal the kernel sends us when our parent ends. A change of credentials clears it."""
    _prctl("PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, number)


def set_keep_capabilities(*, keep: bool) -> None:
    """Whether permitted capabilities survive setuid(2) away from 0."""
    _prctl("PR_SET_KEEPCAPS", PR_SET_KEEPCAPS, int(keep))


def set_subreaper() -> None:
    """Orphans below us become our children."""
    _prctl("PR_SET_CHILD_SUBREAPER", PR_SET_CHILD_SUBREAPER, 1)


def set_no_new_privileges() -> None:
    """execve(2) grants nothing from here on: no setuid bit, no file capabilities."""
    _prctl("PR_SET_NO_NEW_PRIVS", PR_SET_NO_NEW_PRIVS, 1)


def default_signals() -> None:
    """Every signal at its default and none blocked, as a program expects to be started.

    By libc: Python's own bookkeeping would call back into modules, and refuses the real-time signals of libc's own.
    """
    for number in range(1, 65):
        _signal(number, None)
    for number in _LIBC_SIGNALS:
        _rt_sigaction(number, bytes(32), None, 8)
    check(_sigprocmask(_SIG_SETMASK, bytes(128), None), "sigprocmask")


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_CapDatas = _CapData * 2
_capset = function("capset", c_void_p, c_void_p)


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2): three bit sets."""
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    sets = (effective, permitted, inheritable)
    data = _CapDatas(*(_CapData(*(bits >> shift & _U32 for bits in sets)) for shift in (0, 32)))
    check(_capset(ctypes.addressof(header), ctypes.addressof(data)), "capset")


def drop_bounding(keep: int) -> None:
    """Take every capability that is not in ``keep`` out of the bounding set, for good."""
    for number in range(64):
        if keep >> number & 1:
            continue
        if _prctl_number(PR_CAPBSET_DROP, number, 0, 0, 0):
            if ctypes.get_errno() == errno.EINVAL:
                return  # the first number that the kernel does not know
            check(-1, "prctl PR_CAPBSET_DROP", number)


def set_fs_ids(uid: int, gid: int) -> None:
    """Whose files we make from now on, all capabilities kept. The kernel forgets death signal and dumpability."""
    _setfsgid(gid)
    _setfsuid(uid)
    # A root that gives up its file system id loses the capabilities for files, but may take them again.
    permitted = _permitted()
    set_capabilities(permitted, permitted, 0)
    set_dumpable(0)
    set_death_signal(_SIGKILL)


def _permitted() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("CapPrm:"))


def set_ambient(wanted: int) -> None:
    """Make the ambient set ``wanted``; each must be permitted and inheritable."""
    _ambient(PR_CAP_AMBIENT_CLEAR_ALL, 0)
    for number in range(64):
        if wanted >> number & 1:
            _ambient(PR_CAP_AMBIENT_RAISE, number)


def _ambient(operation: int, number: int) -> None:
    _prctl(f"PR_CAP_AMBIENT {number}", PR_CAP_AMBIENT, operation, number)


def new_session_keyring() -> None:
    """Have an anonymous session keyring of our own instead of the one of whoever started us: keyctl(2)."""
    try:
        check(_keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None), "keyctl", "join session keyring")
    except OSError as error:
        # A kernel without keyrings has none to keep apart; a full quota must not keep a program from running.
        if error.errno not in (errno.ENOSYS, errno.EDQUOT, errno.EPERM):
            raise


def set_host_name(name: str) -> None:
    """sethostname(2): the UTS namespace's host name."""
    data = name.encode()
    check(_sethostname(data, len(data)), "sethostname", name)


def set_domain_name(name: str) -> None:
    """setdomainname(2): the NIS domain of the UTS namespace."""
    data = name.encode()
    check(_setdomainname(data, len(data)), "setdomainname", name)
