"""AppArmor's default profile for containers, ``docker-default``: written for this machine and loaded into the kernel.

It says what Docker's says: everything but writing to the kernel's own files, mounting, and tracing what is outside.
Unloading is the administrator's business; it is loaded again before a container needs it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from wherry.lib.errors import Internal
from wherry.runtime.spec_security import DEFAULT_APPARMOR

_LOADED = Path("/sys/kernel/security/apparmor/profiles")
_INCLUDES = Path("/etc/apparmor.d")
_PARSER = ("/usr/sbin/apparmor_parser", "/sbin/apparmor_parser")
_TIMEOUT = 30
"""Seconds; the parser takes one."""

_HIDDEN = (
    "/proc/* w",
    "/proc/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/** w",
    "/proc/sys/[^k]** w",
    "/proc/sys/kernel/{?,??,[^s][^h][^m]**} w",
    "/proc/sysrq-trigger rwklx",
    "/proc/kcore rwklx",
    "/sys/[^f]*/** wklx",
    "/sys/f[^s]*/** wklx",
    "/sys/fs/[^c]*/** wklx",
    "/sys/fs/c[^g]*/** wklx",
    "/sys/fs/cg[^r]*/** wklx",
    "/sys/firmware/** rwklx",
    "/sys/devices/virtual/powercap/** rwklx",
    "/sys/kernel/security/** rwklx",
)


def profile_text(name: str, daemon: str, *, tunables: bool, base: bool) -> str:
    """The profile's source. ``daemon`` is the profile of the process that may signal the containers."""
    lines = ["#include <tunables/global>"] if tunables else []
    lines.append(f"profile {name} flags=(attach_disconnected,mediate_deleted) {{")
    if base:
        lines.append("  #include <abstractions/base>")
    lines += ["  network,", "  capability,", "  file,", "  umount,"]
    lines += [f"  signal (receive) peer={peer}," for peer in dict.fromkeys(("unconfined", "runc", "crun", daemon))]
    lines.append(f"  signal (send,receive) peer={name},")
    lines += [f"  deny {rule}," for rule in _HIDDEN]
    lines += ["  deny mount,", f"  ptrace (trace,read,tracedby,readby) peer={name},", "}"]
    return "\n".join(lines) + "\n"


def is_loaded(name: str) -> bool:
    """Whether the kernel knows a profile of that name. Raises OSError where it has no AppArmor."""
    return any(line.rpartition(" ")[0] == name for line in _LOADED.read_text().splitlines())


def ensure_default() -> None:
    """Load the default profile unless it is there. Takes a second the first time; waits for a program.

    Raises Internal in the words of Docker.
    """
    try:
        if is_loaded(DEFAULT_APPARMOR):
            return
    except OSError as error:
        raise Internal(f"Could not check if {DEFAULT_APPARMOR} AppArmor profile was loaded: {error}") from None
    text = profile_text(
        DEFAULT_APPARMOR,
        _own_profile(),
        tunables=(_INCLUDES / "tunables/global").exists(),
        base=(_INCLUDES / "abstractions/base").exists(),
    )
    try:
        _load(text)
    except (OSError, subprocess.SubprocessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise Internal(
            f"AppArmor enabled on system but the {DEFAULT_APPARMOR} profile could not be loaded: {said}"
        ) from None


def _load(text: str) -> None:
    parser = next((path for path in _PARSER if os.access(path, os.X_OK)), _PARSER[0])
    # -K: the profile is read from stdin, which the parser's cache knows nothing of. -r replaces, should it be there.
    subprocess.run([parser, "-Kr"], input=text, check=True, capture_output=True, text=True, timeout=_TIMEOUT)


def _own_profile() -> str:
    """``unconfined``, or the profile that this daemon runs in."""
    try:
        current = Path("/proc/self/attr/current").read_text().strip("\0\n ")
    except OSError:
        return "unconfined"
    return current.rpartition(" (")[0] or current or "unconfined"
