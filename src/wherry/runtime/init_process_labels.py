"""The program's AppArmor profile and SELinux label: what /proc/self/attr/exec promises to execve(2).

The files are opened while /proc is the host's, or on a procfs of our own, and looked at to be procfs: the container's
could be anything, and what was written there would confine nobody (CVE-2019-16884, CVE-2025-52881). They are written to
late, because a hook that we execute in between would take the promise for itself.
"""

from __future__ import annotations

import os

from wherry.linux import filesystem
from wherry.linux.mounts import magic
from wherry.runtime.init_errors import Plain, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PROC_SUPER_MAGIC = 0x9FA0
_SELINUX_MAGIC = 0xF97CFF8C
_SELINUX = "/sys/fs/selinux"
_UNCONFINED = "unconfined"


class Labels:
    """Of one process."""

    def __init__(self, process: dict[str, Any]) -> None:
        self._profile: str = process.get("apparmorProfile") or ""
        self._label: str = process.get("selinuxLabel") or ""
        self._proc = -1
        self._open: list[tuple[int, str, str]] = []
        """Descriptor, what is to be written, what an error says in front."""

    def open(self, *, fresh: bool = False) -> None:
        """Open what has to be written to, in the very process that becomes the program. Raises StartError.

        By /proc, or where that is the container's, by a ``fresh`` procfs that nobody can have mounted over.
        """
        if not self._label and not self._profile:
            return
        self._proc = _open_proc(fresh=fresh)
        try:
            self._open_files()
        finally:
            os.close(self._proc)

    def _open_files(self) -> None:
        if self._label:
            _require_selinux()
            # The session keyring takes its label from here; execve resets it.
            self._add("keycreate", self._label, "unable to set the key label")
            self._add("exec", self._label, "can't set process label")
        if self._profile:
            at = "apparmor/exec" if self._exists("self/attr/apparmor/exec") else "exec"
            if at != "exec" or self._profile != _UNCONFINED:
                failing = "unable to apply apparmor profile: apparmor failed to apply profile"
                self._add(at, f"exec {self._profile}", failing)

    def apply(self) -> None:
        """Write. The descriptors are closed by whoever closes the rest. Raises StartError."""
        for fd, text, failing in self._open:
            with Step(failing):
                os.write(fd, text.encode())

    def _add(self, name: str, text: str, failing: str) -> None:
        path = f"/proc/self/attr/{name}"
        with Step(f"{failing}: open {path}"):
            flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(path.removeprefix("/proc/"), flags, dir_fd=self._proc)
        if magic(fd) != _PROC_SUPER_MAGIC:
            raise Plain(f"{failing}: {path} is not on procfs")
        self._open.append((fd, text, f"{failing}: write {path}"))

    def _exists(self, path: str) -> bool:
        try:
            os.stat(path, dir_fd=self._proc)
        except FileNotFoundError:
            return False
        return True


def _open_proc(*, fresh: bool) -> int:
    if fresh:
        try:
            return filesystem.create("proc", ())
        except PermissionError:
            # Root of a user namespace may not where /proc is masked: then that one, if it is procfs.
            pass
    return os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _require_selinux() -> None:
    try:
        fd = os.open(_SELINUX, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Plain(_NO_SELINUX) from error
    enabled = magic(fd) == _SELINUX_MAGIC
    os.close(fd)
    if not enabled:
        raise Plain(_NO_SELINUX)


_NO_SELINUX = "selinux label is specified in config, but selinux is disabled or not supported"
